"""Destination records byte by byte, and functions as targets."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import Any

import pytest
from async_support import ACCOUNT, HELLO, REGION

from lambent.errors import AwsError
from lambent.ports import Asker, Delivery, Event, FunctionVersion, InvocationRecord, InvokeResult
from lambent.triggers.destinations import EVENT_LIMIT, Destinations, FunctionDestination, record
from lambent.triggers.retry import Condition

EVENT = Event(ACCOUNT, REGION, "hello", "live", "the-request", b'{"a" : [1.50, "\xc3\xa4"]}', trace_id="Root=1-2-3")
TARGET = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:target"


def result(payload: bytes, error: str | None = None) -> InvokeResult:
    done = InvocationRecord(HELLO, "the-request", 0, 1, 1, None, 128, 30, "success", None, "stream")
    return InvokeResult(payload, error, "7", None, done)


def delivery(**changes: Any) -> Delivery:
    return dataclasses.replace(Delivery(TARGET, HELLO, "the-request", "Root=1-2-3", b'{"version":"1.0"}'), **changes)


class Functions:
    """One target; who may invoke it."""

    def __init__(self, allowed: bool = True) -> None:
        self.asked: list[Asker] = []
        self._allowed = allowed

    def resolve(self, arn: str) -> FunctionVersion | None:
        return HELLO if arn.startswith(TARGET) else None

    def allows(self, arn: str, asker: Asker) -> bool:
        self.asked.append(asker)
        return self._allowed

    async def call(
        self, arn: str, asker: Asker, payload: bytes, *, request_id: str, trace_id: str = ""
    ) -> InvokeResult:
        raise AssertionError("a destination is invoked asynchronously")


class Kept:
    def __init__(self) -> None:
        self.events: list[Event] = []

    async def accept(self, event: Event) -> None:
        self.events.append(event)

    def forget(self, account: str, region: str, name: str, qualifier: str | None = None) -> None: ...


def test_a_record_has_the_members_of_aws_in_its_order() -> None:
    made = record(EVENT, Condition.RETRIES_EXHAUSTED, 3, result(b'{"errorMessage":"no"}', "Unhandled"), 1_750_000_000.5)
    assert made == (
        b'{"version":"1.0","timestamp":"2025-06-15T15:06:40.500Z","requestContext":{"requestId":"the-request",'
        b'"functionArn":"arn:aws:lambda:us-east-1:000000000000:function:hello:live","condition":"RetriesExhausted",'
        b'"approximateInvokeCount":3},"requestPayload":{"a" : [1.50, "\xc3\xa4"]},'
        b'"responseContext":{"statusCode":200,"executedVersion":"7","functionError":"Unhandled"},'
        b'"responsePayload":{"errorMessage":"no"}}'
    )


def test_without_a_run_there_is_no_response() -> None:
    made = json.loads(record(EVENT, Condition.ZERO_RESERVED_CONCURRENCY, 0, None, 0.0))
    assert set(made) == {"version", "timestamp", "requestContext", "requestPayload"}


@pytest.mark.parametrize(
    ("payload", "shown"), [(b"", None), (b"\xffnot json", "�not json"), (b"null", None), (b"3", 3)]
)
def test_an_answer_need_not_be_json(payload: bytes, shown: Any) -> None:
    assert json.loads(record(EVENT, Condition.SUCCESS, 1, result(payload), 0.0))["responsePayload"] == shown


def test_a_function_gets_the_record_as_an_event_of_its_own() -> None:
    kept, functions = Kept(), Functions()
    asyncio.run(FunctionDestination(kept, functions).deliver(delivery(target=f"{TARGET}:live")))
    event = kept.events[0]
    assert (event.account, event.region, event.name, event.qualifier) == (ACCOUNT, REGION, "target", "live")
    assert (event.payload, event.trace_id) == (b'{"version":"1.0"}', "Root=1-2-3")
    assert event.request_id != "the-request"
    caller = functions.asked[0].caller
    assert caller is not None
    assert (caller.principal_arn, caller.arn) == (HELLO.role, f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/hello")


@pytest.mark.parametrize(
    ("changes", "allowed"),
    [
        ({"target": TARGET.replace("target", "absent")}, True),
        ({}, False),
        ({"body": b"x" * (EVENT_LIMIT + 1)}, True),
    ],
)
def test_what_a_function_cannot_take_is_refused(changes: dict[str, Any], allowed: bool) -> None:
    kept = Kept()
    with pytest.raises(AwsError):
        asyncio.run(FunctionDestination(kept, Functions(allowed)).deliver(delivery(**changes)))
    assert kept.events == []


def test_a_kind_that_is_not_served_takes_nothing() -> None:
    destinations = Destinations()
    queue = "arn:aws:sqs:us-east-1:000000000000:queue"
    assert (destinations.serves("sqs"), destinations.takes(queue, HELLO)) == (False, False)
    assert not destinations.takes("no arn", HELLO)
    with pytest.raises(AwsError):
        asyncio.run(destinations.deliver(delivery(target=queue)))
