"""The ledger between the invocations and the disk: added up in memory, written every two seconds and at the stop.

It counts what Lambda bills, in whole numbers; prices are applied when it is read. A killed region loses the last two
seconds at most.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import math

from lambent.clock import Clock
from lambent.periodic import Periodic
from lambent.ports import FunctionVersion, InvocationRecord
from lambent.services.billing.prices import Usage
from lambent.services.billing.store import LedgerStore, Line
from lambent.storage.database import Database
from lambent.storage.faults import StorageError

log = logging.getLogger(__name__)

FLUSH_SECONDS = 2.0
DAY = 86_400
#: What every function has of /tmp at no price, MB.
FREE_TMP_MB = 512
#: What every response streams at no price.
FREE_STREAMED = 6 * 1024 * 1024


class _Running:
    """What is counted of one version on one day since the last write."""

    __slots__ = (
        "began",
        "billed_ms",
        "cached_mb_ms",
        "day",
        "function",
        "kept_mb_ms",
        "mb_ms",
        "provisioned_mb_ms",
        "requests",
        "restored_mb",
        "streamed_bytes",
        "tmp_mb",
    )

    def __init__(self, function: FunctionVersion, day: int) -> None:
        self.function = function
        self.day = day
        self.began = float(day * DAY)
        self.tmp_mb = max(0, function.tmp_mb - FREE_TMP_MB)
        self.requests = 0
        self.billed_ms = 0
        self.mb_ms = 0
        self.provisioned_mb_ms = 0
        self.kept_mb_ms = 0
        self.cached_mb_ms = 0
        self.restored_mb = 0
        self.streamed_bytes = 0


class Ledger:
    """Implements ports.RecordSink and ports.SnapshotMeter."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._store = LedgerStore()
        # The id of a function stays its own while a value refers to it.
        self._running: dict[tuple[int, int], _Running] = {}
        #: That of the last record: most often it is that of the next one too.
        self._last: _Running | None = None
        #: What a disk that refused has still to take.
        self._unwritten: dict[Line, Usage] = {}
        self._writing = asyncio.Lock()
        self._periodic = Periodic("ledger flush", self._keep_up, FLUSH_SECONDS)

    # ---- lifecycle

    async def start(self) -> None:
        """After the database."""
        self._periodic.start()

    async def stop(self) -> None:
        """After the last invocation, before the database."""
        await self._periodic.stop()
        with contextlib.suppress(StorageError):
            # Told in the log already.
            await self.flush()

    async def reset(self) -> None:
        """An empty ledger for every account."""
        async with self._writing:
            self._running.clear()
            self._last = None
            self._unwritten.clear()
            await self._database.write(self._store.delete_all)

    # ---- counting

    def record(self, record: InvocationRecord) -> None:
        running = self._last
        if (
            running is None
            or record.function is not running.function
            or not 0.0 <= record.started_at - running.began < DAY
        ):
            running = self._last = self._of(record.function, record.started_at)
        running.requests += 1
        running.billed_ms += record.billed_ms
        if record.provisioned:
            running.provisioned_mb_ms += record.billed_ms * record.memory_mb
        else:
            running.mb_ms += record.billed_ms * record.memory_mb
        if record.restore_ms is not None:
            running.restored_mb += record.memory_mb
        if record.streamed_bytes > FREE_STREAMED:
            running.streamed_bytes += record.streamed_bytes - FREE_STREAMED

    def throttled(self, function: FunctionVersion, invoked_arn: str) -> None:
        """Refused requests cost nothing."""

    def kept(self, function: FunctionVersion, amount: int, seconds: float) -> None:
        """So many environments of the version were kept ready for so long."""
        running = self._of(function, self._clock.now())
        running.kept_mb_ms += int(amount * function.memory_mb * seconds * 1000)

    def initialised(self, function: FunctionVersion, init_ms: float) -> None:
        """Its init ran for a snapshot."""
        running = self._of(function, self._clock.now())
        billed_ms = math.ceil(init_ms)
        running.billed_ms += billed_ms
        running.mb_ms += billed_ms * function.memory_mb

    def cached(self, function: FunctionVersion, seconds: float) -> None:
        """A snapshot of the version is to be paid for so long."""
        running = self._of(function, self._clock.now())
        running.cached_mb_ms += int(function.memory_mb * seconds * 1000)

    def _of(self, function: FunctionVersion, at: float) -> _Running:
        key = int(at) // DAY, id(function)
        running = self._running.get(key)
        if running is None:
            running = self._running[key] = _Running(function, key[0])
        return running

    # ---- reading and writing

    async def since(self, day: int) -> list[tuple[Line, Usage]]:
        """Every line from that day on, with everything counted so far. Raises StorageError."""
        await self.flush()
        return await self._database.read(functools.partial(self._store.since, day=day))

    async def flush(self) -> None:
        """Put on disk what is counted so far. Raises StorageError, and keeps it for the next time then."""
        async with self._writing:
            self._take()
            if not self._unwritten:
                return
            lines, self._unwritten = self._unwritten, {}
            try:
                await asyncio.shield(self._database.write(functools.partial(self._store.add, lines=lines)))
            except StorageError as error:
                log.error("The ledger could not be written: %s", error)
                self._unwritten = lines
                raise

    def _take(self) -> None:
        taken, self._running = self._running, {}
        self._last = None
        for running in taken.values():
            function = running.function
            line = Line(
                function.account, function.region, function.name, function.version, running.day, function.architecture
            )
            usage = Usage(
                running.requests,
                running.billed_ms,
                running.mb_ms,
                running.provisioned_mb_ms,
                running.kept_mb_ms,
                running.billed_ms * running.tmp_mb,
                running.cached_mb_ms,
                running.restored_mb,
                running.streamed_bytes,
            )
            self._unwritten[line] = self._unwritten.get(line, Usage()) + usage

    async def _keep_up(self) -> None:
        # Told in the log; what could not be written is tried again.
        with contextlib.suppress(StorageError):
            await self.flush()
