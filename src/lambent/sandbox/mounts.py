"""What code sees: a read-only root made of the host's programs and generated files, and the function's own folders.

A builder makes the root once and lives in it, so that a new sandbox's mount namespace is a copy of a dozen mounts made
by one system call. /proc and /tmp are each sandbox's own; the supervisor mounts the function's folders at launch.
"""

import contextlib
import os
import shutil
import stat
from typing import Iterator, List, Sequence, Tuple

from lambent.sandbox import init_program, network, syscalls, user
from lambent.sandbox.spec import SandboxError

TASK = "/var/task"
LAYERS = "/opt"
RUNTIME = "/var/runtime"
LANGUAGE = "/var/lang"
TMP = "/tmp"
#: Where a function's file systems are.
SHARED = "/mnt"
#: What the init of a sandbox becomes.
INIT = "/var/init"
#: Where a template, and nothing else, sees Lambent's sandbox code.
TEMPLATE_CODE = "/mnt"

READ_WRITE = syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV
READ_ONLY = READ_WRITE | syscalls.MOUNT_ATTR_RDONLY

_PROGRAM_FOLDERS = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
#: Of the host's /etc, what programs need to find libraries, tools and certificates.
_ETC_FOLDERS = ("alternatives", "ssl/certs", "pki/tls/certs", "pki/ca-trust", "crypto-policies", "ca-certificates")
_ETC_FILES = ("ld.so.cache", "ssl/openssl.cnf", "pki/tls/openssl.cnf", "services", "protocols", "mime.types")
_EMPTY_FOLDERS = ("dev", "etc", "mnt", "opt", "proc", "tmp", "var/task", "var/runtime", "var/lang", "var/empty")
#: Node's `import` looks for packages in the folders above a file's, and nowhere else: so it finds layers, then the SDK.
_LINKS = (("node_modules", "/var/runtime/node_modules"), ("var/node_modules", "/opt/nodejs/node_modules"))
_DEVICES = ("null", "zero", "full", "random", "urandom")
_DEVICE_LINKS = (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2"))

#: What /proc tells of the machine and its kernel beyond what programs ask for.
_MASKED_PROC = (
    "acpi",
    "asound",
    "bus",
    "cmdline",
    "config.gz",
    "driver",
    "fs",
    "interrupts",
    "kallsyms",
    "kcore",
    "key-users",
    "keys",
    "kmsg",
    "kpagecgroup",
    "kpagecount",
    "kpageflags",
    "latency_stats",
    "modules",
    "partitions",
    "sched_debug",
    "scsi",
    "slabinfo",
    "sysrq-trigger",
    "timer_list",
    "vmallocinfo",
)


def etc_files(resolv_conf: str) -> List[Tuple[str, str]]:
    """The generated part of /etc."""
    home = f"/home/{user.NAME}"
    return [
        (
            "passwd",
            "root:x:0:0:root:/root:/sbin/nologin\n"
            f"{user.NAME}:x:{user.UID}:{user.GID}::{home}:/sbin/nologin\n"
            "nobody:x:65534:65534:nobody:/:/sbin/nologin\n",
        ),
        ("group", f"root:x:0:\n{user.NAME}:x:{user.GID}:\nnogroup:x:65534:\n"),
        ("hosts", "127.0.0.1 localhost\n::1 localhost\n169.254.100.1 sandbox.localdomain sandbox\n"),
        ("hostname", "sandbox\n"),
        ("resolv.conf", resolv_conf),
        ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n"),
    ]


def isolate() -> None:
    """A mount namespace of the caller's own; what the host mounts or unmounts later still shows in it."""
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("none", "/", "", syscalls.MS_REC | syscalls.MS_SLAVE)


def enter_root(
    mount_point: str,
    rootfs: str,
    mount_points: Sequence[str],
    keep_proc: bool,
    resolv_conf: str = network.NO_RESOLVER,
) -> None:
    """Make the root that every sandbox starts from and make it this process's own, for good.

    `mount_points` are folders to be mounted on later (the root is read-only afterwards). `keep_proc`: the host's /proc
    stays visible until a sandbox mounts its own over it, which the kernel asks of an unprivileged user namespace.
    """
    isolate()
    syscalls.mount("none", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount("lambent", mount_point, "tmpfs", syscalls.MS_NOSUID, "mode=0755,size=4m,nr_inodes=4096")
    for folder in _EMPTY_FOLDERS:
        os.makedirs(f"{mount_point}/{folder}", exist_ok=True)
    for name, target in _LINKS:
        os.symlink(target, f"{mount_point}/{name}")
    for folder in mount_points:
        os.makedirs(f"{mount_point}/{folder.lstrip('/')}", exist_ok=True)
    _add_programs(rootfs or "/", mount_point)
    _add_etc(rootfs or "/", mount_point, resolv_conf)
    _add_devices(mount_point)
    _add_init(f"{mount_point}{INIT}")
    if keep_proc:
        bind("/proc", f"{mount_point}/proc", syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV)
    os.chdir(mount_point)
    syscalls.pivot_root(".", ".")
    # The old root now lies over the new one at the same place.
    syscalls.umount(".")
    os.chdir("/")
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)
    syscalls.set_mount_attributes(root, READ_ONLY, recursive=False)
    os.close(root)


def _add_programs(source: str, root: str) -> None:
    for name in _PROGRAM_FOLDERS:
        path = os.path.join(source, name)
        if os.path.islink(path):
            os.symlink(os.readlink(path), f"{root}/{name}")
        elif os.path.isdir(path):
            os.mkdir(f"{root}/{name}")
            bind(path, f"{root}/{name}", READ_ONLY)


def _add_etc(source: str, root: str, resolv_conf: str) -> None:
    for name, content in etc_files(resolv_conf):
        with open(f"{root}/etc/{name}", "w", encoding="utf-8") as file:
            file.write(content)
    for name in _ETC_FILES:
        path = os.path.join(source, "etc", name)
        if os.path.isfile(path):
            os.makedirs(os.path.dirname(f"{root}/etc/{name}"), exist_ok=True)
            shutil.copyfile(path, f"{root}/etc/{name}")
    for name in _ETC_FOLDERS:
        path = os.path.join(source, "etc", name)
        if os.path.isdir(path):
            os.makedirs(f"{root}/etc/{name}", exist_ok=True)
            bind(path, f"{root}/etc/{name}", READ_ONLY)


def _add_devices(root: str) -> None:
    for name in _DEVICES:
        os.close(os.open(f"{root}/dev/{name}", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC))
        bind(f"/dev/{name}", f"{root}/dev/{name}", syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NOEXEC)
    for name, target in _DEVICE_LINKS:
        os.symlink(target, f"{root}/dev/{name}")


def _add_init(path: str) -> None:
    """The kernel lets nobody look into a process whose program he may not read; the init's user is the function's."""
    with open(path, "wb") as file:
        file.write(init_program.image())
    os.chmod(path, 0o111)


def bind(source: str, target: str, attributes: int) -> None:
    tree = syscalls.clone_tree(source)
    try:
        syscalls.set_mount_attributes(tree, attributes)
        syscalls.attach_tree(tree, target)
    finally:
        os.close(tree)


def mount_plain_proc(flags: int = 0) -> None:
    """A /proc of the caller's pid namespace."""
    flags |= syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
    syscalls.mount("proc", "/proc", "proc", flags)


def find_masks(proc_fd: int) -> List[Tuple[str, str]]:
    """What to mount over which entries of /proc, found once: every /proc of a kernel has the same."""
    masks = []
    for name in _MASKED_PROC:
        try:
            mode = os.stat(name, dir_fd=proc_fd).st_mode
        except OSError:
            continue
        masks.append(("/var/empty" if stat.S_ISDIR(mode) else "/dev/null", f"/proc/{name}"))
    return masks


def mount_proc(masks: Sequence[Tuple[str, str]]) -> None:
    """A /proc of the caller's pid namespace, read-only, without what it tells of the machine."""
    mount_plain_proc(syscalls.MS_RDONLY)
    _mask_proc(masks)


def new_proc() -> int:
    """The same, to be attached elsewhere."""
    return syscalls.new_filesystem("proc", [], READ_ONLY | syscalls.MOUNT_ATTR_NOEXEC)


def attach_proc(tree: int, masks: Sequence[Tuple[str, str]]) -> None:
    syscalls.attach_tree(tree, "/proc")
    _mask_proc(masks)


def _mask_proc(masks: Sequence[Tuple[str, str]]) -> None:
    for source, target in masks:
        # With the attributes that the source has: it is read-only, or a device that swallows everything.
        tree = syscalls.clone_tree(source)
        syscalls.attach_tree(tree, target)
        os.close(tree)


# ---- what the supervisor mounts at launch ----------------------------------------------------------------------------


class Folders:
    """Detached copies of folders, ready to be attached inside a sandbox."""

    def __init__(self) -> None:
        self._trees: List[Tuple[int, str]] = []

    def add_path(self, path: str, target: str) -> None:
        """A folder that the supervisor was configured with."""
        self._add(syscalls.clone_tree(path), target)

    def add_beneath(self, data_fd: int, path: str, target: str) -> None:
        """A folder that the server names: it must lie below the data dir, and no symlink may stand in the way."""
        fd = open_folder(data_fd, path)
        try:
            self._add(syscalls.clone_tree("", fd), target)
        finally:
            os.close(fd)

    def add_merged(self, data_fd: int, paths: Sequence[str], target: str) -> None:
        """Several folders as one, later ones on top."""
        fds: List[int] = []
        try:
            fds.extend(open_folder(data_fd, path) for path in paths)
            # By descriptor: a path could hold the separators `:` and `,`. The leftmost is the uppermost.
            lower = ":".join(f"/proc/self/fd/{fd}" for fd in reversed(fds))
            tree = syscalls.new_filesystem("overlay", [("lowerdir", lower)], READ_ONLY)
        finally:
            for fd in fds:
                os.close(fd)
        self._trees.append((tree, target))

    def add_shared(self, trees: Sequence[Tuple[int, str]]) -> None:
        """Mounts that are ready, at folders of their names below /mnt, which holds nothing else."""
        options = [("mode", "0755"), ("size", "4k"), ("nr_inodes", str(len(trees) + 2))]
        try:
            base = syscalls.new_filesystem("tmpfs", options, READ_WRITE)
        except BaseException:
            for tree, _ in trees:
                os.close(tree)
            raise
        # In this order: each is attached below the one before it.
        self._trees.append((base, SHARED))
        self._trees.extend((tree, f"{SHARED}/{name}") for tree, name in trees)
        for _, name in trees:
            os.mkdir(name, 0o755, dir_fd=base)
        syscalls.set_mount_attributes(base, syscalls.MOUNT_ATTR_RDONLY)

    def _add(self, tree: int, target: str) -> None:
        self._trees.append((tree, target))
        syscalls.set_mount_attributes(tree, READ_ONLY)

    def attach(self) -> None:
        """Mount them in the mount namespace that the caller is in."""
        for tree, target in self._trees:
            syscalls.attach_tree(tree, target)

    def close(self) -> None:
        for tree, _ in self._trees:
            os.close(tree)
        self._trees.clear()


def seal_tmp() -> bool:
    """Nobody writes to /tmp of the sandbox that the caller is in any more. False: nothing is in it."""
    fd = os.open(TMP, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with os.scandir(fd) as entries:
            if next(entries, None) is None:
                return False
        syscalls.set_mount_attributes(fd, syscalls.MOUNT_ATTR_RDONLY, recursive=False)
    finally:
        os.close(fd)
    return True


def clone_tmp() -> int:
    """A detached copy of that mount."""
    return syscalls.clone_tree(TMP, recursive=False)


def lay_over_tmp(below: int) -> None:
    """/tmp, fresh and empty, shows what `below` has; what is written goes to /tmp itself, as ever."""
    for name in ("below", "above", "work"):
        os.mkdir(f"{TMP}/{name}", 0o700)
    os.chmod(f"{TMP}/above", 0o1777)
    syscalls.attach_tree(below, f"{TMP}/below")
    options = [("lowerdir", f"{TMP}/below"), ("upperdir", f"{TMP}/above"), ("workdir", f"{TMP}/work")]
    merged = syscalls.new_filesystem("overlay", [*options, ("redirect_dir", "on")], READ_WRITE)
    try:
        syscalls.attach_tree(merged, TMP)
    finally:
        os.close(merged)


def open_folder(data_fd: int, path: str) -> int:
    """A folder that the server names, opened beneath the data dir with no symlink in the way."""
    return syscalls.open_beneath(data_fd, path)


@contextlib.contextmanager
def inside(pidfd: int, home_fd: int) -> Iterator[None]:
    """The mount namespace of process `pidfd` for a moment; `home_fd` is the caller's own."""
    syscalls.setns(pidfd, syscalls.CLONE_NEWNS)
    try:
        yield
    finally:
        try:
            syscalls.setns(home_fd, syscalls.CLONE_NEWNS)
        except SandboxError as error:
            # Going on would act on a function's files with the supervisor's rights.
            raise SystemExit(f"The supervisor cannot leave a sandbox: {error}") from error
