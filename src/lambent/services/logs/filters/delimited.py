"""Patterns on lines of fields: `[ip, user, ..., status = 4* || status >= 500, bytes > 1000]`.

A line's fields are its words; what stands in square brackets or quotation marks is one. Without `...`, which stands for
any number of them, a line has as many fields as the pattern.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from lambent.services.logs.filters.values import (
    Condition,
    Pattern,
    Tokens,
    invalid,
    parse_any,
    split_tokens,
    value_test,
)

_WORD = re.compile(r"\S+")
_CLOSING = {'"': '"', "[": "]"}
_TOKEN = re.compile(
    r"""\s*(\|\||&&|[(),]|!=|<=|>=|[=<>]|\.\.\.|"(?:[^"\\]|\\.)*"|%[^%]*%|[^\s=<>!(),&|"]+)""", re.VERBOSE
)
_ELLIPSIS = "..."


def delimited_pattern(text: str) -> Pattern:
    tests = _parse_fields(split_tokens(_TOKEN, text[1:-1]))
    at = next((index for index, test in enumerate(tests) if test is None), None)

    def matches(message: bytes) -> bool:
        fields = _fields(message)
        if at is None:
            return len(fields) == len(tests) and _all(tests, fields)
        before, after = tests[:at], tests[at + 1 :]
        return (
            len(fields) >= len(before) + len(after)
            and _all(before, fields)
            and _all(after, fields[len(fields) - len(after) :])
        )

    return Pattern(matches)


def _all(tests: Sequence[Condition[str] | None], fields: Sequence[str]) -> bool:
    return all(test is None or test(field) for test, field in zip(tests, fields, strict=False))


def _fields(message: bytes) -> list[str]:
    text = message.decode("utf-8", "replace")
    # Known beforehand, so that a line of opening brackets is not searched to its end for each of them.
    last = {opening: text.rfind(closing) for opening, closing in _CLOSING.items()}
    fields: list[str] = []
    position = 0
    while word := _WORD.search(text, position):
        start = word.start()
        if last.get(text[start], -1) > start:
            end = text.index(_CLOSING[text[start]], start + 1)
            fields.append(text[start + 1 : end])
            position = end + 1
        else:
            fields.append(word[0])
            position = word.end()
    return fields


def _parse_fields(tokens: Tokens) -> list[Condition[str] | None]:
    """A condition for each field; None for the ellipsis."""
    fields: list[Condition[str] | None] = []
    while True:
        if tokens.peek() == _ELLIPSIS:
            tokens.take()
            if None in fields:
                raise invalid("... may stand in it once")
            fields.append(None)
        else:
            fields.append(parse_any(tokens, _parse_condition))
        if not tokens.peek():
            return fields
        tokens.expect(",")


def _parse_condition(tokens: Tokens) -> Condition[str]:
    """`name` or `name = value`; the name only makes the pattern readable."""
    tokens.take()
    comparison = tokens.peek()
    if comparison not in ("=", "!=", "<", "<=", ">", ">="):
        return lambda field: True
    tokens.take()
    return value_test(comparison, tokens.take())
