"""The models' regular expressions, which are Java's, as Python's: `\\p{L}`, `[\\w-_]`, surrogate ranges.

Java's `\\w` and `\\d` know ASCII alone and `matches()` takes the whole text, hence `re.ASCII` and `fullmatch`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache

#: Everything beyond is unassigned or for private use, save the variation selectors of plane 14.
_ASSIGNED = (range(0x32400), range(0xE0000, 0xE0200))
_POSIX = {"Print": r"\x20-\x7e", "Alpha": "A-Za-z", "Digit": "0-9", "Alnum": "A-Za-z0-9", "ASCII": r"\x00-\x7f"}
_TOKEN = re.compile(r"\\p\{(\w+)\}|\\u([0-9A-Fa-f]{4})|\\(?:.)|.", re.DOTALL)


@cache
def compile_pattern(pattern: str) -> Callable[[str], object]:
    """A function of a text that is truthy where all of it matches.

    A pattern that Python can't read even so lets everything pass: better no check than a request refused wrongly.
    """
    try:
        return re.compile(translate(pattern), re.ASCII).fullmatch
    except re.error:
        return _anything


def _anything(_text: str) -> bool:
    return True


def translate(pattern: str) -> str:
    out: list[str] = []
    in_class = False
    for match in _TOKEN.finditer(_join_surrogates(pattern)):
        piece = match.group()
        if match.group(1):
            members = _category(match.group(1))
            piece = members if in_class else f"[{members}]"
        elif piece == "[" and in_class:
            piece = r"\["
        elif piece == "[":
            in_class = True
        elif piece == "]" and in_class:
            in_class = False
        elif piece == "-" and in_class:
            # `[\w-_]` and `[.-]`: beside a class the hyphen is itself.
            piece = r"\-" if out[-1] in {"\\w", "\\d", "\\s", "\\W", "\\S", "\\D"} or out[-1] == "[" else "-"
        out.append(piece)
    return "".join(out)


def _join_surrogates(pattern: str) -> str:
    """Java writes the planes beyond the first as a range of surrogate pairs."""
    return pattern.replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010FFFF")


@cache
def _category(name: str) -> str:
    """The inside of a character class that holds the general category `name`, such as `L` or `Zs`."""
    if name in _POSIX:
        return _POSIX[name]
    ranges: list[list[int]] = []
    category = unicodedata.category
    for part in _ASSIGNED:
        for code in part:
            if category(chr(code)).startswith(name):
                if ranges and ranges[-1][1] == code - 1:
                    ranges[-1][1] = code
                else:
                    ranges.append([code, code])
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)
