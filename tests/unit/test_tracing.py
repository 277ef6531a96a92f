"""The trace header of an invocation: what the caller decided stands, the rest is TracingConfig's; loops are counted."""

from __future__ import annotations

import re

import pytest

from lambent.invoke import tracing

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
FRESH = r"Root=1-684ee180-[0-9a-f]{24};Parent=[0-9a-f]{16}"


def passed_on(received: str, name: str = "f", mode: str = "PassThrough") -> str:
    return tracing.header(received, mode, 1_750_000_000.0, tracing.mark(ARN + name))


@pytest.mark.parametrize(
    ("received", "mode", "expected"),
    [
        ("", "PassThrough", f"{FRESH};Sampled=0"),
        ("", "Active", f"{FRESH};Sampled=1"),
        ("Root=1-2-3", "Active", r"Root=1-2-3;Sampled=1"),
        ("Root=1-2-3;Parent=4", "PassThrough", r"Root=1-2-3;Parent=4;Sampled=0"),
        ("Root=1-2-3;Sampled=0", "Active", r"Root=1-2-3;Sampled=0"),
        ("Root=" + "1" * 600, "Active", f"{FRESH};Sampled=1"),
    ],
)
def test_tracing_decides_what_the_caller_left_open(received: str, mode: str, expected: str) -> None:
    assert re.fullmatch(rf"{expected};Lineage=[0-9a-f]{{8}}:1", passed_on(received, mode=mode))


def test_a_lineage_counts_how_often_each_function_ran() -> None:
    header = ""
    for turn in range(1, 18):
        assert tracing.hops(header, ARN + "f") == turn - 1
        header = passed_on(passed_on(header, "f"), "g")
    assert (tracing.hops(header, ARN + "f"), tracing.hops(header, ARN + "g")) == (17, 17)
    assert tracing.hops(header, ARN + "h") == 0
    assert header.count("Lineage=") == 1
    assert tracing.hops(header.replace("|", "%7C"), ARN + "g") == 17


def test_a_lineage_of_many_functions_stays_short_enough_to_be_read_again() -> None:
    header = ""
    for number in range(100):
        header = passed_on(header, f"f{number}")
    assert len(header) <= 512
    assert tracing.hops(header, ARN + "f99") == tracing.hops(header, ARN + "f90") == 1


@pytest.mark.parametrize("lineage", ["", ":", "x", "|||", "a:b", "a:-1", "a:99999999999", "a:1:"])
def test_a_lineage_that_makes_no_sense_counts_nothing(lineage: str) -> None:
    header = f"Root=1-2-3;Lineage={lineage};Sampled=1"
    assert tracing.hops(header, ARN + "f") == 0
    assert passed_on(header).startswith("Root=1-2-3;Sampled=1;Lineage=")
