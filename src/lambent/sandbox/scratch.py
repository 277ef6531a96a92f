"""/tmp: as root an ext4 image of its own for each sandbox, else memory.

The image is an unnamed sparse file below the data dir, made by copying the few blocks of a blank one and attached to a
loop device that frees itself: nothing is left behind however the processes end, and no function sees another's blocks.
Without a journal: nothing in it outlives a crash.
"""

import errno
import fcntl
import os
import shutil
import struct
import subprocess
from typing import Dict

from lambent.sandbox import syscalls
from lambent.sandbox.spec import SandboxError

_LOOP_CTL_GET_FREE = 0x4C82
_LOOP_CONFIGURE = 0x4C0A
_LO_FLAGS_AUTOCLEAR = 4
_BLOCK = 4096
#: What ext4 keeps for itself of an image, so that the function gets the size it asked for.
_OVERHEAD = 1.04
_MAKE_OPTIONS = ("-q", "-F", "-m", "0", "-b", str(_BLOCK), "-O", "^has_journal,^resize_inode")


class Blanks:
    """Empty filesystems, one for each size in use, made once at first use; the supervisor's."""

    def __init__(self, folder_fd: int) -> None:
        self._folder_fd = folder_fd
        self._images: Dict[int, int] = {}

    def image(self, size_mb: int) -> int:
        """Descriptor of the blank image of that size."""
        if size_mb not in self._images:
            self._images[size_mb] = self._make(size_mb)
        return self._images[size_mb]

    def _make(self, size_mb: int) -> int:
        program = shutil.which("mkfs.ext4", path="/usr/sbin:/sbin:/usr/bin:/bin")
        if program is None:
            raise SandboxError("exec", "mkfs.ext4", errno.ENOENT, "Install e2fsprogs.")
        fd = unnamed_file(self._folder_fd)
        os.ftruncate(fd, int(size_mb * _OVERHEAD) << 20)
        extended = "lazy_itable_init=1,nodiscard,root_owner=0:0"
        command = [program, *_MAKE_OPTIONS, "-E", extended, f"/proc/self/fd/{fd}"]
        done = subprocess.run(
            command, pass_fds=[fd], env={}, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        if done.returncode:
            os.close(fd)
            raise SandboxError("exec", "mkfs.ext4", 0, done.stderr.decode(errors="replace").strip())
        self._furnish(fd)
        return fd

    def _furnish(self, image: int) -> None:
        """What every /tmp starts with, done once: the mode, and no lost+found."""
        point = f"/proc/self/fd/{self._folder_fd}/root"
        dev_fd = os.open("/dev", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _mount(image, dev_fd, point)
            os.chmod(point, 0o1777)
            os.rmdir(f"{point}/lost+found")
            syscalls.umount(point, 0)
        finally:
            os.close(dev_fd)


def unnamed_file(folder_fd: int) -> int:
    """A file without a name in that folder: gone when nothing holds it."""
    try:
        return os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=folder_fd)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
            raise
    name = f"image.{os.getpid()}"
    fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder_fd)
    os.unlink(name, dir_fd=folder_fd)
    return fd


def mount_image(blank_fd: int, folder_fd: int, dev_fd: int, target: str) -> None:
    """Mount a fresh copy of `blank_fd` at `target`; `dev_fd` is the host's /dev."""
    image = unnamed_file(folder_fd)
    try:
        _copy_sparse(blank_fd, image)
        _mount(image, dev_fd, target)
    finally:
        os.close(image)


def _mount(image: int, dev_fd: int, target: str) -> None:
    number, loop = _attach(image, dev_fd)
    try:
        # The host's /dev is reached by descriptor: the sandbox's root has no such device.
        os.fchdir(dev_fd)
        flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOATIME
        syscalls.mount(f"loop{number}", target, "ext4", flags, "noinit_itable,nodiscard,barrier=0")
    finally:
        os.close(loop)
        os.chdir("/")


def mount_memory(size_mb: int, target: str) -> None:
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV
    syscalls.mount("tmp", target, "tmpfs", flags, f"mode=1777,size={size_mb}m")


def _copy_sparse(source: int, target: int) -> None:
    size = os.fstat(source).st_size
    os.ftruncate(target, size)
    offset = 0
    while True:
        try:
            start = os.lseek(source, offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole is left
                return
            raise
        offset = os.lseek(source, start, os.SEEK_HOLE)
        # By position, since builders share the blank's descriptor and with it its file offset.
        while start < offset:
            data = os.pread(source, min(offset - start, 1 << 20), start)
            os.pwrite(target, data, start)
            start += len(data)


def _attach(image: int, dev_fd: int) -> "tuple[int, int]":
    """Number and descriptor of a loop device over `image`."""
    control = os.open("loop-control", os.O_RDWR | os.O_CLOEXEC, dir_fd=dev_fd)
    try:
        while True:
            number = fcntl.ioctl(control, _LOOP_CTL_GET_FREE)
            loop = os.open(f"loop{number}", os.O_RDWR | os.O_CLOEXEC, dir_fd=dev_fd)
            try:
                fcntl.ioctl(loop, _LOOP_CONFIGURE, _loop_config(image))
            except OSError as error:
                os.close(loop)
                if error.errno == errno.EBUSY:  # another builder was faster
                    continue
                raise
            return number, loop
    finally:
        os.close(control)


def _loop_config(image: int) -> bytes:
    info = struct.pack("<5Q4I64s64s32s2Q", 0, 0, 0, 0, 0, 0, 0, 0, _LO_FLAGS_AUTOCLEAR, b"", b"", b"", 0, 0)
    return struct.pack("<2I", image, _BLOCK) + info + bytes(64)
