"""System calls by name, as a hostile function makes them: straight through ctypes, past every library's checks."""

import ctypes
import os

#: Where the function may write and where its code is; at level process these are folders of the host.
TMP = os.environ.get("TMPDIR", "/tmp")
TASK = os.environ.get("LAMBDA_TASK_ROOT", "/var/task")

libc = ctypes.CDLL(None, use_errno=True)

#: name: (x86_64, aarch64); None where the machine has no such call.
NUMBERS = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "capset": (126, 91),
    "chroot": (161, 51),
    "clock_settime": (227, 112),
    "clone": (56, 220),
    "clone3": (435, 435),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsopen": (430, 430),
    "init_module": (175, 105),
    "io_uring_setup": (425, 425),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kcmp": (312, 272),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "mknodat": (259, 33),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "pidfd_getfd": (438, 438),
    "pidfd_open": (434, 434),
    "pivot_root": (155, 41),
    "process_vm_readv": (310, 270),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
}
COLUMN = {"x86_64": 0, "aarch64": 1}[os.uname().machine]


def call(name, *arguments):
    """The call's result; OSError as the kernel says it. Texts and bytes become pointers, integers stay as they are."""
    number = NUMBERS[name][COLUMN]
    if number is None:
        raise OSError(38, "no such call on this machine")
    values = [_argument(value) for value in arguments]
    result = libc.syscall(ctypes.c_long(number), *values)
    if result == -1:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def _argument(value):
    if isinstance(value, str):
        return ctypes.c_char_p(value.encode())
    if isinstance(value, int):
        return ctypes.c_long(value)
    return value


def buffer(size=256):
    return ctypes.create_string_buffer(size)
