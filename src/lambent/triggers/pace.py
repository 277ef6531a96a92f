"""How many events of one lane run at once: as many as finish the sooner for it. Pure.

More environments help a function that waits and hurt one that computes, which shows in how long its runs take beside
how long they took when few ran. So a lane doubles while its runs stay as quick, or none of them ends, and halves when
they take much longer; once in a while it begins anew, because functions change.
"""

from __future__ import annotations

from math import inf

#: What a lane begins with.
FEWEST = 2
#: Runs that take this much longer than they did at first are in each other's way …
CROWDED = 1.8
#: … and these badly so.
JAMMED = 4.0
#: Seconds between two looks.
STEP_S = 0.1
LONGEST_STEP_S = 1.0
#: Seconds after which what was measured no longer counts, and seconds without growth after a refusal.
MEMORY_S = 60.0
AFTER_REFUSAL_S = 10.0


class Window:
    """Of one lane. `size` runs may go on at once."""

    __slots__ = ("_base_s", "_count", "_hold_until", "_measured_at", "_most", "_step_at", "_sum_s", "size")

    def __init__(self, most: int, now: float) -> None:
        self.size = min(FEWEST, most)
        self._most = most
        #: What a run takes while few run, `inf` until that is known.
        self._base_s = inf
        self._measured_at = now
        self._step_at = now
        self._hold_until = now
        # Since the last step
        self._count = 0
        self._sum_s = 0.0

    def finished(self, took_s: float) -> None:
        self._count += 1
        self._sum_s += took_s

    def refused(self, running: int, now: float) -> None:
        """There was no room for one more beside `running`."""
        self.size = max(1, min(self.size, running))
        self._hold_until = now + AFTER_REFUSAL_S

    def step(self, now: float) -> None:
        """Call it now and then while events wait for a place; it looks at most every STEP_S."""
        if now - self._step_at < 0.9 * STEP_S:  # a timer's step is not exact
            return
        if now - self._step_at > LONGEST_STEP_S:
            # Nobody has looked for long, because nothing waited: what happened since says nothing of now.
            self._step_at, self._count, self._sum_s = now, 0, 0.0
            return
        if now - self._measured_at > MEMORY_S:
            self._base_s, self._measured_at = inf, now
            self.size = min(self.size, FEWEST)
        elif self._count == 0:
            self._resize(self.size * 2, now)
        else:
            took_s = self._sum_s / self._count
            self._base_s = min(self._base_s, took_s)
            if took_s <= CROWDED * self._base_s:
                self._resize(self.size * 2, now)
            elif took_s > JAMMED * self._base_s:
                self._resize(self.size // 2, now)
        self._step_at, self._count, self._sum_s = now, 0, 0.0

    def _resize(self, size: int, now: float) -> None:
        if size > self.size and now < self._hold_until:
            return
        self.size = max(1, min(size, self._most))
