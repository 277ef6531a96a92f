"""Parameter mapping: where a value comes from (`method.request.header.x`, `'static'`, `context.requestId` …)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import msgspec

from lambent.edge.execute_api.rest.exchange import Exchange
from lambent.edge.execute_api.rest.variables import context_value
from lambent.edge.http_events.request_facts import text_of
from lambent.request import Response

_STAGE_VARIABLE = re.compile(r"\$\{stageVariables\.([A-Za-z0-9_]+)\}")
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


@dataclass(frozen=True, slots=True)
class Sources:
    """Where expressions of one exchange look; `response` is the integration's, once there is one."""

    exchange: Exchange
    response: Response | None = None

    def value(self, expression: str) -> str | None:
        """What `expression` stands for; None where there is no such value."""
        if expression.startswith("'") and expression.endswith("'") and len(expression) > 1:
            return expression[1:-1]
        family, _, rest = expression.partition(".")
        if family == "context":
            return context_value(self.exchange, rest)
        if family == "stageVariables":
            return self.exchange.stage_variables.get(rest)
        kind, _, rest = rest.partition(".")
        place, _, name = rest.partition(".")
        if family == "method" and kind == "request":
            return self._of_request(place, name)
        if family == "integration" and kind == "response" and self.response is not None:
            return self._of_response(self.response, place, name)
        return None

    def _of_request(self, place: str, name: str) -> str | None:
        facts = self.exchange.facts
        if place == "path":
            value = self.exchange.path_parameters.get(name)
            return None if value is None else unquote(value)
        if place == "header":
            return _last([value for key, value in facts.headers if key == name.lower()])
        if place == "multivalueheader":
            return _all([value for key, value in facts.headers if key == name.lower()])
        if place == "querystring":
            return _last([value for key, value in facts.query if key == name])
        if place == "multivaluequerystring":
            return _all([value for key, value in facts.query if key == name])
        if place.startswith("body"):
            return _of_body(facts.body, name)
        return None

    def _of_response(self, response: Response, place: str, name: str) -> str | None:
        raw = name.lower().encode("latin-1", "replace")
        values = [text_of(value) for key, value in response.headers if key.lower() == raw]
        if place == "header":
            return _last(values)
        if place == "multivalueheader":
            return _all(values)
        if place.startswith("body"):
            return _of_body(response.body, name)
        return None


def with_stage_variables(text: str, variables: Mapping[str, str]) -> str:
    """`text` with `${stageVariables.x}` replaced; by nothing where there is no such variable."""
    if "${" not in text:
        return text
    return _STAGE_VARIABLE.sub(lambda found: variables.get(found[1], ""), text)


def header_value(text: str) -> bytes:
    """`text` as a header's value: line breaks of decoded parameters must not make headers."""
    return text.encode("utf-8", "replace").translate(None, b"\r\n\0")


def _last(values: list[str]) -> str | None:
    return values[-1] if values else None


def _all(values: list[str]) -> str | None:
    return ",".join(values) if values else None


def _of_body(body: bytes, path: str) -> str | None:
    """The whole body, or what its JSON holds at `a.b[0].c`."""
    if not path:
        return body.decode("utf-8", "replace")
    try:
        value: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    for index, name in _STEP.findall(path):
        if index and isinstance(value, list) and int(index) < len(value):
            value = value[int(index)]
        elif name and isinstance(value, dict) and name in value:
            value = value[name]
        else:
            return None
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
