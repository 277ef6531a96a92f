"""Landlock: which files a process without a mount namespace of its own may touch (isolation level `process`)."""

import os
import struct
from typing import Iterable, Sequence

from lambent.sandbox import syscalls
from lambent.sandbox.spec import SandboxError

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _IOCTL_DEVICE = 1 << 14, 1 << 15
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEVICE
#: Rights of files known to each version of the interface, the first being 1.
_RIGHTS = ((1 << 13) - 1, (1 << 14) - 1, (1 << 15) - 1, (1 << 15) - 1, (1 << 16) - 1)
#: Version 6: abstract Unix sockets and signals stay among the processes confined together.
_SCOPES = 0b11
_RULE_PATH_BENEATH = 1

#: What programs need of the host; everything is read-only.
SYSTEM_PATHS = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/crypto-policies",
    "/etc/group",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/certs",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/proc",
)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


def confine(read_only: Sequence[str], writable: Sequence[str]) -> None:
    """Leave this process, and all that it starts, these paths (and what programs need of the host) and no other."""
    version = syscalls.landlock_abi()
    if not version:
        return
    handled = _RIGHTS[min(version, len(_RIGHTS)) - 1]
    attributes = struct.pack("<Q", handled)
    if version >= 6:
        attributes += struct.pack("<QQ", 0, _SCOPES)
    ruleset = syscalls.landlock_ruleset(attributes)
    try:
        _allow(ruleset, (*SYSTEM_PATHS, *read_only), _READ & handled)
        _allow(ruleset, _DEVICES, (_READ_FILE | _WRITE_FILE | _TRUNCATE) & handled)
        _allow(ruleset, writable, handled)
        syscalls.landlock_restrict(ruleset)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, paths: Iterable[str], rights: int) -> None:
    for path in paths:
        try:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise SandboxError("open", path, error.errno or 0, "The function's user cannot reach it.") from error
        try:
            allowed = rights if os.path.isdir(path) else rights & _OF_FILES
            syscalls.landlock_allow(ruleset, _RULE_PATH_BENEATH, struct.pack("<Qi", allowed, fd))
        finally:
            os.close(fd)
