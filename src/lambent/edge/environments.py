"""`GET /_lambent/environments`: every execution environment that there is, one by one, for the region's operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lambent.edge.local import json_response
from lambent.edge.operator import OperatorCheck
from lambent.request import Request, Response


class Environments:
    def __init__(self, look: Callable[[], Sequence[dict[str, Any]]], operator: OperatorCheck) -> None:
        self._look = look
        self._operator = operator

    async def get(self, request: Request) -> Response:
        self._operator.check(request)
        return json_response({"environments": list(self._look())})
