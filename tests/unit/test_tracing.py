"""The trace header of an invocation: what the caller decided stands, the rest is TracingConfig's; loops are counted."""

from __future__ import annotations

import re

import pytest

from lambent.invoke import tracing

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
PARENT = r"Parent=[0-9a-f]{16}"
FRESH = rf"Root=1-684ee180-[0-9a-f]{{24}};{PARENT}"
NOW = 1_750_000_000.0


def passed_on(received: str, name: str = "f", mode: str = "PassThrough") -> str:
    sampler = tracing.Sampler() if mode == "Active" else None
    return tracing.header(received, sampler, ARN + name, NOW, tracing.mark(ARN + name))


@pytest.mark.parametrize(
    ("received", "mode", "expected"),
    [
        ("", "PassThrough", f"{FRESH};Sampled=0"),
        ("", "Active", f"{FRESH};Sampled=1"),
        ("Root=1-2-3", "Active", rf"Root=1-2-3;{PARENT};Sampled=1"),
        ("Root=1-2-3;Parent=4", "PassThrough", rf"Root=1-2-3;{PARENT};Sampled=0"),
        ("Root=1-2-3;Sampled=0", "Active", rf"Root=1-2-3;{PARENT};Sampled=0"),
        ("Self=1-4-5;Root=1-2-3; Parent=4;Sampled=1", "PassThrough", rf"Self=1-4-5;Root=1-2-3;{PARENT};Sampled=1"),
        ("Root=1-2-3;Sampled=?", "Active", rf"Root=1-2-3;{PARENT};Sampled=1"),
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
    assert re.match(rf"Root=1-2-3;{PARENT};Sampled=1;Lineage=", passed_on(header))


def test_other_services_join_a_trace_with_a_parent_of_their_own_and_keep_who_ran() -> None:
    sampler = tracing.Sampler()
    joined = tracing.joined("Root=1-2-3;Parent=4;Lineage=a:1|b:2", sampler, "api", NOW)
    assert re.fullmatch(rf"Root=1-2-3;{PARENT};Sampled=1;Lineage=a:1\|b:2", joined)
    assert re.fullmatch(rf"{FRESH};Sampled=[01]", tracing.joined("", sampler, "api", NOW))


@pytest.mark.parametrize(
    ("received", "mode", "expected"),
    [
        ("", "Active", r"Root=1-684ee180-[0-9a-f]{24};Sampled=1"),
        ("", "PassThrough", r"Root=1-684ee180-[0-9a-f]{24};Sampled=0"),
        ("Root=1-2-3;Parent=4", "Active", r"Root=1-2-3;Parent=4;Sampled=1"),
        ("Root=1-2-3;Sampled=0", "Active", r"Root=1-2-3;Sampled=0"),
    ],
)
def test_an_event_is_sampled_once_for_all_its_attempts(received: str, mode: str, expected: str) -> None:
    sampler = tracing.Sampler() if mode == "Active" else None
    assert re.fullmatch(expected, tracing.decided(received, sampler, ARN + "f", NOW))


def test_active_tracing_takes_one_request_a_second_of_each_function_and_a_twentieth_of_the_others() -> None:
    sampler = tracing.Sampler()
    taken = [sampler.takes("f", NOW + number / 10_000) for number in range(20_000)]
    assert taken[0]
    assert taken[10_000]
    assert 800 <= sum(taken) <= 1200
    assert sampler.takes("g", NOW + 1.5)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", ("", "", False)),
        (f"Root=1-684ee180-{'A' * 24};Parent={'B' * 16};Sampled=1", (f"1-684ee180-{'a' * 24}", "b" * 16, True)),
        (f"Root=1-684ee180-{'a' * 23};Parent=b;Sampled=yes", ("", "", False)),
        (f"Root=1-684ee180-{'a' * 24};Root=x", (f"1-684ee180-{'a' * 24}", "", False)),
    ],
)
def test_what_a_header_says_is_read_only_where_it_is_an_id(header: str, expected: tuple[str, str, bool]) -> None:
    assert tracing.context_of(header) == expected
