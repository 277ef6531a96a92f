"""X-Ray of a region put together: what `app` builds, starts, registers, resets and stops."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Sequence

from lambent.clock import Clock
from lambent.ports import FunctionVersion, Invocation
from lambent.services.xray.collector import MayPut, Report, Traces
from lambent.services.xray.lambda_segments import LambdaSegments
from lambent.services.xray.store import TraceStore
from lambent.storage.database import Database


class XRayService:
    """Implements ports.TraceSink."""

    def __init__(self, *, database: Database, clock: Clock, may_put: MayPut, budget: int) -> None:
        self._clock = clock
        self._store = TraceStore()
        self._traces = Traces(database, self._store, clock, may_put, budget)
        #: `ports.RecordSink`: what the data plane tells.
        self.invocations = LambdaSegments()
        self._traces.add_source(self.invocations.collect)
        self.start = self._traces.start
        self.stop = self._traces.stop
        #: What SDKs told of their sampling: `operations.sampling`'s.
        self._sampling: dict[tuple[str, str], tuple[int, int, int, float]] = {}

    async def reset(self) -> None:
        """Forget every trace of every account."""
        await self._traces.reset()
        self._sampling.clear()

    def statistics(self) -> dict[str, int]:
        counts = self._traces.statistics()
        return {**counts, "lost": counts["lost"] + self.invocations.lost}

    def put(self, function: FunctionVersion, document: bytes) -> None:
        self._traces.report(Report(function.account, function.region, document, function))

    def tell(self, account: str, region: str, document: bytes) -> None:
        self._traces.report(Report(account, region, document))

    def refused(self, function: FunctionVersion, invocation: Invocation) -> None:
        self.invocations.refused(function, invocation.request_id, invocation.trace_id, self._clock.now())

    async def operations(self) -> Sequence[object]:
        module = await asyncio.to_thread(importlib.import_module, "lambent.services.xray.api")
        made: Sequence[object] = module.operations(self._traces, self._store, self._clock, self._sampling)
        return made
