"""Asynchronous invocations through boto3: retries by the clock, destinations, limits, deletions, restarts."""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.conftest import wait_until
from tests.roles import allowing, make_role

pytestmark = pytest.mark.slow
REGION_OPTIONS = ("--test-clock",)

#: Writes each event down; fails where it is told to.
CODE = """
import json
def handler(event, context):
    print("SEEN", json.dumps({"event": event, "id": context.aws_request_id, "arn": context.invoked_function_arn}))
    if isinstance(event, dict) and event.get("fail"):
        raise ValueError("told to")
    return {"done": event}
"""


class Functions:
    """The functions of one test."""

    def __init__(self, region: Any) -> None:
        self.region = region
        self.client = region.client("lambda")
        self._role = make_role(region, "sender", inline=allowing("logs:*", "lambda:InvokeFunction"))

    def make(self, name: str, **settings: Any) -> str:
        """Its ARN."""
        name = f"{name}-{uuid.uuid4().hex[:8]}"
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("app.py", CODE)
        made = self.client.create_function(
            FunctionName=name,
            Runtime="python3.12",
            Handler="app.handler",
            Role=self._role,
            Code={"ZipFile": buffer.getvalue()},
            **settings,
        )
        self.client.get_waiter("function_active_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 500}
        )
        arn: str = made["FunctionArn"]
        return arn.removesuffix(":1")

    def send(self, arn: str, event: Any, **options: Any) -> str:
        """The request id."""
        answer = self.client.invoke(
            FunctionName=arn, InvocationType="Event", Payload=json.dumps(event).encode(), **options
        )
        assert (answer["StatusCode"], answer["Payload"].read()) == (202, b"")
        assert "ExecutedVersion" not in answer
        request_id: str = answer["ResponseMetadata"]["RequestId"]
        return request_id

    def seen(self, arn: str) -> list[dict[str, Any]]:
        """What the function was invoked with so far."""
        logs = self.region.client("logs")
        try:
            events = logs.filter_log_events(logGroupName=f"/aws/lambda/{arn.split(':')[6]}", filterPattern="SEEN")
        except logs.exceptions.ResourceNotFoundException:
            return []
        return [json.loads(event["message"].partition(" ")[2]) for event in events["events"]]

    def wait_for(self, arn: str, count: int) -> list[dict[str, Any]]:
        wait_until(lambda: len(self.seen(arn)) >= count, 20, f"{count} invocations of {arn}")
        self.wait_quiet()
        found = self.seen(arn)
        assert len(found) == count
        return found

    def wait_quiet(self) -> None:
        """Until nothing runs; what waits for its time goes on waiting."""
        wait_until(lambda: self.statistics()["running"] == 0, 20, "quiet")

    def statistics(self) -> dict[str, int]:
        answer = self.region.request("GET", "/_lambent/statistics", sign="lambda").json()["events"]
        return dict(answer)

    def advance(self, seconds: float) -> None:
        body = json.dumps({"advance": seconds}).encode()
        assert self.region.request("POST", "/_lambent/clock", body, sign="lambda").status == 200


@pytest.fixture
def functions(region: Any) -> Functions:
    return Functions(region)


def destinations(success: str = "", failure: str = "") -> dict[str, Any]:
    return {
        "OnSuccess": {"Destination": success} if success else {},
        "OnFailure": {"Destination": failure} if failure else {},
    }


def test_a_success_goes_to_its_destination_with_the_record_of_aws(functions: Functions) -> None:
    source, target = functions.make("source"), functions.make("target")
    functions.client.put_function_event_invoke_config(
        FunctionName=source, DestinationConfig=destinations(success=target)
    )
    request_id = functions.send(source, {"n": [1, "zwei"]})
    record = functions.wait_for(target, 1)[0]["event"]
    assert functions.seen(source) == [{"event": {"n": [1, "zwei"]}, "id": request_id, "arn": source}]
    timestamp = record.pop("timestamp")
    assert timestamp.endswith("Z")
    assert record == {
        "version": "1.0",
        "requestContext": {
            "requestId": request_id,
            "functionArn": f"{source}:$LATEST",
            "condition": "Success",
            "approximateInvokeCount": 1,
        },
        "requestPayload": {"n": [1, "zwei"]},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"},
        "responsePayload": {"done": {"n": [1, "zwei"]}},
    }


def test_a_failing_function_is_tried_again_after_one_and_after_two_minutes(functions: Functions) -> None:
    source, target = functions.make("fails"), functions.make("told")
    functions.client.put_function_event_invoke_config(
        FunctionName=source, DestinationConfig=destinations(failure=target)
    )
    request_id = functions.send(source, {"fail": True})
    functions.wait_for(source, 1)
    functions.advance(50)
    functions.wait_for(source, 1)
    functions.advance(10)
    functions.wait_for(source, 2)
    functions.advance(110)
    functions.wait_for(source, 2)
    functions.advance(10)
    seen = functions.wait_for(source, 3)
    assert {entry["id"] for entry in seen} == {request_id}
    record = functions.wait_for(target, 1)[0]["event"]
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 3
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    assert (record["responsePayload"]["errorMessage"], record["responsePayload"]["errorType"]) == (
        "told to",
        "ValueError",
    )


def test_an_alias_keeps_its_name_and_its_own_rules(functions: Functions) -> None:
    source, target = functions.make("aliased", Publish=True), functions.make("heard")
    functions.client.create_alias(FunctionName=source, Name="live", FunctionVersion="1")
    functions.client.put_function_event_invoke_config(
        FunctionName=source, Qualifier="live", MaximumRetryAttempts=0, DestinationConfig=destinations(failure=target)
    )
    functions.send(source, {"fail": True}, Qualifier="live")
    record = functions.wait_for(target, 1)[0]["event"]
    assert functions.seen(source)[0]["arn"] == f"{source}:live"
    assert record["requestContext"]["functionArn"] == f"{source}:live"
    assert record["requestContext"]["approximateInvokeCount"] == 1
    assert record["responseContext"]["executedVersion"] == "1"


def test_reserving_nothing_sends_events_to_the_destination_unrun(functions: Functions) -> None:
    source, target = functions.make("off"), functions.make("instead")
    functions.client.put_function_event_invoke_config(
        FunctionName=source, DestinationConfig=destinations(failure=target)
    )
    functions.client.put_function_concurrency(FunctionName=source, ReservedConcurrentExecutions=0)
    functions.send(source, {})
    record = functions.wait_for(target, 1)[0]["event"]
    assert record["requestContext"]["condition"] == "ZeroReservedConcurrency"
    assert record["requestContext"]["approximateInvokeCount"] == 0
    assert functions.seen(source) == []


def test_an_event_that_grew_too_old_goes_to_the_destination(functions: Functions) -> None:
    source, target = functions.make("old"), functions.make("late")
    functions.client.put_function_event_invoke_config(
        FunctionName=source, MaximumEventAgeInSeconds=60, DestinationConfig=destinations(failure=target)
    )
    functions.send(source, {"fail": True})
    functions.wait_for(source, 1)
    functions.advance(60)
    record = functions.wait_for(target, 1)[0]["event"]
    assert record["requestContext"]["condition"] == "EventAgeExceeded"
    assert len(functions.seen(source)) == 1


def test_events_end_with_their_function(functions: Functions) -> None:
    source = functions.make("gone")
    functions.send(source, {"fail": True})
    functions.wait_for(source, 1)
    functions.client.delete_function(FunctionName=source)
    assert functions.statistics()["waiting"] == 0


def test_what_waits_goes_on_after_a_restart(start_region: Callable[..., Any]) -> None:
    region = start_region("--test-clock")
    functions = Functions(region)
    source = functions.make("again")
    request_id = functions.send(source, {"fail": True})
    functions.wait_for(source, 1)
    region.kill()
    functions = Functions(region.start())
    # Killed before it was written down that it ran, it runs once more.
    wait_until(lambda: functions.statistics()["waiting"] == 1, what="the event waits")
    before = len(functions.seen(source))
    functions.advance(60)
    wait_until(lambda: len(functions.seen(source)) > before, what="another attempt")
    assert {entry["id"] for entry in functions.seen(source)} == {request_id}
    region.reset()
    assert functions.statistics() == {"lanes": 0, "waiting": 0, "running": 0}
    functions = Functions(region.restart())
    assert functions.statistics() == {"lanes": 0, "waiting": 0, "running": 0}


def test_the_old_operation_answers_with_its_status(functions: Functions) -> None:
    source = functions.make("ancient")
    answer = functions.client.invoke_async(FunctionName=source, InvokeArgs=b'{"old": 1}')
    assert answer["Status"] == 202
    assert functions.wait_for(source, 1)[0]["event"] == {"old": 1}


def test_what_becomes_of_events_is_counted(functions: Functions, region: Any) -> None:
    source = functions.make("counted")
    functions.client.put_function_event_invoke_config(FunctionName=source, MaximumRetryAttempts=1)
    for fail in (True, False):
        functions.send(source, {"fail": fail})
    functions.wait_for(source, 2)
    functions.advance(60)
    functions.wait_for(source, 3)
    cloudwatch, now = region.client("cloudwatch"), datetime.now(UTC)

    def summed(metric: str) -> list[float]:
        answer = cloudwatch.get_metric_statistics(
            Namespace="AWS/Lambda",
            MetricName=metric,
            Dimensions=[{"Name": "FunctionName", "Value": source.split(":")[6]}],
            StartTime=now - timedelta(hours=1),
            EndTime=now + timedelta(hours=1),
            Period=3600,
            Statistics=["Sum", "SampleCount"],
        )
        points = answer["Datapoints"]
        return [sum(point["Sum"] for point in points), sum(point["SampleCount"] for point in points)]

    assert summed("AsyncEventsReceived") == [2, 2]
    assert summed("AsyncEventsDropped") == [1, 1]
    assert summed("Errors")[0] == 2
    age_ms, count = summed("AsyncEventAge")
    assert (count, 60_000 <= age_ms < 90_000) == (3, True)


def test_idle_environments_go_when_the_clock_is_moved(functions: Functions, region: Any) -> None:
    functions.client.invoke(FunctionName=functions.make("idle"), Payload=b"{}")

    def idle() -> int:
        return int(region.request("GET", "/_lambent/statistics", sign="lambda").json()["invoker"]["idle"])

    assert idle() > 0
    functions.advance(600)
    assert idle() == 0


@pytest.mark.parametrize("body", [b"", b"{}", b'{"advance": "x"}', b'{"advance": -1}', b'{"advance": 1e300}', b"[1]"])
def test_the_clock_takes_a_number_of_seconds(region: Any, body: bytes) -> None:
    answer = region.request("POST", "/_lambent/clock", body, sign="lambda")
    assert answer.status == 400
    assert b"ValidationException" in answer.body or "ValidationException" in str(answer.headers)


def test_only_the_operator_moves_the_clock_and_only_a_test_clock(region: Any, start_region: Callable[..., Any]) -> None:
    assert region.request("POST", "/_lambent/clock", b'{"advance": 1}').status == 403
    fixed = start_region()
    answer = fixed.request("POST", "/_lambent/clock", b'{"advance": 1}', sign="lambda")
    assert (answer.status, b"start it with --test-clock" in answer.body) == (400, True)
