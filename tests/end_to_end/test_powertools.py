"""Powertools for Python and for TypeScript (with Middy), unchanged: logger, metrics, tracer, batch and idempotency."""

from __future__ import annotations

import base64
import datetime
import functools
import json
from collections.abc import Callable
from typing import Any

import pytest
from framework_bundles import Bundle, packed, runtime_of

from tests.conftest import wait_until
from tests.roles import BASIC, make_role

pytestmark = pytest.mark.slow

BUNDLES = {
    "Python": Bundle("powertools_app.py", ("aws-lambda-powertools[tracer]",)),
    "TypeScript with Middy": Bundle(
        "middy_app.mjs",
        (
            "@middy/core",
            "@aws-lambda-powertools/logger",
            "@aws-lambda-powertools/metrics",
            "@aws-lambda-powertools/tracer",
            "@aws-lambda-powertools/batch",
        ),
    ),
}
RECORD = {
    "receiptHandle": "handle",
    "attributes": {},
    "messageAttributes": {},
    "md5OfBody": "",
    "eventSource": "aws:sqs",
    "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:orders",
    "awsRegion": "us-east-1",
}


class Shop:
    """The function, deployed."""

    def __init__(self, region: Any, bundle: Bundle) -> None:
        self.region = region
        self.name = bundle.source.partition("_")[0]
        self._client = region.client("lambda")
        self._client.create_function(
            FunctionName=self.name,
            Runtime=runtime_of(bundle),
            Handler=bundle.handler,
            Role=make_role(
                region, "shop", inline="", policies=(BASIC, "arn:aws:iam::aws:policy/AWSXRayDaemonWriteAccess")
            ),
            Code={"ZipFile": packed(bundle)},
            MemorySize=512,
            Timeout=20,
            TracingConfig={"Mode": "Active"},
            Environment={"Variables": {"POWERTOOLS_LOG_LEVEL": "INFO"}},
        )
        self._client.get_waiter("function_active_v2").wait(
            FunctionName=self.name, WaiterConfig={"Delay": 0, "MaxAttempts": 500}
        )

    def call(self, event: Any) -> tuple[Any, list[dict[str, Any]]]:
        """What it answers, and the JSON lines of its log."""
        answer = self._client.invoke(FunctionName=self.name, Payload=json.dumps(event), LogType="Tail")
        payload = json.loads(answer["Payload"].read())
        tail = base64.b64decode(answer["LogResult"]).decode()
        assert "FunctionError" not in answer, (payload, tail)
        return payload, [json.loads(line) for line in tail.splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def shop_of(region: Any) -> Callable[[str], Shop]:
    return functools.cache(lambda name: Shop(region, BUNDLES[name]))


@pytest.fixture(params=list(BUNDLES))
def shop(shop_of: Callable[[str], Shop], request: pytest.FixtureRequest) -> Shop:
    return shop_of(request.param)


def annotations_of(segment: dict[str, Any]) -> list[dict[str, Any]]:
    """Of the segment and all below it."""
    below = [found for each in segment.get("subsegments", ()) for found in annotations_of(each)]
    return [segment["annotations"], *below] if "annotations" in segment else below


def test_logs_metrics_and_traces_are_what_powertools_users_see(shop: Shop) -> None:
    payload, lines = shop.call({"id": "o-1"})
    assert payload == {"ok": True}
    (line,) = (line for line in lines if line.get("message") == "An order came")
    assert (line["level"], line["service"], line["function_name"]) == ("INFO", "shop", shop.name)
    assert line["cold_start"] is True
    assert line["xray_trace_id"]

    xray = shop.region.client("xray")

    def annotations() -> list[Any]:
        traces = xray.batch_get_traces(TraceIds=[line["xray_trace_id"]])["Traces"]
        segments = [json.loads(segment["Document"]) for trace in traces for segment in trace["Segments"]]
        return [found for segment in segments for found in annotations_of(segment)]

    wait_until(lambda: any(found.get("order") == "o-1" for found in annotations()), 10, "the annotated segment")

    cloudwatch = shop.region.client("cloudwatch")
    now = datetime.datetime.now(datetime.UTC)

    def orders() -> float:
        found = cloudwatch.get_metric_statistics(
            Namespace="Shop",
            MetricName="Orders",
            Dimensions=[{"Name": "service", "Value": "shop"}],
            StartTime=now - datetime.timedelta(hours=1),
            EndTime=now + datetime.timedelta(hours=1),
            Period=3600,
            Statistics=["Sum"],
        )
        return sum(point["Sum"] for point in found["Datapoints"])

    wait_until(lambda: orders() >= 2, 10, "the metric that the log carries")


def test_the_bad_record_of_a_batch_is_named(shop: Shop) -> None:
    records = [{**RECORD, "messageId": f"m-{n}", "body": json.dumps({"bad": n == 1})} for n in range(3)]
    payload, _ = shop.call({"Records": records})
    assert payload == {"batchItemFailures": [{"itemIdentifier": "m-1"}]}


def test_an_idempotent_payment_is_made_once(shop_of: Callable[[str], Shop]) -> None:
    shop = shop_of("Python")
    first, _ = shop.call({"order": "o-7"})
    again, _ = shop.call({"order": "o-7"})
    other, _ = shop.call({"order": "o-8"})
    assert (first, again) == ({"paid": "o-7", "runs": 1}, {"paid": "o-7", "runs": 1})
    assert other == {"paid": "o-8", "runs": 2}
