"""Members that REST protocols keep outside of the body: URI labels, query string, headers and prefixed headers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lambent.request import Request
from lambent.wire.api_model import OperationModel, Shape
from lambent.wire.parse.protocol import BodyReader, Parse, read_nothing
from lambent.wire.text import parse_query, text_reader

Bindings = Callable[[Request, Mapping[str, str], dict[str, Any]], None]


def compile_bindings(shape: Shape, request_uri: str = "") -> Bindings:
    """A function that adds what it finds to the parameters given to it.

    What the query of the operation's URI holds itself (`/restapis?mode=import`) names the operation, not a parameter.
    """
    by_location: dict[str, list[tuple[str, Shape]]] = {"uri": [], "querystring": [], "header": [], "headers": []}
    for name, member in shape.members.items():
        if member.location in by_location:
            by_location[member.location].append((name, member))
    labels = tuple((member.location_name or name, name, text_reader(member)) for name, member in by_location["uri"])
    headers = tuple(
        ((member.location_name or name).lower().encode(), name, _header_reader(member))
        for name, member in by_location["header"]
    )
    read_query = _query_reader(by_location["querystring"], frozenset(parse_query(_query_of(request_uri))))
    prefixes = tuple(((member.location_name or "").lower(), name) for name, member in by_location["headers"])

    def read(request: Request, uri_params: Mapping[str, str], params: dict[str, Any]) -> None:
        for label, name, convert in labels:
            value = uri_params.get(label)
            if value is not None:
                params[name] = convert(value)
        if request.query and read_query:
            read_query(request.query, params)
        for header, name, convert in headers:
            raw = request.header(header)
            if raw is not None:
                params[name] = convert(decode_header(raw))
        if prefixes:
            _read_prefixed(request, prefixes, params)

    return read


def compile_rest(operation: OperationModel, read_body_of: Callable[[Shape], BodyReader | None]) -> Parse:
    """What both REST protocols do with a request; `read_body_of` an input is what they do each in their own way."""
    shape = operation.input
    if shape is None:
        return read_nothing
    read_bindings, read_body = compile_bindings(shape, operation.http.request_uri), read_body_of(shape)

    def parse(request: Request, uri_params: Mapping[str, str]) -> dict[str, Any]:
        params: dict[str, Any] = {}
        read_bindings(request, uri_params, params)
        if read_body:
            read_body(request.body, params)
        return params

    return parse


def decode_header(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _query_of(request_uri: str) -> bytes:
    return request_uri.partition("?")[2].encode()


def _query_reader(
    members: list[tuple[str, Shape]], fixed: frozenset[str]
) -> Callable[[bytes, dict[str, Any]], None] | None:
    rows: dict[str, tuple[str, Callable[[list[str]], Any]]] = {}
    rest: str | None = None
    for name, member in members:
        if member.type == "map":
            rest = name
        elif member.type == "list":
            rows[member.location_name or name] = (name, _each(text_reader(member.member)))
        else:
            rows[member.location_name or name] = (name, _first(text_reader(member)))
    if not rows and not rest:
        return None

    def read(query: bytes, params: dict[str, Any]) -> None:
        others = {}
        for key, values in parse_query(query).items():
            row = rows.get(key)
            if row is not None:
                params[row[0]] = row[1](values)
            elif key not in fixed:
                others[key] = values[0]
        if rest and others:
            params[rest] = others

    return read


def _each(convert: Callable[[str], Any]) -> Callable[[list[str]], Any]:
    return lambda values: [convert(value) for value in values]


def _first(convert: Callable[[str], Any]) -> Callable[[list[str]], Any]:
    return lambda values: convert(values[0])


def _header_reader(shape: Shape) -> Callable[[str], Any]:
    if shape.type != "list":
        return text_reader(shape)
    convert = text_reader(shape.member)
    if shape.member.type == "timestamp":
        return lambda value: [convert(part) for part in _split_dates(value)]
    return lambda value: [convert(part) for part in split_list(value)]


def split_list(value: str) -> list[str]:
    """`a, "b,\\"c"` → a and b,"c."""
    if '"' not in value:
        return [part.strip() for part in value.split(",")]
    parts, current, quoted, escaped = [], "", False, False
    for char in value:
        if escaped:
            current, escaped = current + char, False
        elif quoted and char == "\\":
            escaped = True
        elif char == '"':
            quoted = not quoted
        elif char == "," and not quoted:
            parts.append(current.strip())
            current = ""
        else:
            current += char
    return [*parts, current.strip()]


def _split_dates(value: str) -> list[str]:
    """RFC 822 dates hold one comma each."""
    parts = value.split(",")
    if "GMT" not in value:
        return [part.strip() for part in parts]
    return [",".join(parts[i : i + 2]).strip() for i in range(0, len(parts), 2)]


def _read_prefixed(request: Request, prefixes: tuple[tuple[str, str], ...], params: dict[str, Any]) -> None:
    for prefix, member in prefixes:
        start = prefix.encode()
        found = {
            name[len(start) :].decode("latin-1"): decode_header(value)
            for name, value in request.headers
            if name.startswith(start)
        }
        if found:
            params[member] = found
