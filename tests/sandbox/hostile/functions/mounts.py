"""Attempts on the file tree itself: mounts, roots, namespaces, devices."""

import os

import kernel
from kernel import TMP

MS_RDONLY, MS_NOSUID, MS_REMOUNT, MS_BIND, MS_MOVE = 1, 2, 32, 4096, 8192
MNT_DETACH = 2
AT_FDCWD = -100
CLONE = {
    "user": 0x10000000,
    "mount": 0x00020000,
    "pid": 0x20000000,
    "net": 0x40000000,
    "ipc": 0x08000000,
    "uts": 0x04000000,
    "cgroup": 0x02000000,
    "time": 0x00000080,
}


def mount_tmpfs():
    os.makedirs(f"{TMP}/mounted", exist_ok=True)
    return kernel.call("mount", "none", f"{TMP}/mounted", "tmpfs", 0, "")


def mount_proc():
    os.makedirs(f"{TMP}/mounted", exist_ok=True)
    return kernel.call("mount", "proc", f"{TMP}/mounted", "proc", 0, "")


def mount_cgroup(kind):
    os.makedirs(f"{TMP}/mounted", exist_ok=True)
    return kernel.call("mount", "none", f"{TMP}/mounted", kind, 0, "memory" if kind == "cgroup" else "")


def bind(source):
    os.makedirs(f"{TMP}/mounted", exist_ok=True)
    return kernel.call("mount", source, f"{TMP}/mounted", "", MS_BIND, "")


def remount_writable(path):
    return kernel.call("mount", "none", path, "", MS_REMOUNT | MS_BIND, "")


def move_mount():
    os.makedirs(f"{TMP}/mounted", exist_ok=True)
    return kernel.call("mount", "/proc", f"{TMP}/mounted", "", MS_MOVE, "")


def unmount(path):
    return kernel.call("umount2", path, MNT_DETACH)


def open_file_system():
    return kernel.call("fsopen", "tmpfs", 0)


def clone_tree():
    return kernel.call("open_tree", AT_FDCWD, "/", 1)


def change_mount():
    attributes = kernel.buffer(32)
    attributes[8] = b"\x01"  # attr_clr: the read-only flag
    return kernel.call("mount_setattr", AT_FDCWD, "/", 0, attributes, 32)


def pivot():
    os.makedirs(f"{TMP}/new/old", exist_ok=True)
    return kernel.call("pivot_root", f"{TMP}/new", f"{TMP}/new/old")


def change_root():
    """The classic way out: a new root below, while the working folder stays above it."""
    os.makedirs(f"{TMP}/jail", exist_ok=True)
    kernel.call("chroot", f"{TMP}/jail")
    for _ in range(64):
        os.chdir("..")
    return sorted(os.listdir("."))


def make_block_device():
    path = f"{TMP}/disk"
    os.mknod(path, 0o060600, os.makedev(254, 0))
    return os.read(os.open(path, os.O_RDONLY), 16).hex()


def make_memory_device():
    path = f"{TMP}/mem"
    os.mknod(path, 0o020600, os.makedev(1, 1))
    return os.read(os.open(path, os.O_RDONLY), 16).hex()


def unshare(kind):
    """In a child: the rest of the attempts go on in the old namespaces."""
    return _in_child(lambda: kernel.call("unshare", CLONE[kind]))


def clone_namespace(kind):
    """clone(2) has its own check of the same flags."""
    pid = kernel.call("clone", CLONE[kind] | 17, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return "cloned"


def clone3_namespace(kind):
    arguments = kernel.buffer(88)
    arguments[0:8] = CLONE[kind].to_bytes(8, "little")
    arguments[32:40] = (17).to_bytes(8, "little")
    pid = kernel.call("clone3", arguments, 88)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return "cloned"


def enter_namespace(kind, pid):
    descriptor = os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY)
    return _in_child(lambda: kernel.call("setns", descriptor, 0))


def open_by_handle():
    """A handle names an inode of the file system whatever the root is: the way out of many a container."""
    handle = kernel.buffer(136)
    handle[0:4] = (128).to_bytes(4, "little")
    identifier = kernel.buffer(8)
    kernel.call("name_to_handle_at", AT_FDCWD, "/usr", handle, identifier, 0)
    folder = os.open("/usr", os.O_RDONLY)
    return kernel.call("open_by_handle_at", folder, handle, 0)


def write_cgroup_files():
    """Every cgroup file that can be opened for writing, wherever a cgroup file system shows."""
    with open("/proc/self/mounts") as file:
        places = [line.split()[1] for line in file if line.split()[2] in ("cgroup", "cgroup2")]
    opened = []
    for place in places:
        for folder, _, names in os.walk(place):
            opened += [path for path in (os.path.join(folder, name) for name in names) if _opens(path)]
    if not opened:
        raise OSError(0, "none")
    return opened[:20]


def _opens(path):
    try:
        os.close(os.open(path, os.O_WRONLY))
    except OSError:
        return False
    return True


def _in_child(action):
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            action()
            os.write(write_end, b"0")
        except OSError as error:
            os.write(write_end, str(error.errno).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    code = int(os.read(read_end, 16) or b"-1")
    os.close(read_end)
    os.waitpid(pid, 0)
    if code != 0:
        raise OSError(code, os.strerror(code) if code > 0 else "the child was killed")
    return "entered"
