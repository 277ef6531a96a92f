"""The models' regular expressions, which are Java's, as Python's: `\\p{L}`, `[\\w-_]`, surrogate ranges.

Java's `\\w` and `\\d` know ASCII alone and `matches()` takes the whole text, hence `re.ASCII` and `fullmatch`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache

_ASCII = (range(0x80),)
#: Everything beyond is unassigned or for private use, save the variation selectors of plane 14.
_ASSIGNED = (range(0x32400), range(0xE0000, 0xE0200))
_POSIX = {"Print": r"\x20-\x7e", "Alpha": "A-Za-z", "Digit": "0-9", "Alnum": "A-Za-z0-9", "ASCII": r"\x00-\x7f"}
#: Patterns on which a hostile text would keep the matcher busy for seconds, and what matches the same at once.
_SAFE = {
    r"^[a-z0-9A-Z]+[\.\-\w]*[a-z0-9A-Z]+$": r"[a-z0-9A-Z][\.\-\w]*[a-z0-9A-Z]",
    r"^[ \t]*[\x20-\x7E]+([ \t]+[\x20-\x7E]+)*[ \t]*$": r"\t*[\x20-\x7E][\x20-\x7E\t]*",
    r"^[ \t]*[^\x00-\x1F:\x7F]+([ \t]+[^\x00-\x1F:\x7F]+)*[ \t]*$": r"\t*[^\x00-\x1F:\x7F][^\x00-\x08\x0A-\x1F:\x7F]*",
}
_TOKEN = re.compile(r"\\p\{(\w+)\}|\\u([0-9A-Fa-f]{4})|\\(?:.)|.", re.DOTALL)


@cache
def compile_pattern(pattern: str) -> Callable[[str], object]:
    """A function of a text that is truthy where all of it matches.

    A pattern that Python can't read even so lets everything pass: better no check than a request refused wrongly.
    """
    try:
        plain = _compile(pattern, ascii_only=True)
    except re.error:
        return _anything
    if r"\p{" not in pattern:
        return plain
    # Unicode's categories are large to list; most texts never need them.
    return lambda text: plain(text) if text.isascii() else _compile(pattern, ascii_only=False)(text)


@cache
def _compile(pattern: str, ascii_only: bool) -> Callable[[str], object]:
    return re.compile(translate(_SAFE.get(pattern, pattern), ascii_only), re.ASCII).fullmatch


def _anything(_text: str) -> bool:
    return True


def translate(pattern: str, ascii_only: bool = False) -> str:
    out: list[str] = []
    in_class = False
    for match in _TOKEN.finditer(_join_surrogates(pattern)):
        piece = match.group()
        if match.group(1):
            members = _category(match.group(1), ascii_only)
            piece = members if in_class else f"[{members}]"
        elif piece in {"[", "&", "|", "~"} and in_class:
            # Python keeps doubled ones in a class for set operations to come.
            piece = f"\\{piece}"
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


def _category(name: str, ascii_only: bool) -> str:
    """The inside of a character class that holds the general category `name`, such as `L` or `Zs`."""
    if name in _POSIX:
        return _POSIX[name]
    ranges = _ranges(_ASCII if ascii_only else _ASSIGNED)
    inside = "".join(text for category, text in ranges.items() if category.startswith(name))
    # A class may not be empty: the category's ASCII part is, for some.
    return inside or r"\U0010ffff"


@cache
def _ranges(parts: tuple[range, ...]) -> dict[str, str]:
    """Every general category, as the inside of a character class."""
    ranges: dict[str, list[list[int]]] = {}
    category = unicodedata.category
    for part in parts:
        for code in part:
            found = ranges.setdefault(category(chr(code)), [])
            if found and found[-1][1] == code - 1:
                found[-1][1] = code
            else:
                found.append([code, code])
    return {name: "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in found) for name, found in ranges.items()}
