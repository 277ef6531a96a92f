"""Parameter mapping at work: variables of a request or an answer, and what mappings make of headers, query and path.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-parameter-mapping.html
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from lambent.edge.execute_api.http.exchange import Exchange
from lambent.edge.http_events.request_facts import Facts, Pairs
from lambent.request import Response
from lambent.services.apigatewayv2.rules.mappings import Entry

#: As on AWS, of larger bodies the first part alone is looked into; so they are not JSON.
BODY_LIMIT = 100 * 1024
#: What a client or function put into a mapped value must not begin a header of its own.
_ONE_LINE = str.maketrans("\r\n\0", "   ")


class RequestVariables:
    """What `$request.…`, `$context.…` and `$stageVariables.…` stand for; called with the name, less its `$`."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._body: Callable[[str], str | None] | None = None

    def __call__(self, name: str) -> str | None:
        exchange = self._exchange
        facts = exchange.facts
        group, _, rest = name.partition(".")
        if group == "context":
            return exchange.context(rest)
        if group == "stageVariables":
            return (exchange.stage.variables or {}).get(rest)
        place, _, key = rest.partition(".")
        if place == "header":
            return _combined(facts.headers, key)
        if place == "querystring":
            return _combined(facts.query, key)
        if place == "path":
            return exchange.path_parameters.get(key) if key else exchange.path
        if self._body is None:
            self._body = body_lookup(facts.body)
        return self._body(key)


class ResponseVariables:
    """The same of an answer: `$response.header.…` and `$response.body.…`."""

    def __init__(self, exchange: Exchange, response: Response) -> None:
        self._request = RequestVariables(exchange)
        self._response = response
        self._body: Callable[[str], str | None] | None = None

    def __call__(self, name: str) -> str | None:
        if not name.startswith("response."):
            return self._request(name)
        place, _, key = name.removeprefix("response.").partition(".")
        if place == "header":
            raw = key.encode("latin-1", "replace")
            values = [value.decode("latin-1") for header, value in self._response.headers if header == raw]
            return ",".join(values) if values else None
        if self._body is None:
            self._body = body_lookup(self._response.body)
        return self._body(key)


def map_request(exchange: Exchange, entries: Sequence[Entry]) -> tuple[Facts, str | None]:
    """The facts that the integration is told, and the path where it was overwritten."""
    lookup = RequestVariables(exchange)
    facts = exchange.facts
    headers, query = list(facts.headers), list(facts.query)
    path: str | None = None
    changed_query = False
    for entry in entries:
        value = entry.value.render(lookup)
        if entry.action != "remove" and value is None:
            continue
        if entry.place == "header":
            _change(headers, entry, value)
        elif entry.place == "querystring":
            changed_query = True
            _change(query, entry, value)
        else:
            text = quote(value or "", safe="/:@!$&'()*+,;=~%")
            path = text if text.startswith("/") else f"/{text}"
    changes: dict[str, Any] = {"headers": headers, "_cookies": None}
    if changed_query:
        changes.update(_query=query, raw_query=urlencode(query, quote_via=quote))
    return dataclasses.replace(facts, **changes), path


def map_response(exchange: Exchange, entries: Sequence[Entry], response: Response) -> None:
    lookup = ResponseVariables(exchange, response)
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers]
    for entry in entries:
        value = entry.value.render(lookup)
        if entry.action != "remove" and value is None:
            continue
        if entry.place == "header":
            _change(pairs, entry, value)
        elif value and value.isascii() and value.isdecimal() and 200 <= int(value) <= 599:
            response.status = int(value)
    response.headers = [
        (name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in pairs
    ]


def body_lookup(body: bytes) -> Callable[[str], str | None]:
    """Values of a JSON body by path: `a.b[0].c`; "" is the whole body."""
    try:
        document = msgspec.json.decode(body) if len(body) <= BODY_LIMIT else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        document = None

    def look_up(path: str) -> str | None:
        if not path:
            return body.decode("utf-8", "replace")
        value = document
        for key in path.replace("[", ".").replace("]", "").split("."):
            if isinstance(value, dict):
                value = value.get(key)
            elif isinstance(value, list) and key.isascii() and key.isdecimal() and int(key) < len(value):
                value = value[int(key)]
            else:
                return None
        if value is None or isinstance(value, str):
            return value
        return msgspec.json.encode(value).decode()

    return look_up


def _change(pairs: Pairs, entry: Entry, value: str | None) -> None:
    if entry.action != "append":
        pairs[:] = [pair for pair in pairs if pair[0] != entry.name]
    if entry.action != "remove" and value is not None:
        pairs.append((entry.name, value.translate(_ONE_LINE) if entry.place == "header" else value))


def _combined(pairs: Pairs, name: str) -> str | None:
    values = [value for key, value in pairs if key == name]
    return ",".join(values) if values else None
