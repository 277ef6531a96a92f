"""Which resource of a REST API a path means: exact before `{param}` before `{proxy+}`, decided segment by segment.

A tree is compiled once per deployment. Segments are split at the slashes that were sent and decoded one by one, so an
encoded slash or dot is data and never changes the way through the tree.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import unquote

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Match(Generic[T]):
    target: T
    #: As sent, percent-encoding kept: as recorded from AWS, proxy events hand them on so.
    parameters: dict[str, str]


@dataclass(slots=True)
class _Node(Generic[T]):
    target: T | None = None
    literals: dict[str, _Node[T]] = field(default_factory=dict)
    #: Name and subtree of `{name}`; AWS allows one beside literals.
    parameter: tuple[str, _Node[T]] | None = None
    #: Name and target of `{name+}`, which nothing follows.
    greedy: tuple[str, T] | None = None


class RouteTree(Generic[T]):
    """Immutable once made."""

    def __init__(self, routes: Iterable[tuple[str, T]]) -> None:
        """`routes` are resource paths (`/pets/{id}`) and what they lead to."""
        self._root: _Node[T] = _Node()
        for path, target in routes:
            self._add([part for part in path.split("/") if part], target)

    def match(self, raw_path: str) -> Match[T] | None:
        """The most specific resource for `raw_path`, percent-encoding kept; None where there is none."""
        # AWS takes `//pets` and `/pets/` for `/pets`; empty segments within a path are data.
        raw = raw_path.strip("/")
        segments = raw.split("/") if raw else []
        values: list[tuple[str, str]] = []
        target = _walk(self._root, segments, 0, values)
        return None if target is None else Match(target, dict(values))

    def _add(self, parts: Sequence[str], target: T) -> None:
        node = self._root
        for part in parts:
            if part.startswith("{") and part.endswith("+}"):
                node.greedy = (part[1:-2], target)
                return
            if part.startswith("{") and part.endswith("}"):
                if node.parameter is None:
                    node.parameter = (part[1:-1], _Node())
                node = node.parameter[1]
            else:
                node = node.literals.setdefault(part, _Node())
        node.target = target


def _walk(node: _Node[T], segments: Sequence[str], index: int, values: list[tuple[str, str]]) -> T | None:
    """Depth first, most specific first; a node stands at one depth, so each is visited at most once."""
    if index == len(segments):
        return node.target
    segment = segments[index]
    literal = node.literals.get(unquote(segment))
    if literal is not None:
        found = _walk(literal, segments, index + 1, values)
        if found is not None:
            return found
    if node.parameter is not None and segment:
        name, below = node.parameter
        found = _walk(below, segments, index + 1, values)
        if found is not None:
            values.append((name, segment))
            return found
    if node.greedy is None:
        return None
    name, target = node.greedy
    values.append((name, "/".join(segments[index:])))
    return target
