"""The REST APIs of a region put together: what `app` builds, starts, registers, resets and stops."""

from __future__ import annotations

from collections.abc import Sequence

from lambent.clock import Clock
from lambent.ports import FunctionCalls, LogSink
from lambent.storage.database import Database


class ApiGatewayService:
    def __init__(self, *, database: Database, functions: FunctionCalls, logs: LogSink, clock: Clock) -> None:
        self.operations: Sequence[object] = ()

    async def start(self) -> None:
        """After the database; before the first request."""

    async def stop(self) -> None:
        """After the last request; before the database."""

    async def reset(self) -> None:
        """Forget every API of every account."""
