"""Values for shapes: what hypothesis draws so that botocore sends it and the model's constraints hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from botocore.model import Shape
from hypothesis import strategies as st

from lambent.wire.patterns import translate

Draw = Callable[[st.SearchStrategy[Any]], Any]

#: Beyond this depth only what is required is given.
DEEP = 4
_SIMPLE = re.compile(r"\^?\(?(\[(?:[^\]\\]|\\.)+\])(?:[+*]|\{\d+(?:,\d*)?\})\)?\$?")
#: What XML 1.0 and HTTP carry unharmed.
_TEXT = st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn", "Co"))
_VISIBLE = st.characters(min_codepoint=0x21, max_codepoint=0x7E)
_POOL = "".join(map(chr, range(0x20, 0x7F))) + "é÷数ⅧЖ€\u00a0😀"
_START = datetime(2000, 1, 1, tzinfo=UTC)

#: Patterns whose matches hypothesis finds too rarely at the lengths that the model asks for: matches by hand.
_EXAMPLES = {
    "event-source-mapping": (
        "arn:aws:lambda:us-east-1:123456789012:event-source-mapping:12345678-abcd-1234-abcd-123456789012"
    ),
    "capacity-provider": "arn:aws:lambda:us-east-1:123456789012:capacity-provider:fleet",
    ":layer": "arn:aws:lambda:us-east-1:123456789012:layer:base:3",
    ":runtime:": "arn:aws:lambda:us-east-1::runtime:0123456789",
    ":dataset/": "arn:aws:cloudwatch:us-east-1:123456789012:dataset/default",
    ":kms:": "arn:aws:kms:us-east-1:123456789012:key/abc",
    "durable-execution": "arn:aws:lambda:us-east-1:123456789012:function:f:1/durable-execution/name/id",
    "mobiletargeting": "arn:aws:mobiletargeting:us-east-1:123456789012:apps/a",
}


class Place:
    """Where a scalar travels, which limits what it may hold."""

    BODY, HEADER, LABEL, QUERY, HOST = "body", "header", "uri", "querystring", "host"


class Generator:
    """Draws values for one message. `sparse`: the protocol can't say empty, so what is required is not."""

    def __init__(self, draw: Draw, *, sparse: bool) -> None:
        self._draw = draw
        self._sparse = sparse

    def structure(self, shape: Shape, depth: int = 0, skip: frozenset[str] = frozenset()) -> dict[str, Any]:
        if getattr(shape, "is_document_type", False):
            return {"any": self._draw(st.integers(0, 9))}
        members = {name: member for name, member in shape.members.items() if name not in skip}
        return {
            name: self.value(members[name], place=_place(members[name]), depth=depth + 1)
            for name in self._choose(shape, members, depth)
        }

    def value(self, shape: Shape, *, place: str = Place.BODY, depth: int = 0) -> Any:
        if shape.type_name == "structure":
            return self.structure(shape, depth)
        low, high = _sizes(shape, 2)
        if self._sparse or place != Place.BODY:
            low, high = max(low, 1), max(high, 1)
        if shape.type_name == "list":
            count = self._draw(st.integers(low, high))
            return [self.value(shape.member, place=place, depth=depth + 1) for _ in range(count)]
        if shape.type_name == "map":
            return self._map(shape, place, depth, low, high)
        return self._draw(scalars(shape.type_name, place, *_traits(shape)))

    def _choose(self, shape: Shape, members: dict[str, Shape], depth: int) -> list[str]:
        """All members at times, otherwise some, and far down only what must be."""
        if getattr(shape, "is_tagged_union", False):
            # Recursive unions end with the members that hold nothing more.
            flat = [name for name, member in members.items() if member.type_name not in {"structure", "list", "map"}]
            return [self._draw(st.sampled_from(flat if flat and depth > DEEP else sorted(members)))]
        # The first of these is what hypothesis begins with.
        richness = self._draw(st.sampled_from(("all", "some", "least"))) if depth <= DEEP else "least"
        chosen = [
            name
            for name in members
            if name in shape.required_members
            or richness == "all"
            or (richness == "some" and self._draw(st.integers(0, depth + 1)) == 0)
        ]
        if not chosen and self._sparse and depth:
            flat = [name for name, member in members.items() if member.type_name not in {"structure", "list", "map"}]
            return (flat or list(members))[:1]
        return chosen

    def _map(self, shape: Shape, place: str, depth: int, low: int, high: int) -> dict[str, Any]:
        if place == Place.HEADER:
            keys = st.sampled_from(["color", "x-y", "size"])
        else:
            keys = scalars(shape.key.type_name, place, *_traits(shape.key))
        drawn = self._draw(st.lists(keys, min_size=low, max_size=high, unique=True))
        return {key: self.value(shape.value, place=place, depth=depth + 1) for key in drawn}


def _place(member: Shape) -> str:
    if member.serialization.get("hostLabel"):
        return Place.HOST
    location = member.serialization.get("location", Place.BODY)
    return Place.HEADER if location == "headers" else str(location)


def _sizes(shape: Shape, usual: int) -> tuple[int, int]:
    low, high = int(shape.metadata.get("min", 0)), int(shape.metadata.get("max", 1 << 30))
    return low, max(low, min(high, usual))


def _traits(shape: Shape) -> tuple[Any, ...]:
    data = shape.metadata
    enum = tuple(getattr(shape, "enum", ()) or ())
    json_value = bool(shape.serialization.get("jsonvalue"))
    status = shape.serialization.get("location") == "statusCode"
    whole_seconds = shape.serialization.get("timestampFormat") == "rfc822"
    return data.get("min"), data.get("max"), data.get("pattern"), enum, json_value, status, whole_seconds


@cache
def scalars(
    kind: str,
    place: str,
    low: float | None,
    high: float | None,
    pattern: str | None,
    enum: tuple[str, ...],
    json_value: bool,
    status: bool,
    whole_seconds: bool,
) -> st.SearchStrategy[Any]:
    if status:
        return st.sampled_from([200, 202])
    if json_value:
        return st.dictionaries(st.sampled_from(["a", "b"]), st.integers(0, 9), min_size=1)
    if enum:
        return st.sampled_from(enum)
    if kind in {"integer", "long"}:
        most = (1 << 31) - 1 if kind == "integer" else (1 << 53) - 1
        return st.integers(int(low) if low is not None else -most, int(high) if high is not None else most)
    if kind in {"float", "double"}:
        least = low if low is not None else -1e6
        return st.floats(least, high if high is not None else 1e6, width=32 if kind == "float" else 64)
    if kind == "boolean":
        return st.booleans()
    if kind == "timestamp":
        # Milliseconds: AWS's own precision. HTTP dates know seconds alone.
        unit = 1000 if whole_seconds or place == Place.HEADER else 1
        return st.integers(0, 2_000_000_000_000 // unit).map(lambda n: _START + timedelta(milliseconds=n * unit))
    least = int(low or 0)
    most_length = max(least, min(int(high) if high is not None else 1 << 30, least + 12))
    if kind == "blob":
        return st.binary(min_size=least, max_size=most_length)
    return _texts(place, least, most_length, int(high) if high is not None else 1 << 30, pattern)


def _texts(place: str, low: int, usual: int, high: int, pattern: str | None) -> st.SearchStrategy[str]:
    if pattern is not None and pattern not in {".*", r"[\s\S]*", ""}:
        return _matching(pattern, low, usual, high, place)
    if place == Place.HEADER:
        return st.text(_VISIBLE, min_size=max(low, 1), max_size=max(usual, 1))
    if place == Place.HOST:
        return st.text(st.sampled_from("abc019"), min_size=1, max_size=8)
    if place == Place.LABEL:
        return st.text(_TEXT, min_size=max(low, 1), max_size=max(usual, 1)).filter(lambda text: text.strip("./"))
    return st.text(_TEXT, min_size=low, max_size=usual)


def _matching(pattern: str, low: int, usual: int, high: int, place: str) -> st.SearchStrategy[str]:
    least = max(low, 1) if place in {Place.LABEL, Place.HEADER} else low
    translated = translate(pattern)
    allowed = re.compile(translated, re.ASCII).fullmatch
    example = next((text for key, text in _EXAMPLES.items() if key in pattern and allowed(text)), None)
    if example is not None:
        return st.just(example)
    simple = _SIMPLE.fullmatch(translated)
    if simple:
        # Drawing from a class of tens of thousands of characters takes hypothesis seconds to prepare.
        of_class = re.compile(simple.group(1), re.ASCII).fullmatch
        alphabet = st.sampled_from([char for char in _POOL if of_class(char)])
        found: st.SearchStrategy[str] = st.text(alphabet, min_size=least, max_size=max(least, usual))
    else:
        found = st.from_regex(re.compile(translated, re.ASCII), fullmatch=True)
    return found.filter(lambda text: least <= len(text) <= high and _harmless(text) and bool(allowed(text)))


def _harmless(text: str) -> bool:
    return text.isprintable() and text.strip() == text and not set(text) & {"\ufffe", "\uffff"}
