"""Which route of an HTTP API a request takes: a full match, else a greedy one, else `$default`; METHOD before ANY.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html. Compiled once per stage;
segments are split at the slashes that were sent and decoded one by one, so an encoded slash is data.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic, NamedTuple, TypeVar
from urllib.parse import unquote

from lambent.services.apigatewayv2.domain import ANY
from lambent.services.apigatewayv2.rules.routes import RouteKey

T = TypeVar("T")


class Match(NamedTuple, Generic[T]):
    target: T
    #: Decoded, by the names of the route's variables.
    parameters: dict[str, str]


class _End(NamedTuple, Generic[T]):
    """A route at the end of its path."""

    target: T
    #: Of its variables, in order.
    names: tuple[str, ...]


class _Node(Generic[T]):
    __slots__ = ("ends", "greedy", "literals", "variable")

    def __init__(self) -> None:
        #: By method.
        self.ends: dict[str, _End[T]] = {}
        self.greedy: dict[str, _End[T]] = {}
        self.literals: dict[str, _Node[T]] = {}
        self.variable: _Node[T] | None = None


class RouteTable(Generic[T]):
    """Immutable once made."""

    def __init__(self, routes: Iterable[tuple[RouteKey | None, T]]) -> None:
        """`routes` are keys, None for `$default`, and what they lead to."""
        self._root: _Node[T] = _Node()
        self._default: Match[T] | None = None
        #: Routes without variables by method and path as most clients send it: a full match that nothing beats.
        self._literal: dict[tuple[str, str], Match[T]] = {}
        self._has_paths = False
        for key, target in routes:
            if key is None:
                self._default = Match(target, {})
            else:
                self._add(key, target)

    def match(self, method: str, path: str) -> Match[T] | None:
        """`path` as sent, percent-encoding kept, less the stage."""
        if not self._has_paths:
            return self._default
        found = self._literal.get((method, path)) or self._literal.get((ANY, path))
        if found is not None:
            return found
        segments = [unquote(part) if "%" in part else part for part in path[1:].split("/")] if path != "/" else []
        values: list[str] = []
        end = _walk(self._root, segments, 0, method, values)
        if end is None:
            end = _walk_greedy(self._root, segments, 0, method, values)
        if end is None:
            return self._default
        return Match(end.target, dict(zip(end.names, reversed(values), strict=True)))

    def _add(self, key: RouteKey, target: T) -> None:
        self._has_paths = True
        names = tuple(part[1:-1].removesuffix("+") for part in key.segments if part.startswith("{"))
        if not names:
            self._literal[key.method, key.path] = Match(target, {})
        node = self._root
        for part in key.segments:
            if part.endswith("+}"):
                node.greedy[key.method] = _End(target, names)
                return
            if part.startswith("{"):
                node.variable = node.variable or _Node()
                node = node.variable
            else:
                node = node.literals.setdefault(part, _Node())
        node.ends[key.method] = _End(target, names)


def _walk(node: _Node[T], segments: Sequence[str], index: int, method: str, values: list[str]) -> _End[T] | None:
    """A full match, literal segments before variables; values are collected on the way back, the last one first.

    A node stands at one depth, so each is visited at most once.
    """
    if index == len(segments):
        return node.ends.get(method) or node.ends.get(ANY)
    segment = segments[index]
    literal = node.literals.get(segment)
    if literal is not None:
        found = _walk(literal, segments, index + 1, method, values)
        if found is not None:
            return found
    if node.variable is not None and segment:
        found = _walk(node.variable, segments, index + 1, method, values)
        if found is not None:
            values.append(segment)
            return found
    return None


def _walk_greedy(node: _Node[T], segments: Sequence[str], index: int, method: str, values: list[str]) -> _End[T] | None:
    """The greedy route with the longest path before its variable, which never is empty."""
    if index == len(segments):
        return None
    segment = segments[index]
    literal = node.literals.get(segment)
    if literal is not None:
        found = _walk_greedy(literal, segments, index + 1, method, values)
        if found is not None:
            return found
    if node.variable is not None and segment:
        found = _walk_greedy(node.variable, segments, index + 1, method, values)
        if found is not None:
            values.append(segment)
            return found
    rest = "/".join(segments[index:])
    own = node.greedy.get(method) or node.greedy.get(ANY)
    if own is None or not rest:
        return None
    values.append(rest)
    return own
