"""Attempts on processes: seeing, signalling and reading others, and outliving one's own invocation."""

import ctypes
import os
import signal
import subprocess
import sys
import time

import kernel

PTRACE_ATTACH, PTRACE_SEIZE = 16, 0x4206
#: A process that ignores every polite end, with a marker in its command line that the host can look for.
STUBBORN = """
import os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    signal.signal(number, signal.SIG_IGN)
os.setsid()
if os.fork():
    os._exit(0)
while True:
    {body}
"""


def visible():
    """The command line of every process that /proc shows."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    found[name] = file.read().replace(b"\0", b" ").decode("latin-1")
            except OSError:
                found[name] = ""
    return found


def read_memory_of(pid):
    with open(f"/proc/{pid}/maps") as file:
        return file.readline() or _nothing()


def _nothing():
    raise OSError(0, "nothing")


def write_memory_of(pid):
    """One byte at the start of a program without relocation, or of the first mapping where the map can be read."""
    address = 0x400000
    try:
        with open(f"/proc/{pid}/maps") as file:
            address = int(file.readline().partition("-")[0], 16)
    except PermissionError:
        pass
    memory = os.open(f"/proc/{pid}/mem", os.O_RDWR)
    byte = os.pread(memory, 1, address)
    return os.pwrite(memory, byte, address)


def open_descriptors_of(pid):
    return sorted(os.listdir(f"/proc/{pid}/fd")) or _nothing()


def look_through(pid, path):
    """/proc/<pid>/root leads into that process's own file tree."""
    return sorted(os.listdir(f"/proc/{pid}/root{path}"))[:20]


def trace(pid):
    return kernel.call("ptrace", PTRACE_SEIZE, pid, 0, 0)


def read_memory_directly(pid):
    target = kernel.buffer(8)
    local = (ctypes.c_uint64 * 2)(ctypes.addressof(target), 8)
    remote = (ctypes.c_uint64 * 2)(0x400000, 8)
    return kernel.call("process_vm_readv", pid, local, 1, remote, 1, 0)


def take_descriptor(pid):
    handle = kernel.call("pidfd_open", pid, 0)
    return kernel.call("pidfd_getfd", handle, 0, 0)


def signal_process(pid):
    os.kill(pid, 0)
    return "signalled"


def signal_by_handle(pid):
    handle = os.pidfd_open(pid)
    signal.pidfd_send_signal(handle, 0)
    return "signalled"


def signal_init():
    """The sandbox's init must outlive whatever its children send it."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGSTOP, signal.SIGKILL):
        try:
            os.kill(1, number)
        except OSError:
            continue
    return "sent"


def signal_everybody():
    """kill(-1) reaches every process that the caller may signal, in a child so that the answer still comes."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os.kill(-1, signal.SIGCONT)
        os._exit(0)
    os.waitpid(pid, 0)
    return "sent"


def kill_everybody():
    """kill(-1, SIGKILL) spares the caller alone: what answers afterwards is a new runtime, or this one."""
    os.kill(-1, signal.SIGKILL)
    return "sent"


def leave_stubborn_process(marker, busy=False):
    body = "pass" if busy else "time.sleep(1)"
    _start(STUBBORN.format(body=body), marker)
    return _wait_for(marker)


def leave_restarting_pair(marker):
    """Two processes, each of which starts the other again when it dies."""
    source = STUBBORN.format(body="pid = os.fork()\n    if pid: os.waitpid(pid, 0)")
    _start(source, marker)
    return _wait_for(marker)


def _start(source, marker):
    subprocess.Popen(
        [sys.executable or "/usr/bin/python3", "-S", "-c", source, marker],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _wait_for(marker):
    """Until the process has left its parent's session."""
    for _ in range(10_000):
        for pid, line in visible().items():
            if marker in line and os.getsid(int(pid)) not in (os.getsid(0), int(pid)):
                return pid
        time.sleep(0.001)
    raise OSError(0, "it did not start")


def leave_stubborn_process_and_hang(marker, busy=False):
    leave_stubborn_process(marker, busy)
    hang()


def leave_restarting_pair_and_hang(marker):
    leave_restarting_pair(marker)
    hang()


def hang():
    """Ignore every signal that can be ignored and never answer."""
    for number in range(1, 65):
        if number not in (signal.SIGKILL, signal.SIGSTOP, 32, 33):
            signal.signal(number, signal.SIG_IGN)
    while True:
        time.sleep(1)


def spin():
    while True:
        pass


def stop_oneself():
    os.kill(os.getpid(), signal.SIGSTOP)
    return "went on"


def exit_in_the_middle():
    os._exit(3)


def fork_until_refused(limit):
    """As many sleeping children as the kernel allows; they end with this call."""
    children = []
    try:
        while len(children) < limit:
            pid = os.fork()
            if pid == 0:
                signal.pause()
            children.append(pid)
    except OSError:
        return len(children)
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        for pid in children:
            os.waitpid(pid, 0)
    return len(children)


def fork_bomb():
    """Never ends by itself: every process forks for as long as it lives."""
    while True:
        try:
            os.fork()
        except OSError:
            time.sleep(0.001)


def start_threads_until_refused(limit):
    started = []

    @ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
    def wait(_):
        time.sleep(60)
        return 0

    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status) * 100
    thread = ctypes.c_ulong()
    stack = kernel.buffer(256)
    kernel.libc.pthread_attr_init(stack)
    kernel.libc.pthread_attr_setstacksize(stack, ctypes.c_size_t(65536))
    while len(started) < limit and kernel.libc.pthread_create(ctypes.byref(thread), stack, wait, None) == 0:
        started.append(thread.value)
    os._exit(len(started) // 100)


def leave_zombies(count):
    """Orphans that end at once: only the sandbox's init can reap them."""
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            if os.fork():
                os._exit(0)
            os._exit(0)
        os.waitpid(pid, 0)
    return count


def zombies():
    found = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    found += file.read().rpartition(")")[2].split()[0] == "Z"
            except OSError:
                continue
    return found
