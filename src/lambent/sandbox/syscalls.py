"""System calls that the standard library lacks; the only user of ctypes.

Each function raises SandboxError naming the call and its target. Numbers are those of x86-64 and arm64.
"""

import ctypes
import errno
import os
import platform
from typing import Optional

from lambent.sandbox.spec import SandboxError

CLONE_NEWNS = 0x0002_0000
CLONE_NEWCGROUP = 0x0200_0000
CLONE_NEWUTS = 0x0400_0000
CLONE_NEWIPC = 0x0800_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWPID = 0x2000_0000
CLONE_NEWNET = 0x4000_0000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_NOATIME = 1024
MS_REC = 0x4000
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MNT_DETACH = 2

MOUNT_ATTR_RDONLY = 1
MOUNT_ATTR_NOSUID = 2
MOUNT_ATTR_NODEV = 4
MOUNT_ATTR_NOEXEC = 8
MOUNT_ATTR_IDMAP = 0x0010_0000

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NAME = 15
PR_SET_SECCOMP = 22
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4

RESOLVE_NO_SYMLINKS = 4
RESOLVE_BENEATH = 8

_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_OPEN_TREE_CLONE = 1
_OPEN_TREE_CLOEXEC = os.O_CLOEXEC
_MOVE_MOUNT_F_EMPTY_PATH = 4
_FSCONFIG_SET_STRING = 1
_FSCONFIG_CMD_CREATE = 6

_IS_ARM = platform.machine() in ("aarch64", "arm64")
_PIVOT_ROOT = 41 if _IS_ARM else 155
_CAPSET = 91 if _IS_ARM else 126
# Calls made since 2019 have one number everywhere.
_OPEN_TREE, _MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT = 428, 429, 430, 431, 432
_PIDFD_OPEN = 434
_CLOSE_RANGE, _OPENAT2, _MOUNT_SETATTR = 436, 437, 442
_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446

_libc = ctypes.CDLL(None, use_errno=True)
_long = ctypes.c_long
_libc.syscall.restype = _long


def _check(result: int, call: str, target: object, hint: str = "") -> int:
    if result < 0:
        raise SandboxError(call, str(target), ctypes.get_errno(), hint)
    return result


def _text(value: Optional[str]) -> Optional[bytes]:
    return None if value is None else os.fsencode(value)


# ---- namespaces ----------------------------------------------------------------------------------------------------


def unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare", hex(flags))


def setns(fd: int, flags: int) -> None:
    """Enter the namespaces `flags` of the process behind a pidfd, or the one behind a namespace's descriptor."""
    _check(_libc.setns(fd, flags), "setns", hex(flags))


# ---- mounts --------------------------------------------------------------------------------------------------------


def mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    _check(_libc.mount(_text(source), _text(target), _text(kind), ctypes.c_ulong(flags), _text(data)), "mount", target)


def umount(target: str, flags: int = MNT_DETACH) -> None:
    _check(_libc.umount2(_text(target), flags), "umount2", target)


def pivot_root(new_root: str, put_old: str) -> None:
    _check(_libc.syscall(_long(_PIVOT_ROOT), _text(new_root), _text(put_old)), "pivot_root", new_root)


def clone_tree(path: str, dir_fd: int = _AT_FDCWD, recursive: bool = True) -> int:
    """A detached copy of what is mounted at `path` and, unless told otherwise, below.

    `path` "" means what `dir_fd` names.
    """
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC
    flags |= (_AT_RECURSIVE if recursive else 0) | (0 if path else _AT_EMPTY_PATH)
    call = _libc.syscall(_long(_OPEN_TREE), ctypes.c_int(dir_fd), _text(path), ctypes.c_uint(flags))
    return _check(call, "open_tree", path or dir_fd)


class _MountAttributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns_fd")]


def set_mount_attributes(tree_fd: int, attributes: int, recursive: bool = True) -> None:
    """Add attributes (read-only …) to a mount and, unless told otherwise, to all below it."""
    _set_attributes(tree_fd, _MountAttributes(attributes, 0, 0, 0), _AT_RECURSIVE if recursive else 0)


def map_mount(tree_fd: int, attributes: int, user_namespace_fd: int) -> None:
    """Make a detached mount show ids as that user namespace maps them, and add attributes."""
    _set_attributes(tree_fd, _MountAttributes(attributes | MOUNT_ATTR_IDMAP, 0, 0, user_namespace_fd), 0)


def _set_attributes(tree_fd: int, wanted: _MountAttributes, more_flags: int) -> None:
    flags = ctypes.c_uint(_AT_EMPTY_PATH | more_flags)
    size = ctypes.c_size_t(ctypes.sizeof(wanted))
    call = _libc.syscall(_long(_MOUNT_SETATTR), ctypes.c_int(tree_fd), b"", flags, ctypes.byref(wanted), size)
    _check(call, "mount_setattr", tree_fd, "Linux 5.12 or newer is needed.")


def attach_tree(tree_fd: int, target: str) -> None:
    """Mount a detached tree at `target` of the mount namespace that the caller is in."""
    call = _libc.syscall(
        _long(_MOVE_MOUNT),
        ctypes.c_int(tree_fd),
        b"",
        ctypes.c_int(_AT_FDCWD),
        _text(target),
        ctypes.c_uint(_MOVE_MOUNT_F_EMPTY_PATH),
    )
    _check(call, "move_mount", target)


def new_filesystem(kind: str, options: "list[tuple[str, str]]", attributes: int) -> int:
    """A detached mount of a new filesystem."""
    context = _check(_libc.syscall(_long(_FSOPEN), _text(kind), ctypes.c_uint(1)), "fsopen", kind)
    try:
        for key, value in options:
            call = _libc.syscall(
                _long(_FSCONFIG), context, _FSCONFIG_SET_STRING, _text(key), _text(value), ctypes.c_int(0)
            )
            _check(call, "fsconfig", f"{kind} {key}={value}")
        call = _libc.syscall(_long(_FSCONFIG), context, _FSCONFIG_CMD_CREATE, None, None, ctypes.c_int(0))
        _check(call, "fsconfig", f"{kind} create")
        call = _libc.syscall(_long(_FSMOUNT), context, ctypes.c_uint(1), ctypes.c_uint(attributes))
        return _check(call, "fsmount", kind)
    finally:
        os.close(context)


class _OpenHow(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("flags", "mode", "resolve")]


def open_beneath(dir_fd: int, path: str) -> int:
    """Open the folder `path` that really lies below `dir_fd`: no symlink, no `..` leads out."""
    how = _OpenHow(os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
    size = ctypes.c_size_t(ctypes.sizeof(how))
    call = _libc.syscall(_long(_OPENAT2), ctypes.c_int(dir_fd), _text(path), ctypes.byref(how), size)
    return _check(call, "openat2", path)


# ---- the process ---------------------------------------------------------------------------------------------------


def prctl(option: int, argument: int = 0, more: int = 0) -> None:
    call = _libc.prctl(option, ctypes.c_ulong(argument), ctypes.c_ulong(more), ctypes.c_ulong(0), ctypes.c_ulong(0))
    _check(call, "prctl", option)


def set_name(name: str) -> None:
    """What `ps` shows."""
    _libc.prctl(PR_SET_NAME, ctypes.c_char_p(name.encode()[:15]), 0, 0, 0)


def drop_bounding_set() -> None:
    """Take every capability out of the bounding set, up to the newest that the kernel knows, if this process may."""
    for capability in range(64):
        if _libc.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0) < 0:
            if ctypes.get_errno() not in (errno.EINVAL, errno.EPERM):
                raise SandboxError("prctl", f"PR_CAPBSET_DROP {capability}", ctypes.get_errno())
            return


def clear_capabilities() -> None:
    """Empty the permitted, effective and inheritable sets."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)()
    _check(_libc.syscall(_long(_CAPSET), ctypes.byref(header), ctypes.byref(data)), "capset", "empty")


def pidfd_open(pid: int) -> int:
    """As `os.pidfd_open`, which Python 3.8 lacks."""
    return _check(_libc.syscall(_long(_PIDFD_OPEN), ctypes.c_int(pid), ctypes.c_uint(0)), "pidfd_open", pid)


def close_from(first: int) -> None:
    """Close every descriptor from `first` on."""
    if _libc.syscall(_long(_CLOSE_RANGE), ctypes.c_uint(first), ctypes.c_uint(0xFFFFFFFF), ctypes.c_uint(0)) < 0:
        os.closerange(first, os.sysconf("SC_OPEN_MAX"))


def keep_only(fds: "list[int]") -> None:
    """Close every descriptor from 3 on but these: a copy of the server's socket would outlive the server."""
    wanted = sorted({fd for fd in fds if fd > 2})
    first = 3
    for fd in wanted:
        if fd > first:
            os.closerange(first, fd)
        first = fd + 1
    close_from(first)


class _FilterProgram(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def install_filter(instructions: bytes) -> None:
    """Install a seccomp filter of 8-byte BPF instructions; needs no_new_privs."""
    program = _FilterProgram(len(instructions) // 8, instructions)
    mode_filter = 2
    call = _libc.prctl(PR_SET_SECCOMP, ctypes.c_ulong(mode_filter), ctypes.byref(program), 0, 0)
    _check(call, "prctl", "PR_SET_SECCOMP")


# ---- Landlock ------------------------------------------------------------------------------------------------------


def landlock_abi() -> int:
    """The version of Landlock that the kernel speaks, 0 without."""
    return max(0, int(_libc.syscall(_long(_LANDLOCK_CREATE_RULESET), None, ctypes.c_size_t(0), ctypes.c_uint(1))))


def landlock_ruleset(attributes: bytes) -> int:
    size = ctypes.c_size_t(len(attributes))
    call = _libc.syscall(_long(_LANDLOCK_CREATE_RULESET), ctypes.c_char_p(attributes), size, ctypes.c_uint(0))
    return _check(call, "landlock_create_ruleset", len(attributes))


def landlock_allow(ruleset_fd: int, rule_kind: int, rule: bytes) -> None:
    call = _libc.syscall(
        _long(_LANDLOCK_ADD_RULE),
        ctypes.c_int(ruleset_fd),
        ctypes.c_int(rule_kind),
        ctypes.c_char_p(rule),
        ctypes.c_uint(0),
    )
    _check(call, "landlock_add_rule", rule_kind)


def landlock_restrict(ruleset_fd: int) -> None:
    call = _libc.syscall(_long(_LANDLOCK_RESTRICT_SELF), ctypes.c_int(ruleset_fd), ctypes.c_uint(0))
    _check(call, "landlock_restrict_self", ruleset_fd)
