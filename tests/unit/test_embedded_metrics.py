"""Log lines in the embedded metric format: what is taken from them, and that nothing in them does harm."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.clock import TestClock
from lambent.services.cloudwatch import embedded
from lambent.services.cloudwatch.embedded import EmbeddedMetrics, data_of

NOW = 1_750_000_000.0


def line(metadata: dict[str, Any] | None = None, **members: Any) -> bytes:
    directive = {"Namespace": "N", "Dimensions": [["S"]], "Metrics": [{"Name": "m", "Unit": "Count"}]}
    given = {"Timestamp": int(NOW * 1000), "CloudWatchMetrics": [directive]}
    return json.dumps({"_aws": {**given, **(metadata or {})}, "S": "s", "m": 1, **members}).encode()


def taken(message: bytes) -> list[tuple[str, tuple[tuple[str, str], ...], float, float]]:
    found = data_of("0" * 12, "us-east-1", message, NOW)
    return [(cell.metric.name, cell.metric.dimensions, values.count, values.sum) for cell, values in found]


def test_values_and_lists_of_values_are_taken() -> None:
    assert taken(line()) == [("m", (("S", "s"),), 1, 1)]
    assert taken(line(m=[1, 2.5])) == [("m", (("S", "s"),), 2, 3.5)]


def test_several_sets_of_dimensions_make_several_metrics() -> None:
    directive = {"Namespace": "N", "Dimensions": [[], ["S", "A"]], "Metrics": [{"Name": "m"}]}
    found = taken(line({"CloudWatchMetrics": [directive]}, A="a"))
    assert [dimensions for _, dimensions, *_ in found] == [(), (("A", "a"), ("S", "s"))]


@pytest.mark.parametrize(
    "message",
    [
        b'"_aws"',
        b'{"_aws": 1}',
        b'{"_aws": {"CloudWatchMetrics": []}}',
        b"START RequestId",
        b"[" * 100_000,
        b'{"_aws":' + b"[" * 100_000,
        b'\xff"_aws"\x00',
        line(m="1"),
        line(m=True),
        line(m=10**400),
        line(m=[1] * 101),
        line(m=[]),
        line(S=1),
        line(S=""),
        line({"Timestamp": 0}),
        line({"Timestamp": int(NOW * 1000) + 3 * 3600 * 1000}),
        line({"Timestamp": 10**30}),
        line({"CloudWatchMetrics": [{"Namespace": "AWS/Lambda", "Dimensions": [[]], "Metrics": [{"Name": "m"}]}]}),
        line({"CloudWatchMetrics": [{"Namespace": "N", "Dimensions": [[]], "Metrics": [{"Name": "m", "Unit": "x"}]}]}),
        line({"CloudWatchMetrics": [{"Namespace": "N", "Dimensions": [["a"] * 31], "Metrics": [{"Name": "m"}]}]}),
    ],
)
def test_what_does_not_keep_to_the_format_is_a_log_line_alone(message: bytes) -> None:
    assert taken(message) == []


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_no_json_does_harm(anything: Any) -> None:
    taken(json.dumps({"_aws": anything, "m": anything}).encode())
    taken(line({"CloudWatchMetrics": anything}))
    taken(line(m=anything, S=anything))


def test_no_more_lines_wait_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "MAX_LINES", 3)
    reader = EmbeddedMetrics(lambda: True, TestClock(NOW))
    reader.read_events("0" * 12, "us-east-1", [0] * 5, [line()] * 5)
    assert reader.lost == 2
    assert len(list(reader.collect())) == 3
    assert list(reader.collect()) == []


def test_a_line_gives_a_thousand_data_at_most_and_a_reader_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [{"Name": f"m{number}"} for number in range(100)]
    directive = {"Namespace": "N", "Dimensions": [[]] * 30, "Metrics": names}
    message = line({"CloudWatchMetrics": [directive] * 3}, **{each["Name"]: 1 for each in names})
    monkeypatch.setattr(embedded, "MAX_DATA", 1500)
    reader = EmbeddedMetrics(lambda: True, TestClock(NOW))
    reader.read_events("0" * 12, "us-east-1", [0] * 3, [message] * 3)
    assert len(list(reader.collect())) == 2000
    assert reader.lost == 1
