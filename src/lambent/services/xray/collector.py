"""Segments between whoever reports them and the disk: gathered in memory, written every second or so.

One task checks and writes what came since the last write, so that nobody who reports one waits for either. A killed
region loses the last second only; what a client was answered for is on disk, and reads see everything because they
write first.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple, TypeVar

from sqlalchemy import Connection

from lambent.clock import Clock
from lambent.periodic import Periodic, Unbroken
from lambent.ports import FunctionVersion
from lambent.services.xray.domain import DAY, RETENTION_DAYS, Refused, Segment, segment_of
from lambent.services.xray.store import Key, TraceStore
from lambent.storage.database import Database
from lambent.storage.faults import StorageError

log = logging.getLogger(__name__)
T = TypeVar("T")

FLUSH_SECONDS = 1.0
PRUNE_SECONDS = 3600.0
#: Bytes that wait to be checked and written; what comes beyond them is lost.
PENDING_LIMIT = 16 * 1024 * 1024
#: Where the budget is exceeded, traces go until it is kept with this part of it to spare.
_SPARE = 0.1
#: Bytes that are checked in one turn of the event loop: about a millisecond.
_SLICE = 128 * 1024
#: Bytes of one write, about.
_PART = 1024 * 1024


class Report(NamedTuple):
    """A document that somebody in the region reported, unchecked."""

    account: str
    region: str
    document: bytes
    #: Whose role must allow it; None: a service reports it of itself.
    function: FunctionVersion | None = None


#: Segments by the trace that they belong to.
Found = dict[Key, list[Segment]]
#: Gives up what it has made since it was asked last.
Source = Callable[[], Iterable[Report]]
#: Whether a function's role may put segments.
MayPut = Callable[[FunctionVersion], bool]


class Traces:
    def __init__(self, database: Database, store: TraceStore, clock: Clock, may_put: MayPut, budget: int) -> None:
        """`budget`: bytes that all documents may take."""
        self._database = database
        self._store = store
        self._clock = clock
        self._may_put = may_put
        self._budget = budget
        self._sources: list[Source] = []
        self._reports: list[Report] = []
        self._checked: Found = {}
        #: Bytes of both.
        self._pending = 0
        self._writing = asyncio.Lock()
        self._periodic = Periodic("traces flush", self._keep_up, FLUSH_SECONDS)
        self._prune_at = 0.0
        self._flushing = Unbroken("traces write")
        # ---- counters
        self._size = 0
        self._taken = 0
        self._refused = 0
        self._denied = 0
        self._lost = 0

    def __repr__(self) -> str:
        return f"<Traces {self._size} bytes, {self._pending} waiting>"

    # ---- lifecycle

    async def start(self) -> None:
        """After the database; `add_source` comes before."""
        self._periodic.start()

    async def stop(self) -> None:
        """Everything reported is on disk when this returns."""
        await self._periodic.stop()
        with contextlib.suppress(StorageError):
            # Told in the log already.
            await self.flush()

    async def reset(self) -> None:
        """Forget every trace of every account, and what was reported but not written."""
        async with self._writing:
            for source in self._sources:
                for _ in source():
                    pass
            self._reports.clear()
            self._checked.clear()
            self._pending = self._size = 0
            await self._database.write(self._store.delete_all)

    # ---- reporting

    def add_source(self, source: Source) -> None:
        self._sources.append(source)

    def report(self, report: Report) -> None:
        """Take a document to be checked later; it is lost where too many wait."""
        size = len(report.document)
        if self._pending + size > PENDING_LIMIT:
            self._lost += 1
            return
        self._pending += size
        self._reports.append(report)

    def add(self, account: str, region: str, segment: Segment) -> bool:
        """Take a segment to be written later. False: too many wait."""
        size = len(segment.document)
        if self._pending + size > PENDING_LIMIT:
            self._lost += 1
            return False
        self._pending += size
        self._checked.setdefault((account, region, segment.trace_id), []).append(segment)
        return True

    # ---- reading

    async def read(self, work: Callable[[Connection], T]) -> T:
        """`work(tx)` sees everything reported so far. Raises StorageError."""
        await self.flush()
        return await self._database.read(work)

    async def flush(self) -> None:
        """Put on disk what was reported so far. Raises StorageError, and keeps it for the next time then."""
        await self._flushing.run(self._flush())

    async def _flush(self) -> None:
        async with self._writing:
            await self._check()
            found, self._checked = self._checked, {}
            while found:
                await self._write(_part_of(found), found)
            await self._keep_budget()

    async def _write(self, part: Found, rest: Found) -> None:
        """Where the disk refuses, both are to be written later."""
        try:
            grown = await self._database.write(functools.partial(self._store.add, found=part, now=self._clock.now()))
        except StorageError as error:
            log.error("Traces could not be written: %s", error)
            for key, segments in (*part.items(), *rest.items()):
                # First what came first: a later document of the same segment replaces an earlier one.
                self._checked[key] = segments + self._checked.get(key, [])
            raise
        self._pending -= sum(map(_size, part.values()))
        self._taken += sum(map(len, part.values()))
        self._size += grown

    async def _check(self) -> None:
        """Of everything that was reported, what is a segment and may be put; in slices, for others wait meanwhile."""
        reports, self._reports = self._reports, []
        now, checked = self._clock.now(), 0
        #: The id of a function stays its own while a report refers to it.
        allowed: dict[int, bool] = {}
        for report in chain(reports, self._made()):
            function = report.function
            may = function is None or allowed.get(id(function))
            if may is None:
                assert function is not None
                may = allowed[id(function)] = self._may_put(function)
            if not self._sort(report, may, now):
                self._pending -= len(report.document)
            checked += len(report.document)
            if checked > _SLICE:
                checked = 0
                await asyncio.sleep(0)

    def _made(self) -> Iterator[Report]:
        """What the sources have, made one by one: it takes its time."""
        for source in self._sources:
            for report in source():
                self._pending += len(report.document)
                yield report

    def _sort(self, report: Report, may_put: bool, now: float) -> bool:
        """Whether it is kept to be written."""
        if not may_put:
            self._denied += 1
            return False
        try:
            segment = segment_of(report.document, now)
        except Refused:
            self._refused += 1
            return False
        key = report.account, report.region, segment.trace_id
        self._checked.setdefault(key, []).append(segment)
        return True

    async def _keep_budget(self) -> None:
        if self._size <= self._budget:
            return
        surplus = self._size - int(self._budget * (1 - _SPARE))
        log.warning("Traces take more than %d bytes: the oldest of whoever has most are forgotten.", self._budget)
        self._size -= await self._database.write(functools.partial(self._store.shrink, surplus=surplus))

    def statistics(self) -> dict[str, int]:
        return {
            "bytes": self._size,
            "waiting": self._pending,
            "taken": self._taken,
            "refused": self._refused,
            "denied": self._denied,
            "lost": self._lost,
        }

    # ---- the task

    async def _keep_up(self) -> None:
        now = asyncio.get_running_loop().time()
        try:
            if now >= self._prune_at:
                self._prune_at = now + PRUNE_SECONDS
                await self.prune()
            await self.flush()
        except StorageError as error:
            log.warning("Traces are tried again in a while: %s", error)
        except Exception:  # whatever it is, taking goes on; what was being checked is lost
            unchecked = sum(len(report.document) for report in self._reports)
            self._pending = unchecked + sum(map(_size, self._checked.values()))
            raise

    async def prune(self) -> None:
        """Forget what is older than traces are kept. Raises StorageError."""
        before = self._clock.now() - RETENTION_DAYS * DAY
        async with self._writing:
            await self._database.write(functools.partial(self._store.prune, before=before))
            self._size = await self._database.read(self._store.size)


def _part_of(found: Found) -> Found:
    """Takes out some of it: others write to the same disk, and must get their turn."""
    part: Found = {}
    size = 0
    while found and size < _PART:
        key, segments = found.popitem()
        part[key] = segments
        size += _size(segments)
    return part


def _size(segments: Sequence[Segment]) -> int:
    return sum(len(segment.document) for segment in segments)
