"""Started by an ordinary user: the supervisor becomes root of a user namespace, and pid 1 of a pid namespace in it.

Everything else is then done as root does it. The pid namespace is needed since builders and templates come back from
sandboxes' pid namespaces all the time, and may not come back to the host's; starting anew by exec is, since only then
the processes to come belong to the user namespace (a sandbox's init could not be hidden from its code otherwise).
"""

import contextlib
import json
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
from typing import Any, Dict, NoReturn, Optional, Tuple

from lambent.sandbox import commands, syscalls, user
from lambent.sandbox.spec import SandboxError


def go_on_inside(server_fd: int, configure: Dict[str, Any], cgroups: Dict[str, Tuple[int, str]]) -> NoReturn:
    """Start the supervisor again inside, with the command to go on with; this process waits for its end."""
    name = _user_name()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    state = {
        "configure": configure,
        "cgroups": cgroups,
        "subordinate_ids": enter_user_namespace(),
        "name": name,
    }
    hold_read, hold_write = os.pipe()
    syscalls.unshare(syscalls.CLONE_NEWPID)
    pid = os.fork()
    if pid == 0:
        os.close(hold_write)
        _follow(hold_read)
        os.set_inheritable(server_fd, True)
        command = [sys.executable, *commands.PROGRAM, commands.CODE_ROOT, str(server_fd), json.dumps(state)]
        os.execv(sys.executable, command)
    # A copy of the server's socket would hide from the server that the other process ended.
    os.closerange(3, hold_write)
    os.closerange(hold_write + 1, os.sysconf("SC_OPEN_MAX"))
    os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xFF)


def _follow(hold: int) -> None:
    """End with the process that waits outside, even if it ended before this could be asked of the kernel."""
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    poll = select.poll()
    poll.register(hold, 0)
    if poll.poll(0):
        os._exit(1)


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def enter_user_namespace() -> int:
    """Make this process root of a user namespace; how many ids beside the operator's own it holds (0: none).

    The range comes from /etc/subuid and /etc/subgid through newuidmap, which has the privilege to map it.
    """
    uid, gid = os.getuid(), os.getgid()
    ids, groups = _subordinate("/etc/subuid", uid), _subordinate("/etc/subgid", uid)
    if ids and groups and shutil.which("newuidmap") and shutil.which("newgidmap"):
        count = min(ids[1], groups[1], user.SLOTS)
        if _enter_with_range(uid, gid, ids[0], groups[0], count):
            return count
    else:
        syscalls.unshare(syscalls.CLONE_NEWUSER)
    for name, content in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        try:
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(content)
        except OSError as error:
            raise SandboxError("write", f"/proc/self/{name}", error.errno or 0) from error
    return 0


def _enter_with_range(uid: int, gid: int, first_uid: int, first_gid: int, count: int) -> bool:
    """Enter a user namespace that a helper, which stays outside, has mapped."""
    target = os.getpid()
    read_end, write_end = os.pipe()
    helper = os.fork()
    if helper == 0:
        try:
            os.close(write_end)
            os.read(read_end, 1)
            for program, own, first in (("newuidmap", uid, first_uid), ("newgidmap", gid, first_gid)):
                words = [program, str(target), "0", str(own), "1", "1", str(first), str(count)]
                subprocess.run(words, check=True, stdin=subprocess.DEVNULL, capture_output=True)
            os._exit(0)
        finally:
            os._exit(1)
    syscalls.unshare(syscalls.CLONE_NEWUSER)
    os.close(read_end)
    os.close(write_end)
    return os.waitpid(helper, 0)[1] == 0


def _subordinate(path: str, uid: int) -> Optional[Tuple[int, int]]:
    """First and number of the ids that the file gives to the user."""
    names = {str(uid)}
    with contextlib.suppress(KeyError):
        names.add(pwd.getpwuid(uid).pw_name)
    try:
        with open(path, encoding="utf-8") as file:
            for line in file:
                name, _, rest = line.strip().partition(":")
                first, _, count = rest.partition(":")
                if name in names and first.isdigit() and count.isdigit() and int(count) > 0:
                    return int(first), int(count)
    except OSError:
        pass
    return None
