"""Functions that trace themselves with the SDKs of X-Ray, and what Lambda records of traced invocations."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import framework_bundles as bundles
import pytest
from botocore.exceptions import ClientError

from lambent.invoke.tracing import context_of
from tests.conftest import Region, wait_until
from tests.roles import LOGGING, allowing, make_role
from tests.services.lambda_.lambda_helpers import zipped

pytestmark = pytest.mark.slow

PYTHON_SDKS = bundles.Bundle(
    "tracer_app.py",
    ("--no-deps", "aws-xray-sdk", "wrapt", "aws-lambda-powertools", "jmespath", "typing-extensions"),
)
NODE_SDK = bundles.Bundle("tracer_app.js", ("aws-xray-sdk-core",))
TRACES = "arn:aws:iam::aws:policy/AWSXRayDaemonWriteAccess"
HEADER = "Root=1-{:08x}-{:024x};Parent={:016x};Sampled={}"

PLAIN = """
import os, socket, time
def handler(event, context):
    if event.get("do") == "fail":
        raise ValueError("no")
    if event.get("do") == "shout":
        host, port = os.environ["AWS_XRAY_DAEMON_ADDRESS"].split(":")
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for text in event["datagrams"]:
            sender.sendto(text.encode("latin-1"), (host, int(port)))
        for number in range(event.get("times", 0)):
            sender.sendto(b'{"format": "json", "version": 1}\\n' + b"x" * 60000, (host, int(port)))
        refused = socket.socket()
        refused.settimeout(5)
        began = time.monotonic()
        return [refused.connect_ex((host, int(port))) != 0, time.monotonic() - began < 1]
    return os.environ["_X_AMZN_TRACE_ID"]
"""


@pytest.fixture(scope="module")
def role(region: Region) -> str:
    return make_role(region, "traced", inline=allowing("lambda:InvokeFunction", "logs:*"), policies=[TRACES])


def create(region: Region, name: str, role: str, package: bytes, **settings: Any) -> None:
    client = region.client("lambda")
    given = {"Runtime": bundles.PYTHON, "Handler": "app.handler", "Timeout": 20, "MemorySize": 512, **settings}
    client.create_function(FunctionName=name, Role=role, Code={"ZipFile": package}, **given)
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})


def invoke(region: Region, name: str, event: Any, header: str = "", **more: Any) -> dict[str, Any]:
    client = region.client("lambda", aws_access_key_id=region.key.access_key)
    if header:
        client.meta.events.register("before-sign", lambda request, **_: request.headers.add_header(TRACE, header))
    return dict(client.invoke(FunctionName=name, Payload=json.dumps(event), **more))


TRACE = "X-Amzn-Trace-Id"


def header_of(answer: dict[str, Any]) -> Any:
    assert "FunctionError" not in answer, answer["Payload"].read()
    return context_of(json.load(answer["Payload"]))


def segments(region: Region, trace_id: str, count: int) -> list[dict[str, Any]]:
    """The documents of a trace once it has so many: what functions send is read and written behind them."""

    def found() -> list[dict[str, Any]] | None:
        traces = region.client("xray").batch_get_traces(TraceIds=[trace_id])["Traces"]
        documents = [json.loads(each["Document"]) for trace in traces for each in trace["Segments"]]
        return documents if len(documents) >= count else None

    documents: list[dict[str, Any]] = wait_until(found, what=f"{count} segments of {trace_id}")
    return documents


def by_origin(documents: list[dict[str, Any]], name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    found = {document["origin"]: document for document in documents if document["name"] == name}
    return found["AWS::Lambda"], found["AWS::Lambda::Function"]


def names(document: dict[str, Any]) -> list[str]:
    """Of a segment's subsegments and theirs, in order."""
    inside = document.get("subsegments", [])
    return [name for each in inside for name in (each["name"], *names(each))]


def subsegment(document: dict[str, Any], name: str) -> dict[str, Any]:
    inside = document.get("subsegments", [])
    found: dict[str, Any] | None = next((each for each in inside if each["name"] == name), None)
    return found or next(subsegment(each, name) for each in inside if name in names(each))


def test_functions_that_call_each_other_make_one_trace_with_what_their_sdks_record(region: Region, role: str) -> None:
    package = bundles.packed(PYTHON_SDKS)
    for name, mode in (("shop", "Active"), ("stock", "PassThrough")):
        create(region, name, role, package, Handler=PYTHON_SDKS.handler, TracingConfig={"Mode": mode})
    answer = invoke(region, "shop", {"order": "a-1", "next": "stock"}, LogType="Tail")
    context = header_of(answer)
    assert context.sampled

    def whole() -> bool:
        return "## tax" in names(by_origin(segments(region, context.root, 4), "stock")[1])

    wait_until(whole, what="the last subsegments of the second function")
    documents = segments(region, context.root, 4)
    service, function = by_origin(documents, "shop")
    assert (function["id"], function["parent_id"]) == (context.parent, service["id"])
    assert "parent_id" not in service
    assert names(function) == [
        "Initialization",
        "Invocation",
        "## handler",
        "## tracer_app.price",
        "## tax",
        "lambda",
        "Overhead",
    ]
    assert subsegment(function, "## handler")["annotations"]["order"] == "a-1"
    assert subsegment(function, "## handler")["annotations"]["ColdStart"] is True
    assert subsegment(function, "## tax")["metadata"]["default"]["order"] == "a-1"
    callee, called = by_origin(documents, "stock")
    assert callee["parent_id"] == subsegment(function, "lambda")["id"]
    assert called["parent_id"] == callee["id"]
    assert "Invocation" in names(called)


def test_the_sdk_for_node_records_in_the_segment_of_its_function(region: Region, role: str) -> None:
    runtime = bundles.runtime_of(NODE_SDK)
    package, active = bundles.packed(NODE_SDK), {"Mode": "Active"}
    create(region, "node", role, package, Handler=NODE_SDK.handler, Runtime=runtime, TracingConfig=active)
    context = header_of(invoke(region, "node", {"order": 7}))
    wait_until(lambda: "## price" in names(by_origin(segments(region, context.root, 2), "node")[1]))
    _, function = by_origin(segments(region, context.root, 2), "node")
    assert subsegment(function, "## price")["annotations"]["order"] == 7
    assert function["id"] == context.parent


@pytest.fixture(scope="module")
def plain(region: Region, role: str) -> Callable[..., dict[str, Any]]:
    """Invokes a function that traces nothing itself."""
    create(region, "plain", role, zipped({"app.py": PLAIN}))

    def call(event: Any, header: str = "", **more: Any) -> dict[str, Any]:
        return invoke(region, "plain", event, header, **more)

    return call


def header(number: int, sampled: int = 1) -> str:
    return HEADER.format(int(time.time()), number, number + 1, sampled)


def test_what_the_caller_samples_is_traced_as_its_child_and_named_in_the_report(region: Region, plain: Any) -> None:
    sent = header(1)
    answer = plain({}, sent, LogType="Tail")
    context = header_of(answer)
    service, function = by_origin(segments(region, context.root, 2), "plain")
    assert context.root == context_of(sent).root
    assert service["parent_id"] == context_of(sent).parent != context.parent == function["id"]
    assert service["http"]["response"]["status"] == 200
    assert service["aws"]["request_id"] == function["aws"]["request_id"] == answer["ResponseMetadata"]["RequestId"]
    log = region.client("logs").filter_log_events(logGroupName="/aws/lambda/plain", filterPattern="REPORT")
    reports = [event["message"] for event in log["events"]]
    line = f"\nXRAY TraceId: {context.root}\tSegmentId: {context.parent}\tSampled: true\t\n"
    assert any(report.endswith(line) for report in reports), reports


@pytest.mark.parametrize("sampled", [0, None])
def test_what_nobody_samples_is_not_traced_where_tracing_passes_through(
    region: Region, plain: Any, sampled: Any
) -> None:
    sent = "" if sampled is None else header(2, sampled)
    context = header_of(plain({}, sent))
    assert not context.sampled
    assert region.client("xray").batch_get_traces(TraceIds=[context.root])["Traces"] == []


def test_an_error_is_a_fault_of_the_function(region: Region, plain: Any) -> None:
    sent = header(3)
    assert plain({"do": "fail"}, sent)["FunctionError"] == "Unhandled"
    service, function = by_origin(segments(region, context_of(sent).root, 2), "plain")
    assert (service["fault"], function["fault"]) == (True, True)
    assert subsegment(function, "Invocation")["fault"] is True


def test_an_event_keeps_its_trace(region: Region, plain: Any) -> None:
    sent = header(4)
    assert plain({}, sent, InvocationType="Event")["StatusCode"] == 202
    service, _ = by_origin(segments(region, context_of(sent).root, 2), "plain")
    assert service["parent_id"] == context_of(sent).parent


def test_a_throttled_request_is_told(region: Region, plain: Any) -> None:
    client = region.client("lambda")
    client.put_function_concurrency(FunctionName="plain", ReservedConcurrentExecutions=0)
    sent = header(5)
    with pytest.raises(ClientError, match="TooManyRequestsException"):
        plain({}, sent)
    client.delete_function_concurrency(FunctionName="plain")
    (service,) = segments(region, context_of(sent).root, 1)
    assert (service["throttle"], service["http"]["response"]["status"]) == (True, 429)


def test_datagrams_that_are_no_segments_do_nothing(region: Region, plain: Any) -> None:
    trace = context_of(header(6))
    good = {
        "trace_id": trace.root,
        "id": "a" * 16,
        "name": "mine",
        "start_time": int(time.time()),
        "end_time": int(time.time()),
    }
    start = '{"format":"json","version":1}\n'
    hostile = [
        "",
        "\n",
        start,
        "x" * 60_000,
        start + "{",
        start + "[" * 50_000,
        start + "\xff" * 1000,
        "\0" * 100 + "\n{}",
    ]
    answer = plain({"do": "shout", "datagrams": [*hostile, start + json.dumps(good)]})
    # Nothing answers over TCP, and nobody waits to learn it.
    assert json.load(answer["Payload"]) == [True, True]
    assert [each["name"] for each in segments(region, trace.root, 1)] == ["mine"]
    assert plain({})["StatusCode"] == 200


def test_a_flood_of_datagrams_stays_bounded_and_is_over_when_it_ends(region: Region, plain: Any) -> None:
    trace = context_of(header(7))
    good = {
        "trace_id": trace.root,
        "id": "b" * 16,
        "name": "after",
        "start_time": int(time.time()),
        "end_time": int(time.time()),
    }
    assert "FunctionError" not in plain({"do": "shout", "datagrams": [], "times": 2000})

    def sent() -> bool:
        plain({"do": "shout", "datagrams": ['{"format":"json","version":1}\n' + json.dumps(good)]})
        return bool(region.client("xray").batch_get_traces(TraceIds=[trace.root])["Traces"])

    wait_until(sent, what="the daemon's taking segments again")
    answer = region.request("GET", "/_lambent/statistics", sign="lambda").json()
    assert answer["traces"]["waiting"] <= 16 * 1024 * 1024


def test_a_role_that_may_not_put_segments_leaves_no_trace(region: Region) -> None:
    create(region, "silent", make_role(region, "silent", inline=LOGGING), zipped({"app.py": PLAIN}))
    before = region.request("GET", "/_lambent/statistics", sign="lambda").json()["traces"]["denied"]
    context = header_of(invoke(region, "silent", {}, header(8)))
    assert context.sampled
    assert region.client("xray").batch_get_traces(TraceIds=[context.root])["Traces"] == []
    after = region.request("GET", "/_lambent/statistics", sign="lambda").json()["traces"]["denied"]
    assert after == before + 2


def test_a_stage_with_tracing_begins_the_trace_of_what_it_calls(region: Region, plain: Any) -> None:
    apis, functions = region.client("apigateway"), region.client("lambda")
    arn = functions.get_function(FunctionName="plain")["Configuration"]["FunctionArn"]
    functions.add_permission(
        FunctionName="plain", StatementId="api", Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com"
    )
    api = apis.create_rest_api(name="shop (new)")
    of_root = {"restApiId": api["id"], "resourceId": api["rootResourceId"], "httpMethod": "GET"}
    apis.put_method(**of_root, authorizationType="NONE")
    uri = f"arn:aws:apigateway:{region.name}:lambda:path/2015-03-31/functions/{arn}/invocations"
    apis.put_integration(**of_root, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
    apis.create_deployment(restApiId=api["id"], stageName="traced", tracingEnabled=True)
    host = {"host": f"{api['id']}.execute-api.localhost", "x-amzn-trace-id": header(9)}
    region.request("GET", "/traced/", headers=host)
    root = context_of(host["x-amzn-trace-id"])
    documents = segments(region, root.root, 3)
    stage = next(document for document in documents if document["origin"] == "AWS::ApiGateway::Stage")
    service, function = by_origin(documents, "plain")
    assert (stage["name"], stage["parent_id"]) == ("shop _new_/traced", root.parent)
    assert (service["parent_id"], function["parent_id"]) == (stage["id"], service["id"])
    assert stage["http"]["request"]["method"] == "GET"
    # The function answers no response of an API: the stage says 502.
    assert (stage["http"]["response"]["status"], stage["fault"]) == (502, True)
