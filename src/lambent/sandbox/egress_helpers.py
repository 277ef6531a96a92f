"""Programs that a gateway needs beside it: started with it, started again when they end, killed with it."""

import contextlib
import os
import shutil
import signal
import sys
import traceback
from typing import Any, Callable, Dict, List, Optional

from lambent.sandbox import commands, egress_dns, syscalls
from lambent.sandbox.spec import SandboxError

_AGAIN_AFTER = 1.0
_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
#: The network between the gateway and slirp4netns: one that is closed, and that nobody uses for anything else.
_SLIRP_NETWORK = "198.18.255.0/24"


class Helper:
    """One such program, by the command and the descriptors that it is given."""

    def __init__(self, loop: Any, name: str, command: List[str], fds: List[int], is_quiet: bool = False) -> None:
        self._loop = loop
        self._name = name
        self._command = command
        self._fds = fds
        #: It tells of every start.
        self._is_quiet = is_quiet
        self._pid = 0
        self._pidfd = -1
        self._is_closed = False
        self.on_trouble: Callable[[SandboxError], None] = lambda error: None

    def start(self) -> None:
        if self._is_closed:
            return
        supervisor = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
                if os.getppid() == supervisor:
                    syscalls.keep_only(self._fds)
                    if self._is_quiet:
                        os.dup2(os.open(os.devnull, os.O_RDWR), 2)
                    for fd in self._fds:
                        os.set_inheritable(fd, True)
                    os.execve(self._command[0], self._command, {"PATH": _PATH})
            except BaseException:
                # The top of this process: the supervisor sees it end.
                traceback.print_exc()
            finally:
                os._exit(1)
        self._pidfd = os.pidfd_open(self._pid)
        self._loop.watch(self._pidfd, self._on_ended)

    def _on_ended(self) -> None:
        self._forget()
        self.on_trouble(SandboxError("run", self._name, 0, "It ended, and is started again."))
        self._loop.later(_AGAIN_AFTER, self.start)

    def _forget(self) -> None:
        self._loop.forget(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1

    def close(self) -> None:
        self._is_closed = True
        if self._pidfd >= 0:
            # Who ended already, somebody else may have reaped.
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
                os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOWAIT)
            self._forget()


def dns(loop: Any, fds: Dict[str, int], uid: int, has_groups: bool) -> Helper:
    """`fds`: its listening sockets, made in the gateway's namespace."""
    sockets = [fds["datagrams"], fds["listener"]]
    arguments = [*map(str, sockets), str(os.getpid()), str(uid), "1" if has_groups else "0"]
    command = egress_dns.command(sys.executable, commands.CODE_ROOT, arguments)
    return Helper(loop, "the resolver of sandboxes", command, sockets)


def user_mode_uplink(loop: Any, namespace_fd: int, link: str, mtu: int) -> Optional[Helper]:
    """Where only root may join namespaces to the host's network: a program that speaks for the gateway there.

    None where it is not installed. It passes on nothing that is for the host's loopback, and listens to nobody.
    """
    slirp = shutil.which("slirp4netns", path=_PATH)
    if slirp is None:
        return None
    command = [slirp, "--configure", f"--mtu={mtu}", "--disable-host-loopback", "--disable-dns"]
    command += [f"--cidr={_SLIRP_NETWORK}", "--netns-type=path", f"/proc/self/fd/{namespace_fd}", link]
    return Helper(loop, "slirp4netns", command, [namespace_fd], is_quiet=True)
