"""Regular expressions of authorizers and models: what may never end is refused, what people write passes."""

from __future__ import annotations

import pytest

from lambent.services.apigateway import patterns
from lambent.services.apigateway.errors import BadRequestException, UnsupportedHere


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$",
        "(a*)*",
        "((a+))+",
        "(?:.*b?)*x",
        "(?P<n>a+)*",
        "(a{1,5}){2,9}",
        "(x|a+)+",
        "(a+|x)+",
        "([^]a]+)*",
        "((a+)?)+",
    ],
)
def test_repeated_repetitions_are_refused(pattern: str) -> None:
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
    ],
)
def test_what_people_write_passes(pattern: str) -> None:
    patterns.check(pattern)


@pytest.mark.parametrize("pattern", ["(", "[a", "*", "a" * 2_049, "(" * 1_000 + ")" * 1_000])
def test_what_is_no_expression_is_refused(pattern: str) -> None:
    with pytest.raises(BadRequestException):
        patterns.check(pattern)
