"""What a region holds of the machine: processes, mounts, cgroups, loop devices, descriptors and memory, counted."""

from __future__ import annotations

import collections
import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class Holdings:
    processes: int
    #: Mount points in all mount namespaces of the region's processes together.
    mounts: int
    #: Its control groups in all hierarchies together.
    cgroups: int
    #: Loop devices whose image lies in the data dir.
    loops: int
    #: Open descriptors of the server and of its supervisor.
    descriptors: int
    #: Resident MiB of the server and of its supervisor.
    memory: int

    def grown(self, before: Holdings, allowed: Holdings) -> list[str]:
        """What grew by more than `allowed`, as sentences."""
        return [
            f"{field.name}: {getattr(before, field.name)} before, {getattr(self, field.name)} after"
            for field in fields(self)
            if getattr(self, field.name) - getattr(before, field.name) > getattr(allowed, field.name)
        ]

    def __str__(self) -> str:
        return ", ".join(f"{getattr(self, field.name)} {field.name}" for field in fields(self)) + " (MiB)"


def holdings(pids: Iterable[int], server: int, data_dir: Path) -> Holdings:
    """Counted over the tree `pids`; `server` is its root."""
    pids = set(pids)
    core = {server} | {pid for pid in pids if parent_of(pid) == server}
    return Holdings(
        processes=len(pids),
        mounts=sum(mounts_by_namespace(pids).values()),
        cgroups=len(cgroup_folders(data_dir)),
        loops=len(loop_devices(data_dir)),
        descriptors=sum(count_descriptors(pid) for pid in core),
        memory=sum(resident_mib(pid) for pid in core),
    )


def parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def count_descriptors(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def kinds_of_descriptors(pid: int) -> str:
    """The most common things that a process holds open, numbers in their names aside."""
    kinds: collections.Counter[str] = collections.Counter()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            kinds[re.sub(r"\d+|[0-9a-f]{8,}", "N", os.readlink(entry))] += 1
        except OSError:
            continue
    return ", ".join(f"{count} × {kind}" for kind, count in kinds.most_common(8))


def resident_mib(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") >> 20
    except OSError:
        return 0


def mounts_by_namespace(pids: Iterable[int]) -> dict[str, int]:
    found = {}
    for pid in pids:
        try:
            namespace = os.readlink(f"/proc/{pid}/ns/mnt")
            if namespace not in found:
                found[namespace] = Path(f"/proc/{pid}/mountinfo").read_text().count("\n")
        except OSError:
            continue
    return found


def cgroup_folders(data_dir: Path) -> set[Path]:
    """The region's own control groups, in every hierarchy that is mounted; they carry a digest of its data dir."""
    tag = "lambent-" + hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:12]
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    roots = [fields[1] for fields in mounts if fields[2] in ("cgroup", "cgroup2")]
    return {Path(folder) for root in roots for folder, _, _ in os.walk(root) if tag in folder}


def loop_devices(data_dir: Path) -> list[str]:
    found = []
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            # A removed image keeps its path, marked as deleted.
            if backing.read_text().startswith(str(data_dir)):
                found.append(backing.parts[3])
        except OSError:
            continue
    return found


def host_mounts(data_dir: Path) -> list[str]:
    """Mount points of this process's namespace that the region made."""
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(data_dir) in line]
