"""Regular expressions of authorizers and models: they mean what Python's mean, and never take for ever."""

from __future__ import annotations

import itertools
import random
import re
import time

import pytest

from lambent.services.apigateway import patterns
from lambent.services.apigateway.errors import BadRequestException, UnsupportedHere
from lambent.services.apigateway.expressions import Expression, TooHard

_ATOMS = (
    *("a", "b", ".", "[ab]", "[^a]", r"\d", r"\w", r"\b", r"\B", "^", "$", r"\A", r"\Z", "(?i:A)", "-", r"\n"),
    *("(?=a)", "(?!b)", "(?=.*b$)", "(?!(a|b)+$)"),
)
_TEXTS = [
    *("".join(letters) for size in range(4) for letters in itertools.product("aAb\n", repeat=size)),
    "1-a",
    "ab-1\n",
]


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"^(a|aa)+$", "a" * 9_000 + "b"),
        (r"^(?:ab|a|b)*$", "ab" * 4_000 + "c"),
        (r"^a*a*a*a*a*a*a*$", "a" * 9_000 + "b"),
        (r"(a+)+$", "a" * 9_000 + "b"),
        (r"(x+x+x+x+)y", "x" * 9_000),
        (r"^(\w\d?)+$", "a1" * 4_000 + "!"),
        (r"(a?){900}a{900}", "a" * 900),
        (".*" * 500 + "x", "a" * 9_000),
        (r"(?:(?=a*b).)*c", "a" * 9_000),
        (r"(?:){4294967294}b", "a"),
    ],
)
def test_no_pattern_takes_for_ever(pattern: str, text: str) -> None:
    patterns.check(pattern)
    began = time.monotonic()
    expression = Expression(pattern)
    assert not expression.fullmatch(text)
    expression.search(text)
    assert time.monotonic() - began < 5


def test_patterns_mean_what_those_of_python_mean() -> None:
    made = random.Random(7)

    def pattern(depth: int) -> str:
        kind = made.random()
        if not depth or kind < 0.4:
            return made.choice(_ATOMS)
        if kind < 0.6:
            return pattern(depth - 1) + pattern(depth - 1)
        if kind < 0.75:
            return f"(?:{pattern(depth - 1)}|{pattern(depth - 1)})"
        return f"({pattern(depth - 1)}){made.choice(['*', '+', '?', '{2}', '{1,3}', '*?', '{0,2}', '{2,}'])}"

    for text, flags in itertools.product(_TEXTS, (0, re.DOTALL)):
        for source in (pattern(3), pattern(4)):
            wanted, found = re.compile(source, flags), Expression(source, flags)
            assert found.fullmatch(text) == bool(wanted.fullmatch(text)), (source, text)
            assert found.search(text) == bool(wanted.search(text)), (source, text)


@pytest.mark.parametrize("pattern", [r"(a)\1", "(?<=a)b", "(?>a+)b", "a{5000}", "(a{100}){100}"])
def test_what_is_not_followed_is_refused(pattern: str) -> None:
    with pytest.raises(TooHard):
        Expression(pattern)
    with pytest.raises(UnsupportedHere):
        patterns.check(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        r"^Bearer [-0-9a-zA-Z\._]*$",
        r"^(Bearer )[a-zA-Z0-9\-_]+?\.[a-zA-Z0-9\-_]+?\.([a-zA-Z0-9\-_]+)$",
        r"^[a-z0-9]+(?:-[a-z0-9]+)*$",
        r"^([a-z]+\.)+[a-z]{2,}$",
        r"4\d{2}",
        r".*Error.*",
        r"(\n|.)+",
        r"[(a+)+]",
        r"\(a+\)+",
        r"(a+)?",
        r"(?i)(ab)+",
        r"^\+?[0-9]{3}-?[0-9]{6,12}$",
        r"(a{3})+",
        r"(a+)+$",
        r"^(?=.*[A-Z])(?!.*\s).{8,}$",
    ],
)
def test_what_people_write_passes(pattern: str) -> None:
    patterns.check(pattern)


@pytest.mark.parametrize("pattern", ["(", "[a", "*", "a" * 2_049, "(" * 1_000 + ")" * 1_000])
def test_what_is_no_expression_is_refused(pattern: str) -> None:
    with pytest.raises(BadRequestException):
        patterns.check(pattern)
