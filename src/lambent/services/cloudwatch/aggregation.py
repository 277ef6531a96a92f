"""Metrics between whoever counts and the disk: merged by minute in memory, written every two seconds.

One task writes what was added since the last write, so a killed region loses the last seconds only, and reads see
everything because they write first.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from sqlalchemy import Connection

from lambent.clock import Clock
from lambent.periodic import Periodic, Unbroken
from lambent.services.cloudwatch.distribution import Distribution
from lambent.services.cloudwatch.domain import DAY, MINUTE, RETENTION_DAYS, Cell, Datum
from lambent.services.cloudwatch.store import Merged, MetricStore, Seen
from lambent.storage.database import Database
from lambent.storage.faults import StorageError

log = logging.getLogger(__name__)
T = TypeVar("T")

FLUSH_SECONDS = 2.0
#: With very many metrics a flush takes long: then it may take this part of the time, up to so much between two.
FLUSH_SHARE = 0.05
LONGEST_SECONDS = 15.0
PRUNE_SECONDS = 3600.0
#: Series of all accounts together, and their minutes (some 1.5 GB on disk): beyond them only what the region itself
#: counts is taken.
SERIES_LIMIT = 1_000_000
MINUTES_LIMIT = 20_000_000
#: Series whose places are kept in memory.
_PLACES_LIMIT = 200_000
#: Cells waiting for a disk that refuses; what is counted beyond them is lost.
_PENDING_LIMIT = 500_000

#: Data that are merged in one turn of the event loop: about a millisecond.
_SLICE = 500

#: Gives up what it has counted since it was asked last.
Source = Callable[[], Iterable[Datum]]


class Metrics:
    def __init__(self, database: Database, store: MetricStore, clock: Clock) -> None:
        self._database = database
        self._store = store
        self._clock = clock
        self._sources: list[Source] = []
        self._pending: dict[Cell, Distribution] = {}
        self._writing = asyncio.Lock()
        # Changed with `_writing` held only.
        self._seen = Seen({}, {})
        self._periodic = Periodic("metrics flush", self._keep_up, FLUSH_SECONDS)
        self._prune_at = 0.0
        self._flushing = Unbroken("metrics write")
        # ---- counters
        self._series = 0
        self._minutes = 0
        self._flushes = 0
        self._lost = 0

    def __repr__(self) -> str:
        return f"<Metrics {self._series} series, {len(self._pending)} cells waiting>"

    # ---- lifecycle

    async def start(self) -> None:
        """After the database; `add_source` comes before."""
        self._periodic.start()

    async def stop(self) -> None:
        """Everything counted is on disk when this returns."""
        await self._periodic.stop()
        with contextlib.suppress(StorageError):
            # Told in the log already.
            await self.flush()

    async def reset(self) -> None:
        """Forget every metric of every account, and what is counted but not written."""
        async with self._writing:
            for source in self._sources:
                for _ in source():
                    pass
            self._pending.clear()
            await self._database.write(self._store.delete_all)
            self._forget()
            self._series = self._minutes = 0

    # ---- counting

    def add_source(self, source: Source) -> None:
        self._sources.append(source)

    def add(self, cell: Cell, values: Distribution) -> None:
        """`values` is the caller's no longer."""
        pending = self._pending.get(cell)
        if pending is not None:
            pending.merge(values)
        elif len(self._pending) < _PENDING_LIMIT:
            self._pending[cell] = values
        else:
            self._lost += 1

    def has_room(self) -> bool:
        """Whether data that clients and functions publish may still be taken."""
        return self._series < SERIES_LIMIT and self._minutes < MINUTES_LIMIT

    # ---- reading

    async def read(self, work: Callable[[Connection], T]) -> T:
        """`work(tx)` sees everything counted so far. Raises StorageError."""
        await self.flush()
        return await self._database.read(work)

    async def flush(self) -> None:
        """Put on disk what is counted so far. Raises StorageError, and keeps it for the next time then."""
        await self._flushing.run(self._flush())

    async def _flush(self) -> None:
        async with self._writing:
            await self._gather()
            cells, self._pending = self._pending, {}
            if not cells:
                return
            try:
                merged = await self._database.write(functools.partial(self._store.merge, cells=cells, seen=self._seen))
            except StorageError as error:
                log.error("Metrics could not be written: %s", error)
                for cell, values in cells.items():
                    self.add(cell, values)
                raise
            self._remember(merged)
            self._flushes += 1

    async def _gather(self) -> None:
        """Everything that the sources have, in slices, for other requests wait meanwhile."""
        for source in self._sources:
            for number, datum in enumerate(source(), 1):
                self.add(*datum)
                if number % _SLICE == 0:
                    await asyncio.sleep(0)

    def _remember(self, merged: Merged) -> None:
        self._series += merged.series
        self._minutes += merged.minutes
        places, wholes = self._seen
        if len(places) > _PLACES_LIMIT:
            places.clear()
        places.update(merged.places)
        # What is older than the last minute hardly changes any more.
        last = int(self._clock.now()) // MINUTE - 1
        for cell in [cell for cell in wholes if cell.minute < last]:
            del wholes[cell]
        wholes.update((cell, whole) for cell, whole in merged.wholes.items() if cell.minute >= last)

    def _forget(self) -> None:
        for part in self._seen:
            part.clear()

    def statistics(self) -> dict[str, int]:
        return {
            "series": self._series,
            "minutes": self._minutes,
            "waiting": len(self._pending),
            "flushes": self._flushes,
            "lost": self._lost,
        }

    # ---- the task

    async def _keep_up(self) -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            if began >= self._prune_at:
                self._prune_at = began + PRUNE_SECONDS
                await self.prune()
            await self.flush()
        except StorageError as error:
            log.warning("Metrics are tried again in a while: %s", error)
        return min(LONGEST_SECONDS, max(FLUSH_SECONDS, (loop.time() - began) / FLUSH_SHARE))

    async def prune(self) -> None:
        """Forget what is older than metrics are kept. Raises StorageError."""
        before = int(self._clock.now() - RETENTION_DAYS * DAY) // MINUTE
        async with self._writing:
            await self._database.write(functools.partial(self._store.prune, before=before))
            # An id may be given anew once its series is gone.
            self._forget()
            self._series, self._minutes = await self._database.read(self._store.count)
