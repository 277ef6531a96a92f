"""What the syntaxes share: tokens, comparisons of a value with a literal, the grammar of `&&`, `||` and brackets.

Regular expressions (`%…%`) are refused: Python's engine can be made to search for hours, and holds the interpreter
meanwhile.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from lambent.services.logs.errors import InvalidParameterException

S = TypeVar("S")
#: Whether a subject (a JSON document, the fields of a line) fulfils a condition.
Condition = Callable[[S], bool]
ValueTest = Callable[[Any], bool]

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_MAX_NESTING = 32


@dataclass(frozen=True, slots=True)
class Pattern:
    #: Whether a message matches; None = every one does.
    matches: Callable[[bytes], bool] | None
    #: Bytes that each matching message contains, by which whole runs of events are passed over.
    required: tuple[bytes, ...] = ()


def invalid(reason: str) -> InvalidParameterException:
    return InvalidParameterException(f"Invalid filter pattern: {reason}.")


def value_test(comparison: str, literal: str) -> ValueTest:
    """Decides on one value. `literal` is as written: `400`, `"text"`, or `text*`."""
    if comparison in _ORDER:
        return _order_test(_ORDER[comparison], literal)
    test = _equality_test(literal)
    if comparison == "=":
        return test
    return lambda value: not test(value)


def _order_test(compare: Callable[[Any, Any], bool], literal: str) -> ValueTest:
    if not _NUMBER.fullmatch(literal):
        raise invalid(f"{literal} is compared as a number and is none")
    bound = float(literal)

    def test(value: Any) -> bool:
        number = _number(value)
        return number is not None and compare(number, bound)

    return test


def _equality_test(literal: str) -> ValueTest:
    refuse_regex(literal)
    quoted = literal[0] == '"'
    wanted = re.sub(r"\\(.)", r"\1", literal[1:-1]) if quoted else literal
    if "*" in wanted:
        pieces = wanted.split("*")
        return lambda value: isinstance(value, str) and _matches_wildcard(value, pieces)
    if not quoted and _NUMBER.fullmatch(wanted):
        number = float(wanted)
        return lambda value: value == wanted or _number(value) == number
    return lambda value: value == wanted


def refuse_regex(literal: str) -> None:
    if literal[0] == "%":
        raise invalid("regular expressions (%...%) are not supported")


def _matches_wildcard(text: str, pieces: list[str]) -> bool:
    """Whether `text` is the pieces with anything between them; in one pass, whatever the text."""
    first, *middle, last = pieces
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    position, end = len(first), len(text) - len(last)
    for piece in middle:
        found = text.find(piece, position, end)
        if found < 0:
            return False
        position = found + len(piece)
    return True


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    return None


# ---- the grammar: any of (all of (condition or bracketed)) -----------------------------------------------------------


def split_tokens(token: re.Pattern[str], text: str) -> Tokens:
    """`token` matches one, after white space, as its first group."""
    tokens: list[str] = []
    position = 0
    text = text.rstrip()
    while position < len(text):
        match = token.match(text, position)
        if match is None:
            raise invalid(f"{text[position:].strip()} cannot be read")
        tokens.append(match[1])
        position = match.end()
    return Tokens(tokens)


class Tokens:
    """The tokens of a pattern, read from the front."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._position = 0
        #: Brackets open.
        self.nesting = 0

    def peek(self) -> str:
        """The next token; "" at the end."""
        return self._tokens[self._position] if self._position < len(self._tokens) else ""

    def take(self) -> str:
        token = self.peek()
        if not token:
            raise invalid("it ends too early")
        self._position += 1
        return token

    def expect(self, token: str) -> None:
        found = self.peek()
        if found != token:
            raise invalid(f"{token} was expected" + (f" and not {found}" if found else " at its end"))
        self._position += 1


def parse_any(tokens: Tokens, parse_one: Callable[[Tokens], Condition[S]]) -> Condition[S]:
    """`a || b && (c || d)`, with `parse_one` for the conditions."""
    alternatives = [_parse_all(tokens, parse_one)]
    while tokens.peek() == "||":
        tokens.take()
        alternatives.append(_parse_all(tokens, parse_one))
    if len(alternatives) == 1:
        return alternatives[0]
    return lambda subject: any(condition(subject) for condition in alternatives)


def _parse_all(tokens: Tokens, parse_one: Callable[[Tokens], Condition[S]]) -> Condition[S]:
    conditions = [_parse_bracketed(tokens, parse_one)]
    while tokens.peek() == "&&":
        tokens.take()
        conditions.append(_parse_bracketed(tokens, parse_one))
    if len(conditions) == 1:
        return conditions[0]
    return lambda subject: all(condition(subject) for condition in conditions)


def _parse_bracketed(tokens: Tokens, parse_one: Callable[[Tokens], Condition[S]]) -> Condition[S]:
    if tokens.peek() != "(":
        return parse_one(tokens)
    tokens.take()
    tokens.nesting += 1
    if tokens.nesting > _MAX_NESTING:
        raise invalid("its brackets are nested too deeply")
    condition = parse_any(tokens, parse_one)
    tokens.nesting -= 1
    tokens.expect(")")
    return condition
