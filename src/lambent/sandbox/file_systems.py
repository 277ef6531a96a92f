"""Folders of the host that functions write to and share: what stands for an EFS access point here.

The operator names them, the supervisor opens each once at its start, and a launch may name nothing else. A sandbox sees
the folder as its own user's: the mount maps the sandbox's id to the folder's owner, and to nobody else, so what it
writes belongs to that owner and what others own it reaches as a stranger does. Python 3.8 syntax.
"""

import os
import re
import signal
from typing import Dict, List, Sequence, Tuple

from lambent.sandbox import commands, syscalls, user
from lambent.sandbox.spec import MOUNT_FILE_SYSTEM, SandboxError

#: Where they are mounted in a sandbox.
ROOT = "/mnt/"

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}\Z")
_ATTRIBUTES = syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV


class FileSystems:
    """Opened before any function runs: whatever functions rename below one folder, another stays the one meant."""

    def __init__(self, folders: Sequence[Tuple[str, str]], data_dir: str, proc_fd: int, maps_owners: bool) -> None:
        """`folders`: (ARN, path). `maps_owners`: ids differ between sandboxes. Raises SandboxError for a bad folder."""
        self._proc_fd = proc_fd
        self._maps_owners = maps_owners
        self._fds: Dict[str, int] = {}
        for arn, path in folders:
            self._fds[arn] = _open(path, data_dir)
            if maps_owners:
                _check_owner(self._fds[arn], path)
                # Whether the file system can do it is better known now than at an invocation.
                os.close(self._mounted(arn, (user.UID, user.GID)))

    def check(self, wanted: Sequence[Tuple[str, str]]) -> None:
        """Raises SandboxError for a mount that is not to be had."""
        for arn, path in wanted:
            if arn not in self._fds:
                raise SandboxError(MOUNT_FILE_SYSTEM, arn, 0, "The region was started without this access point.")
            name = path[len(ROOT) :]
            if not path.startswith(ROOT) or not _NAME.match(name) or name in (".", ".."):
                raise SandboxError(MOUNT_FILE_SYSTEM, path)

    def mount(self, wanted: Sequence[Tuple[str, str]], outside: Tuple[int, int]) -> List[Tuple[int, str]]:
        """Detached mounts with their names below /mnt, for a sandbox whose user is `outside`."""
        self.check(wanted)
        mounted: List[Tuple[int, str]] = []
        try:
            for arn, path in wanted:
                mounted.append((self._mounted(arn, outside), path[len(ROOT) :]))
        except BaseException:
            commands.close_all([tree for tree, _ in mounted])
            raise
        return mounted

    def _mounted(self, arn: str, outside: Tuple[int, int]) -> int:
        fd = self._fds[arn]
        # Not what is mounted below it: the operator named this folder and no other.
        tree = syscalls.clone_tree("", fd, recursive=False)
        try:
            if self._maps_owners:
                status = os.fstat(fd)
                ids = _map(self._proc_fd, (status.st_uid, status.st_gid), outside)
                try:
                    syscalls.map_mount(tree, _ATTRIBUTES, ids)
                finally:
                    os.close(ids)
            else:
                syscalls.set_mount_attributes(tree, _ATTRIBUTES)
        except SandboxError as error:
            os.close(tree)
            hint = "Its file system cannot map owners (ext4, XFS, Btrfs and tmpfs can)."
            raise SandboxError(MOUNT_FILE_SYSTEM, arn, error.errno, hint) from error
        return tree


def _open(path: str, data_dir: str) -> int:
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # No symbolic link on the way: it could be one that a function left in a folder above, shared with it earlier.
        fd = syscalls.open_beneath(root, path.lstrip("/"))
    except SandboxError as error:
        raise SandboxError("open", path, error.errno, "[efs] names it: a folder, by a path without links.") from error
    finally:
        os.close(root)
    real = os.readlink(f"/proc/self/fd/{fd}")
    if _holds(real, data_dir) or _holds(data_dir, real):
        os.close(fd)
        raise SandboxError("share", path, 0, "Functions may not reach the data dir: choose another folder for [efs].")
    if not _is_closed(real):
        os.close(fd)
        # A function may leave programs there that run as the folder's owner, whoever starts them.
        hint = f"Other users of this machine must not reach it: chmod o-x {os.path.dirname(real)}"
        raise SandboxError("share", path, 0, hint)
    return fd


def _holds(folder: str, path: str) -> bool:
    return f"{path}/".startswith(folder.rstrip("/") + "/")


def _is_closed(path: str) -> bool:
    """Whether a folder on the way to `path` keeps others out: its own mode is the functions' to change."""
    while path != "/":
        path = os.path.dirname(path)
        if not os.stat(path).st_mode & 0o001:
            return True
    return False


def _check_owner(fd: int, path: str) -> None:
    status = os.fstat(fd)
    if status.st_uid == 0 or status.st_gid == 0:
        hint = f"Functions write as its owner, which must not be root: chown 1000:1000 {path}, or whom it is for."
        raise SandboxError("share", path, 0, hint)


def _map(proc_fd: int, owner: Tuple[int, int], outside: Tuple[int, int]) -> int:
    """A user namespace that means `outside` by what is stored as `owner`; it lives as long as its descriptor."""
    ours, theirs = commands.socket_pair()
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            syscalls.unshare(syscalls.CLONE_NEWUSER)
            commands.send(theirs, {})
            commands.receive(theirs)
        finally:
            os._exit(0)
    theirs.close()
    try:
        if commands.receive(ours) is None:
            raise SandboxError("unshare", "a user namespace for a mount")
        user.map_ids(pid, proc_fd, *outside, inside=owner)
        return os.open(f"{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc_fd)
    finally:
        ours.close()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
