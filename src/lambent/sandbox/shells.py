"""Shells and the runtime processes in them, as the supervisor holds them: values and small actions, no policy."""

import contextlib
import os
import signal
import socket
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from lambent.sandbox import commands
from lambent.sandbox.cgroup import Cgroup
from lambent.sandbox.plain import Paths
from lambent.sandbox.spec import LaunchSpec

#: Those of a shell within another that are entered one by one.
NAMESPACES = ("user", "mnt", "net", "uts", "pid")


class Run:
    """One process in a shell, the runtime's or an extension's, from its start to its end."""

    def __init__(self, number: int, worker: int, oom_kills: int, is_early: bool) -> None:
        self.number = number
        #: Pid of the builder or template that was asked to start it.
        self.worker = worker
        #: Started before its function was known.
        self.is_early = is_early
        #: OOM kills in the cgroup before it started.
        self.oom_kills = oom_kills
        self.ended = False
        #: On the host, where its worker tells it; 0 until then.
        self.pid = 0
        #: Level `process`: to be killed as soon as its pid is known.
        self.is_condemned = False


class Kind(NamedTuple):
    """What a shell is made with, and cannot be given later."""

    tmp_mb: int
    #: Number of its NetworkAccess; None: no way out.
    access: Optional[int] = None


class Shell:
    """Namespaces, cgroup and /tmp of one sandbox, with an init in it that outlives runtime processes."""

    def __init__(self, number: int, slot: int, kind: Kind) -> None:
        self.number = number
        self.slot = slot
        self.kind = kind
        self.cgroup: Optional[Cgroup] = None
        # From when it is built:
        self.init_fd = -1
        self.control: Optional[socket.socket] = None
        #: Listening sockets, until they are handed to the server.
        self.listeners: Dict[str, int] = {}
        self.api_address = ""
        self.daemon_address = ("", 0)
        #: Level `process`: its folder for temporary files, and the other end of `control`.
        self.tmp = ""
        self.kill_fd = -1
        # From when a runtime's folders are mounted or a process is started in it:
        self.runtime = ""
        self.run: Optional[Run] = None
        #: Those of extensions, in the order of their names in the spec.
        self.extensions: List[Run] = []
        #: The server's ends of the processes' channel and pipes, until they are handed over.
        self.server_ends: Dict[str, int] = {}
        # From when it is given to a function:
        self.environment_id = ""
        self.spec: Optional[LaunchSpec] = None
        #: Level `process`: where Lambda's folders really are. None: they are mounted.
        self.paths: Optional[Paths] = None
        #: Of a snapshot: where its process is told to fork.
        self.forks: Optional[commands.Link] = None
        #: And its /tmp, which nobody writes to any more, has something in it.
        self.keeps_tmp = False
        #: The shell of the snapshot that this one is within, which it is for.
        self.outer: Optional[Shell] = None
        #: Its namespaces, until the fork that enters it is given them; where that tells how it fares.
        self.namespaces: Dict[str, int] = {}
        self.status: Optional[socket.socket] = None
        self.is_frozen = False
        self.is_dying = False
        #: Its init ended unasked.
        self.is_lost = False

    def __repr__(self) -> str:
        run = "no process" if self.run is None else "ended" if self.run.ended else f"run {self.run.number}"
        return f"<Shell {self.number} slot {self.slot} {self.runtime or '-'} {self.environment_id or 'free'} {run}>"

    def adopt(self, fds: Dict[str, int], api: Tuple[str, int], daemon: Tuple[str, int]) -> None:
        """What its builder handed over."""
        self.init_fd = fds.pop("init", -1)
        self.control = socket.socket(fileno=fds.pop("control"))
        self.control.setblocking(False)
        self.namespaces = {name: fds.pop(name) for name in NAMESPACES if name in fds}
        self.listeners = fds
        self.api_address = f"{api[0]}:{api[1]}"
        self.daemon_address = daemon

    def runs(self) -> List[Run]:
        """The runtime's and those of extensions."""
        return [*([] if self.run is None else [self.run]), *self.extensions]

    def take(self) -> Dict[str, int]:
        """The descriptors to hand to the server, whose they are from now on."""
        taken = {**self.server_ends, **self.listeners}
        self.server_ends, self.listeners = {}, {}
        return taken

    def kill_all_but_init(self, word: bytes) -> None:
        """The init sends `word` back when it is done; one that just died itself is noticed elsewhere."""
        assert self.control is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.control.send(word)

    def kill_init(self) -> None:
        """The kernel then kills all that is in its pid namespace."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.init_fd, signal.SIGKILL)

    def close(self) -> None:
        commands.close_all([*self.server_ends.values(), *self.listeners.values(), *self.namespaces.values()])
        self.server_ends, self.listeners, self.namespaces = {}, {}, {}
        if self.control is not None:
            self.control.close()
        if self.init_fd >= 0:
            os.close(self.init_fd)
            self.init_fd = -1


def open_pipes(framed: bool) -> Tuple[Dict[str, int], Dict[str, int]]:
    """The server's and the runtime's ends of what connects them."""
    server: Dict[str, int] = {}
    runtime: Dict[str, int] = {}
    server["output"], runtime["output"] = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(server["output"], False)
    if framed:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        server["channel"], runtime["channel"] = ours.detach(), theirs.detach()
        server["log"], runtime["log"] = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(server["log"], False)
    return server, runtime


class Phases:
    """What each phase of a start took, for `make bench`."""

    _KEPT = 2000

    def __init__(self) -> None:
        self._samples: Dict[str, List[float]] = {}

    def add(self, phases: Dict[str, float]) -> None:
        for name, milliseconds in phases.items():
            samples = self._samples.setdefault(name, [])
            samples.append(milliseconds)
            if len(samples) > self._KEPT:
                del samples[: self._KEPT // 2]

    def summary(self) -> Dict[str, Any]:
        return {
            name: {
                "count": len(samples),
                "min": round(min(samples), 4),
                "p50": round(sorted(samples)[len(samples) // 2], 4),
                "p99": round(sorted(samples)[len(samples) * 99 // 100], 4),
                "max": round(max(samples), 4),
            }
            for name, samples in self._samples.items()
        }
