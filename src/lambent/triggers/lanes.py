"""A lane: the events of one function as it was invoked (version, alias or neither), in memory. Decides, never waits.

Lanes know nothing of each other, so a slow or failing function holds up its own events alone.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable

from lambent.triggers.pace import Window
from lambent.triggers.waiting import LaneKey, Waiting, arn_of


class Lane:
    def __init__(self, key: LaneKey, most: int, now: float) -> None:
        """`now` is monotonic; `most` runs may go on at once."""
        self.key = key
        #: The function as it was invoked.
        self.arn = arn_of(key)
        self.window = Window(most, now)
        #: To be tried now.
        self.ready: deque[Waiting] = deque()
        #: To be tried later: (due_at, id, event).
        self._later: list[tuple[float, int, Waiting]] = []
        #: Workers under way. Invariant: each holds at most one event, which is neither ready nor later.
        self.workers = 0
        #: Times in a row that Lambda could not run anything of this lane, and until when that keeps it still.
        self.refusals = 0
        self.paused_until = 0.0
        #: Its troubles are not told of before then.
        self.silent_until = 0.0
        #: The function, version or alias is gone: what its workers still do goes nowhere.
        self.forgotten = False

    def __repr__(self) -> str:
        function = ":".join(self.key[2:]).rstrip(":")
        return (
            f"<Lane {function} [{len(self.ready)} ready, {len(self._later)} later, {self.workers} of "
            f"{self.window.size} running]>"
        )

    def __len__(self) -> int:
        """Events that wait."""
        return len(self.ready) + len(self._later)

    def add(self, waiting: Waiting, now: float) -> None:
        """`now` is of the clock on the wall, like every `due_at`."""
        if waiting.due_at <= now:
            self.ready.append(waiting)
        else:
            heapq.heappush(self._later, (waiting.due_at, waiting.id, waiting))

    def ripen(self, now: float) -> None:
        """What is due is ready."""
        while self._later and self._later[0][0] <= now:
            self.ready.append(heapq.heappop(self._later)[2])

    def next_due(self) -> float | None:
        """When the next of those that wait for their time is due."""
        return self._later[0][0] if self._later else None

    def missing_workers(self, now: float) -> int:
        """How many more should run: `now` is monotonic."""
        if now < self.paused_until:
            return 0
        return max(0, min(self.window.size - self.workers, len(self.ready)))

    def clear(self) -> Iterable[Waiting]:
        """Forget all that wait."""
        waiting = [*self.ready, *(entry for _, _, entry in self._later)]
        self.ready.clear()
        self._later.clear()
        self.forgotten = True
        return waiting
