"""Regular expressions that clients give, tried on every request: not those that surely take exponential time.

Python's matcher goes back over every way to split a text between nested repetitions, and nothing can interrupt it. So
a repeated group of which every part may repeat, such as `(a+)+` or `(?:.*b?)*`, is refused where it is given; what has
anything fixed between its repetitions, as `(?:-[a-z]+)*` has, is what people write and passes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lambent.services.apigateway.errors import BadRequestException, UnsupportedHere

#: Longer ones than AWS's documents ever show.
LONGEST = 2_048
_QUANTIFIER = re.compile(r"(\*|\+|\{\d*,\d*\}|\{\d+\}|\?)[?+]?")
_OPENING = re.compile(r"\((\?(P<\w+>|[:=!]|<[=!]|[aiLmsux-]+:?))?")
_CLASS = re.compile(r"\[\^?\]?(\\.|[^\]\\])*\]", re.DOTALL)


@dataclass(slots=True)
class _Branch:
    """One alternative of a group."""

    repeats: bool = False
    #: Something in it stands exactly so often, which ties every repetition to a place.
    is_tied: bool = False
    #: An alternative before this one is ambiguous.
    was_ambiguous: bool = False

    @property
    def is_ambiguous(self) -> bool:
        return self.was_ambiguous or (self.repeats and not self.is_tied)


def check(pattern: str) -> None:
    """Raises BadRequestException for what is no expression, UnsupportedHere for one that may never end."""
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        raise BadRequestException(f"Invalid regular expression specified: {pattern}") from None
    if len(pattern) > LONGEST:
        raise BadRequestException(f"Regular expressions have up to {LONGEST} characters")
    if _repeats_repetitions(pattern):
        raise UnsupportedHere(
            f"The regular expression {pattern}", "a repetition inside a repetition can take for ever to match."
        )


def _repeats_repetitions(pattern: str) -> bool:
    open_groups = [_Branch()]
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "(":
            open_groups.append(_Branch())
            at = _end(_OPENING, pattern, at)
        elif char == "|":
            open_groups[-1] = _Branch(was_ambiguous=open_groups[-1].is_ambiguous)
            at += 1
        elif char in "^$":
            at += 1
        else:
            closed = open_groups.pop() if char == ")" and len(open_groups) > 1 else None
            at = _end(_CLASS, pattern, at) if char == "[" else at + (2 if char == "\\" else 1)
            quantifier = _QUANTIFIER.match(pattern, at)
            at = quantifier.end() if quantifier else at
            if _joins(open_groups[-1], closed, quantifier[1] if quantifier else ""):
                return True
    return False


def _joins(branch: _Branch, closed: _Branch | None, quantifier: str) -> bool:
    """An atom or a closed group becomes part of `branch`; whether it repeats what repeats already."""
    ambiguous = closed is not None and closed.is_ambiguous
    if _is_repetition(quantifier):
        branch.repeats = True
        return ambiguous
    if ambiguous:
        branch.repeats = True
    elif quantifier != "?":
        branch.is_tied = True
    return False


def _is_repetition(quantifier: str) -> bool:
    """More than once or twice; `{3}` leaves one way."""
    if quantifier in ("*", "+"):
        return True
    _least, comma, most = quantifier.strip("{}?").partition(",")
    return bool(comma) and (not most or int(most) > 1)


def _end(what: re.Pattern[str], pattern: str, at: int) -> int:
    match = what.match(pattern, at)
    return match.end() if match else at + 1
