"""Event source mappings are checked as AWS checks them, and refused, since no event source is served yet."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from lambda_helpers import Refusal

from lambent.services.lambda_.mappings.patterns import is_pattern

Create = Callable[..., dict[str, Any]]

QUEUE = "arn:aws:sqs:us-east-1:000000000000:jobs"
STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/jobs"
TABLE = "arn:aws:dynamodb:us-east-1:000000000000:table/jobs"
TABLE_STREAM = f"{TABLE}/stream/2026-11-23T00:00:00.000"
INVALID = "InvalidParameterValueException"
LATEST = {"EventSourceArn": STREAM, "StartingPosition": "LATEST"}


def not_for_it(parameter: str) -> str:
    return f"Unsupported {parameter} parameter for given event source mapping type."


def filtered(pattern: str) -> dict[str, Any]:
    return {"EventSourceArn": QUEUE, "FilterCriteria": {"Filters": [{"Pattern": pattern}]}}


WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "Unrecognized event source."),
    ({"EventSourceArn": "arn:aws:s3:::bucket"}, "Unrecognized event source."),
    ({"EventSourceArn": TABLE}, "Unrecognized event source."),
    (
        {"SelfManagedEventSource": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["kafka:9092"]}}},
        "Required 'sourceAccessConfigurations' parameter is missing.",
    ),
    (
        {"EventSourceArn": STREAM},
        "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: "
        "Member must not be null.",
    ),
    (
        {**LATEST, "StartingPositionTimestamp": datetime(2026, 1, 1, tzinfo=UTC)},
        "Timestamp only valid with StartingPosition AT_TIMESTAMP",
    ),
    (
        {"EventSourceArn": TABLE_STREAM, "StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": 1},
        f"Unsupported starting position for arn type: {TABLE_STREAM}",
    ),
    (
        {"EventSourceArn": QUEUE, "StartingPosition": "LATEST"},
        "StartingPosition is not valid for SQS event sources.",
    ),
    (
        {**LATEST, "DestinationConfig": {"OnSuccess": {"Destination": QUEUE}}},
        not_for_it("DestinationConfig"),
    ),
    (
        {"EventSourceArn": QUEUE, "DestinationConfig": {"OnFailure": {"Destination": QUEUE}}},
        not_for_it("DestinationConfig"),
    ),
    ({"EventSourceArn": QUEUE, "ParallelizationFactor": 2}, not_for_it("ParallelizationFactor")),
    ({**LATEST, "ScalingConfig": {"MaximumConcurrency": 2}}, not_for_it("ScalingConfig")),
    (
        {"EventSourceArn": QUEUE, "BatchSize": 11},
        "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10",
    ),
    (filtered("{"), "Invalid filter pattern definition."),
    (filtered('{"body": "x"}'), "Invalid filter pattern definition."),
    ({"EventSourceArn": QUEUE, "FilterCriteria": {"Filters": [{}]}}, "Invalid filter pattern definition."),
]


@pytest.mark.parametrize(("given", "message"), WRONG, ids=lambda value: value if isinstance(value, str) else "")
def test_what_a_mapping_cannot_be_is_refused_before_its_function_is_looked_for(
    client: Any, refused: Refusal, given: dict[str, Any], message: str
) -> None:
    answer = refused(client.create_event_source_mapping, FunctionName="nobody", **given)
    assert answer == (400, INVALID, message)


@pytest.mark.parametrize(
    "given",
    [
        {"EventSourceArn": QUEUE, "BatchSize": 100, "MaximumBatchingWindowInSeconds": 1},
        {"EventSourceArn": f"{QUEUE}.fifo", "BatchSize": 10, "FunctionResponseTypes": ["ReportBatchItemFailures"]},
        {**LATEST, "DestinationConfig": {"OnFailure": {"Destination": QUEUE}}, "ParallelizationFactor": 10},
        filtered('{"body": {"kind": ["order", {"prefix": "pre"}], "total": [{"numeric": [">", 0, "<=", 5]}]}}'),
    ],
)
def test_what_aws_would_take_is_refused_as_not_served(
    client: Any, create: Create, name: str, refused: Refusal, given: dict[str, Any]
) -> None:
    missing = (400, INVALID, "Function does not exist")
    assert refused(client.create_event_source_mapping, FunctionName=name, **given) == missing
    create()
    assert refused(client.create_event_source_mapping, FunctionName=f"{name}:nobody", **given) == missing
    status, code, message = refused(client.create_event_source_mapping, FunctionName=name, **given)
    assert (status, code) == (400, INVALID)
    assert message.startswith("The event source ")
    assert message.endswith("no sources of events are served yet, so nothing would be delivered.")


def test_there_are_no_mappings(client: Any, refused: Refusal) -> None:
    missing = (404, "ResourceNotFoundException", "The resource you requested does not exist.")
    uuid = "14e0db71-5d35-4eb5-b481-8945cf9d10c2"
    for call in (
        client.get_event_source_mapping,
        client.update_event_source_mapping,
        client.delete_event_source_mapping,
    ):
        assert refused(call, UUID=uuid) == missing
    assert client.list_event_source_mappings()["EventSourceMappings"] == []
    assert client.list_event_source_mappings(EventSourceArn=QUEUE, FunctionName="f")["EventSourceMappings"] == []


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("{}", True),
        ('{"a": ["b", 1, null, true]}', True),
        ('{"a": {"b": ["c"]}}', True),
        ('{"$or": [{"a": ["b"]}, {"c": [{"exists": false}]}]}', True),
        ('{"a": [{"anything-but": ["b", "c"]}, {"anything-but": {"prefix": "d"}}]}', True),
        ('{"a": [{"suffix": {"equals-ignore-case": ".png"}}]}', True),
        ("", False),
        ("[]", False),
        ('"a"', False),
        ('{"a": []}', False),
        ('{"a": {}}', False),
        ('{"a": "b"}', False),
        ('{"a": [["b"]]}', False),
        ('{"a": [{"prefix": 1}]}', False),
        ('{"a": [{"unknown": "b"}]}', False),
        ('{"a": [{"numeric": [">"]}]}', False),
        ('{"a": [{"numeric": ["~", 1]}]}', False),
        ('{"a": [{"exists": "yes"}]}', False),
        ('{"a": [{"prefix": "b", "suffix": "c"}]}', False),
        ('{"a":' * 600 + '["b"]' + "}" * 600, False),
    ],
)
def test_patterns_are_those_of_eventbridge(text: str, is_one: bool) -> None:
    assert is_pattern(text) is is_one
