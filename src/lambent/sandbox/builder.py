"""A builder: a child of the supervisor that makes shells, and starts the runtimes that are plain programs.

It lives in the root that sandboxes start from, so that nothing of the host is in the mount namespaces it copies; it
reaches the host through the few descriptors it was born with.
"""

import gc
import os
import select
import signal
import sys
import time
import traceback
from typing import Any, Dict, List, Optional, Tuple

from lambent.sandbox import commands, contain, egress_door, mounts, nested, network, spawn, syscalls
from lambent.sandbox.spec import SandboxError, as_sandbox_error

_NAMESPACE_FILES = (
    ("mnt", syscalls.CLONE_NEWNS),
    ("pid", syscalls.CLONE_NEWPID),
    ("uts", syscalls.CLONE_NEWUTS),
    ("net", syscalls.CLONE_NEWNET),
)


class Builder:
    def __init__(self, control: Any, host_fds: Dict[str, int]) -> None:
        self._control = control
        self._host_fds = host_fds
        self._home: List[Tuple[int, int]] = []
        self._masks: List[Tuple[str, str]] = []
        self._door: Optional[egress_door.Door] = None
        pid_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        self._spawner = spawn.Spawner(control, pid_namespace, spawn.run_program)

    def settle(self, is_rootless: bool, own_network: bool, mtu: int) -> None:
        """Remember the namespaces to come back to after each shell."""
        proc = self._host_fds["proc"]
        self._masks = mounts.find_masks(proc)
        if is_rootless:
            # The host's are not this process's to come back to.
            syscalls.unshare(contain.namespaces(own_network) & ~(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID))
        self._home = [
            (os.open(f"self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc), flag)
            for name, flag in _NAMESPACE_FILES
        ]
        if "gateway" in self._host_fds:
            home = next(fd for fd, flag in self._home if flag == syscalls.CLONE_NEWNET)
            self._door = egress_door.Door(self._host_fds["gateway"], home, mtu, proc)

    def root(self) -> List[int]:
        """Descriptor of the mount namespace that templates start from. Not by pidfd: this process comes and goes."""
        return [fd for fd, flag in self._home if flag == syscalls.CLONE_NEWNS]

    def serve(self) -> None:
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(wake_read, select.POLLIN)
        while True:
            ready = [fd for fd, _ in poll.poll()]
            if wake_read in ready:
                os.read(wake_read, 4096)
                self._spawner.reap()
            if self._control.fileno() in ready and not self._handle_one():
                return

    def _handle_one(self) -> bool:
        received = commands.receive(self._control)
        if received is None:
            return False
        message, fds = received
        if "build" in message:
            self._build(message, fds)
        elif "terminate" in message:
            self._spawner.terminate(message["terminate"], message["kill"])
        elif "dial" in message:
            self._dial(message["dial"], fds)
        else:
            self._spawn(message, fds)
        return True

    def _spawn(self, message: Dict[str, Any], fds: List[int]) -> None:
        try:
            self._spawner.spawn(message, fds)
        except SandboxError as error:
            commands.send(self._control, {"failed": message["spawn"], "error": error.to_json()})

    def _dial(self, seq: int, fds: List[int]) -> None:
        """Make a socket inside the shell's network namespace, where it stays whoever holds it, and come back."""
        sock = None
        try:
            syscalls.setns(fds[0], syscalls.CLONE_NEWNET)
            sock = network.unconnected()
        except (SandboxError, OSError) as error:
            commands.send(self._control, {"undialled": seq, "error": as_sandbox_error(error).to_json()})
        finally:
            self._go_home(syscalls.CLONE_NEWNET)
            commands.close_all(fds)
        if sock is not None:
            commands.send(self._control, {"dialled": seq}, [sock.fileno()])
            sock.close()

    def _go_home(self, left: int) -> None:
        for fd, flag in self._home:
            if flag & left:
                syscalls.setns(fd, flag)

    def _build(self, message: Dict[str, Any], fds: List[int]) -> None:
        phases: Dict[str, float] = {}
        last = time.perf_counter()

        def mark(phase: str) -> None:
            nonlocal last
            now = time.perf_counter()
            phases[phase] = (now - last) * 1000
            last = now

        host = contain.Host({**self._host_fds, **dict(zip(message["fds"], fds))}, self._masks, self._door)
        try:
            make = nested.make_shell if "outer" in host.fds else contain.make_shell
            parts = make(message, host, mark)
        except (SandboxError, OSError) as error:
            failure = (
                error if isinstance(error, SandboxError) else SandboxError("make_shell", str(error), error.errno or 0)
            )
            commands.send(self._control, {"unbuilt": message["build"], "error": failure.to_json()})
            return
        finally:
            self._go_home(contain.namespaces(message["own_network"]))
            commands.close_all(fds)
        self._hand_over(message, parts, phases)

    def _hand_over(self, message: Dict[str, Any], parts: contain.ShellParts, phases: Dict[str, float]) -> None:
        pidfd = os.pidfd_open(parts.pid) if parts.pidfd < 0 else os.dup(parts.pidfd)
        names = ["init", "control", "runtime_api", "daemon"]
        handed = [pidfd, parts.control.fileno(), parts.runtime_api.fileno(), parts.daemon.fileno()]
        if parts.endpoint is not None:
            names.append("endpoint")
            handed.append(parts.endpoint.fileno())
        names += parts.namespaces
        handed += parts.namespaces.values()
        reply = {"built": message["build"], "fds": names, "phases": phases, "api": parts.api_address}
        reply["daemon"] = parts.daemon.getsockname()
        commands.send(self._control, reply, handed)
        os.close(pidfd)
        parts.close()


def main(control: Any, host_fds: Dict[str, int], root: Optional[Dict[str, Any]], supervisor: int) -> None:
    """The life of a builder, in a child forked from the supervisor. Never returns."""
    try:
        syscalls.set_name("lambent-builder")
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != supervisor:
            os._exit(1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        builder = Builder(control, host_fds)
        if root is not None:
            own_network, mtu = root.pop("own_network"), root.pop("mtu")
            mounts.enter_root(**root)
            builder.settle(root["keep_proc"], own_network, mtu)
        # Collecting would write to every object, and so copy every page that the inits share with this process.
        gc.disable()
        gc.freeze()
        commands.send(control, {"hello": True}, builder.root())
        builder.serve()
    except SandboxError as error:
        commands.send(control, {"broken": error.to_json()})
    except BrokenPipeError:
        pass  # the supervisor is gone
    except BaseException:
        # The top of this process: the supervisor sees it end and starts another.
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(0)
