"""The durable queue of asynchronous events: what is accepted is on disk, what is finished goes from it.

One task writes everything that came up since its last write, in one transaction: a thousand events cost one fsync.
Acceptance waits for it; what was finished or postponed does not, so after a crash some of it is done once more.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import Future, Task
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from sqlalchemy import Connection

from lambent.clock import Clock
from lambent.invoke.errors import ThrottleReason, TooManyRequestsException
from lambent.ports import Event
from lambent.storage.database import Database
from lambent.storage.faults import StorageError
from lambent.triggers.store import EventStore
from lambent.triggers.waiting import Waiting, lane_of

_FULL = "The queue of asynchronous events is full (see --event-budget)."
log = logging.getLogger(__name__)

#: Bytes of waiting events that are kept in memory beside the disk.
MEMORY_LIMIT = 64 * 1024 * 1024
#: Bytes of waiting events on disk, beyond which no more are taken: the same disk holds everybody's functions.
DISK_LIMIT = 2 * 1024**3
#: Of one event, beside its payload.
_OVERHEAD = 512
#: Seconds that what nobody waits for may be put off, to share a write with more of it.
PATIENCE_S = 0.05
#: Seconds until the next attempt to write where the disk refused.
RETRY_S = 1.0
#: Events of one transaction.
LARGEST_BATCH = 1024


@dataclass(slots=True)
class _Batch:
    """What the next transaction writes."""

    accepted: list[tuple[Waiting, Future[None]]] = field(default_factory=list)
    #: By id, so that each is written once; a finished one is not postponed as well.
    postponed: dict[int, Waiting] = field(default_factory=dict)
    finished: set[int] = field(default_factory=set)


class EventQueue:
    def __init__(
        self, database: Database, clock: Clock, memory_limit: int = MEMORY_LIMIT, disk_limit: int = DISK_LIMIT
    ) -> None:
        self._database = database
        self._clock = clock
        self._store = EventStore()
        self._memory_limit = memory_limit
        #: Bytes of the events in memory.
        self._held = 0
        self._disk_limit = disk_limit
        #: Bytes of all events that are not finished.
        self._stored = 0
        self._next = _Batch()
        #: Something is to be written; somebody waits for it.
        self._work = asyncio.Event()
        self._urgent = asyncio.Event()
        self._writing = asyncio.Lock()
        self._stopping = asyncio.Event()
        # Set by start
        self._last_id = 0
        self._on_accepted: Callable[[Sequence[Waiting]], None]
        self._writer: Task[None] | None = None

    async def start(self, on_accepted: Callable[[Sequence[Waiting]], None]) -> list[Waiting]:
        """What waits since before. `on_accepted` is told of everything that comes, once it is on disk."""
        self._on_accepted = on_accepted
        waiting = await self._database.read(self._store.all)
        self._last_id = waiting[-1].id if waiting else 0
        self._stored = sum(entry.size for entry in waiting)
        self._writer = asyncio.get_running_loop().create_task(self._write_for_ever(), name="event writer")
        return waiting

    async def stop(self) -> None:
        """Write what is left."""
        self._stopping.set()
        self._work.set()
        self._urgent.set()
        if self._writer is not None:
            await self._writer

    async def reset(self) -> None:
        """Forget every event, also those that are being accepted right now."""
        async with self._writing:
            self._refuse(self._next, StorageError("The region was reset."))
            self._next = _Batch()
            await self._database.write(self._store.delete_all)
            self._held = self._stored = 0

    def is_idle(self) -> bool:
        """Whether everything is written."""
        batch = self._next
        return not (batch.accepted or batch.postponed or batch.finished or self._writing.locked())

    # ---- what happens to events ----

    async def accept(self, event: Event) -> None:
        """Returns once it is on disk. Raises TooManyRequestsException where too many wait already."""
        if self._stopping.is_set():
            raise StorageError("The region is stopping and takes no more events.")
        size = _size(event)
        if self._stored + size > self._disk_limit:
            raise TooManyRequestsException(ThrottleReason.ACCOUNT_CONCURRENCY, _FULL)
        self._stored += size
        now = self._clock.now()
        self._last_id += 1
        waiting = Waiting(self._last_id, lane_of(event), now, now, event, size=size)
        done: Future[None] = asyncio.get_running_loop().create_future()
        self._next.accepted.append((waiting, done))
        self._work.set()
        self._urgent.set()
        await done

    def postpone(self, waiting: Waiting) -> None:
        """It is to be tried at its new `due_at`."""
        self._next.postponed[waiting.id] = waiting
        self._work.set()

    def finish(self, waiting: Waiting) -> None:
        """It is done, or given up."""
        self._drop(waiting)
        self._forget(waiting)
        self._next.postponed.pop(waiting.id, None)
        self._next.finished.add(waiting.id)
        self._work.set()

    async def load(self, waiting: Sequence[Waiting]) -> None:
        """Bring the events of some into memory. One whose row is gone stays without."""
        missing = [entry.id for entry in waiting if entry.event is None]
        found = await self._database.read(lambda tx: self._store.load(tx, missing))
        for entry in waiting:
            if entry.event is None and (event := found.get(entry.id)) is not None:
                entry.event = event
                self._held += _size(event)

    # ---- writing ----

    async def _write_for_ever(self) -> None:
        while True:
            await self._work.wait()
            if not self._urgent.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._urgent.wait(), PATIENCE_S)
            self._work.clear()
            self._urgent.clear()
            async with self._writing:
                batch = self._take()
                written = batch is None or await self._write(batch)
            if self._stopping.is_set():
                if batch is None:
                    return
                self._work.set()
            elif not written:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), RETRY_S)

    def _take(self) -> _Batch | None:
        """What is to be written now; None for nothing."""
        batch = self._next
        if not (batch.accepted or batch.postponed or batch.finished):
            return None
        self._next = _Batch()
        if len(batch.accepted) > LARGEST_BATCH:
            batch.accepted, self._next.accepted = batch.accepted[:LARGEST_BATCH], batch.accepted[LARGEST_BATCH:]
            self._work.set()
            self._urgent.set()
        return batch

    async def _write(self, batch: _Batch) -> bool:
        """False where the disk refused."""
        accepted = [waiting for waiting, _ in batch.accepted]
        postponed = [
            Waiting(entry.id, entry.lane, entry.accepted_at, entry.due_at, None, entry.attempts, entry.failures)
            for entry in batch.postponed.values()
        ]

        def write(tx: Connection) -> None:
            if accepted:
                self._store.insert(tx, accepted)
            if postponed:
                self._store.postpone(tx, postponed)
            if batch.finished:
                self._store.delete(tx, batch.finished)

        try:
            await self._database.write(write)
        except Exception as error:  # whatever it is: those who wait for acceptance are to know
            self._failed(batch, error)
            return False
        self._accepted(batch)
        return True

    def _accepted(self, batch: _Batch) -> None:
        for waiting, done in batch.accepted:
            # One whose client hung up meanwhile is done all the same: some never wait for the answer.
            if not done.done():
                done.set_result(None)
            self._hold(waiting)
        if batch.accepted:
            self._on_accepted([waiting for waiting, _ in batch.accepted])

    def _failed(self, batch: _Batch, error: Exception) -> None:
        """Acceptance is refused; the rest is written with the next batch."""
        log.error("%d asynchronous events could not be stored: %s", len(batch.accepted), error)
        self._refuse(batch, error)
        if not self._stopping.is_set():
            self._next.postponed = {**batch.postponed, **self._next.postponed}
            self._next.finished |= batch.finished
            self._work.set()

    def _refuse(self, batch: _Batch, error: Exception) -> None:
        for waiting, done in batch.accepted:
            self._forget(waiting)
            if not done.done():
                done.set_exception(error)

    # ---- memory ----

    def _hold(self, waiting: Waiting) -> None:
        assert waiting.event is not None
        size = _size(waiting.event)
        if self._held + size > self._memory_limit:
            waiting.event = None
        else:
            self._held += size

    def _forget(self, waiting: Waiting) -> None:
        # A reset may have come between.
        self._stored = max(0, self._stored - waiting.size)
        waiting.size = 0

    def _drop(self, waiting: Waiting) -> None:
        if waiting.event is not None:
            self._held -= _size(waiting.event)
            waiting.event = None


def _size(event: Event) -> int:
    return len(event.payload) + _OVERHEAD
