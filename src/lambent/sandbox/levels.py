"""Which isolation this host allows: what is wanted, what it withholds and why, and what mends it."""

import dataclasses
import os
import shutil
from typing import List, Tuple

from lambent.sandbox import cgroup
from lambent.sandbox.spec import IsolationReport, Level


@dataclasses.dataclass
class Ground:
    """What the supervisor stands on."""

    level: Level
    is_root: bool
    hierarchies: cgroup.Hierarchies
    #: Ids below the supervisor's user namespace beside the operator's own; rootless only.
    subordinate_ids: int = 0
    #: /tmp on disk images rather than in memory.
    images: bool = False
    missing: List[Tuple[str, str, str]] = dataclasses.field(default_factory=list)

    def report(self) -> IsolationReport:
        who = "root" if self.is_root else "rootless"
        mode = self.hierarchies.mode
        groups = f"cgroup {mode}" if mode else "no cgroups"
        return IsolationReport(self.level, f"{self.level.value}: {who}, {groups}", self.missing, mode, self.is_root)


def can_use_images(is_root: bool) -> "Tuple[bool, str]":
    """Whether /tmp can be an ext4 image on a loop device, and if not what is missing."""
    if not is_root:
        return False, "rootless"
    if not os.path.exists("/dev/loop-control"):
        return False, "/dev/loop-control is missing"
    if shutil.which("mkfs.ext4", path="/usr/sbin:/sbin:/usr/bin:/bin") is None:
        return False, "mkfs.ext4 is missing"
    return True, ""
