"""Makes chosen host folders reachable for every uid, inside a mount namespace of one's own. Standard library alone.

A checkout below /root, or an interpreter there, is closed to the fresh uid that a rootless test runs as: every parent
that others may not enter is covered with a tmpfs through which nothing but the chosen folder shows.
"""

import ctypes
import os

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_BIND, MS_REC = 0x1, 0x2, 0x4, 0x1000, 0x4000
STASH = "/mnt"
ROOTLESS_UID = 4242
ROOTLESS_HOME = "/run/rootless"

libc = ctypes.CDLL(None, use_errno=True)


def mount(source, target, kind, flags=0, options=""):
    result = libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode())
    if result != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"mount {kind or 'bind'} {target}: {os.strerror(errno)}")


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def make_folder(path):
    os.makedirs(path, mode=0o755, exist_ok=True)
    return path


def stash(path, number):
    copy = make_folder(f"{STASH}/{number}")
    mount(path, copy, "", MS_BIND | MS_REC)
    return copy


def put_back(path, copy):
    """Make `path` lead to `copy` for every uid: a parent that others may not enter is covered with a tmpfs."""
    parent = "/"
    for part in path.strip("/").split("/")[:-1]:
        parent = os.path.join(parent, part)
        if os.path.isdir(parent) and not os.stat(parent).st_mode & 0o001:
            mount("tmpfs", parent, "tmpfs", options="mode=755")
        os.makedirs(parent, mode=0o755, exist_ok=True)
    if not os.path.exists(path):
        os.mkdir(path, 0o755)
    if not os.listdir(path):
        mount(copy, path, "", MS_BIND | MS_REC)


def add_rootless_user():
    """A user that nothing on the machine knows: no subordinate ids, no groups, a home of its own."""
    passwd = f"{STASH}/passwd"
    with open("/etc/passwd") as file:
        write(passwd, file.read() + f"rootless:x:{ROOTLESS_UID}:{ROOTLESS_UID}::{ROOTLESS_HOME}:/bin/sh\n")
    mount(passwd, "/etc/passwd", "", MS_BIND)
    home = make_folder(ROOTLESS_HOME)
    os.chown(home, ROOTLESS_UID, ROOTLESS_UID)
