"""Filter patterns of FilterLogEvents, compiled to a predicate on a message's bytes.

Three syntaxes, told apart by their first character: text terms, `{ $.json = "selectors" }` and
`[space, delimited, fields]`.
"""

from __future__ import annotations

from lambent.services.logs.filters.delimited import delimited_pattern
from lambent.services.logs.filters.documents import json_pattern
from lambent.services.logs.filters.terms import text_pattern
from lambent.services.logs.filters.values import Pattern

__all__ = ["Pattern", "compile_pattern"]


def compile_pattern(text: str) -> Pattern:
    """Raises InvalidParameterException."""
    text = text.strip()
    if not text:
        return Pattern(None)
    match text[0], text[-1]:
        case "{", "}":
            return json_pattern(text)
        case "[", "]":
            return delimited_pattern(text)
    return text_pattern(text)
