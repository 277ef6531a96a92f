"""Asynchronous invocation put together: what `app` builds, starts and stops, and whoever has an event calls."""

from __future__ import annotations

from lambent.clock import Clock
from lambent.ports import EventRulesDirectory, FunctionDirectory, Invoker, MetricSink
from lambent.storage.database import Database
from lambent.triggers.destinations import Destinations
from lambent.triggers.drain import Drain
from lambent.triggers.event_queue import DISK_LIMIT, EventQueue


class Uncounted:
    """Nobody asks for metrics. Implements ports.MetricSink."""

    def count(self, arn: str, metric: str, value: float = 1.0, unit: str = "Count") -> None:
        """Nothing."""


class Events:
    """Implements ports.EventSink."""

    def __init__(
        self, database: Database, clock: Clock, metrics: MetricSink | None = None, budget: int = DISK_LIMIT
    ) -> None:
        """`budget`: bytes that waiting events may take."""
        self._clock = clock
        self._metrics = metrics or Uncounted()
        self._queue = EventQueue(database, clock, disk_limit=budget)
        self.destinations = Destinations()
        self.accept = self._queue.accept
        self._drain: Drain | None = None

    async def start(
        self,
        functions: FunctionDirectory,
        rules: EventRulesDirectory,
        invoker: Invoker,
        *,
        retry_base_delay: float,
        most_at_once: int,
    ) -> None:
        """After the functions are known; goes on with what waits since before."""
        self._drain = Drain(
            queue=self._queue,
            functions=functions,
            rules=rules,
            invoker=invoker,
            destinations=self.destinations,
            metrics=self._metrics,
            clock=self._clock,
            retry_base_delay=retry_base_delay,
            most_at_once=most_at_once,
        )
        await self._drain.start()

    async def stop(self) -> None:
        """After the last event came; before the invoker and the database."""
        if self._drain is not None:
            await self._drain.stop()

    async def reset(self) -> None:
        if self._drain is not None:
            await self._drain.reset()

    def forget(self, account: str, region: str, name: str, qualifier: str | None = None) -> None:
        if self._drain is not None:
            self._drain.forget(account, region, name, qualifier)

    def clock_moved(self, seconds: float) -> None:
        """The clock was: what has become due by it is done now."""
        if self._drain is not None:
            self._drain.run_due()

    def statistics(self) -> dict[str, int]:
        return {} if self._drain is None else self._drain.statistics()
