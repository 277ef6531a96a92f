"""Starts one process in a shell: the fork that templates (Python runtimes) and builders (exec) share.

Python 3.8 syntax.
"""

import contextlib
import fcntl
import os
import signal
import sys
import time
import traceback
from typing import Any, Callable, Dict, List

from lambent.sandbox import commands, contain, seccomp, syscalls, user
from lambent.sandbox.spec import SandboxError

#: Descriptors of a runtime process; 0 is /dev/null, 1 and 2 the raw output.
CHANNEL_FD = 3
LOG_FD = 4
#: Where a snapshot is told to fork.
FORKS_FD = 5


class Spawner:
    """Forks children into shells and tells the supervisor how they end."""

    def __init__(self, control: Any, own_pid_namespace: int, run: Callable[[Dict[str, Any]], None]) -> None:
        self._control = control
        self._own_pid_namespace = own_pid_namespace
        self._run = run
        #: Made here rather than in each child, which would take longer than entering the sandbox.
        self.call_filters = {has_shell: seccomp.program(own_ipc=has_shell) for has_shell in (True, False)}
        self._snapshot_filter = seccomp.program(snapshot=True)
        self._children: Dict[int, int] = {}

    def spawn(self, request: Dict[str, Any], received: List[int]) -> None:
        """Start process number `request["spawn"]`; `request["fds"]` names the descriptors received with it."""
        fds: Dict[str, int] = {}
        joins: List[int] = []
        for name, fd in zip(request["fds"], received):
            if name == "join":
                joins.append(fd)
            else:
                fds[name] = fd
        began = time.perf_counter()
        pid = self._fork(fds)
        if pid == 0:
            self._child(request, fds, joins)
        fork_ms = (time.perf_counter() - began) * 1000
        self._children[pid] = request["spawn"]
        commands.close_all(received)
        commands.send(self._control, {"spawned": request["spawn"], "pid": pid, "fork_ms": fork_ms})

    def _fork(self, fds: Dict[str, int]) -> int:
        if "init" not in fds:
            return os.fork()
        # A process stays in its pid namespace; only its children are born elsewhere. One fork is enough that way.
        syscalls.setns(fds["init"], syscalls.CLONE_NEWPID)
        try:
            pid = os.fork()
        except OSError as error:
            syscalls.setns(self._own_pid_namespace, syscalls.CLONE_NEWPID)
            raise SandboxError("fork", "runtime", error.errno or 0) from error
        if pid:
            syscalls.setns(self._own_pid_namespace, syscalls.CLONE_NEWPID)
        return pid

    def _child(self, request: Dict[str, Any], fds: Dict[str, int], joins: List[int]) -> None:
        """Never returns."""
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            call_filter = self._snapshot_filter if "forks" in fds else self.call_filters["init" in fds]
            contain.enter(request["plan"], fds, joins, call_filter)
            os.chdir(request["plan"]["cwd"])
            os.environ.update(request["plan"].get("variables", {}))
        except BaseException as error:
            # Whatever it was, the code behind it must not run; the supervisor tells the server why.
            if not isinstance(error, SandboxError):
                error = SandboxError("enter", traceback.format_exc())
            try:
                commands.send(self._control, {"failed": request["spawn"], "error": error.to_json()})
            finally:
                os._exit(125)
        try:
            _arrange(fds)
            # Not before: others may run in this sandbox already, and would find what the parent's descriptors lead to.
            user.show_itself()
            # Its number may soon be a descriptor of the function's, which this object must not close.
            self._control.detach()
            self._run(request)
        except BaseException:
            # The runtime's own code failed where nobody above it is left to say so.
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(1)

    def terminate(self, number: int, kill: bool) -> None:
        """SIGTERM or SIGKILL to process `number` and its group. Until it is reaped its pid is its own."""
        for pid, child in self._children.items():
            if child == number:
                # It leads its session as soon as it entered its sandbox; before that there is nobody to tell.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL if kill else signal.SIGTERM)

    def reap(self) -> None:
        """Tell the supervisor of every child that ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            number = self._children.pop(pid, None)
            if number is not None:
                commands.send(self._control, {"exited": number, "status": status})


def _arrange(fds: Dict[str, int]) -> None:
    """Put the descriptors where a runtime expects them and close all others."""
    null = os.open("/dev/null", os.O_RDWR)
    wanted = [(null, 0), (fds["output"], 1), (fds["output"], 2)]
    if "channel" in fds:
        wanted += [(fds["channel"], CHANNEL_FD), (fds["log"], LOG_FD)]
    if "forks" in fds:
        wanted.append((fds["forks"], FORKS_FD))
    # Out of the way first: a target number may be the source of a later one.
    high = [(_duplicate(fd, 64), target) for fd, target in wanted]
    for fd, target in high:
        # A program that the function starts must not hold the channel open; `run_program` passes it on.
        os.dup2(fd, target, inheritable=target <= 2)
    syscalls.close_from(wanted[-1][1] + 1)


def _duplicate(fd: int, lowest: int) -> int:
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, lowest)


def run_program(request: Dict[str, Any]) -> None:
    """Become the program that the request names."""
    command, environment = request["command"], dict(request["environment"])
    if request["framed"]:
        os.set_inheritable(CHANNEL_FD, True)
        os.set_inheritable(LOG_FD, True)
        environment["LAMBENT_CHANNEL_FD"] = str(CHANNEL_FD)
        environment["_LAMBDA_TELEMETRY_LOG_FD"] = str(LOG_FD)
    try:
        os.execve(command[0], command, environment)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
        os._exit(126 if isinstance(error, PermissionError) else 127)
