"""The system calls that code may not make, as a BPF program.

What is refused needs a privilege that a function never has, or opens a part of the kernel that no ordinary program
needs and that has let processes out before. Calls newer than the tables answer ENOSYS, so that libraries fall back.
"""

import errno
import platform
import struct
from typing import Dict, List, Optional, Tuple

from lambent.sandbox import syscalls

# (x86-64, arm64); None: the architecture lacks it.
_Numbers = Tuple[Optional[int], Optional[int]]

#: Answered with EPERM.
_DENIED: Dict[str, _Numbers] = {
    # mounts and roots
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_tree_attr": (467, 467),
    "statmount": (457, 457),
    "listmount": (458, 458),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    # namespaces; clone is looked at below
    "unshare": (272, 97),
    "setns": (308, 268),
    # other processes' insides
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    # programs and modules in the kernel
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "create_module": (174, None),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "lookup_dcookie": (212, 18),
    "fanotify_init": (300, 262),
    # keys outlive processes and namespaces
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    # files by handle get around mounts
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    # the machine
    "reboot": (169, 142),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "syslog": (103, 116),
    "acct": (163, 89),
    "vhangup": (153, 58),
    "nfsservctl": (180, 42),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
    "uselib": (134, None),
    "ustat": (136, None),
    "sysfs": (139, None),
    "_sysctl": (156, None),
    # memory of other nodes
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
    "mbind": (237, 235),
    "set_mempolicy": (238, 237),
    # pages of a pipe that are also somebody else's
    "vmsplice": (278, 75),
}

#: Answered with ENOSYS, so that a library takes the older way round.
_ABSENT: Dict[str, _Numbers] = {
    # Its flags lie in memory, where a filter cannot look: glibc falls back to clone.
    "clone3": (435, 435),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "memfd_secret": (447, 447),
}

#: Answered with ENOSYS where there is no IPC namespace: what they make would stay on the host when the process ends.
_LASTING: Dict[str, _Numbers] = {
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
}

_CLONE: _Numbers = (56, 220)
_PERSONALITY: _Numbers = (135, 92)
_SOCKET: _Numbers = (41, 198)
_SOCKETPAIR: _Numbers = (53, 199)
_IOCTL: _Numbers = (16, 29)
_UNSHARE: _Numbers = _DENIED["unshare"]
_SETNS: _Numbers = _DENIED["setns"]
_SETSOCKOPT: _Numbers = (54, 208)

_NAMESPACE_FLAGS = (
    syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWCGROUP
    | syscalls.CLONE_NEWUTS
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWUSER
    | syscalls.CLONE_NEWPID
    | syscalls.CLONE_NEWNET
)
#: unix, inet, inet6, netlink: what programs use. Not the kernel's crypto, VM sockets, raw packets and rarities.
_SOCKET_FAMILIES = (1, 2, 10, 16)
_PLAIN_FAMILIES = (1, 2, 10)
#: The default, and asking which one is in force; the others weaken address randomisation or memory protection.
_PERSONALITIES = (0x0, 0x8, 0xFFFFFFFF)
#: TIOCSTI and TIOCLINUX put words into another process's mouth through a shared terminal.
_REFUSED_IOCTLS = (0x5412, 0x541C)
#: What the fork of a snapshot leaves by `unshare` before it gives up its capabilities; nothing else may be left.
_LEFT_BY_FORKS = syscalls.CLONE_NEWCGROUP | syscalls.CLONE_NEWIPC
#: Interfaces and routes are set up by ioctls of this range; those that only ask may pass.
_NETWORK_IOCTLS = (0x8900, 0x89FF)
_ASKING_IOCTLS = (
    0x8901,  # FIOSETOWN
    0x8903,  # FIOGETOWN
    0x8904,  # SIOCGPGRP
    0x8905,  # SIOCATMARK
    0x8906,  # SIOCGSTAMP
    0x8907,  # SIOCGSTAMPNS
    0x8910,  # SIOCGIFNAME
    0x8912,  # SIOCGIFCONF
    0x8913,  # SIOCGIFFLAGS
    0x8915,  # SIOCGIFADDR
    0x8919,  # SIOCGIFBRDADDR
    0x891B,  # SIOCGIFNETMASK
    0x8921,  # SIOCGIFMTU
    0x8927,  # SIOCGIFHWADDR
    0x8933,  # SIOCGIFINDEX
)
#: Options of IP sockets from here on change packet filters, but for a few of IPv6.
_FILTER_OPTIONS = (64, 65, 96, 97, 128, 129)
_IP_LEVELS = (0, 41)
_RAW = 3
#: The newest call that this table was checked against (Linux 6.18); later ones are unknown here.
_NEWEST = 470

_AUDIT_ARCH: Tuple[int, int] = (0xC000003E, 0xC00000B7)
_X32_BIT = 0x40000000

_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_AND = 0x54  # BPF_ALU | BPF_AND | BPF_K
_EQUAL = 0x15
_GREATER = 0x25
_SET = 0x45  # jump if any bit is set
_RETURN = 0x06

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_KILL_PROCESS = 0x80000000

_NUMBER_OFFSET, _ARCH_OFFSET, _ARGUMENT_OFFSET = 0, 4, 16


def program(machine: str = "", own_ipc: bool = True, snapshot: bool = False) -> bytes:
    """The filter for `machine` (this one by default) as 8-byte instructions.

    `snapshot`: for an initialised function whose forks enter shells of their own. They own those shells' user
    namespaces, so they have capabilities in there, and nowhere else, from entering until they give them up. Therefore
    all is refused that a function can do without and that a capability in such a namespace would let pass.
    """
    arm = (machine or platform.machine()) in ("aarch64", "arm64")
    column = 1 if arm else 0
    refuse, absent = _ERRNO | errno.EPERM, _ERRNO | errno.ENOSYS
    code: List[bytes] = [
        _step(_LOAD, _ARCH_OFFSET),
        # Another architecture's numbers mean other calls.
        _step(_EQUAL, _AUDIT_ARCH[column], 1, 0),
        _step(_RETURN, _KILL_PROCESS),
        _step(_LOAD, _NUMBER_OFFSET),
    ]
    if not arm:
        code += [_step(_GREATER, _X32_BIT - 1, 0, 1), _step(_RETURN, absent)]
    code += [_step(_GREATER, _NEWEST, 0, 1), _step(_RETURN, absent)]
    lasting = {} if own_ipc else _LASTING
    for table, answer in ((_DENIED, refuse), (_ABSENT, absent), (lasting, absent)):
        for numbers in table.values():
            number = numbers[column]
            if number is not None and not (snapshot and numbers in (_SETNS, _UNSHARE)):
                code += [_step(_EQUAL, number, 0, 1), _step(_RETURN, answer)]
    code += _argument_rule(_CLONE[column], 0, [_step(_SET, _NAMESPACE_FLAGS, 0, 1), _step(_RETURN, refuse)])
    code += _one_of(_PERSONALITY[column], 0, _PERSONALITIES, refuse)
    if snapshot:
        code += _snapshot_rules(column, refuse)
    code += _one_of(_SOCKET[column], 0, _SOCKET_FAMILIES, _ERRNO | errno.EAFNOSUPPORT)
    code += _one_of(_SOCKETPAIR[column], 0, _SOCKET_FAMILIES, _ERRNO | errno.EAFNOSUPPORT)
    refused = _network_ioctl_rule(refuse) if snapshot else []
    refused += [step for value in _REFUSED_IOCTLS for step in (_step(_EQUAL, value, 0, 1), _step(_RETURN, refuse))]
    code += _argument_rule(_IOCTL[column], 1, refused)
    code.append(_step(_RETURN, _ALLOW))
    return b"".join(code)


def _snapshot_rules(column: int, refuse: int) -> List[bytes]:
    code = _one_of(_UNSHARE[column], 0, (_LEFT_BY_FORKS,), refuse)
    # Raw sockets and netlink, which are how networks are set up.
    family = [_step(_EQUAL, value, len(_PLAIN_FAMILIES) - index, 0) for index, value in enumerate(_PLAIN_FAMILIES)]
    family.append(_step(_RETURN, _ERRNO | errno.EAFNOSUPPORT))
    kind = [_step(_LOAD, _ARGUMENT_OFFSET + 8), _step(_AND, 0xF), _step(_EQUAL, _RAW, 0, 1), _step(_RETURN, refuse)]
    code += _argument_rule(_SOCKET[column], 0, [*family, *kind])
    # Packet filters: jumps go to the refusal at the end or behind it.
    options = [_step(_EQUAL, value, len(_FILTER_OPTIONS) - index, 0) for index, value in enumerate(_FILTER_OPTIONS)]
    look = [_step(_LOAD, _ARGUMENT_OFFSET + 16), *options, _step(_RETURN, _ALLOW), _step(_RETURN, refuse)]
    levels = [_step(_EQUAL, _IP_LEVELS[0], 1, 0), _step(_EQUAL, _IP_LEVELS[1], 0, len(look))]
    return code + _argument_rule(_SETSOCKOPT[column], 1, [*levels, *look])


def _network_ioctl_rule(refuse: int) -> List[bytes]:
    first, last = _NETWORK_IOCTLS
    asking = [_step(_EQUAL, value, len(_ASKING_IOCTLS) - index, 0) for index, value in enumerate(_ASKING_IOCTLS)]
    inside = [_step(_GREATER, last, len(asking) + 1, 0), *asking, _step(_RETURN, refuse)]
    return [_step(_GREATER, first - 1, 0, len(inside)), *inside]


def _step(operation: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", operation, if_true, if_false, value)


def _argument_rule(number: Optional[int], argument: int, body: List[bytes]) -> List[bytes]:
    """`body` looks at the low half of an argument of that call; a call that it lets pass is allowed."""
    assert number is not None
    loaded = [_step(_LOAD, _ARGUMENT_OFFSET + 8 * argument), *body, _step(_RETURN, _ALLOW)]
    return [_step(_EQUAL, number, 0, len(loaded)), *loaded]


def _one_of(number: Optional[int], argument: int, values: Tuple[int, ...], answer: int) -> List[bytes]:
    count = len(values)
    jumps = [_step(_EQUAL, value, count - index, 0) for index, value in enumerate(values)]
    return _argument_rule(number, argument, [*jumps, _step(_RETURN, answer)])


def install(instructions: bytes) -> None:
    """Bind this process and all it starts to the program; it needs no_new_privs."""
    syscalls.install_filter(instructions)
