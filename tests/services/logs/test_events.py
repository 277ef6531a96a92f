"""Log events over the wire: put, get by token, filter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from logs_helpers import NO_GROUP, NO_STREAM, refusal, texts

HOUR = 3_600_000
DAY = 24 * HOUR
Put = Callable[..., dict[str, Any]]


# ---- PutLogEvents ----------------------------------------------------------------------------------------------------


def test_put_needs_its_group_and_its_stream(client: Any, group: str, now: int) -> None:
    events = [{"timestamp": now, "message": "x"}]
    assert refusal(client.put_log_events, logGroupName="/none", logStreamName="a", logEvents=events) == NO_GROUP
    assert refusal(client.put_log_events, logGroupName=group, logStreamName="none", logEvents=events) == NO_STREAM


def test_put_returns_a_sequence_token_and_ignores_the_one_it_gets(put: Put, now: int) -> None:
    first = put("a", (now, "x"))["nextSequenceToken"]
    second = put("a", (now, "x"), sequenceToken="made up")["nextSequenceToken"]
    assert first.isdigit()
    assert first != second


def test_events_out_of_order_are_refused_whole(client: Any, group: str, put: Put, now: int) -> None:
    with pytest.raises(client.exceptions.InvalidParameterException, match="must be in chronological order"):
        put("a", (now + 1, "x"), (now, "y"))
    assert client.filter_log_events(logGroupName=group)["events"] == []


def test_batch_of_more_than_a_day_is_refused(client: Any, put: Put, now: int) -> None:
    with pytest.raises(client.exceptions.InvalidParameterException, match="cannot span more than 24 hours"):
        put("a", (now - DAY - 1, "x"), (now, "y"))


def test_batch_over_a_mebibyte_counting_26_bytes_an_event_is_refused(client: Any, put: Put, now: int) -> None:
    put("a", (now, "x" * (1_048_576 - 26)))
    with pytest.raises(
        client.exceptions.InvalidParameterException, match="Upload too large: 1048577 bytes exceeds limit of 1048576"
    ):
        put("a", (now, "x" * 1_048_524), (now, "x"))


def test_events_too_old_or_too_new_are_left_out_and_counted(client: Any, group: str, put: Put, now: int) -> None:
    answer = put("a", (now - 15 * DAY, "old"), (now, "kept"), (now + 1, "kept too"), (now + 3 * HOUR, "new"))
    assert answer["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1, "tooNewLogEventStartIndex": 3}
    assert texts(client.filter_log_events(logGroupName=group)) == ["kept", "kept too"]


def test_events_past_the_groups_retention_are_left_out(client: Any, group: str, put: Put, now: int) -> None:
    client.put_retention_policy(logGroupName=group, retentionInDays=1)
    answer = put("a", (now - 2 * DAY, "expired"), (now, "kept"))
    assert answer["rejectedLogEventsInfo"] == {"expiredLogEventEndIndex": 1}
    assert texts(client.filter_log_events(logGroupName=group)) == ["kept"]


def test_text_of_any_language_comes_back_as_it_was(client: Any, group: str, put: Put, now: int) -> None:
    text = 'grüße 🎉 \t"quoted"\nsecond line\n'
    put("a", (now, text))
    assert texts(client.get_log_events(logGroupName=group, logStreamName="a")) == [text]


# ---- GetLogEvents ----------------------------------------------------------------------------------------------------


@pytest.fixture
def ten(client: Any, group: str, put: Put, now: int) -> dict[str, Any]:
    """Ten events in stream `a`; parameters that name it."""
    put("a", *((now + number, f"event {number}") for number in range(10)))
    return {"logGroupName": group, "logStreamName": "a"}


def test_get_gives_the_latest_events_first_but_each_page_in_order(client: Any, ten: dict[str, Any]) -> None:
    page = client.get_log_events(**ten, limit=3)
    assert texts(page) == ["event 7", "event 8", "event 9"]
    page = client.get_log_events(**ten, limit=3, nextToken=page["nextBackwardToken"])
    assert texts(page) == ["event 4", "event 5", "event 6"]
    page = client.get_log_events(**ten, limit=3, nextToken=page["nextForwardToken"], startFromHead=True)
    assert texts(page) == ["event 7", "event 8", "event 9"]


def test_same_token_comes_back_at_either_end(client: Any, ten: dict[str, Any]) -> None:
    forward = client.get_log_events(**ten, startFromHead=True)
    assert len(texts(forward)) == 10
    end = client.get_log_events(**ten, startFromHead=True, nextToken=forward["nextForwardToken"])
    assert texts(end) == []
    assert end["nextForwardToken"] == forward["nextForwardToken"]
    start = client.get_log_events(**ten, nextToken=forward["nextBackwardToken"])
    assert texts(start) == []
    assert start["nextBackwardToken"] == forward["nextBackwardToken"]


def test_token_of_the_end_gives_what_comes_later(client: Any, ten: dict[str, Any], put: Put, now: int) -> None:
    token = client.get_log_events(**ten, startFromHead=True)["nextForwardToken"]
    put("a", (now + 9, "same time, later"), (now + 50, "later"))
    page = client.get_log_events(**ten, startFromHead=True, nextToken=token)
    assert texts(page) == ["same time, later", "later"]
    empty = {"logGroupName": ten["logGroupName"], "logStreamName": "b", "startFromHead": True}
    token = client.get_log_events(**empty)["nextForwardToken"]
    put("b", (now, "first"))
    assert texts(client.get_log_events(**empty, nextToken=token)) == ["first"]


def test_walking_by_tokens_meets_every_event_once(client: Any, ten: dict[str, Any]) -> None:
    seen, token = [], None
    while True:
        page = client.get_log_events(
            **ten, limit=4, startFromHead=True, **({"nextToken": token} if token is not None else {})
        )
        seen += texts(page)
        if page["nextForwardToken"] == token:
            break
        token = page["nextForwardToken"]
    assert seen == [f"event {number}" for number in range(10)]


def test_get_takes_the_start_time_and_leaves_the_end_time(client: Any, ten: dict[str, Any], now: int) -> None:
    page = client.get_log_events(**ten, startTime=now + 2, endTime=now + 5)
    assert texts(page) == ["event 2", "event 3", "event 4"]


def test_get_refuses_a_made_up_token_an_unknown_stream_and_group(client: Any, ten: dict[str, Any]) -> None:
    assert refusal(client.get_log_events, **ten, nextToken="f/1/s") == (
        "InvalidParameterException",
        "The specified nextToken is invalid.",
    )
    assert refusal(client.get_log_events, **{**ten, "logStreamName": "none"}) == NO_STREAM
    assert refusal(client.get_log_events, **{**ten, "logGroupName": "/none"}) == NO_GROUP


# ---- FilterLogEvents -------------------------------------------------------------------------------------------------


@pytest.fixture
def mixed(group: str, put: Put, now: int) -> str:
    """The group, with events that alternate between the streams `a` and `b`."""
    put("a", *((now + number, f"a{number} {'ERROR' if number % 4 == 0 else 'INFO'}") for number in range(0, 10, 2)))
    put("b", *((now + number, f"b{number} INFO") for number in range(1, 10, 2)))
    return group


def test_filter_interleaves_streams_in_order_of_time(client: Any, mixed: str, now: int) -> None:
    answer = client.filter_log_events(logGroupName=mixed, interleaved=True)
    assert [event["timestamp"] - now for event in answer["events"]] == list(range(10))
    first = answer["events"][0]
    assert first["logStreamName"] == "a"
    assert first["ingestionTime"] >= now
    assert first["eventId"].isdigit()
    assert len(first["eventId"]) == 56
    assert len({event["eventId"] for event in answer["events"]}) == 10
    assert answer["searchedLogStreams"] == []
    assert "nextToken" not in answer


def test_filter_by_time_includes_both_ends(client: Any, mixed: str, now: int) -> None:
    answer = client.filter_log_events(logGroupName=mixed, startTime=now + 3, endTime=now + 5)
    assert texts(answer) == ["b3 INFO", "a4 ERROR", "b5 INFO"]


def test_filter_by_streams_or_prefix_but_not_both(client: Any, mixed: str) -> None:
    assert len(texts(client.filter_log_events(logGroupName=mixed, logStreamNames=["b"]))) == 5
    assert len(texts(client.filter_log_events(logGroupName=mixed, logStreamNamePrefix="a"))) == 5
    assert texts(client.filter_log_events(logGroupName=mixed, logStreamNamePrefix="z")) == []
    both = {"logGroupName": mixed, "logStreamNames": ["a"], "logStreamNamePrefix": "a"}
    assert refusal(client.filter_log_events, **both)[0] == "InvalidParameterException"
    assert refusal(client.filter_log_events, logGroupName=mixed, logStreamNames=["none"]) == NO_STREAM
    assert refusal(client.filter_log_events, logGroupName="/none") == NO_GROUP


def test_filter_pattern_selects_and_bad_ones_are_refused(client: Any, mixed: str) -> None:
    assert texts(client.filter_log_events(logGroupName=mixed, filterPattern="ERROR")) == [
        "a0 ERROR",
        "a4 ERROR",
        "a8 ERROR",
    ]
    assert texts(client.filter_log_events(logGroupName=mixed, filterPattern="?a2 ?b3 ?none")) == ["a2 INFO", "b3 INFO"]
    code, message = refusal(client.filter_log_events, logGroupName=mixed, filterPattern="%E.*R%")
    assert code == "InvalidParameterException"
    assert message == "Invalid filter pattern: regular expressions (%...%) are not supported."


def test_filter_pages_end_with_a_page_without_token(client: Any, mixed: str) -> None:
    pages = list(
        client.get_paginator("filter_log_events").paginate(logGroupName=mixed, PaginationConfig={"PageSize": 3})
    )
    assert [len(page["events"]) for page in pages] == [3, 3, 3, 1]
    assert len({event["eventId"] for page in pages for event in page["events"]}) == 10


def test_filter_backward_gives_the_newest_first_and_its_token_goes_on_so(client: Any, mixed: str, now: int) -> None:
    backward = {"logGroupName": mixed, "startTime": now, "limit": 4}
    page = client.filter_log_events(**backward, startFromHead=False)
    assert [event["timestamp"] - now for event in page["events"]] == [9, 8, 7, 6]
    page = client.filter_log_events(**backward, nextToken=page["nextToken"])
    assert [event["timestamp"] - now for event in page["events"]] == [5, 4, 3, 2]
    assert refusal(client.filter_log_events, logGroupName=mixed, startFromHead=False)[0] == "InvalidParameterException"


def test_wrong_parameters_are_refused_in_awss_words(client: Any, group: str) -> None:
    code, message = refusal(client.filter_log_events, logGroupName=group, limit=10_001)
    assert code == "InvalidParameterException"
    assert message == (
        "1 validation error detected: Value '10001' at 'limit' failed to satisfy constraint: "
        "Member must have value less than or equal to 10000"
    )


# ---- what tools do ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_tail_of_the_command_line_follows_with_repeated_calls(client: Any, group: str, put: Put, now: int) -> None:
    """What `aws logs tail --follow` does: go on from the newest timestamp and tell old events by their ids."""
    seen: list[str] = []
    ids: set[str] = set()
    start = now - 1
    for round_number in range(5):
        put("a", (now + round_number, f"a{round_number}"))
        put("b", (now + round_number, f"b{round_number}"))
        params: dict[str, Any] = {"logGroupName": group, "interleaved": True, "startTime": start}
        for page in client.get_paginator("filter_log_events").paginate(**params):
            for event in page["events"]:
                if event["eventId"] not in ids:
                    ids.add(event["eventId"])
                    seen.append(event["message"])
                start = max(start, event["timestamp"])
    assert seen == [f"{stream}{number}" for number in range(5) for stream in "ab"]
