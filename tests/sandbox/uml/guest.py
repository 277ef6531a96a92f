"""Init of the user-mode Linux guest: makes a machine out of the read-only host files, runs the job, powers off.

Standard library alone, no site packages: it runs before anything is mounted. The machine it makes has proc, sysfs,
devtmpfs, writable tmpfs folders, cgroup v2 with every controller handed down, loop and overlay, and a loopback device.
"""

import ctypes
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import traceback

from reach import (
    MS_NODEV,
    MS_NOSUID,
    ROOTLESS_HOME,
    ROOTLESS_UID,
    STASH,
    add_rootless_user,
    libc,
    make_folder,
    mount,
    put_back,
    stash,
    write,
)

CLOCK_TICK = 0.05
SYS_FINIT_MODULE = 313
RB_POWER_OFF = 0x4321FEDC
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
CGROUP = "/sys/fs/cgroup"
#: The subtree of the rootless user.
DELEGATED = "/user.slice/user@4242.service"
MODULES = ("drivers/block/loop.ko", "fs/overlayfs/overlay.ko")
WRITABLE = ("/tmp", "/var/tmp", "/run", "/dev/shm")


def main(exchange_on_host):
    mount("proc", "/proc", "proc")
    mount("sysfs", "/sys", "sysfs")
    mount("tmpfs", STASH, "tmpfs", options="mode=755")
    # A second hostfs mount is the one writable way out; the root's stays read-only.
    exchange = make_folder(f"{STASH}/exchange")
    mount("none", exchange, "hostfs", options=exchange_on_host)
    with open(f"{exchange}/job.json") as file:
        job = json.load(file)
    mount_folders(job["reachable"])
    mount_devices()
    load_modules(job["modules"])
    bring_loopback_up()
    add_rootless_user()
    identity = enter_rootless() if job["user"] == "rootless" else {}
    status = run_job(job, f"{exchange}/output", identity)
    write(f"{exchange}/status", str(status))


def mount_folders(reachable):
    """Writable tmpfs where programs expect it, with the needed paths put back where one of these hides them."""
    stashed = {path: stash(path, number) for number, path in enumerate(reachable)}
    make_folder("/dev/shm")
    for folder in WRITABLE:
        if os.path.isdir(folder):
            mount("tmpfs", folder, "tmpfs", options="mode=1777")
    for path, copy in stashed.items():
        put_back(path, copy)


def mount_devices():
    make_folder("/dev/pts")
    mount("devpts", "/dev/pts", "devpts", options="ptmxmode=0666")
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        if not os.path.lexists(f"/dev/{name}"):
            os.symlink(target, f"/dev/{name}")
    mount("cgroup2", CGROUP, "cgroup2", MS_NOSUID | MS_NODEV, "nsdelegate")
    hand_down_controllers(CGROUP)


def hand_down_controllers(folder):
    with open(f"{folder}/cgroup.controllers") as file:
        controllers = file.read().split()
    write(f"{folder}/cgroup.subtree_control", " ".join(f"+{name}" for name in controllers))


def load_modules(folder):
    for name in MODULES:
        path = os.path.join(folder or "", name)
        if not os.path.exists(path):
            print(f"guest: no module {name}", flush=True)
            continue
        with open(path, "rb") as file:
            if libc.syscall(SYS_FINIT_MODULE, file.fileno(), b"", 0) != 0:
                print(f"guest: {name}: {os.strerror(ctypes.get_errno())}", flush=True)


def bring_loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def enter_rootless():
    """A fresh user, with a cgroup subtree delegated to it as systemd does: the job in a scope of its own below.

    The job may make further scopes beside its own, for what shall not share a cgroup with it.
    """
    slice_folder = make_folder(f"{CGROUP}/user.slice")
    hand_down_controllers(slice_folder)
    delegated = make_folder(f"{CGROUP}{DELEGATED}")
    hand_down_controllers(delegated)
    scope = make_folder(f"{delegated}/job.scope")
    for folder in (delegated, scope):
        for name in ("", "/cgroup.procs", "/cgroup.threads", "/cgroup.subtree_control"):
            os.chown(folder + name, ROOTLESS_UID, ROOTLESS_UID)
    # The job inherits it: only root may move a process across the delegation's border.
    write(f"{scope}/cgroup.procs", str(os.getpid()))
    return {
        "user": ROOTLESS_UID,
        "group": ROOTLESS_UID,
        "extra_groups": [],
    }


def run_job(job, output, identity):
    home = ROOTLESS_HOME if identity else "/run"
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": home,
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "PYTHONDONTWRITEBYTECODE": "1",
        "LAMBENT_TEST_GUEST": job["user"],
        **job["environment"],
    }
    with open(output, "wb", buffering=0) as sink:
        process = subprocess.Popen(
            job["command"], cwd=job["cwd"], env=environment, stdin=subprocess.DEVNULL, stdout=sink,
            stderr=subprocess.STDOUT, start_new_session=True, **identity,
        )  # fmt: skip
        write(f"{CGROUP}/cgroup.procs", str(os.getpid()))
        return wait(process.pid, job["timeout"])


def wait(pid, timeout):
    """The exit status of `pid`; init reaps every other orphan on the way."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        # waitid, since a child that asks to be traced would make waitpid report its stops.
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)
        if ended is None:
            time.sleep(CLOCK_TICK)
        elif ended.si_pid == pid:
            return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
    os.kill(-1, signal.SIGKILL)
    return 124


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except BaseException:  # init must not die: the kernel would panic without saying why
        traceback.print_exc(file=sys.stdout)
    sys.stdout.flush()
    os.sync()
    libc.reboot(ctypes.c_int(RB_POWER_OFF - (1 << 32) if RB_POWER_OFF >= 1 << 31 else RB_POWER_OFF))
