"""REST operations by method and path: a tree of path segments, walked once per request without regular expressions.

A literal segment wins over a label, a label over a greedy one. Operations that share method and path are told apart by
what they need: literals and required names in the query string, required headers; the one that needs most wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from lambent.request import Request
from lambent.wire.api_model import OperationModel
from lambent.wire.text import unquote

_NO_PARAMS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Route:
    """One operation at the end of a path."""

    operation: OperationModel
    #: Names of the path's labels, in their order.
    labels: tuple[str, ...]
    #: `List=ALL`, or `acl` with an empty value.
    query_literals: tuple[tuple[bytes, bytes], ...]
    required_query: tuple[bytes, ...]
    required_headers: tuple[bytes, ...]

    @property
    def needs(self) -> int:
        return 2 * len(self.query_literals) + len(self.required_query) + len(self.required_headers)

    def takes(self, request: Request, query: Mapping[bytes, bytes]) -> bool:
        return (
            all(query.get(name) == value for name, value in self.query_literals)
            and all(name in query for name in self.required_query)
            and all(request.header(name) is not None for name in self.required_headers)
        )


@dataclass(slots=True)
class _Node:
    literals: dict[bytes, _Node] = field(default_factory=dict)
    label: _Node | None = None
    #: Routes of a label that takes all that is left of the path.
    greedy: list[Route] = field(default_factory=list)
    #: Routes that end here.
    routes: list[Route] = field(default_factory=list)


class UriIndex:
    """The REST operations of one service."""

    def __init__(self, operations: list[OperationModel]) -> None:
        self._by_method: dict[str, _Node] = {}
        #: Some operations are told apart by a header, so method, path and query do not settle which one is meant.
        self.asks_headers = False
        for operation in operations:
            self._add(operation)

    def __repr__(self) -> str:
        return f"<UriIndex {' '.join(self._by_method)}>"

    def find(self, request: Request) -> tuple[OperationModel, Mapping[str, str]] | None:
        root = self._by_method.get(request.method)
        if root is None:
            return None
        segments = _segments(request.raw_path)
        found = _walk(root, segments, 0, (), request)
        if found is None:
            return None
        route, values = found
        if not values:
            return route.operation, _NO_PARAMS
        return route.operation, {label: unquote(value) for label, value in zip(route.labels, values, strict=True)}

    def _add(self, operation: OperationModel) -> None:
        path, _, query = operation.http.request_uri.partition("?")
        node = self._by_method.setdefault(operation.http.method, _Node())
        labels: list[str] = []
        for segment in _segments(path.encode()):
            if segment.endswith(b"+}"):
                labels.append(segment[1:-2].decode())
                self._insert(node.greedy, _route(operation, labels, query))
                return
            if segment.startswith(b"{"):
                labels.append(segment[1:-1].decode())
                node.label = node = node.label or _Node()
            else:
                node = node.literals.setdefault(segment, _Node())
        self._insert(node.routes, _route(operation, labels, query))

    def _insert(self, routes: list[Route], route: Route) -> None:
        """Most needs first; among equals the one that is not deprecated."""
        routes.append(route)
        routes.sort(key=lambda each: (-each.needs, each.operation.deprecated))
        self.asks_headers = self.asks_headers or bool(route.required_headers)


def _segments(path: bytes) -> list[bytes]:
    """One slash at the end makes no difference, except below a greedy label, which gets the path as it is."""
    segments = path[1:].split(b"/")
    if not segments[-1]:
        segments.pop()
    return segments


def _route(operation: OperationModel, labels: list[str], query: str) -> Route:
    shape = operation.input
    required = [(name, shape.members[name]) for name in shape.required] if shape else []
    return Route(
        operation,
        tuple(labels),
        tuple((name.encode(), value.encode()) for name, value in parse_qsl(query, keep_blank_values=True)),
        tuple((member.location_name or name).encode() for name, member in required if member.location == "querystring"),
        tuple(
            (member.location_name or name).lower().encode() for name, member in required if member.location == "header"
        ),
    )


def _walk(
    node: _Node, segments: list[bytes], at: int, values: tuple[bytes, ...], request: Request
) -> tuple[Route, tuple[bytes, ...]] | None:
    if at == len(segments):
        route = _choose(node.routes, request)
        return (route, values) if route else None
    child = node.literals.get(segments[at])
    if child is not None and (found := _walk(child, segments, at + 1, values, request)):
        return found
    if node.label is not None and (found := _walk(node.label, segments, at + 1, (*values, segments[at]), request)):
        return found
    route = _choose(node.greedy, request)
    return (route, (*values, _rest(request.raw_path, at))) if route else None


def _rest(path: bytes, at: int) -> bytes:
    """The path from its segment `at` on, inner and last slashes kept."""
    return path[1:].split(b"/", at)[at]


def _choose(routes: list[Route], request: Request) -> Route | None:
    if not routes:
        return None
    if len(routes) == 1 and not routes[0].query_literals:
        # A lone operation is meant even where something required is missing: parsing says so in AWS's words.
        return routes[0]
    query = _query_names(request.query)
    found = next((route for route in routes if route.takes(request, query)), None)
    return found or next((route for route in reversed(routes) if not route.query_literals), None)


def _query_names(query: bytes) -> dict[bytes, bytes]:
    """First values by name, not decoded: the names that routes ask for hold nothing to decode."""
    pairs = (part.partition(b"=") for part in reversed(query.split(b"&")) if part)
    return {name: value for name, _, value in pairs}
