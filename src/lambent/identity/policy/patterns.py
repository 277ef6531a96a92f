"""Texts with wildcards and variables: compiled once, matched in time linear in the text for each of their pieces.

A `*` never reaches over the colons that separate the parts of an ARN, but for those within its last part.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from lambent.identity.policy.faults import MalformedPolicy
from lambent.identity.policy.question import Context

Matcher = Callable[[str], bool]


class Wildcard(Enum):
    MANY = "*"
    ONE = "?"


@dataclass(frozen=True, slots=True)
class Variable:
    """`${aws:username}` or `${aws:PrincipalTag/team, 'none'}`."""

    #: Lower-case.
    key: str
    default: str | None

    def value(self, context: Context) -> str | None:
        """Its value in the request; None where it has none, or several."""
        values = context.get(self.key)
        if not values:
            return self.default
        return values[0] if len(values) == 1 else None


Token = str | Wildcard | Variable
_WILDCARDS = {"*": Wildcard.MANY, "?": Wildcard.ONE}
_PARTS = re.compile(r"\$\{([^}]*)\}|([*?])|(\$\{)")
_VARIABLE = re.compile(r"\s*([^\s,'{}$*?]+)\s*(?:,\s*'([^'{}]*)'\s*)?")


def tokens_of(text: str, *, wildcards: bool = True, variables: bool = True) -> tuple[Token, ...]:
    """`text` taken apart. `variables` False: as policies before 2012-10-17 are read."""
    return tuple(_tokens(text, wildcards, variables))


def _tokens(text: str, wildcards: bool, variables: bool) -> Iterator[Token]:
    literal = ""
    position = 0
    for found in _PARTS.finditer(text):
        if (found[2] and not wildcards) or (not found[2] and not variables):
            # It stands for itself.
            token: Token = found[0]
        elif found[2]:
            token = _WILDCARDS[found[2]]
        elif found[3]:
            raise MalformedPolicy
        else:
            token = _variable(found[1])
        literal += text[position : found.start()]
        position = found.end()
        if isinstance(token, str):
            literal += token
            continue
        if literal:
            yield literal
        literal = ""
        yield token
    literal += text[position:]
    if literal:
        yield literal


def _variable(inner: str) -> Token:
    if inner in ("*", "?", "$"):
        return inner
    found = _VARIABLE.fullmatch(inner)
    if found is None:
        raise MalformedPolicy
    return Variable(found[1].lower(), found[2])


class Pattern:
    """A text to compare with."""

    __slots__ = ("_fixed", "_tokens", "keys")

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        #: Context keys that its variables look at.
        self.keys = frozenset(token.key for token in tokens if isinstance(token, Variable))
        self._fixed = None if self.keys else _compile(tokens)

    def matches(self, text: str, context: Context) -> bool:
        """A pattern with a variable that has no value matches nothing."""
        if self._fixed is not None:
            return self._fixed(text)
        filled: list[str | Wildcard] = []
        for token in self._tokens:
            value = token.value(context) if isinstance(token, Variable) else token
            if value is None:
                return False
            if filled and isinstance(value, str) and isinstance(filled[-1], str):
                filled[-1] += value
            else:
                filled.append(value)
        return _compile(filled)(text)

    @property
    def is_any(self) -> bool:
        return self.plain == ("", True)

    @property
    def plain(self) -> tuple[str, bool] | None:
        """(text, False) or (prefix, True) where that is all it is."""
        tokens = self._tokens
        is_prefix = bool(tokens) and tokens[-1] is Wildcard.MANY
        literal = tokens[:-1] if is_prefix else tokens
        if not all(isinstance(token, str) for token in literal):
            return None
        return "".join(map(str, literal)), is_prefix

    def lowered(self) -> Pattern:
        """The same in lower case, but for the values that variables will have."""
        return Pattern([_lowered(token) for token in self._tokens])


class ArnPattern:
    """An ARN to compare with, part by part.

    `complete`: parts left out at the end stand for any, as AWS reads Resource; otherwise such a pattern never matches.
    """

    __slots__ = ("_parts", "_whole", "keys")

    def __init__(self, tokens: Sequence[Token], *, complete: bool = False) -> None:
        parts = _arn_parts(tokens)
        self.keys = frozenset(token.key for token in tokens if isinstance(token, Variable))
        #: Compared with the whole text, where no wildcard could reach over a colon that separates.
        self._whole: Pattern | None = None
        #: Compared with the parts of these numbers; None: matches nothing.
        self._parts: tuple[tuple[int, Pattern], ...] | None = None
        if list(tokens) == [Wildcard.MANY] or (len(parts) == 6 and all(map(_is_literal, parts[:5]))):
            self._whole = Pattern(tokens)
        elif len(parts) == 6 or complete:
            patterns = enumerate(map(Pattern, parts))
            self._parts = tuple((index, pattern) for index, pattern in patterns if not pattern.is_any)

    def matches(self, text: str, context: Context) -> bool:
        if self._whole is not None:
            return self._whole.matches(text, context)
        found = text.split(":", 5)
        if self._parts is None or len(found) != 6:
            return False
        return all(pattern.matches(found[index], context) for index, pattern in self._parts)

    @property
    def plain(self) -> tuple[str, bool] | None:
        return self._whole.plain if self._whole is not None else None


class Alternatives:
    """Patterns any of which may match; those that are plain texts or prefixes are looked up all at once."""

    __slots__ = ("_others", "_prefixes", "_texts", "is_empty", "keys")

    def __init__(self, patterns: Sequence[Pattern | ArnPattern]) -> None:
        plain = [pattern.plain for pattern in patterns]
        self._texts = frozenset(found[0] for found in plain if found and not found[1])
        self._prefixes = tuple(found[0] for found in plain if found and found[1])
        self._others = tuple(pattern for pattern in patterns if pattern.plain is None)
        self.is_empty = not patterns
        self.keys: frozenset[str] = frozenset().union(*(pattern.keys for pattern in patterns))

    def match(self, text: str, context: Context) -> bool:
        if text in self._texts or text.startswith(self._prefixes):
            return True
        return bool(self._others) and any(pattern.matches(text, context) for pattern in self._others)


def _lowered(token: Token) -> Token:
    if isinstance(token, Variable):
        return Variable(token.key, token.default.lower() if token.default is not None else None)
    return token.lower() if isinstance(token, str) else token


def _is_literal(part: Sequence[Token]) -> bool:
    return all(isinstance(token, str) for token in part)


def _arn_parts(tokens: Sequence[Token]) -> list[list[Token]]:
    """Split at the first five colons; values of variables never count as separators."""
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if not isinstance(token, str):
            parts[-1].append(token)
            continue
        first, *further = token.split(":", 6 - len(parts))
        if first:
            parts[-1].append(first)
        parts.extend([text] if text else [] for text in further)
    return parts


# ---- matching ------------------------------------------------------------------------------------------------------


def _compile(tokens: Sequence[Token]) -> Matcher:
    """`tokens` has no variables."""
    if len(tokens) == 1 and isinstance(tokens[0], str):
        return tokens[0].__eq__
    if len(tokens) == 2 and isinstance(tokens[0], str) and tokens[1] is Wildcard.MANY:
        prefix = tokens[0]
        return lambda text: text.startswith(prefix)
    pieces: list[list[str | Wildcard]] = [[]]
    for token in tokens:
        if token is Wildcard.MANY:
            pieces.append([])
        else:
            assert not isinstance(token, Variable)
            pieces[-1].append(token)
    return _Glob([_Piece(piece) for piece in pieces]).matches


class _Piece:
    """What stands between two `*`: a text of fixed length in which `?` is any character."""

    __slots__ = ("_literal", "_regex", "length")

    def __init__(self, parts: Sequence[str | Wildcard]) -> None:
        self.length = sum(len(part) if isinstance(part, str) else 1 for part in parts)
        self._literal = "".join(part for part in parts if isinstance(part, str))
        self._regex: re.Pattern[str] | None = None
        if len(self._literal) < self.length:
            source = "".join(re.escape(part) if isinstance(part, str) else "." for part in parts)
            self._regex = re.compile(source, re.DOTALL)

    def is_at(self, text: str, start: int) -> bool:
        if self._regex is not None:
            return self._regex.match(text, start) is not None
        return text.startswith(self._literal, start)

    def find(self, text: str, start: int, end: int) -> int:
        """Where it first stands in text[start:end], or -1."""
        if self._regex is None:
            return text.find(self._literal, start, end)
        found = self._regex.search(text, start, end)
        return found.start() if found else -1


class _Glob:
    """Pieces with any text between them. Taking the leftmost place of each is enough: there is no going back."""

    __slots__ = ("_first", "_last", "_middle")

    def __init__(self, pieces: Sequence[_Piece]) -> None:
        self._first = pieces[0]
        self._middle = pieces[1:-1]
        self._last = pieces[-1] if len(pieces) > 1 else None

    def matches(self, text: str) -> bool:
        if self._last is None:
            return len(text) == self._first.length and self._first.is_at(text, 0)
        position = self._first.length
        end = len(text) - self._last.length
        if end < position or not self._first.is_at(text, 0) or not self._last.is_at(text, end):
            return False
        for piece in self._middle:
            found = piece.find(text, position, end)
            if found < 0:
                return False
            position = found + piece.length
        return True
