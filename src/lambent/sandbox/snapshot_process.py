"""What the process of an initialised function does as a snapshot: on the supervisor's word it forks itself into shells.

It ran the function's code, so it is as hostile as any, and what it says here decides only how its own forks fare. What
is restored is two processes: the function's, a member of its shell's pid namespace, and the one that entered the shell
for it and, being outside of that pid namespace, waits to tell how it ended. Python 3.8 syntax.
"""

import fcntl
import gc
import os
import resource
import select
import signal
import socket
import stat
import traceback
from typing import Any, Callable, Dict, List, NoReturn

from lambent.sandbox import commands, contain, rlimits, syscalls

#: The function's process has descriptors of its runtime's up to this one: input, output, errors, channel, log, forks.
CONTROL_FD = 5
#: First word of an environment, once its process is where it belongs; how that ended follows, four bytes.
ENTERED = b"entered"
#: Words for it.
TERMINATE, KILL = b"t", b"k"
_MAX_ERROR = 2000
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_TMP = "/tmp"


class Snapshot:
    """`obstacle` says whether this process can be one; `wait` returns in each of its forks, inside its new shell."""

    def __init__(self, control: socket.socket, plan: Dict[str, Any], call_filter: bytes) -> None:
        self._control = control
        self._cwd = plan["cwd"]
        #: What is in /tmp is restored too.
        self._keeps_tmp = plan["keeps_tmp"]
        self._call_filter = call_filter

    def obstacle(self) -> str:
        """Why what comes out of this process would not be what it is, "" where nothing speaks against it."""
        found = _threads() or _children() or _open_files() or _shared_memory()
        return found or ("" if self._keeps_tmp else _temporary_files())

    def wait(self, renew: Callable[[], None]) -> None:
        """`renew` makes a fork unlike all others, which takes longer than a restore should."""
        collects = gc.isenabled()
        gc.collect()
        # Collecting would write to every object, and so copy every page that environments share with this process.
        gc.disable()
        gc.freeze()
        while True:
            received = commands.receive(self._control)
            if received is None:
                os._exit(0)
            if self._fork(*received, renew):
                break
        if collects:
            gc.enable()

    def _fork(self, message: Dict[str, Any], received: List[int], renew: Callable[[], None]) -> bool:
        """True in the function's process of the new environment."""
        fds: Dict[str, int] = {}
        joins: List[int] = []
        for name, fd in zip(message["fds"], received):
            if name == "join":
                joins.append(fd)
            else:
                fds[name] = fd
        status = socket.socket(fileno=os.dup(fds["status"]))
        pid = os.fork()
        if pid:
            status.close()
            commands.close_all(received)
            _reap()
            return False
        try:
            self._control.close()
            self._enter(fds, joins, status)
            commands.close_all(received)
            renew()
            status.send(ENTERED)
            status.close()
        except BaseException:
            # Whatever it was, the function's code must not go on here; the supervisor tells the server why.
            try:
                status.send(traceback.format_exc().encode()[-_MAX_ERROR:])
            finally:
                os._exit(125)
        return True

    def _enter(self, fds: Dict[str, int], joins: List[int], status: socket.socket) -> None:
        """Returns in the process that is a member of the shell's pid namespace too."""
        folder = _folder(self._cwd)
        contain.enter_nested(fds, joins, self._call_filter)
        rlimits.lower(resource.RLIMIT_NPROC, rlimits.PROCESSES)
        # A function that ignores its children's ends would hide this one's.
        on_child = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        pid = os.fork()
        if pid:
            _tell_end(status, pid)
        if on_child is not None:
            signal.signal(signal.SIGCHLD, on_child)
        os.setsid()
        _change_folder(folder, self._cwd)
        _own_files(set(fds.values()) | {*joins, status.fileno(), *range(CONTROL_FD)})
        for name, number in (("output", 1), ("output", 2), ("channel", 3), ("log", 4)):
            os.dup2(fds[name], number, inheritable=number <= 2)


def _folder(fallback: str) -> str:
    try:
        folder = os.getcwd()
    except OSError:  # it was removed
        return fallback
    return folder if os.path.isdir(folder) else fallback


def _change_folder(folder: str, fallback: str) -> None:
    try:
        os.chdir(folder)
    except OSError:  # it is not there in this shell
        os.chdir(fallback)


def _tell_end(status: socket.socket, pid: int) -> NoReturn:
    """The life of the process outside: pass signals on, tell how the function's process ended, and end."""
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        ours, ended = 3, 4
        pidfd = syscalls.pidfd_open(pid)
        channel = _high(status.fileno())
        pidfd = _high(pidfd)
        os.dup2(channel, ours)
        os.dup2(pidfd, ended)
        # All else is the function's: what it closes must be closed.
        syscalls.close_from(5)
        os.closerange(0, 3)
        poll = select.poll()
        poll.register(ours, select.POLLIN)
        poll.register(ended, select.POLLIN)
        while ended not in [fd for fd, _ in poll.poll()]:
            word = os.read(ours, 16)
            if not word:
                poll.unregister(ours)
            elif word in (TERMINATE, KILL):
                os.killpg(pid, signal.SIGTERM if word == TERMINATE else signal.SIGKILL)
        os.write(ours, os.waitpid(pid, 0)[1].to_bytes(4, "little"))
    finally:
        os._exit(0)


def _high(fd: int) -> int:
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64)


def _reap() -> None:
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return
        except ChildProcessError:
            return


# ---- what speaks against it --------------------------------------------------------------------------------------


def _threads() -> str:
    count = len(os.listdir("/proc/self/task"))
    return "" if count == 1 else f"it has {count} threads after its init, of which only one would be restored"


def _children() -> str:
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
        count = len(file.read().split())
    return "" if not count else f"it has child processes after its init ({count}), which would not be restored"


def _open_files() -> str:
    for fd in _descriptors():
        mode = os.fstat(fd).st_mode
        path = os.readlink(f"/proc/self/fd/{fd}")
        if stat.S_ISSOCK(mode):
            return "it has an open socket after its init, which all that is restored would share"
        if stat.S_ISCHR(mode) and path in _DEVICES:
            continue
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            return f"it has an open descriptor after its init that all that is restored would share ({path})"
        if stat.S_ISREG(mode) and fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY:
            return f"it has a file open for writing after its init, which all that is restored would share ({path})"
    return ""


def _descriptors() -> List[int]:
    """The function's own."""
    fds = [int(name) for name in os.listdir("/proc/self/fd")]
    # One of them was the listing's, and is closed.
    return [fd for fd in fds if fd > CONTROL_FD and os.path.lexists(f"/proc/self/fd/{fd}")]


def _shared_memory() -> str:
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        for line in file:
            fields = line.split(None, 5)
            if "s" in fields[1] and "w" in fields[1]:
                return "it has writable shared memory after its init, which all that is restored would share"
    return ""


def _temporary_files() -> str:
    return "it keeps files in /tmp after its init, which are not restored" if os.listdir(_TMP) else ""


def _own_files(others: "set[int]") -> None:
    """Open the function's files anew, in this shell: the fork shares their positions with all others."""
    for fd in _descriptors():
        if fd in others or stat.S_ISCHR(os.fstat(fd).st_mode):
            continue
        try:
            path = os.readlink(f"/proc/self/fd/{fd}")
            flags = fcntl.fcntl(fd, fcntl.F_GETFL)
            inheritable = os.get_inheritable(fd)
            again = os.open(path, flags & ~(os.O_CREAT | os.O_EXCL | os.O_TRUNC))
        except OSError:  # it has lost its name since
            continue
        if stat.S_ISREG(os.fstat(fd).st_mode):
            os.lseek(again, os.lseek(fd, 0, os.SEEK_CUR), os.SEEK_SET)
        os.dup2(again, fd, inheritable=inheritable)
        os.close(again)
