"""A drain over a real database with a clock moved by hand; functions answer as the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from lambent.clock import TestClock
from lambent.errors import AwsError
from lambent.ids import request_id
from lambent.ports import Delivery, Event, EventRules, FunctionVersion, Invocation, InvocationRecord, InvokeResult
from lambent.storage.database import Database
from lambent.triggers.destinations import Destinations
from lambent.triggers.drain import Drain
from lambent.triggers.event_queue import EventQueue

ACCOUNT, REGION = "000000000000", "us-east-1"
TARGET = "arn:aws:sqs:us-east-1:000000000000:outcomes"
HELLO = FunctionVersion(
    account=ACCOUNT,
    region=REGION,
    name="hello",
    version="$LATEST",
    arn=f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:hello",
    runtime="python3.12",
    handler="app.handler",
    role=f"arn:aws:iam::{ACCOUNT}:role/worker",
    code_root=Path("/code"),
)


class Bench:
    """Everything around the drain, all of it fake but the database."""

    def __init__(self, database: Database, clock: TestClock, **options: Any) -> None:
        self.clock = clock
        self.functions: dict[str, FunctionVersion] = {"hello": HELLO}
        self.rules = EventRules(on_success=TARGET, on_failure=TARGET)
        #: What a function does with an event: its answer, or what is raised. A coroutine may take its time.
        self.behaviour: Callable[[Invocation], Any] = lambda invocation: b"null"
        #: (function, request id, seconds since the start) of every run.
        self.runs: list[tuple[str, str, float]] = []
        self.counts: dict[str, list[float]] = {}
        self.delivered: list[Delivery] = []
        self.refusal: Exception | None = None
        self._started_at = clock.now()
        destinations = Destinations()
        destinations.add("sqs", self)
        self.queue = EventQueue(database, clock, **options)
        self.drain = Drain(
            queue=self.queue,
            functions=self,
            rules=Rules(self),
            invoker=self,
            destinations=destinations,
            metrics=self,
            clock=clock,
            retry_base_delay=60.0,
            most_at_once=1000,
        )

    # FunctionDirectory, Invoker, MetricSink, Destination

    def find(self, account: str, region: str, name: str, qualifier: str | None) -> FunctionVersion | None:
        return self.functions.get(name)

    async def invoke(self, function: FunctionVersion, invocation: Invocation) -> InvokeResult:
        self.runs.append((function.name, invocation.request_id, self.clock.now() - self._started_at))
        await asyncio.sleep(0)
        answer = self.behaviour(invocation)
        if asyncio.iscoroutine(answer):
            answer = await answer
        if isinstance(answer, AwsError):
            raise answer
        record = InvocationRecord(
            function, invocation.request_id, self.clock.now(), 1, 1, None, 128, 30, "success", None, "stream"
        )
        failed = isinstance(answer, ValueError)
        payload = b'{"errorMessage":"no"}' if failed else answer
        return InvokeResult(payload, "Unhandled" if failed else None, function.version, None, record)

    def count(self, arn: str, metric: str, value: float = 1.0, unit: str = "Count") -> None:
        self.counts.setdefault(metric, []).append(value)

    def takes(self, arn: str, function: FunctionVersion) -> bool:
        return True

    async def deliver(self, delivery: Delivery) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.delivered.append(delivery)

    # what tests do

    async def send(self, payload: bytes = b"{}", name: str = "hello", qualifier: str = "") -> str:
        event = Event(ACCOUNT, REGION, name, qualifier, request_id(), payload)
        await self.queue.accept(event)
        return event.request_id

    async def settle(self) -> None:
        """Until nothing runs and everything is written."""
        while self.drain.statistics()["running"] or not self.queue.is_idle():  # noqa: ASYNC110 - they know nothing of tests
            await asyncio.sleep(0.001)

    async def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.drain.run_due()
        await self.settle()

    @property
    def waiting(self) -> int:
        return self.drain.statistics()["waiting"]

    def times(self) -> list[float]:
        """When runs began, seconds since the start."""
        return [at for _, _, at in self.runs]


class Rules:
    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def find(self, account: str, region: str, name: str, qualifier: str) -> EventRules:
        return self._bench.rules


@asynccontextmanager
async def opened(folder: Path, clock: TestClock | None = None, **options: Any) -> AsyncIterator[Bench]:
    """A bench on the database in `folder`, stopped at the end."""
    database = Database(folder / "region.db")
    await database.start()
    bench = Bench(database, clock or TestClock(), **options)
    await bench.drain.start()
    try:
        yield bench
    finally:
        await bench.drain.stop()
        await database.stop()


def run(folder: Path, scenario: Callable[[Bench], Any], **options: Any) -> None:
    async def main() -> None:
        async with opened(folder, **options) as bench:
            await scenario(bench)

    asyncio.run(main())
