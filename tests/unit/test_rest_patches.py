"""PATCH on parts of REST APIs: JSON pointers, and no patch that does anything but change or be refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambent.services.apigateway import authorizers, integrations, methods, models, stages
from lambent.services.apigateway import settings as api_settings
from lambent.services.apigateway.domain import (
    Authorizer,
    Integration,
    IntegrationResponse,
    Method,
    MethodResponse,
    Model,
    RestApi,
    Stage,
)
from lambent.services.apigateway.errors import BadRequestException, NotFoundException
from lambent.services.apigateway.patches import Patch, Rule, Rules, read

#: A value of each noun, with the rules that change it.
NOUNS: list[tuple[Any, Rules[Any]]] = [
    (RestApi("000000000000", "us-east-1", "abc", "api", "root", 0), api_settings.RULES),
    (Method("GET"), methods.METHOD_RULES),
    (MethodResponse("200"), methods.RESPONSE_RULES),
    (Integration("MOCK"), integrations.INTEGRATION_RULES),
    (IntegrationResponse("200"), integrations.RESPONSE_RULES),
    (Authorizer("id", "gate", "TOKEN", "uri"), authorizers.RULES),
    (Model("id", "Pet"), models.RULES),
    (Stage("prod", "dep", 0, 0), stages.RULES),
]
PATHS = sorted({path for _, rules in NOUNS for path in rules.paths})
SEGMENTS = st.sampled_from(["x", "a~1b", "~0", "", "*", "GET", "method.request.header.x", "throttling", "/"])
VALUES = st.sampled_from(
    [
        "",
        "true",
        "-1",
        "1e400",
        "inf",
        "nan",
        "9" * 40,
        "9" * 5_000,
        "INFO",
        "REGIONAL",
        "[",
        "{}",
        "😀",
        "(",
        "PRIVATE",
    ]
) | st.text(max_size=8)


@st.composite
def operations(draw: st.DrawFn) -> dict[str, Any]:
    path = draw(st.sampled_from(PATHS))
    while "{" in path:
        start, _, rest = path.partition("{")
        path = start + draw(SEGMENTS) + rest.partition("}")[2]
    found: dict[str, Any] = {"op": draw(st.sampled_from(["add", "remove", "replace", "copy", "test", "move"]))}
    if draw(st.integers(0, 9)):
        found["path"] = path
    if draw(st.integers(0, 9)):
        found["value"] = draw(VALUES)
    return found


@settings(max_examples=150, derandomize=True, deadline=None, database=None)
@given(st.sampled_from(NOUNS), st.lists(operations(), max_size=4))
def test_patch_changes_what_can_be_read_back_or_is_refused(
    noun: tuple[Any, Rules[Any]], patch: list[dict[str, Any]]
) -> None:
    before, rules = noun
    try:
        after = rules.apply(before, patch)
    except (BadRequestException, NotFoundException):
        return
    assert msgspec.json.decode(msgspec.json.encode(after), type=type(before)) == after


def test_pointers_are_unescaped_once() -> None:
    (patch,) = read([{"op": "add", "path": "/binaryMediaTypes/a~1b~01", "value": None}])
    assert (patch.parts, patch.name, patch.value) == (("binaryMediaTypes", "a/b~1"), "a/b~1", "")


def test_many_segments_stand_for_a_path() -> None:
    def note(_: tuple[str, ...], patch: Patch) -> tuple[str, ...]:
        return patch.parts[:-2]

    rules: Rules[tuple[str, ...]] = Rules({"/{*}/{}/level": Rule(("replace",), note)})
    patch = {"op": "replace", "value": "x"}
    assert rules.apply((), [{**patch, "path": "/~1pets~1{id}/GET/level"}]) == ("/pets/{id}",)
    assert rules.apply((), [{**patch, "path": "/pets/{id}/GET/level"}]) == ("pets", "{id}")
    with pytest.raises(BadRequestException):
        rules.apply((), [{**patch, "path": "/GET/level"}])
