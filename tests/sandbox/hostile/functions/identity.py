"""What the process is: ids, capabilities, limits, descriptors, environment; and attempts to be more."""

import ctypes
import os
import resource
import stat

import kernel

PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, PR_SET_DUMPABLE, PR_SET_SECUREBITS = 47, 2, 4, 28


def status():
    """Fields of /proc/self/status that say what the process may do."""
    with open("/proc/self/status") as file:
        fields = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    names = ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")
    return {name: fields[name].strip() for name in names}


def become(uid):
    os.setresuid(uid, uid, uid)
    return os.getresuid()


def become_group(gid):
    os.setresgid(gid, gid, gid)
    return os.getresgid()


def join_groups():
    os.setgroups([0])
    return os.getgroups()


def take_all_capabilities():
    header = ctypes.create_string_buffer((0x20080522).to_bytes(4, "little") + bytes(4), 8)
    data = ctypes.create_string_buffer(b"\xff" * 24, 24)
    return kernel.call("capset", header, data)


def take_ambient_capability():
    result = kernel.libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 21, 0, 0)
    if result != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    return "raised"


def set_secure_bits():
    if kernel.libc.prctl(PR_SET_SECUREBITS, 1 << 2, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    return "set"


def raise_limit(name):
    """One above the hard limit."""
    limit = getattr(resource, name)
    _, hard = resource.getrlimit(limit)
    if hard == resource.RLIM_INFINITY:
        return "unlimited already"
    try:
        resource.setrlimit(limit, (hard, hard + 1))
    except ValueError as error:  # Python's name for EPERM here
        raise OSError(1, str(error)) from None
    return resource.getrlimit(limit)


def limits():
    names = ("RLIMIT_NOFILE", "RLIMIT_NPROC", "RLIMIT_CORE", "RLIMIT_MEMLOCK", "RLIMIT_RTPRIO")
    return {name: resource.getrlimit(getattr(resource, name)) for name in names}


def raise_priority():
    os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0) - 5)
    return os.getpriority(os.PRIO_PROCESS, 0)


def become_realtime():
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    return os.sched_getscheduler(0)


def escape_the_oom_killer():
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("-1000")
    return "set"


def descriptors():
    """What each open descriptor leads to, the one that lists them aside."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue
    return found


def folder_descriptors():
    """A folder opened outside would be a way out of the root."""
    return _descriptors_that(stat.S_ISDIR)


def _descriptors_that(kind):
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            if kind(os.fstat(int(name)).st_mode) and os.readlink(f"/proc/self/fd/{name}") != f"/proc/{os.getpid()}/fd":
                found.append(os.readlink(f"/proc/self/fd/{name}"))
        except OSError:
            continue
    if not found:
        raise OSError(0, "none")
    return found


def environment():
    return dict(os.environ)


def raw_environment(pid):
    """The environment as the kernel keeps it from exec, which os.environ no longer shows."""
    with open(f"/proc/{pid}/environ", "rb") as file:
        return file.read().decode("latin-1") or _nothing()


def _nothing():
    raise OSError(0, "empty")
