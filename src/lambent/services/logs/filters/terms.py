"""Patterns on text: `a b` all terms, `"a b"` one phrase, `?a ?b` any of them, `-a` not.

Terms are looked for anywhere in the message, case-sensitively. As AWS documents, `?` terms are ignored beside others.
"""

from __future__ import annotations

from lambent.services.logs.filters.values import Pattern, invalid, refuse_regex


def text_pattern(text: str) -> Pattern:
    refuse_regex(text)
    terms = _terms(text)
    required = tuple(term for kind, term in terms if kind == "+")
    excluded = tuple(term for kind, term in terms if kind == "-")
    optional = tuple(term for kind, term in terms if kind == "?")
    if optional and not required and not excluded:
        return Pattern(lambda message: any(term in message for term in optional))

    def matches(message: bytes) -> bool:
        return all(term in message for term in required) and not any(term in message for term in excluded)

    return Pattern(matches, required)


def _terms(text: str) -> list[tuple[str, bytes]]:
    """(kind, term), with kind `+`, `?` or `-`."""
    terms: list[tuple[str, bytes]] = []
    rest = text
    while rest := rest.lstrip():
        kind = "+"
        if rest[0] in "?-" and rest[1:2].strip():
            kind, rest = rest[0], rest[1:]
        term, rest = _quoted(rest) if rest[0] == '"' else _word(rest)
        if term:
            terms.append((kind, term.encode()))
    return terms


def _word(text: str) -> tuple[str, str]:
    word = text.split(None, 1)[0]
    return word, text[len(word) :]


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
    raise invalid("a quotation mark is not closed")
