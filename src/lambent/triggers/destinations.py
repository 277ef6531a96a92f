"""What an event came to, sent on: the record that AWS makes of it, and the targets that take it."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from lambent.arn import Arn, function_arn, function_of
from lambent.errors import AwsError
from lambent.identity.sessions import assumed_role_caller
from lambent.ids import request_id as new_request_id
from lambent.ports import (
    Asker,
    Delivery,
    Destination,
    Event,
    EventSink,
    FunctionCalls,
    FunctionVersion,
    InvokeResult,
)
from lambent.triggers.retry import Condition

#: Bytes that an asynchronous invocation may carry.
EVENT_LIMIT = 1_048_576


class DeliveryRefused(AwsError):
    """The target does not take it."""


class Destinations:
    """Implements ports.Destinations; `app` adds each kind once its service is there."""

    def __init__(self) -> None:
        self._by_service: dict[str, Destination] = {}

    def add(self, service: str, destination: Destination) -> None:
        self._by_service[service] = destination

    def serves(self, service: str) -> bool:
        return service in self._by_service

    def takes(self, arn: str, function: FunctionVersion) -> bool:
        destination = self._of(arn)
        return destination is not None and destination.takes(arn, function)

    async def deliver(self, delivery: Delivery) -> None:
        """Returns once it is on disk; raises the AwsError of a target that does not take it."""
        destination = self._of(delivery.target)
        if destination is None:
            raise DeliveryRefused(f"Nothing here takes deliveries for {delivery.target}.")
        await destination.deliver(delivery)

    def _of(self, arn: str) -> Destination | None:
        parsed = Arn.parse(arn)
        return None if parsed is None else self._by_service.get(parsed.service)


class FunctionDestination:
    """Functions as targets: the record is the event of an asynchronous invocation. Implements ports.Destination."""

    def __init__(self, events: EventSink, functions: FunctionCalls) -> None:
        self._events = events
        self._functions = functions

    def takes(self, arn: str, function: FunctionVersion) -> bool:
        sender = assumed_role_caller(function.role, function.name, "")
        return self._functions.resolve(arn) is not None and self._functions.allows(
            arn, Asker(sender.arn, caller=sender)
        )

    async def deliver(self, delivery: Delivery) -> None:
        found = function_of(delivery.target)
        if found is None or not self.takes(delivery.target, delivery.function):
            raise DeliveryRefused(
                f"It does not exist, or {delivery.function.role} may not do lambda:InvokeFunction on it."
            )
        if len(delivery.body) > EVENT_LIMIT:
            raise DeliveryRefused(f"The record of {len(delivery.body)} bytes is larger than an event may be.")
        (account, region, name), qualifier = found
        await self._events.accept(
            Event(
                account=account,
                region=region,
                name=name,
                qualifier=qualifier or "",
                request_id=new_request_id(),
                payload=delivery.body,
                trace_id=delivery.trace_id,
            )
        )


def record(event: Event, condition: Condition, attempts: int, result: InvokeResult | None, now: float) -> bytes:
    """The JSON of AWS's destination record; `result` is the last run's, None where there was none."""
    content: dict[str, Any] = {
        "version": "1.0",
        "timestamp": _timestamp(now),
        "requestContext": {
            "requestId": event.request_id,
            "functionArn": function_arn(event.region, event.account, event.name, event.qualifier or "$LATEST"),
            "condition": condition.value,
            "approximateInvokeCount": attempts,
        },
        "requestPayload": msgspec.Raw(event.payload),
    }
    if result is not None:
        context: dict[str, Any] = {"statusCode": 200, "executedVersion": result.executed_version}
        if result.function_error is not None:
            context["functionError"] = result.function_error
        content["responseContext"] = context
        content["responsePayload"] = _json_of(result.payload)
    return msgspec.json.encode(content)


def _json_of(payload: bytes) -> Any:
    """As it is where it is JSON; what a custom runtime answers need not be."""
    try:
        return msgspec.json.decode(payload, type=msgspec.Raw)
    except msgspec.DecodeError:
        return payload.decode(errors="replace") or None


def _timestamp(now: float) -> str:
    """`2026-11-23T09:20:00.123Z`"""
    milliseconds = int(now * 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(milliseconds // 1000))}.{milliseconds % 1000:03}Z"
