"""Who code runs as: inside always sbx_user1051 (993:990), outside an id that belongs to this sandbox alone.

As root each sandbox maps to its own id of a high range; rootless it maps to one of the operator's subordinate ids, or
to the operator's own id where there are none. The user namespace only maps ids: it owns no mount and no network, since
those were made before it (contain.py).
"""

import os
from typing import Tuple

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


def map_ids(pid: int, proc_fd: int, uid: int, gid: int, inside: Tuple[int, int] = (UID, GID)) -> None:
    """Map the one user and the one group of the fresh user namespace that process `pid` is in."""
    for name, content in (("uid_map", f"{inside[0]} {uid} 1"), ("gid_map", f"{inside[1]} {gid} 1")):
        path = f"{pid}/{name}"
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc_fd)
            try:
                os.write(fd, content.encode())
            finally:
                os.close(fd)
        except OSError as error:
            raise SandboxError("write", f"/proc/{path}", error.errno or 0) from error


def map_own_ids(proc_fd: int) -> None:
    """Map this process's user and group to themselves, in the fresh user namespace that it is in."""
    for name, content in (("setgroups", "deny"), ("uid_map", f"{UID} {UID} 1"), ("gid_map", f"{GID} {GID} 1")):
        try:
            fd = os.open(f"self/{name}", os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc_fd)
            try:
                os.write(fd, content.encode())
            finally:
                os.close(fd)
        except OSError as error:
            raise SandboxError("write", f"/proc/self/{name}", error.errno or 0) from error


def become(uid: int, gid: int, groups_allowed: bool) -> None:
    """Be that user and no other, in no further group; capabilities stay until they are dropped.

    Until `show_itself` nobody of that user may look into this process, which still holds what its parent held.
    """
    # Changing the user does the same, but not where both are the operator's own id.
    hide()
    try:
        if groups_allowed:
            os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    except OSError as error:
        raise SandboxError("setresuid", f"{uid}:{gid}", error.errno or 0) from error


def show_itself() -> None:
    """Let this process, and all of its user beside it, read its /proc/self. Exec does the same."""
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)


def hide() -> None:
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
