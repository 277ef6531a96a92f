"""Where the statements of a policy stand in its text, as simulations point at them. For documents that have parsed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

_SPACE = re.compile(r"\s*")
_decoder = json.JSONDecoder()


class Span(NamedTuple):
    """Offsets in the text: behind what comes before a statement, and behind its end."""

    start: int
    end: int


def statement_spans(document: str) -> list[Span]:
    """In the order of the statements."""
    for key, start in _members(document):
        if key == "Statement":
            return list(_elements(document, start))
    return []


def position(document: str, offset: int) -> dict[str, int]:
    """Line and column, both counted from 1."""
    before = document[:offset]
    return {"Line": before.count("\n") + 1, "Column": offset - (before.rfind("\n") + 1) + 1}


def _members(document: str) -> Iterator[tuple[str, int]]:
    """Key and offset behind the colon of each member of the outermost object."""
    at = _skip(document, document.index("{") + 1)
    while document[at] != "}":
        key, at = _decoder.raw_decode(document, at)
        at = _skip(document, at) + 1
        yield key, at
        _, at = _value(document, at)
        at = _skip(document, at)
        if document[at] == ",":
            at = _skip(document, at + 1)


def _elements(document: str, start: int) -> Iterator[Span]:
    at = _skip(document, start)
    if document[at] != "[":
        yield Span(start, _value(document, start)[1])
        return
    at += 1
    while document[_skip(document, at)] != "]":
        _, end = _value(document, at)
        yield Span(at, end)
        at = _skip(document, end)
        if document[at] == ",":
            at += 1


def _value(document: str, at: int) -> tuple[Any, int]:
    return _decoder.raw_decode(document, _skip(document, at))


def _skip(document: str, at: int) -> int:
    found = _SPACE.match(document, at)
    return found.end() if found else at
