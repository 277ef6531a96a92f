"""The events that one subscriber has yet to get, in order and bounded.

A subscriber that does not keep up never holds up its function: what no longer fits is dropped, counted to the event,
and told to it as `platform.logsDropped` at the very place in the order where it is missing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from lambent.invoke.logs import Share

#: What an event costs beside its bytes.
_OVERHEAD = 100
#: What an outbox may hold while the region can spare it: what a function prints until a subscriber has answered. What
#: its subscriber asked to have buffered it may always hold.
_MOST = 8 * 1024 * 1024


class Budget:
    """What all subscribers of a region share."""

    def __init__(self, left: int, dials: Share) -> None:
        #: Bytes that outboxes may hold beyond what is each one's own.
        self.left = left
        #: Connections that may be made: each takes a socket that a process of the supervisor makes.
        self.dials = dials


#: From (records, bytes) that were dropped, the event that says so; None where the subscriber does not want to know.
Notice = Callable[[int, int], bytes | None]


class Outbox:
    def __init__(self, max_items: int, max_bytes: int, budget: Budget, notice: Notice) -> None:
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._budget = budget
        self._notice = notice
        self._events: deque[bytes] = deque()
        #: Of `_events`.
        self.size = 0
        #: Invariant: what `_events` weigh beyond `max_bytes` is taken from the budget.
        self._weight = 0
        self._borrowed = 0
        self._dropped_records = 0
        self._dropped_bytes = 0

    def __len__(self) -> int:
        return len(self._events)

    def __repr__(self) -> str:
        return f"<Outbox {len(self._events)} events, {self.size} bytes, {self._dropped_records} dropped>"

    @property
    def is_full(self) -> bool:
        """There is as much as one delivery takes. Never later than something is dropped."""
        return len(self._events) >= self._max_items or self._weight >= self._max_bytes

    def add(self, event: bytes) -> None:
        """Keep it for delivery, or count it as dropped."""
        # After a gap nothing more is taken until a delivery made room: or the gap would be told at the wrong place.
        if self._dropped_records or not self._has_room(len(event) + _OVERHEAD):
            self.drop(1, len(event))
            return
        self._append(event)

    def drop(self, records: int, size: int) -> None:
        self._dropped_records += records
        self._dropped_bytes += size

    def take(self) -> list[bytes]:
        """The next delivery: at most as many events and bytes as the subscriber wants, but one at least."""
        batch: list[bytes] = []
        size = 0
        while self._events and len(batch) < self._max_items:
            event = self._events[0]
            if batch and size + len(event) > self._max_bytes:
                break
            batch.append(self._events.popleft())
            size += len(event)
        self.size -= size
        self._weight -= size + _OVERHEAD * len(batch)
        self._settle()
        self.tell_dropped()
        return batch

    def tell_dropped(self) -> None:
        """Say at the end of what waits how much is missing there."""
        if self._dropped_records:
            event = self._notice(self._dropped_records, self._dropped_bytes)
            self._dropped_records = self._dropped_bytes = 0
            if event is not None:
                self._append(event)

    def clear(self) -> list[bytes]:
        """Everything that is left."""
        left = list(self._events)
        self._events.clear()
        self.size = self._weight = 0
        self._settle()
        return left

    def _append(self, event: bytes) -> None:
        self._events.append(event)
        self.size += len(event)
        self._weight += len(event) + _OVERHEAD
        if self._weight > self._max_bytes:
            self._settle()

    def _has_room(self, more: int) -> bool:
        # One event may go over: what is full then is sent, if nothing is under way.
        if self._weight < self._max_bytes:
            return True
        return self._weight + more <= _MOST and self._budget.left >= more

    def _settle(self) -> None:
        """Take from the budget, or give back, what the weight changed."""
        borrowed = max(0, self._weight - self._max_bytes)
        self._budget.left -= borrowed - self._borrowed
        self._borrowed = borrowed
