"""The trace header of an invocation: what the caller decided stands, the rest is TracingConfig's."""

from __future__ import annotations

import re

import pytest

from lambent.invoke import tracing


@pytest.mark.parametrize(
    ("received", "mode", "expected"),
    [
        ("", "PassThrough", r"Root=1-684ee180-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0"),
        ("", "Active", r"Root=1-684ee180-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=1"),
        ("Root=1-2-3", "Active", r"Root=1-2-3;Sampled=1"),
        ("Root=1-2-3;Parent=4", "PassThrough", r"Root=1-2-3;Parent=4;Sampled=0"),
        ("Root=1-2-3;Sampled=0", "Active", r"Root=1-2-3;Sampled=0"),
        ("Root=" + "1" * 600, "Active", r"Root=1-684ee180-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=1"),
    ],
)
def test_tracing_decides_what_the_caller_left_open(received: str, mode: str, expected: str) -> None:
    assert re.fullmatch(expected, tracing.header(received, mode, 1_750_000_000.0))
