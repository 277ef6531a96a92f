"""Limits on memory, processor and processes, freezing and killing, by cgroups v2, v1 or both (hybrid).

Every sandbox has one folder in each hierarchy in use, below one folder of the region's: what a killed supervisor leaves
there is swept at the next start. A v2 hierarchy without controllers still freezes and kills.
"""

import contextlib
import errno
import fcntl
import os
import re
import signal
import socket
import time
from typing import Dict, List, Optional, Set, Tuple

from lambent.sandbox import rlimits
from lambent.sandbox.spec import SandboxError

#: MemorySize that buys one processor.
MB_PER_CPU = 1769
_CPU_PERIOD_US = 100_000
_CONTROLLERS = ("memory", "cpu", "pids")


class Hierarchies:
    """Where this process may make cgroups: for each controller the version and the folder to make them in."""

    def __init__(self, folders: Dict[str, Tuple[int, str]]) -> None:
        #: Keys: memory, cpu, pids, and `control` for the v2 folder that freezes and kills (or v1's freezer).
        self.folders = folders

    @property
    def mode(self) -> str:
        """`v2`, `hybrid`, `v1`, or "" where there is none to use."""
        versions = {version for version, _ in self.folders.values()}
        if not versions:
            return ""
        return "hybrid" if len(versions) > 1 else f"v{versions.pop()}"

    @property
    def kills_only_thawed(self) -> bool:
        """A process frozen by v1 does not even die before it is thawed."""
        return self.folders.get("control", (2, ""))[0] == 1

    def missing(self) -> List[str]:
        return [name for name in (*_CONTROLLERS, "control") if name not in self.folders]


def own_groups() -> Dict[str, str]:
    """This process's cgroup by controller; "" is the v2 hierarchy."""
    groups = {}
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        for line in file:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            for controller in controllers.split(","):
                groups[controller] = path
    return groups


def mounted() -> Dict[str, Tuple[str, str]]:
    """Mount point and root of each hierarchy by controller; "" is the v2 hierarchy."""
    found: Dict[str, Tuple[str, str]] = {}
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        for line in file:
            before, _, after = line.rstrip("\n").partition(" - ")
            root, point = before.split(" ")[3:5]
            kind, _, options = after.split(" ", 2)
            if kind == "cgroup2":
                found[""] = (point, root)
            elif kind == "cgroup":
                for option in options.split(","):
                    found.setdefault(option, (point, root))
    return found


def find(tag: str, is_root: bool) -> Hierarchies:
    """Make the region's folder `tag` wherever this process may; what the host withholds is missing from the result."""
    folders: Dict[str, Tuple[int, str]] = {}
    points, groups = mounted(), own_groups()

    def own_folder(controller: str) -> str:
        point, root = points[controller]
        group = groups.get(controller, "/")
        inner = group[len(root) :] if root != "/" and group.startswith(root) else group
        return os.path.normpath(f"{point}/{inner}")

    for controller in _CONTROLLERS:
        if controller in points:
            folder = f"{own_folder(controller)}/{tag}"
            if _make(folder):
                folders[controller] = (1, folder)
    if "" in points:
        unified = _claim_v2(points[""][0], own_folder(""), tag, is_root)
        if unified:
            folders["control"] = (2, unified)
            available = _read(f"{unified}/cgroup.controllers").split()
            _enable(unified, [name for name in _CONTROLLERS if name in available])
            enabled = _read(f"{unified}/cgroup.subtree_control").split()
            for controller in _CONTROLLERS:
                if controller in enabled:
                    folders[controller] = (2, unified)
    if "control" not in folders and "freezer" in points and _make(f"{own_folder('freezer')}/{tag}"):
        folders["control"] = (1, f"{own_folder('freezer')}/{tag}")
    if "cpu" in folders:
        _weigh_region(*folders["cpu"])
    return Hierarchies(folders)


def _weigh_region(version: int, folder: str) -> None:
    """All functions together weigh as much as one busy process for each processor, not as a single one."""
    count = os.cpu_count() or 1
    if version == 1:
        _write(f"{folder}/cpu.shares", str(1024 * count))
    else:
        _write(f"{folder}/cpu.weight", str(min(10_000, 100 * count)))


def _claim_v2(root: str, own: str, tag: str, is_root: bool) -> Optional[str]:
    """A v2 folder for the region, with controllers to give if there is a way.

    A cgroup with processes of its own cannot pass controllers on (but for the host's root), so those move into a leaf
    first, where they are this region's or the cgroup is delegated to this user. Else root makes one below the root.
    """
    places = [folder for folder in dict.fromkeys((own, root)) if os.access(f"{folder}/cgroup.subtree_control", os.W_OK)]
    for place in places:
        available = _read(f"{place}/cgroup.controllers").split()
        wanted = [name for name in _CONTROLLERS if name in available]
        if _enable(place, wanted) or (_make_room(place, root, tag, is_root) and _enable(place, wanted)):
            return _folder_in(place, tag)
    return _folder_in(places[0], tag) if places else None


def _folder_in(place: str, tag: str) -> Optional[str]:
    folder = f"{place}/{tag}"
    return folder if _make(folder) else None


def _make_room(place: str, root: str, tag: str, is_root: bool) -> bool:
    """Move the processes of a cgroup that is ours to order into a leaf of it."""
    pids = [int(pid) for pid in _read(f"{place}/cgroup.procs").split()]
    is_delegated = not is_root and os.stat(place).st_uid == os.geteuid()
    # The host's own root has no such file: this is where a container's cgroup namespace begins.
    is_container = place == root and os.path.exists(f"{place}/cgroup.events")
    if not (is_delegated or is_container or set(pids) <= {os.getpid(), os.getppid()}):
        return False
    leaf = f"{place}/{tag}-server"
    return _make(leaf) and all([_write(f"{leaf}/cgroup.procs", str(pid)) for pid in pids])


def _enable(folder: str, controllers: List[str]) -> bool:
    return all(_write(f"{folder}/cgroup.subtree_control", f"+{name}") for name in controllers)


def _make(folder: str) -> bool:
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError:  # read-only or not ours: this host withholds it, and doctor says so
        return False
    return os.access(folder, os.W_OK)


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
            return ""
        raise


def _write(path: str, text: str) -> bool:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)
    except OSError:  # the caller decides what a refusal means
        return False
    return True


class Cgroup:
    """The cgroup of one sandbox: a folder in each hierarchy, which exists once `make` was called."""

    def __init__(self, hierarchies: Hierarchies, name: str) -> None:
        self._folders = {
            controller: (version, f"{folder}/{name}") for controller, (version, folder) in hierarchies.folders.items()
        }
        #: Each once: under v2 the controllers share a folder.
        self._paths = list(dict.fromkeys(path for _, path in self._folders.values()))
        self._control_version = self._folders.get("control", (0, ""))[0]

    def make(self) -> None:
        for path in self._paths:
            try:
                os.mkdir(path)
            except OSError as error:
                raise SandboxError("mkdir", path, error.errno or 0) from error
        self._set("pids", {1: "pids.max", 2: "pids.max"}, rlimits.PROCESSES)

    def open_joins(self) -> List[int]:
        """Descriptors that a process writes `0` to in order to join."""
        return [os.open(f"{path}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC) for path in self._paths]

    def limit(self, memory_mb: int) -> None:
        """MemorySize as a limit of memory, swap included, and its share of the processor."""
        size = memory_mb << 20
        if "memory" in self._folders:
            self._set("memory", {1: "memory.limit_in_bytes", 2: "memory.max"}, size)
            self._set("memory", {1: "memory.memsw.limit_in_bytes", 2: "memory.swap.max"}, {1: size, 2: 0}, False)
        weight = {1: max(2, memory_mb * 1024 // MB_PER_CPU), 2: max(1, memory_mb * 100 // MB_PER_CPU)}
        self._set("cpu", {1: "cpu.shares", 2: "cpu.weight"}, weight, False)

    def open_control(self, cpu_policy: str) -> Dict[str, int]:
        """Descriptors by which the server freezes, kills, measures and caps without asking anybody."""
        fds = {}
        version, path = self._folders.get("control", (0, ""))
        if version == 2:
            wanted = {"freeze": f"{path}/cgroup.freeze", "kill": f"{path}/cgroup.kill"}
        elif version == 1:
            wanted = {"freeze": f"{path}/freezer.state"}
        else:
            wanted = {}
        if cpu_policy == "quota" and "cpu" in self._folders:
            version, path = self._folders["cpu"]
            wanted["cpu"] = f"{path}/{'cpu.cfs_quota_us' if version == 1 else 'cpu.max'}"
        for name, file in wanted.items():
            if os.path.exists(file):
                fds[name] = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
        peak = self._peak_file()
        if peak:
            fds["peak"] = os.open(peak, os.O_RDONLY | os.O_CLOEXEC)
        return fds

    def _peak_file(self) -> str:
        if "memory" not in self._folders:
            return ""
        version, path = self._folders["memory"]
        if version == 1:
            return f"{path}/memory.max_usage_in_bytes"
        # memory.peak exists since 5.19.
        return next((f"{path}/{name}" for name in ("memory.peak", "memory.current") if _exists(path, name)), "")

    def oom_kills(self) -> int:
        """How many processes the kernel has killed here for memory."""
        if "memory" not in self._folders:
            return 0
        version, path = self._folders["memory"]
        for line in _read(f"{path}/{'memory.oom_control' if version == 1 else 'memory.events'}").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
        return 0

    def is_empty(self) -> bool:
        return not any(_read(f"{path}/cgroup.procs") for path in self._paths[:1])

    def freeze_words(self) -> List[str]:
        """What to write to freeze and to thaw."""
        return ["1", "0"] if self._control_version == 2 else ["FROZEN", "THAWED"]

    def freeze(self) -> bool:
        """Stop every process in it until `thaw`. False where nothing can."""
        version, path = self._folders.get("control", (0, ""))
        return bool(version) and _write(
            f"{path}/{'cgroup.freeze' if version == 2 else 'freezer.state'}", self.freeze_words()[0]
        )

    def thaw(self) -> None:
        version, path = self._folders.get("control", (0, ""))
        if version:
            _write(f"{path}/{'cgroup.freeze' if version == 2 else 'freezer.state'}", self.freeze_words()[1])

    def quota(self, memory_mb: int) -> str:
        """What caps the processor at MemorySize's share, in the words of `cpu.cfs_quota_us` or `cpu.max`."""
        allowed = max(1000, memory_mb * _CPU_PERIOD_US // MB_PER_CPU)
        return str(allowed) if self._folders.get("cpu", (2, ""))[0] == 1 else f"{allowed} {_CPU_PERIOD_US}"

    def kill(self) -> None:
        """Kill what is in it; for sweeping, where no init does it."""
        for path in self._paths:
            if not _write(f"{path}/cgroup.kill", "1"):
                if os.path.exists(f"{path}/freezer.state"):
                    _write(f"{path}/freezer.state", "THAWED")
                for pid in _read(f"{path}/cgroup.procs").split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)

    def keep_out(self) -> None:
        """Kill who came after the end: a snapshot is given what its forks join by. Who comes still shall not run."""
        if self._control_version == 2:
            self.freeze()
        self.kill()

    def remove(self) -> bool:
        """True once every folder is gone; the kernel refuses for a moment after the last process ended."""
        self._paths = [path for path in self._paths if not _remove(path)]
        return not self._paths

    def _set(
        self, controller: str, files: Dict[int, str], value: "int | Dict[int, int]", required: bool = True
    ) -> None:
        if controller not in self._folders:
            return
        version, path = self._folders[controller]
        file = f"{path}/{files[version]}"
        number = value[version] if isinstance(value, dict) else value
        if not _write(file, str(number)) and required:
            raise SandboxError("write", f"{number} to {file}")


def sweep(hierarchies: Hierarchies) -> List[Cgroup]:
    """Kill what an earlier supervisor left; the cgroups to be removed once they are empty."""
    names: Set[str] = set()
    for _, folder in hierarchies.folders.values():
        names.update(entry.name for entry in os.scandir(folder) if entry.is_dir())
    leftovers = []
    for name in names:
        leftover = Cgroup(hierarchies, name)
        leftover.kill()
        leftovers.append(leftover)
    return leftovers


#: Hundredths of a second that somebody else's sweep may take.
PATIENCE = 100
_REGION = re.compile(r"lambent-[0-9a-f]{12}\Z")


def claim(tag: str) -> Optional[socket.socket]:
    """A sign of life that ends with this process: an abstract socket of the region's name. None: somebody holds it."""
    sign = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        sign.bind("\0" + tag)
    except OSError:
        sign.close()
        return None
    return sign


class SignOfLife:
    """What tells others that a region lives, until `close` or the end of this process."""

    def __init__(self, sign: Optional[socket.socket], locks: List[int]) -> None:
        self._sign = sign
        self._locks = locks

    def close(self) -> None:
        if self._sign is not None:
            self._sign.close()
        while self._locks:
            os.close(self._locks.pop())


def settle(hierarchies: Hierarchies, tag: str) -> SignOfLife:
    """The sign of life of a region that found its folders.

    Until it has one, another region that starts takes its folders for a killed one's. So it waits for whoever sweeps
    them right now, and makes those anew that are gone. The abstract socket is seen within one network namespace alone;
    across them the lock on each folder tells, from a moment later on.
    """
    sign = claim(tag)
    for _ in range(PATIENCE):
        if sign is not None:
            break
        time.sleep(0.01)
        sign = claim(tag)
    locks = [_hold(hierarchies, version, folder) for version, folder in sorted(set(hierarchies.folders.values()))]
    if "cpu" in hierarchies.folders:
        _weigh_region(*hierarchies.folders["cpu"])
    return SignOfLife(sign, locks)


def _hold(hierarchies: Hierarchies, version: int, folder: str) -> int:
    """Lock the folder, made anew where it is gone; the descriptor that holds the lock."""
    while True:
        if not os.path.isdir(folder):
            os.makedirs(folder, exist_ok=True)
            if version == 2:
                _enable(folder, [name for name in _CONTROLLERS if hierarchies.folders.get(name) == (2, folder)])
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        for _ in range(PATIENCE):
            # Shared: a region that takes over from one that is ending need not wait for it.
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                break
            time.sleep(0.01)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.stat(folder), os.fstat(lock)):
                return lock
        # Swept between the two.
        os.close(lock)


def sweep_strangers(hierarchies: Hierarchies) -> None:
    """Remove what killed supervisors of other data dirs left beside this region's folders and nobody came back for."""
    own = {folder for _, folder in hierarchies.folders.values()}
    for parent in {os.path.dirname(folder) for folder in own}:
        for name in filter(_REGION.match, os.listdir(parent)):
            folder = f"{parent}/{name}"
            sign = claim(name) if folder not in own else None
            if sign is None:
                continue
            with sign, contextlib.suppress(OSError):
                _remove_dead(folder)


def _remove_dead(folder: str) -> None:
    """Raises OSError where it is not: its lock is held, it is another user's, or there are processes in it."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for entry in os.scandir(folder):
            if entry.is_dir():
                os.rmdir(entry.path)
        os.rmdir(folder)
    finally:
        os.close(lock)


def remove_region(hierarchies: Hierarchies) -> None:
    for _, folder in hierarchies.folders.values():
        _remove(folder)


def _exists(folder: str, name: str) -> bool:
    return os.path.exists(f"{folder}/{name}")


def _remove(path: str) -> bool:
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in (errno.EBUSY, errno.ENOTEMPTY):
            return False
        raise
    return True
