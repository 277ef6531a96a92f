"""From the documents of one trace to its segments: subsegments that came alone stand in the segment they belong to.

Pure, and careful: whoever may report segments may write anything into them that is JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

_decode = msgspec.json.Decoder(dict[str, Any]).decode

#: The subsegment of a function's segment that its code's own belong to, as on AWS.
_INVOCATION = "Invocation"
LAMBDA = "AWS::Lambda"
FUNCTION = "AWS::Lambda::Function"
#: Subsegments within one another that are followed: what walks through them is recursive.
_DEEPEST = 100


@dataclass(slots=True)
class Node:
    """One segment or subsegment, its fields as they were reported, and those that belong to it."""

    fields: dict[str, Any]
    children: list[Node] = field(default_factory=list)
    #: A subsegment that stood in its parent's document, or belongs there.
    inside: bool = False

    @property
    def id(self) -> str:
        return text(self.fields.get("id")).lower()

    @property
    def name(self) -> str:
        return text(self.fields.get("name"))

    @property
    def parent_id(self) -> str:
        return text(self.fields.get("parent_id")).lower()

    @property
    def origin(self) -> str:
        return text(self.fields.get("origin"))

    @property
    def started_at(self) -> float:
        return number(self.fields.get("start_time")) or 0.0

    @property
    def ended_at(self) -> float | None:
        """None while it is in progress."""
        return number(self.fields.get("end_time"))

    @property
    def duration(self) -> float:
        return max(0.0, (self.ended_at or self.started_at) - self.started_at)

    def flag(self, name: str) -> bool:
        return self.fields.get(name) is True

    def part(self, name: str) -> dict[str, Any]:
        return mapping(self.fields.get(name))

    def walk(self) -> Iterator[Node]:
        """Itself and all subsegments below it, not the segments of others."""
        yield self
        for child in self.children:
            if child.inside:
                yield from child.walk()

    def document(self) -> bytes:
        return msgspec.json.encode(self._whole())

    def _whole(self) -> dict[str, Any]:
        inside = [child._whole() for child in self.children if child.inside]
        return {**self.fields, "subsegments": inside} if inside else self.fields


def segments_of(documents: Iterable[bytes]) -> list[Node]:
    """The segments of a trace by time; `children` of each are its subsegments, and the segments that it caused."""
    tops = [_node(_decode(document), 0) for document in documents]
    parents = _parents_of(tops)
    # Looked for once: among thousands that came alone, looking for each would take until the next day.
    homes = {id(parent): _home_of(parent) for parent in parents.values()}
    segments = []
    for top in tops:
        parent = parents.get(id(top))
        top.inside = top.fields.get("type") == "subsegment" and parent is not None
        if parent is not None:
            (homes[id(parent)] if top.inside else parent).children.append(top)
        if not top.inside:
            segments.append(top)
    for top in segments:
        for node in top.walk():
            node.children.sort(key=lambda child: child.started_at)
    return sorted(segments, key=lambda node: node.started_at)


def _parents_of(tops: Sequence[Node]) -> dict[int, Node]:
    """What each document belongs to, by its `id()`; nothing where that would close a circle or go too deep."""
    by_id: dict[str, tuple[Node, int, Node]] = {}
    for top in tops:
        for node, depth in _depths(top):
            by_id[node.id] = node, depth, top
    parents: dict[int, Node] = {}
    levels: dict[int, int] = {}
    for top in tops:
        # Up to what is known already; then down again, for how deep each is depends on what it belongs to.
        chain, seen = [], set()
        current: Node | None = top
        while current is not None and id(current) not in levels and id(current) not in seen:
            chain.append(current)
            seen.add(id(current))
            found = by_id.get(current.parent_id)
            current = found[2] if found is not None else None
        for document in reversed(chain):
            found = by_id.get(document.parent_id)
            levels[id(document)] = 0
            if found is not None and id(found[2]) in levels and found[2] is not document:
                level = levels[id(found[2])] + found[1] + 1
                if level < _DEEPEST:
                    levels[id(document)] = level
                    parents[id(document)] = found[0]
    return parents


def _depths(top: Node) -> Iterator[tuple[Node, int]]:
    pending = [(top, 0)]
    while pending:
        node, depth = pending.pop()
        yield node, depth
        pending.extend((child, depth + 1) for child in node.children)


def roots_of(segments: Sequence[Node]) -> list[Node]:
    """Those that no other segment caused."""
    caused = {id(child) for top in segments for node in top.walk() for child in node.children}
    return [top for top in segments if id(top) not in caused]


def _node(fields: dict[str, Any], depth: int) -> Node:
    inside = fields.get("subsegments")
    node = Node({name: value for name, value in fields.items() if name != "subsegments"})
    if isinstance(inside, list) and depth < _DEEPEST:
        node.children = [_node(each, depth + 1) for each in inside if isinstance(each, dict)]
        for child in node.children:
            child.inside = True
    return node


def _home_of(parent: Node) -> Node:
    if parent.origin != FUNCTION:
        return parent
    return next((child for child in parent.children if child.inside and child.name == _INVOCATION), parent)


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def number(value: Any) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e15:
        return float(value)
    return None


def mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
