"""Who code runs as: inside always sbx_user1051 (993:990), outside an id that belongs to this sandbox alone.

As root each sandbox maps to its own id of a high range; rootless it maps to one of the operator's subordinate ids, or
to the operator's own id where there are none. The user namespace only maps ids: it owns no mount and no network, since
those were made before it (contain.py).
"""

import contextlib
import os
import pwd
import shutil
import subprocess
from typing import Optional, Tuple

from lambent.sandbox import syscalls
from lambent.sandbox.spec import SandboxError

NAME = "sbx_user1051"
UID = 993
GID = 990

#: Above what systemd hands out to containers (524288-1879048191) and below 2**31.
_ROOT_BASE = 0x7000_0000
#: Slots, each used by one sandbox at a time; the number of ids needed.
SLOTS = 65536


def outside_ids(slot: int, is_root: bool, subordinate_ids: int) -> Tuple[int, int]:
    """Uid and gid, as the supervisor's own user namespace names them, of the sandbox in `slot`."""
    if is_root:
        return _ROOT_BASE + slot, _ROOT_BASE + slot
    if subordinate_ids:
        # 0 is the operator himself; the subordinate ids follow from 1.
        return 1 + slot % subordinate_ids, 1 + slot % subordinate_ids
    return 0, 0


def map_ids(pid: int, proc_fd: int, uid: int, gid: int) -> None:
    """Map the one user and the one group of the fresh user namespace that process `pid` is in."""
    for name, content in (("uid_map", f"{UID} {uid} 1"), ("gid_map", f"{GID} {gid} 1")):
        path = f"{pid}/{name}"
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc_fd)
            try:
                os.write(fd, content.encode())
            finally:
                os.close(fd)
        except OSError as error:
            raise SandboxError("write", f"/proc/{path}", error.errno or 0) from error


def become(uid: int, gid: int, groups_allowed: bool) -> None:
    """Be that user and no other, in no further group; capabilities stay until they are dropped."""
    try:
        if groups_allowed:
            os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    except OSError as error:
        raise SandboxError("setresuid", f"{uid}:{gid}", error.errno or 0) from error
    # Changing the user makes a process undumpable, and its /proc/self unreadable to itself.
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)


# ---- rootless -------------------------------------------------------------------------------------------------------


def enter_own_namespace() -> int:
    """Make this process root of a user namespace; how many ids beside the operator's own it holds (0: none).

    The range comes from /etc/subuid and /etc/subgid through newuidmap, which has the privilege to map it.
    """
    uid, gid = os.getuid(), os.getgid()
    ids, groups = _subordinate("/etc/subuid", uid), _subordinate("/etc/subgid", uid)
    if ids and groups and shutil.which("newuidmap") and shutil.which("newgidmap"):
        count = min(ids[1], groups[1], SLOTS)
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
