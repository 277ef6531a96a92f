"""`GET /metrics`: the region's counters in the text format that Prometheus reads.

https://prometheus.io/docs/instrumenting/exposition_formats/. Scrapers cannot sign, so the root key may also come as
user name and password (HTTP Basic); `--auth off` asks for neither. A function is never answered.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Protocol

from lambent.edge.operator import OperatorCheck
from lambent.errors import AccessDeniedException
from lambent.request import Request, Response

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


class Totals(Protocol):
    invocations: int
    errors: int
    throttles: int
    duration_ms: float


#: By account, region, name and version of a function.
Functions = Mapping[tuple[str, str, str, str], Totals]
_LABELS = ("account", "region", "function", "version")
_COUNTERS: tuple[tuple[str, str, Callable[[Totals], float]], ...] = (
    ("invocations_total", "Executions of functions.", lambda totals: totals.invocations),
    ("errors_total", "Executions that ended with an error, a timeout or a crash.", lambda totals: totals.errors),
    ("throttles_total", "Requests that were refused for too many.", lambda totals: totals.throttles),
    ("duration_seconds_total", "Time that executions took.", lambda totals: totals.duration_ms / 1000),
)


class Exposition:
    """A local route."""

    def __init__(
        self,
        functions: Callable[[], Awaitable[Functions]],
        parts: Mapping[str, Callable[[], Mapping[str, Any]]],
        operator: OperatorCheck,
        key: tuple[str, str],
    ) -> None:
        """`key`: the root key's id and secret."""
        self._functions = functions
        self._parts = parts
        self._operator = operator
        self._key = ":".join(key).encode()

    async def get(self, request: Request) -> Response:
        self._check(request)
        lines = [*_function_lines(await self._functions()), *_part_lines(self._parts)]
        return Response(200, [(b"content-type", CONTENT_TYPE)], "".join(f"{line}\n" for line in lines).encode())

    def _check(self, request: Request) -> None:
        authorization = request.header(b"authorization") or b""
        if request.sandbox_id is None and authorization[:6].lower() == b"basic ":
            try:
                given = base64.b64decode(authorization[6:].strip(), validate=True)
            except binascii.Error:
                given = b""
            if hmac.compare_digest(given, self._key):
                return
            raise AccessDeniedException("This is not the region's root key.")
        self._operator.check(request)


def _function_lines(functions: Functions) -> Iterator[str]:
    for name, meaning, value in _COUNTERS:
        yield f"# HELP lambent_function_{name} {meaning}"
        yield f"# TYPE lambent_function_{name} counter"
        for key, totals in functions.items():
            labels = ",".join(f'{label}="{_escaped(text)}"' for label, text in zip(_LABELS, key, strict=True))
            yield f"lambent_function_{name}{{{labels}}} {value(totals)!r}"


def _part_lines(parts: Mapping[str, Callable[[], Mapping[str, Any]]]) -> Iterator[str]:
    for part, statistics in parts.items():
        for name, value in statistics().items():
            if isinstance(value, (int, float)):
                yield f"# TYPE lambent_{part}_{name} gauge"
                yield f"lambent_{part}_{name} {value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
