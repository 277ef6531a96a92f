"""Attempts on single system calls that no function needs and that have let containers break out before."""

import ctypes
import fcntl
import mmap
import os
import pty
import struct
import time

import kernel

TIOCSTI, TIOCLINUX = 0x5412, 0x541C


def load_module():
    return kernel.call("init_module", kernel.buffer(16), 16, "")


def load_module_file(path):
    descriptor = os.open(path, os.O_RDONLY)
    return kernel.call("finit_module", descriptor, "", 0)


def unload_module():
    return kernel.call("delete_module", "lambent_no_such_module", 0)


def load_kernel():
    return kernel.call("kexec_load", 0, 0, 0, 0)


def reboot():
    """Enables Ctrl-Alt-Del: the mildest thing that needs the right to reboot."""
    return kernel.call("reboot", 0xFEE1DEAD, 672274793, 0x89ABCDEF, 0)


def swap_on():
    return kernel.call("swapon", "/tmp/none", 0)


def bpf_map():
    attributes = struct.pack("IIII", 1, 4, 8, 1) + bytes(112)
    return kernel.call("bpf", 0, ctypes.create_string_buffer(attributes, len(attributes)), len(attributes))


def performance_counter():
    attributes = struct.pack("IIQ", 1, 112, 0) + bytes(96)
    return kernel.call("perf_event_open", ctypes.create_string_buffer(attributes, 112), 0, -1, -1, 0)


def make_key():
    return kernel.call("add_key", "user", "lambent", "secret", 6, -2)


def session_keyring():
    return kernel.call("keyctl", 0, -3, 1, 0, 0)


def io_uring():
    return kernel.call("io_uring_setup", 1, kernel.buffer(256))


def fault_handler():
    return kernel.call("userfaultfd", 1)


def change_personality():
    """READ_IMPLIES_EXEC."""
    return kernel.call("personality", 0x0400000)


def set_host_name():
    return kernel.call("sethostname", "taken", 5)


def set_domain_name():
    return kernel.call("setdomainname", "taken", 5)


def set_clock():
    """To the time it shows: only the right to do so is tried."""
    now = time.time()
    return kernel.call("clock_settime", 0, (ctypes.c_int64 * 2)(int(now), int(now % 1 * 1e9)))


def set_time_of_day():
    now = time.time()
    return kernel.call("settimeofday", (ctypes.c_int64 * 2)(int(now), int(now % 1 * 1e6)), 0)


def tune_clock():
    """ADJ_TICK with the usual value."""
    timex = kernel.buffer(208)
    timex[0:4] = (0x4000).to_bytes(4, "little")
    timex[88:96] = (10000).to_bytes(8, "little")
    return kernel.call("adjtimex", timex)


def account_processes():
    return kernel.call("acct", 0)


def read_kernel_log():
    return kernel.call("syslog", 3, kernel.buffer(4096), 4096)


def watch_file_system():
    """FAN_CLASS_CONTENT may hold up every open on the machine."""
    return kernel.call("fanotify_init", 4, 0)


def io_ports():
    return kernel.call("iopl", 3)


def compare_processes(pid):
    return kernel.call("kcmp", os.getpid(), pid, 0, 0, 0)


def call_by_old_numbers():
    """A filter that knows one table of numbers must not be passed by through another: 32-bit calls by int 0x80."""
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(bytes.fromhex("53 b814000000 cd80 5b c3"))  # push rbx; mov eax, getpid; int 0x80; pop rbx; ret
    code = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    pid = os.fork()
    if pid == 0:
        os._exit(0 if code() == os.getpid() else 1)
    status = os.waitpid(pid, 0)[1]
    if status != 0:
        raise OSError(0, f"ended with {os.waitstatus_to_exitcode(status)}")
    return "called"


def call_by_x32_numbers():
    result = kernel.libc.syscall(ctypes.c_long(0x40000000 + 39))
    if result < 0:
        raise OSError(ctypes.get_errno(), "getpid")
    return result


def type_into_terminal():
    """TIOCSTI puts characters into the input of whoever reads the terminal next."""
    master, slave = pty.openpty()
    try:
        return fcntl.ioctl(slave, TIOCSTI, b"x")
    finally:
        os.close(master)
        os.close(slave)


def write_executable_memory_file():
    """Run a program that was never on disk; allowed on Lambda, so what counts is that it gains nothing by it."""
    descriptor = os.memfd_create("program")
    with open("/bin/true", "rb") as file:
        os.write(descriptor, file.read())
    pid = os.fork()
    if pid == 0:
        os.execve(descriptor, ["true"], {})
    return os.waitpid(pid, 0)[1]
