"""PutTraceSegments of very many documents: others go on meanwhile."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from lambent.clock import TestClock
from lambent.context import Context
from lambent.services.xray.collector import Traces
from lambent.services.xray.operations.reporting import ReportingOperations


class Taken(Traces):
    def __init__(self) -> None:
        self.flushed = False

    async def flush(self) -> None:
        self.flushed = True


def test_a_request_with_thousands_of_documents_holds_nobody_up() -> None:
    async def main() -> None:
        traces = Taken()
        operations = ReportingOperations(traces, TestClock())
        context = cast(Context, SimpleNamespace(account="0", region="r"))
        documents: dict[str, Any] = {"TraceSegmentDocuments": ["{}"] * 10_000 + ["[" + "1," * 30_000 + "1]"] * 100}
        task = asyncio.ensure_future(operations.PutTraceSegments(context, documents))
        turns = 0
        while not task.done():
            assert not traces.flushed
            turns += 1
            await asyncio.sleep(0)
        assert len(task.result()["UnprocessedTraceSegments"]) == 10_100
        assert turns > 50

    asyncio.run(main())
