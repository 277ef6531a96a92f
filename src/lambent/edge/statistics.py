"""`GET /_lambent/statistics`: what runs, what waits, what is stored, and what the starts so far cost, in numbers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from lambent.edge.local import json_response
from lambent.edge.operator import OperatorCheck
from lambent.request import Request, Response


class Statistics:
    def __init__(
        self,
        parts: Mapping[str, Callable[[], Mapping[str, Any]]],
        sandboxes: Callable[[], Awaitable[Mapping[str, Any]]],
        operator: OperatorCheck,
    ) -> None:
        """`sandboxes` asks the supervisor: shells by what they do, milliseconds by phase of a start."""
        self._parts = parts
        self._sandboxes = sandboxes
        self._operator = operator

    async def get(self, request: Request) -> Response:
        self._operator.check(request)
        content: dict[str, Any] = {name: dict(part()) for name, part in self._parts.items()}
        return json_response({**content, "sandboxes": dict(await self._sandboxes())})
