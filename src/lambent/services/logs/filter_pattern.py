"""Filter patterns of FilterLogEvents: text terms; a compiled pattern decides on a message's bytes.

`a b` all of them, `"a b"` as one phrase, `?a ?b` any of them, `-a` not. Terms are looked for anywhere in the message,
case-sensitively.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lambent.services.logs.errors import InvalidParameterException


@dataclass(frozen=True, slots=True)
class Pattern:
    #: Whether a message matches; None = every one does.
    matches: Callable[[bytes], bool] | None
    #: Bytes that each matching message contains.
    required: tuple[bytes, ...] = ()


def compile_pattern(text: str) -> Pattern:
    """Raises InvalidParameterException."""
    text = text.strip()
    if not text:
        return Pattern(None)
    if text[0] in "{[%":
        raise InvalidParameterException(f"Invalid filter pattern: {text[0]} patterns are not supported.")
    return _text_pattern(_terms(text))


def _terms(text: str) -> list[tuple[str, bytes]]:
    """(kind, term) with kind `+`, `?` or `-`."""
    terms: list[tuple[str, bytes]] = []
    rest = text
    while rest := rest.lstrip():
        kind = "+"
        if rest[0] in "?-" and len(rest) > 1 and not rest[1].isspace():
            kind, rest = rest[0], rest[1:]
        if rest[0] == '"':
            term, rest = _quoted(rest)
        else:
            term, _, rest = rest.partition(" ")
        if term:
            terms.append((kind, term.encode()))
    return terms


def _quoted(text: str) -> tuple[str, str]:
    """The phrase that `text` begins with, without quotes and escapes, and what follows it."""
    phrase: list[str] = []
    position = 1
    while position < len(text):
        char = text[position]
        if char == '"':
            return "".join(phrase), text[position + 1 :]
        if char == "\\" and position + 1 < len(text):
            position += 1
            char = text[position]
        phrase.append(char)
        position += 1
    raise InvalidParameterException("Invalid filter pattern: a quotation mark is not closed.")


def _text_pattern(terms: list[tuple[str, bytes]]) -> Pattern:
    required = tuple(term for kind, term in terms if kind == "+")
    optional = tuple(term for kind, term in terms if kind == "?")
    excluded = tuple(term for kind, term in terms if kind == "-")

    def matches(message: bytes) -> bool:
        return (
            all(term in message for term in required)
            and not any(term in message for term in excluded)
            and (not optional or any(term in message for term in optional))
        )

    return Pattern(matches, required)
