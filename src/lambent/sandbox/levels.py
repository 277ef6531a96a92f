"""Which isolation this host allows: found by really trying, with what withholds the next level and what mends it."""

import contextlib
import dataclasses
import errno
import hashlib
import os
import shutil
import stat
import traceback
from typing import List, Optional, Tuple

from lambent.sandbox import cgroup, commands, mounts, rootless, syscalls
from lambent.sandbox.spec import NO_NETWORK, IsolationReport, Level, SandboxError, SupervisorOptions, sandbox_error

#: (level withheld, reason, command that mends it or "").
Missing = Tuple[str, str, str]

_DELEGATE = "systemd-run --user --scope -p Delegate=yes lambent up"


@dataclasses.dataclass
class Ground:
    """What the supervisor stands on."""

    level: Level
    #: Of the host, not only of a user namespace.
    is_root: bool
    hierarchies: cgroup.Hierarchies
    #: Ids below the supervisor's user namespace beside the operator's own; rootless only.
    subordinate_ids: int = 0
    #: /tmp on disk images rather than in memory.
    images: bool = False
    missing: List[Missing] = dataclasses.field(default_factory=list)
    #: What functions reach: none, egress or host.
    network: str = NO_NETWORK

    @property
    def may_set_groups(self) -> bool:
        """A user namespace with one id only must not: leaving a group can be a way into what it is kept from."""
        return self.is_root or self.subordinate_ids > 0

    @property
    def has_namespaces(self) -> bool:
        return self.level is not Level.PROCESS

    def report(self) -> IsolationReport:
        who = "root" if self.is_root else "rootless"
        mode = self.hierarchies.mode
        groups = f"cgroup {mode}" if mode else "no cgroups"
        summary = f"{self.level.value}: {who}, {groups}"
        return IsolationReport(
            self.level, summary, self.missing, mode, self.is_root, self.no_file_systems(), self.network
        )

    def no_file_systems(self) -> str:
        """Why functions cannot have file systems, "" where they can."""
        if not self.has_namespaces:
            return "nothing can be mounted at the isolation level `process`."
        if self.subordinate_ids:
            return (
                "each function has a user of its own here, whom only root can map to a folder's owner. "
                "Start the region as root."
            )
        return ""


def find_ground(options: SupervisorOptions) -> Optional[Ground]:
    """Take what the host gives; None where the supervisor has to become root of a user namespace first (`rootless`).

    Raises SandboxError where the level asked for cannot be had.
    """
    wanted = options.isolation
    if wanted not in ("auto", *(level.value for level in Level)):
        raise SandboxError("isolation", wanted, 0, "One of auto, full, reduced, process.")
    is_root = os.geteuid() == 0
    data_dir = os.path.realpath(options.data_dir)
    os.close(open_own_folder(data_dir))
    folder = f"{data_dir}/sandbox/root"
    if wanted == Level.PROCESS.value:
        return _ground_without_namespaces(options, is_root, [])
    failure = _try_namespaces(folder, options.rootfs, is_root)
    if failure is not None:
        missing = ("reduced", str(failure), _mend_namespaces(is_root))
        if wanted != "auto":
            raise SandboxError("isolation", wanted, failure.errno, f"{failure} {missing[2]}".strip())
        return _ground_without_namespaces(options, is_root, [missing])
    if not is_root:
        return None
    return ground_with_namespaces(options, find_cgroups(options, True), True, 0, "root")


def find_cgroups(options: SupervisorOptions, is_root: bool) -> cgroup.Hierarchies:
    """Asked before a pid namespace is entered: from inside, the server could not be moved out of the region's way."""
    return cgroup.find(region_tag(options.data_dir), is_root)


def ground_with_namespaces(
    options: SupervisorOptions, hierarchies: cgroup.Hierarchies, is_root: bool, subordinate_ids: int, name: str
) -> Ground:
    """For a supervisor that is root, or root of a user namespace of the operator `name`: what else there is."""
    mounts.isolate()
    if not is_root:
        mounts.mount_plain_proc()
    missing: List[Missing] = []
    withheld = hierarchies.missing()
    if withheld:
        reason = f"No cgroup may be made here for: {', '.join(withheld)}."
        missing.append(("full", reason, "" if is_root else _DELEGATE))
    if not is_root and not subordinate_ids:
        reason = "There are no subordinate ids (/etc/subuid, /etc/subgid, newuidmap): all functions share one user."
        missing.append(("full", reason, f"sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}"))
    level = Level.REDUCED if missing else Level.FULL
    images, reason = _can_use_images(is_root)
    if not images:
        missing.append(("/tmp on disk", f"{reason}: /tmp is memory, on top of MemorySize.", ""))
    ground = Ground(level, is_root, hierarchies, subordinate_ids, images, missing)
    wanted = options.isolation
    if wanted == Level.FULL.value and ground.level is not Level.FULL:
        raise SandboxError("isolation", wanted, 0, " ".join(f"{why} {mend}".strip() for _, why, mend in ground.missing))
    # `reduced` is the least that is acceptable: what the host gives beyond it is taken.
    return ground


def _ground_without_namespaces(options: SupervisorOptions, is_root: bool, missing: List[Missing]) -> Ground:
    if not syscalls.landlock_abi():
        reason = "Landlock is missing: functions read whatever the region's user may read."
        missing.append(("process with Landlock", reason, "boot with lsm=landlock,…"))
    if is_root:
        _check_way_in(os.path.realpath(options.data_dir))
    return Ground(Level.PROCESS, is_root, cgroup.Hierarchies({}), missing=missing)


def _check_way_in(folder: str) -> None:
    """As root each function gets a user of its own, who needs a way to its code."""
    path = folder
    while True:
        if not os.stat(path).st_mode & stat.S_IXOTH:
            hint = (
                f"Functions run as users of their own: allow a way in (chmod o+x {path}), "
                "choose another --data-dir, or start as another user."
            )
            raise SandboxError("enter", path, errno.EACCES, hint)
        if path == "/":
            return
        path = os.path.dirname(path)


def open_own_folder(data_dir: str) -> int:
    """The supervisor's folder below the data dir, whose owner, another user perhaps, must not lead root astray."""
    folder = f"{data_dir}/sandbox"
    os.makedirs(folder, mode=0o755, exist_ok=True)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    if os.fstat(fd).st_uid != os.geteuid():
        os.fchown(fd, os.geteuid(), os.getegid())
    with contextlib.suppress(FileExistsError):
        os.mkdir("root", 0o700, dir_fd=fd)
    return fd


def region_tag(data_dir: str) -> str:
    """Names the region's cgroup: the same after a restart, so that leftovers are found."""
    return "lambent-" + hashlib.sha256(os.fsencode(os.path.realpath(data_dir))).hexdigest()[:12]


def _can_use_images(is_root: bool) -> "Tuple[bool, str]":
    if not is_root:
        return False, "Only root may mount an image"
    if not os.path.exists("/dev/loop-control"):
        return False, "/dev/loop-control is missing"
    if shutil.which("mkfs.ext4", path="/usr/sbin:/sbin:/usr/bin:/bin") is None:
        return False, "mkfs.ext4 (e2fsprogs) is missing"
    return True, ""


def _mend_namespaces(is_root: bool) -> str:
    """The command for the usual reasons that a host forbids unprivileged user namespaces."""
    if is_root:
        return "" if not os.path.exists("/.dockerenv") else "docker run --privileged …"
    for name, closed in (
        ("kernel/apparmor_restrict_unprivileged_userns", "1"),
        ("kernel/unprivileged_userns_clone", "0"),
        ("user/max_user_namespaces", "0"),
    ):
        try:
            with open(f"/proc/sys/{name}", encoding="ascii") as file:
                if file.read().strip() == closed:
                    setting = name.replace("/", ".")
                    return f"sudo sysctl {setting}={'0' if closed == '1' else '1' if 'clone' in name else '10000'}"
        except OSError:
            continue
    return ""


def _try_namespaces(folder: str, rootfs: str, is_root: bool) -> Optional[SandboxError]:
    """Make the parts of a sandbox that hosts forbid, in a process that ends with them; why it failed, or None."""
    ours, theirs = commands.socket_pair()
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            _trial(folder, rootfs, is_root)
            commands.send(theirs, {})
        except SandboxError as error:
            commands.send(theirs, {"error": error.to_json()})
        except BaseException:  # whatever a trial meets is an answer to it
            commands.send(theirs, {"error": SandboxError("trial", traceback.format_exc(limit=-3)).to_json()})
        finally:
            os._exit(0)
    theirs.close()
    with ours:
        received = commands.receive(ours)
    os.waitpid(pid, 0)
    if received is None:
        return SandboxError("trial", "a sandbox", 0, "The process that tried it was killed.")
    return sandbox_error(received[0]["error"]) if "error" in received[0] else None


def _trial(folder: str, rootfs: str, is_root: bool) -> None:
    if not is_root:
        rootless.enter_user_namespace()
    proc = os.open("/proc", os.O_PATH | os.O_CLOEXEC)
    mounts.enter_root(folder, rootfs, [], keep_proc=not is_root)
    syscalls.unshare(
        syscalls.CLONE_NEWNS
        | syscalls.CLONE_NEWPID
        | syscalls.CLONE_NEWNET
        | syscalls.CLONE_NEWIPC
        | syscalls.CLONE_NEWUTS
        | syscalls.CLONE_NEWCGROUP
    )
    ours, theirs = commands.socket_pair()
    pid = os.fork()
    if pid == 0:
        try:
            mounts.mount_proc(mounts.find_masks(proc))
            syscalls.unshare(syscalls.CLONE_NEWUSER)
            commands.send(theirs, {})
        except SandboxError as error:
            commands.send(theirs, {"error": error.to_json()})
        finally:
            os._exit(0)
    theirs.close()
    received = commands.receive(ours)
    os.waitpid(pid, 0)
    if received is not None and "error" in received[0]:
        raise sandbox_error(received[0]["error"])
