"""Patterns on JSON events: `{ ($.user.id = 1) && ($.items[0].name = "a*" || $.error NOT EXISTS) }`.

A message that is not JSON does not match, nor does a comparison (`!=` too) with a field that is not there. `[*]` and
`.*` stand for any element.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from lambent.services.logs.filters.values import (
    Condition,
    Pattern,
    Tokens,
    invalid,
    parse_any,
    split_tokens,
    value_test,
)

_TOKEN = re.compile(
    r"""\s*(
        \|\||&&|[()]|!=|<=|>=|[=<>]
        |"(?:[^"\\]|\\.)*"
        |%[^%]*%
        |\$(?:\.[^\s.\[\]=<>!()&|"]+|\.?\[(?:\d+|\*|'[^']*'|"[^"]*")\])*
        |[^\s=<>!()&|"]+
    )""",
    re.VERBOSE,
)
_STEP = re.compile(r"""\.?\[(\d+|\*|'[^']*'|"[^"]*")\]|\.([^\s.\[\]]+)""")
_ANY = object()
_MAX_STEPS = 64
#: A key, an index, or _ANY.
_Path = list[Any]


def json_pattern(text: str) -> Pattern:
    tokens = split_tokens(_TOKEN, text[1:-1])
    condition = parse_any(tokens, _parse_condition)
    if tokens.peek():
        raise invalid(f"{tokens.peek()} was not expected")
    decode = msgspec.json.Decoder().decode

    def matches(message: bytes) -> bool:
        try:
            document = decode(message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
        return condition(document)

    return Pattern(matches)


def _parse_condition(tokens: Tokens) -> Condition[Any]:
    path = _parse_path(tokens.take())
    comparison = tokens.take()
    match comparison.upper():
        case "IS":
            return _is_test(path, tokens.take().upper())
        case "NOT" | "EXISTS":
            if comparison.upper() == "EXISTS":
                return lambda document: any(True for _ in _values(document, path))
            if tokens.take().upper() != "EXISTS":
                raise invalid("NOT is followed by EXISTS")
            return lambda document: not any(True for _ in _values(document, path))
        case "=" | "!=" | "<" | "<=" | ">" | ">=":
            test = value_test(comparison, tokens.take())
            return lambda document: any(map(test, _values(document, path)))
    raise invalid(f"{comparison} is not a comparison")


def _is_test(path: _Path, word: str) -> Condition[Any]:
    constants = {"NULL": None, "TRUE": True, "FALSE": False}
    if word not in constants:
        raise invalid("IS is followed by NULL, TRUE or FALSE")
    constant = constants[word]
    return lambda document: any(value is constant for value in _values(document, path))


def _parse_path(selector: str) -> _Path:
    if not selector.startswith("$"):
        raise invalid(f"{selector} is not a property selector: it begins with $")
    path: _Path = []
    for index, key in _STEP.findall(selector[1:]):
        if "*" in (index, key):
            path.append(_ANY)
        elif index.isdigit():
            path.append(int(index))
        else:
            path.append(key or index[1:-1])
    if len(path) > _MAX_STEPS:
        raise invalid("a property selector has too many steps")
    return path


def _values(document: Any, path: _Path) -> Iterator[Any]:
    """What the path selects: nothing where it leads nowhere, several values only through `*`."""
    if not path:
        yield document
        return
    step, rest = path[0], path[1:]
    if step is _ANY:
        children = document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
        for child in children:
            yield from _values(child, rest)
    elif isinstance(document, list):
        if isinstance(step, int) and step < len(document):
            yield from _values(document[step], rest)
    elif isinstance(document, dict) and step in document:
        yield from _values(document[step], rest)
