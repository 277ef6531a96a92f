"""Where the hostile functions are tried: which isolation levels this machine can give a region, and how one is started.

Natively a root user tries all three levels, the lower two as a fresh uid without any privilege. Inside the user-mode
Linux guest (`LAMBENT_TEST_GUEST`) the one level that its user gets is tried, with cgroup v2.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

#: Columns of the table of claims: isolation level, and whether cgroup limits come with it.
FULL = "full"
REDUCED_CGROUP = "reduced with cgroups"
REDUCED = "reduced"
PROCESS = "process"
#: Where cgroups limit.
LIMITED_COLUMNS = frozenset({FULL, REDUCED_CGROUP})

GUEST = os.environ.get("LAMBENT_TEST_GUEST", "")
#: The guest's system calls cost about twenty times the host's: what is given ten seconds here gets more there.
PATIENCE = 8 if GUEST else 1


@dataclass(frozen=True)
class Place:
    #: One of the columns.
    column: str
    #: What `--isolation` is set to, and what health must then say.
    level: str
    #: Give up root before the region starts.
    drop_root: bool = False

    def __str__(self) -> str:
        return f"{self.column} in user-mode Linux" if GUEST else self.column


def places() -> list[Place]:
    """Every level that can be tried by this user on this machine."""
    if GUEST == "root":
        return [Place(FULL, "full")]
    if GUEST == "rootless":
        return [Place(REDUCED_CGROUP, "reduced")]
    if os.geteuid() == 0:
        return [
            Place(FULL, "full"),
            Place(REDUCED, "reduced", drop_root=True),
            Place(PROCESS, "process", drop_root=True),
        ]
    return [Place(REDUCED, "reduced"), Place(PROCESS, "process")]
