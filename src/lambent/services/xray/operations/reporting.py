"""PutTraceSegments and PutTelemetryRecords: what programs report to X-Ray themselves, or their daemons for them."""

from __future__ import annotations

import asyncio
from typing import Any

from lambent.clock import Clock
from lambent.context import Context
from lambent.services.xray.collector import Traces
from lambent.services.xray.domain import Refused, segment_of
from lambent.services.xray.errors import ThrottledException

#: Characters that are checked in one turn of the event loop, and what a document counts for at least: a millisecond.
_SLICE = 128 * 1024
_LEAST = 500


class ReportingOperations:
    def __init__(self, traces: Traces, clock: Clock) -> None:
        self._traces = traces
        self._clock = clock

    async def PutTraceSegments(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        """What is taken is on disk when it is answered."""
        unprocessed: list[dict[str, Any]] = []
        now, checked = self._clock.now(), 0
        for document in params["TraceSegmentDocuments"]:
            checked += max(_LEAST, len(document))
            if checked > _SLICE:
                checked = 0
                await asyncio.sleep(0)
            try:
                segment = segment_of(document.encode(), now)
            except Refused as refused:
                fault = {"ErrorCode": refused.code, "Message": str(refused)}
                unprocessed.append({"Id": refused.segment_id, **fault} if refused.segment_id else fault)
                continue
            if not self._traces.add(context.account, context.region, segment):
                raise ThrottledException("Rate exceeded")
        await self._traces.flush()
        return {"UnprocessedTraceSegments": unprocessed}

    async def PutTelemetryRecords(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        """How daemons fare, which on AWS nobody can read either."""
        return {}
