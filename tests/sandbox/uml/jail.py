"""Runs in the fresh mount namespace of `boot.py`: makes every host mount read-only, then becomes the UML kernel.

Only the exchange folder stays writable, and /dev/shm is a new tmpfs: the guest's memory is a file there.
"""

import ctypes
import os
import sys

AT_FDCWD = -100
AT_RECURSIVE = 0x8000
MOUNT_ATTR_RDONLY = 0x1
MS_BIND = 0x1000
SYS_MOUNT_SETATTR = 442

libc = ctypes.CDLL(None, use_errno=True)


class MountAttr(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd")]


def check(result: int, call: str) -> None:
    if result != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"{call}: {os.strerror(errno)}")


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    result = libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode())
    check(result, f"mount {target}")


def change_tree(path: str, attr_set: int = 0, attr_clr: int = 0) -> None:
    attributes = MountAttr(attr_set=attr_set, attr_clr=attr_clr)
    result = libc.syscall(
        SYS_MOUNT_SETATTR, AT_FDCWD, path.encode(), AT_RECURSIVE, ctypes.byref(attributes), ctypes.sizeof(attributes)
    )
    check(result, f"mount_setattr {path}")


def main(exchange: str, command: list) -> None:
    mount(exchange, exchange, "", MS_BIND)
    change_tree("/", attr_set=MOUNT_ATTR_RDONLY)
    change_tree(exchange, attr_clr=MOUNT_ATTR_RDONLY)
    mount("tmpfs", "/dev/shm", "tmpfs", 0, "mode=1777")
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
