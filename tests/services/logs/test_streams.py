"""Log streams over the wire: create, describe, delete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from logs_helpers import NO_GROUP, NO_STREAM, refusal


def names(answer: dict[str, Any]) -> list[str]:
    return [stream["logStreamName"] for stream in answer["logStreams"]]


def test_new_stream_is_described_without_times_and_with_them_once_it_has_events(
    client: Any, group: str, put: Callable[..., Any], now: int
) -> None:
    put("a", (now, "x"), (now + 5, "y"))
    a, b = client.describe_log_streams(logGroupName=group)["logStreams"]
    assert a["arn"] == f"arn:aws:logs:us-east-1:000000000000:log-group:{group}:log-stream:a"
    assert (a["firstEventTimestamp"], a["lastEventTimestamp"]) == (now, now + 5)
    assert a["lastIngestionTime"] >= now
    assert a["storedBytes"] == 0
    assert set(b) == {"logStreamName", "creationTime", "arn", "storedBytes", "uploadSequenceToken"}


def test_stream_cannot_be_created_twice_nor_without_its_group(client: Any, group: str) -> None:
    assert refusal(client.create_log_stream, logGroupName=group, logStreamName="a") == (
        "ResourceAlreadyExistsException",
        "The specified log stream already exists",
    )
    assert refusal(client.create_log_stream, logGroupName="/none", logStreamName="a") == NO_GROUP


def test_deleted_stream_is_gone_with_its_events(client: Any, group: str, put: Callable[..., Any], now: int) -> None:
    put("a", (now, "x"))
    client.delete_log_stream(logGroupName=group, logStreamName="a")
    assert names(client.describe_log_streams(logGroupName=group)) == ["b"]
    assert client.filter_log_events(logGroupName=group)["events"] == []
    assert client.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]["storedBytes"] == 0
    assert refusal(client.delete_log_stream, logGroupName=group, logStreamName="a") == NO_STREAM
    client.create_log_stream(logGroupName=group, logStreamName="a")
    assert client.get_log_events(logGroupName=group, logStreamName="a")["events"] == []


def test_streams_are_listed_by_name_prefix_and_page_both_ways(client: Any, group: str) -> None:
    wanted = [f"x{number}" for number in range(5)]
    for stream in wanted:
        client.create_log_stream(logGroupName=group, logStreamName=stream)
    paginator = client.get_paginator("describe_log_streams")
    for descending in (False, True):
        pages = paginator.paginate(
            logGroupName=group, logStreamNamePrefix="x", descending=descending, PaginationConfig={"PageSize": 2}
        )
        listed = [names(page) for page in pages]
        assert [len(page) for page in listed] == [2, 2, 1]
        assert [stream for page in listed for stream in page] == sorted(wanted, reverse=descending)


def test_streams_are_listed_by_their_last_event(client: Any, group: str, put: Callable[..., Any], now: int) -> None:
    for stream in ("c", "d"):
        client.create_log_stream(logGroupName=group, logStreamName=stream)
    put("c", (now, "x"))
    put("a", (now + 2, "x"))
    put("b", (now + 1, "x"))
    by_time = {"logGroupName": group, "orderBy": "LastEventTime"}
    assert names(client.describe_log_streams(**by_time)) == ["d", "c", "b", "a"]
    newest = client.describe_log_streams(**by_time, descending=True, limit=2)
    assert names(newest) == ["a", "b"]
    rest = client.describe_log_streams(**by_time, descending=True, nextToken=newest["nextToken"])
    assert names(rest) == ["c", "d"]
    assert "nextToken" not in rest


def test_order_by_time_with_a_prefix_is_refused(client: Any, group: str) -> None:
    params = {"logGroupName": group, "orderBy": "LastEventTime", "logStreamNamePrefix": "a"}
    assert refusal(client.describe_log_streams, **params) == (
        "InvalidParameterException",
        "Cannot order by LastEventTime with a logStreamNamePrefix.",
    )


def test_group_is_found_by_name_or_either_arn_and_never_by_both(client: Any, group: str) -> None:
    arn = f"arn:aws:logs:us-east-1:000000000000:log-group:{group}"
    for identifier in (group, arn):
        assert names(client.describe_log_streams(logGroupIdentifier=identifier)) == ["a", "b"]
    both = refusal(client.describe_log_streams, logGroupIdentifier=arn, logGroupName=group)
    neither = refusal(client.describe_log_streams)
    assert both == neither
    assert both[0] == "InvalidParameterException"
    foreign = arn.replace("us-east-1", "eu-west-1")
    assert refusal(client.describe_log_streams, logGroupIdentifier=foreign) == NO_GROUP
    wrong = refusal(client.describe_log_streams, logGroupIdentifier="arn:aws:s3:::bucket")
    assert wrong[0] == "InvalidParameterException"
