"""One timer structure for every deadline of the data plane: timeouts, init limits, freezing, idle expiry.

Setting or clearing a deadline that moves later, which is what nearly every request does, costs an attribute: the entry
already in the heap fires early, finds the deadline moved and goes back in. So the heap holds about one entry for each
environment, however many requests pass through it, and the event loop holds one timer in all.
"""

from __future__ import annotations

import heapq
import logging
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable
from itertools import count
from math import inf

from lambent.clock import Clock

log = logging.getLogger(__name__)


class Timer:
    """A deadline that may move. `at` is when to call, `inf` while unset."""

    __slots__ = ("at", "callback", "queued_at")

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback
        self.at = inf
        #: When its entry in the heap is due; `inf` without one. Invariant: at < inf implies queued_at <= at.
        self.queued_at = inf


def _nothing() -> None:
    """What a forgotten timer calls."""


class Timers:
    """All deadlines, on one timer of the event loop."""

    def __init__(self, loop: AbstractEventLoop, clock: Clock) -> None:
        self._loop = loop
        self._clock = clock
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._armed: TimerHandle | None = None
        self._armed_at = inf

    def set(self, timer: Timer, at: float) -> None:
        """Call `timer.callback` once `clock.monotonic()` reaches `at`, and not at any earlier deadline of it."""
        timer.at = at
        if at < timer.queued_at:
            self._queue(timer)

    @staticmethod
    def clear(timer: Timer) -> None:
        timer.at = inf

    @staticmethod
    def forget(timer: Timer) -> None:
        """Clear for good. The entry may stay in the heap for minutes, so it lets go of whatever the callback holds."""
        timer.at = inf
        timer.callback = _nothing

    def run_due(self) -> None:
        """Call what is due. The event loop calls it; so does a test that moved its clock."""
        now = self._clock.monotonic()
        heap = self._heap
        while heap and heap[0][0] <= now:
            queued_at, _, timer = heapq.heappop(heap)
            if queued_at != timer.queued_at:
                continue  # an earlier entry replaced this one
            timer.queued_at = inf
            if timer.at <= now:
                timer.at = inf
                self._call(timer)
            elif timer.at < inf:
                self._queue(timer)
        self._arm()

    def close(self) -> None:
        self._heap.clear()
        if self._armed is not None:
            self._armed.cancel()
        self._armed, self._armed_at = None, inf

    def __len__(self) -> int:
        return len(self._heap)

    @staticmethod
    def _call(timer: Timer) -> None:
        try:
            timer.callback()
        except Exception:  # one environment's bug must not stop every other timeout
            log.exception("A timer failed")

    def _queue(self, timer: Timer) -> None:
        timer.queued_at = timer.at
        heapq.heappush(self._heap, (timer.at, next(self._order), timer))
        if timer.at < self._armed_at:
            self._arm()

    def _arm(self) -> None:
        at = self._heap[0][0] if self._heap else inf
        if at == self._armed_at:
            return
        if self._armed is not None:
            self._armed.cancel()
            self._armed = None
        self._armed_at = at
        if at < inf:
            self._armed = self._loop.call_later(max(0.0, at - self._clock.monotonic()), self._fire)

    def _fire(self) -> None:
        self._armed, self._armed_at = None, inf
        self.run_due()
