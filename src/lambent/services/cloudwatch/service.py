"""CloudWatch of a region put together: what `app` builds, starts, registers, resets and stops."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import Mapping, Sequence

from lambent.clock import Clock
from lambent.services.cloudwatch.aggregation import Metrics
from lambent.services.cloudwatch.embedded import EmbeddedMetrics
from lambent.services.cloudwatch.lambda_metrics import Kept, LambdaMetrics, Peaks, Totals
from lambent.services.cloudwatch.store import MetricStore
from lambent.storage.database import Database
from lambent.storage.faults import StorageError


class CloudWatchService:
    def __init__(self, *, database: Database, clock: Clock, kept: Kept) -> None:
        """`kept` is told of provisioned concurrency, second by second."""
        self._clock = clock
        self._store = MetricStore()
        self._metrics = metrics = Metrics(database, self._store, clock)
        #: `ports.RecordSink` and `ports.MetricSink`: what the data plane tells.
        self.functions = LambdaMetrics(clock, kept)
        #: `ports.LogReader`: what functions tell in their logs.
        self.embedded = EmbeddedMetrics(metrics.has_room, clock)
        metrics.add_source(self.functions.collect)
        metrics.add_source(self.embedded.collect)
        self.statistics = metrics.statistics

    async def operations(self) -> Sequence[object]:
        module = await asyncio.to_thread(importlib.import_module, "lambent.services.cloudwatch.api")
        made: Sequence[object] = module.operations(self._metrics, self._store, self._clock)
        return made

    async def start(self, peaks: Peaks) -> None:
        """After the database."""
        await self._metrics.start()
        self.functions.start(peaks)

    async def stop(self) -> None:
        """After whatever counts, before the database: what is counted is on disk then."""
        await self.functions.stop()
        await self._metrics.stop()

    async def reset(self) -> None:
        """Forget every metric of every account."""
        await self._metrics.reset()
        self.functions.totals.clear()

    async def totals(self) -> Mapping[tuple[str, str, str, str], Totals]:
        """What every version did since the region began, by account, region, name and version."""
        # Told in the log; the counts are right all the same.
        with contextlib.suppress(StorageError):
            await self._metrics.flush()
        return self.functions.totals
