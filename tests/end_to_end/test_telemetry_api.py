"""The Telemetry API and the Logs API, as subscribers that were written from the protocol alone see them."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import pytest
from extension_programs import archive
from telemetry_programs import BASH_SUBSCRIBER, FUNCTION, PYTHON_SUBSCRIBER

from tests.conftest import wait_until
from tests.roles import ROLE

pytestmark = pytest.mark.slow

PYTHON = f"python3.{sys.version_info.minor}"
INVOCATIONS = 1000
_REPORT = re.compile(
    r"REPORT RequestId: (?P<id>\S+)\tDuration: (?P<duration>\S+) ms\tBilled Duration: (?P<billed>\d+) ms\t"
    r"Memory Size: (?P<memory>\d+) MB\tMax Memory Used: (?P<used>\d+) MB\t(?:Init Duration: (?P<init>\S+) ms\t)?\n"
)


class Maker:
    def __init__(self, region: Any) -> None:
        self.region = region
        self.client = region.client("lambda")
        self._layers: dict[str, str] = {}

    def layer(self, program: str, name: str) -> str:
        if name not in self._layers:
            content = {"ZipFile": archive({f"extensions/{name}": program})}
            version = self.client.publish_layer_version(LayerName=name, Content=content)
            self._layers[name] = version["LayerVersionArn"]
        return self._layers[name]

    def function(self, name: str, plan: dict[str, Any], layers: list[str] | None = None, **more: Any) -> str:
        if layers is None:
            layers = [self.layer(PYTHON_SUBSCRIBER, extension) for extension in plan]
        package = archive({"app.py": FUNCTION})
        variables = {"TELEMETRY": json.dumps(plan), **more.pop("variables", {})}
        self.client.create_function(
            FunctionName=name,
            Role=ROLE,
            Layers=layers,
            Handler="app.handler",
            Environment={"Variables": variables},
            **{"Runtime": PYTHON, "Timeout": 30, "MemorySize": 512, "Code": {"ZipFile": package}, **more},
        )
        self.client.get_waiter("function_active_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 400}
        )
        return name

    def call(self, name: str, **event: Any) -> Any:
        answer = self.client.invoke(FunctionName=name, Payload=json.dumps(event))
        return json.loads(answer["Payload"].read())

    def events(self, name: str, extension: str, kind: str, count: int, *, everything: bool = False) -> list[Any]:
        """What the subscriber got, once it has `count` of that type."""
        found: list[Any] = self.call(name, read=extension, type=kind, count=count, all=everything)
        return found

    def log(self, name: str, group: str = "") -> list[str]:
        pages = self.region.client("logs").get_paginator("filter_log_events")
        found = pages.paginate(logGroupName=group or f"/aws/lambda/{name}")
        return [event["message"] for page in found for event in page["events"]]

    def wait_line(self, name: str, begin: str) -> str:
        line: str = wait_until(lambda: next((line for line in self.log(name) if line.startswith(begin)), ""), 15, begin)
        return line


@pytest.fixture(scope="module")
def maker(region: Any) -> Maker:
    return Maker(region)


def test_a_subscriber_hears_of_everything_in_order(maker: Maker) -> None:
    name = maker.function("life", {"agent": {"says": True, "events": ["INVOKE", "SHUTDOWN"]}})
    request = maker.client.invoke(FunctionName=name, Payload=b'{"count": 2, "width": 3}')["ResponseMetadata"][
        "RequestId"
    ]
    told = maker.events(name, "agent", "platform.report", 1, everything=True)
    until = [event["type"] for event in told].index("platform.report") + 1
    # What a process prints and what the platform does come by different ways: each is in order of its own.
    platform = [event for event in told[:until] if event["type"].startswith("platform.")]
    kinds = [event["type"].removeprefix("platform.") for event in platform]
    # It subscribes while the runtime initialises.
    assert kinds.index("telemetrySubscription") in (1, 2)
    kinds.remove("telemetrySubscription")
    assert kinds == ["initStart", "initRuntimeDone", "extension", "initReport", "start", "runtimeDone", "report"]
    records = {event["type"].removeprefix("platform."): event["record"] for event in platform}
    assert records["initStart"]["functionName"] == name
    assert records["initStart"]["phase"] == "init"
    assert records["initStart"]["instanceMaxMemory"] == 512 * 1024 * 1024
    assert records["telemetrySubscription"] == {
        "name": "agent",
        "state": "Subscribed",
        "types": ["platform", "function", "extension"],
    }
    assert records["extension"] == {"name": "agent", "state": "Ready", "events": ["INVOKE", "SHUTDOWN"]}
    assert records["start"] == {"requestId": request, "version": "$LATEST"}
    done = records["runtimeDone"]
    assert (done["requestId"], done["status"], done["metrics"]["producedBytes"]) == (request, "success", 1)
    assert [span["name"] for span in done["spans"]] == ["responseLatency", "responseDuration", "runtimeOverhead"]
    # It has none where the extension was at next before the runtime.
    assert [span["name"] for span in records["report"].get("spans", [])] in (["extensionOverhead"], [])
    assert all(re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["time"]) for event in told)
    assert [event["record"] for event in told if event["type"] == "function"][:2] == ["000\n", "001\n"]
    printed = [event["record"] for event in told if event["type"] == "extension"]
    assert printed[:2] == ['subscribed 200 "OK"\n', f"invoked {request}\n"]
    log = maker.log(name)
    assert "TELEMETRY\tName: agent\tState: Subscribed\tTypes: [Platform, Function, Extension]\n" in log
    assert "EXTENSION\tName: agent\tState: Ready\tEvents: [INVOKE, SHUTDOWN]\n" in log


def test_platform_report_equals_the_report_line_for_a_thousand_invocations(maker: Maker) -> None:
    name = maker.function("thousand", {"agent": {"asks": {"types": ["platform"], "buffering": {"timeoutMs": 200}}}})
    for _ in range(INVOCATIONS):
        maker.client.invoke(FunctionName=name, Payload=b"{}")
    records = [event["record"] for event in maker.events(name, "agent", "platform.report", INVOCATIONS)]
    lines = [_REPORT.fullmatch(line) for line in maker.log(name) if line.startswith("REPORT")][: len(records)]
    assert len(records) == len(lines) == INVOCATIONS
    for record, line in zip(records, lines, strict=True):
        assert line is not None
        metrics = record["metrics"]
        assert {
            "id": record["requestId"],
            "duration": f"{metrics['durationMs']:.2f}",
            "billed": str(metrics["billedDurationMs"]),
            "memory": str(metrics["memorySizeMB"]),
            "used": str(metrics["maxMemoryUsedMB"]),
            "init": f"{metrics['initDurationMs']:.2f}" if "initDurationMs" in metrics else None,
        } == line.groupdict()
    assert [line["init"] is not None for line in lines if line] == [True] + [False] * (INVOCATIONS - 1)


@pytest.mark.parametrize(
    ("port", "version"), [(4243, "HTTP/1.1"), (4244, "HTTP/1.0")], ids=["one-connection", "a-connection-each"]
)
def test_no_line_is_lost_while_a_subscriber_keeps_up(maker: Maker, port: int, version: str) -> None:
    plan = {"agent": {"asks": {"types": ["function", "platform"]}, "http": version, "port": port}}
    name = maker.function(f"counts-{port}", plan)
    count = 20_000
    assert maker.call(name, count=count, width=60) == count
    told = maker.events(name, "agent", "function", count, everything=True)
    assert [event["record"] for event in told if event["type"] == "function"] == [
        f"{index:060d}\n" for index in range(count)
    ]
    assert not any(event["type"] == "platform.logsDropped" for event in told)


def test_a_subscriber_that_stalls_is_told_exactly_what_it_lost(maker: Maker) -> None:
    name = maker.function("stalls", {"agent": {"stalls": True, "asks": {"types": ["platform", "function"]}}})
    count, width = 40_000, 100
    assert maker.call(name, count=count, width=width) == count
    maker.call(name, go=True)
    told = maker.events(name, "agent", "platform.logsDropped", 1, everything=True)
    told = told[next(index for index, event in enumerate(told) if event["type"] == "function") :]
    # What happened from the first line on, this last invocation's start included: each event is delivered or counted.
    invocation = ["platform.runtimeDone", "platform.report", "platform.start"]
    happened = [f"{index:0{width}d}\n" for index in range(count)] + invocation * 2
    at = lost = lost_bytes = 0
    for event in told:
        if event["type"] == "platform.logsDropped":
            at += event["record"]["droppedRecords"]
            lost += event["record"]["droppedRecords"]
            lost_bytes += event["record"]["droppedBytes"]
        else:
            assert happened[at] == (event["record"] if event["type"] == "function" else event["type"])
            at += 1
    assert lost > 5000
    size = len(json.dumps(told[0], separators=(",", ":")))
    lines = count - sum(event["type"] == "function" for event in told)
    assert size * lines <= lost_bytes < size * lines + 500 * len(invocation) * 2


BOOTSTRAP = """#!/bin/bash
api=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation
while :; do
  headers=$(mktemp)
  event=$(curl -sS -D "$headers" "$api/next")
  id=$(grep -i ^lambda-runtime-aws-request-id "$headers" | tr -d '\\r' | cut -d' ' -f2)
  answer=done
  [[ $event == *read* ]] && answer=$(cat /tmp/agent.events)
  curl -sS -X POST "$api/$id/response" -d "$answer" >/dev/null
  sleep 0.05
done
"""


def test_a_custom_runtime_is_told_from_its_response_to_its_next_request(maker: Maker) -> None:
    plan = {"agent": {"asks": {"types": ["platform"]}}}
    code = {"Code": {"ZipFile": archive({"bootstrap": BOOTSTRAP})}, "Runtime": "provided.al2023"}
    name = maker.function("custom", plan, **code)
    maker.client.invoke(FunctionName=name, Payload=b"{}")

    def told() -> Any:
        lines = maker.client.invoke(FunctionName=name, Payload=b'{"read":1}')["Payload"].read().splitlines()
        events = [json.loads(line) for line in lines]
        return [event["record"] for event in events if event["type"] == "platform.runtimeDone"]

    done = wait_until(told, 10, "the first invocation")[0]
    spans = {span["name"]: span["durationMs"] for span in done["spans"]}
    assert 50 <= spans["runtimeOverhead"] < done["metrics"]["durationMs"]
    assert abs(sum(spans.values()) - done["metrics"]["durationMs"]) < 0.01
    assert done["metrics"]["producedBytes"] == 4


def test_the_logs_api_speaks_tcp_to_a_shell_script(maker: Maker) -> None:
    name = maker.function("logs", {}, [maker.layer(BASH_SUBSCRIBER, "shell")])
    request = maker.client.invoke(FunctionName=name, Payload=b'{"count": 1, "width": 3}')["ResponseMetadata"][
        "RequestId"
    ]
    told = maker.events(name, "shell", "platform.report", 1, everything=True)
    until = [event["type"] for event in told].index("platform.report") + 1
    platform = [event for event in told[:until] if event["type"] != "function"]
    assert [event["type"] for event in platform] == [
        "platform.logsSubscription", "platform.extension", "platform.start", "platform.runtimeDone", "platform.end",
        "platform.report",
    ]  # fmt: skip
    assert platform[3]["record"] == {"requestId": request, "status": "success"}
    assert platform[4]["record"] == {"requestId": request}
    assert set(platform[5]["record"]) == {"requestId", "metrics"}
    assert [event["record"] for event in told if event["type"] == "function"][:1] == ["000\n"]
    assert "LOGS\tName: shell\tState: Subscribed\tTypes: [Platform, Function]\n" in maker.log(name)
    assert 'subscribed 200 "OK"\n' in maker.log(name)


def test_a_crash_is_told_and_the_extension_that_starts_anew_hears_all_of_it(maker: Maker) -> None:
    logs = {"asks": {"types": ["platform"]}}
    name = maker.function("crash", {"agent": logs})
    failed = maker.client.invoke(FunctionName=name, Payload=b'{"exit": 3}')["ResponseMetadata"]["RequestId"]
    told = maker.events(name, "agent", "platform.telemetrySubscription", 2, everything=True)
    done, report = (
        next(event["record"] for event in told if event["type"] == kind)
        for kind in ("platform.runtimeDone", "platform.report")
    )
    for record in (done, report):
        assert (record["requestId"], record["status"], record["errorType"]) == (failed, "error", "Runtime.ExitError")
    assert done["metrics"]["producedBytes"] == 0
    phases = [event["record"]["phase"] for event in told if event["type"] == "platform.initStart"]
    assert phases == ["init", "invoke"]


def test_what_is_left_is_delivered_while_the_environment_shuts_down(maker: Maker) -> None:
    asks = {"types": ["platform"], "buffering": {"timeoutMs": 30_000}}
    name = maker.function("last", {"agent": {"asks": asks, "lingers": 0.5}})
    for _ in range(3):
        maker.call(name)
    maker.client.delete_function(FunctionName=name)
    counts = json.loads(maker.wait_line(name, "at the end").removeprefix("at the end"))
    assert (counts["platform.start"], counts["platform.runtimeDone"], counts["platform.report"]) == (3, 3, 3)


def test_what_a_long_buffer_holds_is_delivered_before_the_environment_is_frozen(maker: Maker) -> None:
    asks = {"types": ["platform"], "buffering": {"timeoutMs": 30_000}}
    name = maker.function("frozen", {"agent": {"asks": asks}})
    maker.call(name)
    wait_until(lambda: states(maker, name) == ["frozen"], 15, "it is frozen")
    assert len(maker.events(name, "agent", "platform.report", 1)) == 1


def states(maker: Maker, name: str) -> list[str]:
    answer = maker.region.request("GET", "/_lambent/environments", sign="lambda").json()
    return [each["state"] for each in answer["environments"] if each["function"] == name]


REFUSALS: list[tuple[str, int, dict[str, str]]] = [
    (
        "subscribe('')",
        403,
        {
            "errorMessage": "Missing Lambda-Extension-Identifier header",
            "errorType": "Extension.MissingExtensionIdentifier",
        },
    ),
    (
        "subscribe('me')",
        403,
        {"errorMessage": "Invalid Lambda-Extension-Identifier", "errorType": "Extension.InvalidExtensionIdentifier"},
    ),
    (
        "subscribe('6ea2d2a3-1c1f-4e2a-8f3d-0123456789ab')",
        403,
        {
            "errorMessage": "Unknown extension 6ea2d2a3-1c1f-4e2a-8f3d-0123456789ab",
            "errorType": "Extension.UnknownExtensionIdentifier",
        },
    ),
    (
        "subscribe(ID, destination={'protocol': 'HTTP', 'URI': 'http://sandbox.localdomain'}, types=[])",
        400,
        {"errorMessage": "URI port is not provided; types should not be empty", "errorType": "ValidationError"},
    ),
    (
        "subscribe(ID, '/2020-08-15/logs', schemaVersion='2021-03-18', destination={'protocol': 'TCP', 'port': 9001})",
        400,
        {"errorMessage": "port 9001 is reserved", "errorType": "Logs.ValidationError"},
    ),
    (
        f"subscribe(ID, destination={{'protocol': 'TCP', 'port': {0}}})",
        400,
        {"errorMessage": "port should be an integer between 1 and 65535", "errorType": "ValidationError"},
    ),
    (
        "(subscribe(ID), subscribe(ID, '/2020-08-15/logs', schemaVersion='2020-08-15'))[1]",
        400,
        {
            "errorMessage": "The extension has subscribed using the Telemetry API already",
            "errorType": "Logs.ValidationError",
        },
    ),
    ("call('GET', '/2022-07-01/telemetry')", 405, {"errorMessage": "Use PUT.", "errorType": "MethodNotAllowed"}),
]


def test_the_apis_refuse_as_aws_does(maker: Maker) -> None:
    asks = ", ".join(expression for expression, _, _ in REFUSALS)
    name = maker.function("refused", {}, [], variables={"AT_INIT": f"[ID, [{asks}]]"})
    identifier, answers = maker.call(name)["init"]
    for (expression, status, body), answer in zip(REFUSALS, answers, strict=True):
        assert (answer[0], json.loads(answer[2])) == (status, body), expression
    late = maker.call(name, eval=f"subscribe({identifier!r})")
    assert (late[0], json.loads(late[2])) == (
        403,
        {"errorMessage": "Telemetry API subscription is closed already", "errorType": "Telemetry.SubscriptionClosed"},
    )
    late = maker.call(name, eval=f"subscribe({identifier!r}, '/2020-08-15/logs')")
    assert json.loads(late[2])["errorType"] == "Logs.SubscriptionClosed"


def test_subscribing_again_and_again_fills_nothing(maker: Maker) -> None:
    one = "[subscribe(ID)[0] for _ in range(300)]"
    many = "[subscribe(ID, buffering={'timeoutMs': 1000 + index})[0] for index in range(300)]"
    name = maker.function("again", {}, [], variables={"AT_INIT": f"{one} + {many}"})
    answers = maker.call(name)["init"]
    assert answers[:300] == [200] * 300
    # The first of the others asks for what is the default.
    assert answers.count(400) == 200
    assert sum(line.startswith("TELEMETRY") for line in maker.log(name)) == 100


def test_events_reach_no_port_of_the_region_by_any_name(maker: Maker) -> None:
    port = maker.region.url.rpartition(":")[2]
    hosts = ["sandbox.localdomain", "sandbox", "127.0.0.1", "localhost"]
    uris = [f"http://{host}:{port}" for host in hosts] + ["http://169.254.100.1:4000", "http://10.0.0.1:80"]
    asks = ", ".join(f"subscribe(ID, destination={{'protocol': 'HTTP', 'URI': {uri!r}}})" for uri in uris)
    name = maker.function("ports", {}, [], variables={"AT_INIT": f"[{asks}]"})
    answers = [(answer[0], json.loads(answer[2])["errorMessage"]) for answer in maker.call(name)["init"]]
    assert answers[:4] == [(400, f"URI port {port} is reserved")] * 4
    assert answers[4:] == [(400, "URI host should be sandbox.localdomain")] * 2


def test_the_sandbox_knows_itself_by_the_name_that_destinations_use(maker: Maker) -> None:
    name = maker.function("name", {}, [])
    assert maker.call(name, eval="__import__('socket').gethostbyname('sandbox.localdomain')") == "169.254.100.1"


HOSTILE = """#!/usr/bin/python3
import http.client, json, os, socket, sys, threading, time

listener = socket.create_server(("0.0.0.0", 4000), backlog=1)
def mistreat(peer, way):
    try:
        if way == 0: time.sleep(1000)
        if way == 1: peer.close()
        if way == 2:
            while True: peer.sendall(b"HTTP/1.1 200 OK\\r\\nX: " + b"x" * 65536)
        if way == 3:
            peer.recv(100)
            peer.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 99999999999\\r\\n\\r\\n")
            while True: peer.sendall(b"x" * 65536)
        if way == 4:
            for byte in b"HTTP/1.1 200": peer.sendall(bytes([byte])); time.sleep(0.5)
    except OSError:
        pass
def serve():
    held = []
    way = 0
    while True:
        peer = listener.accept()[0]
        held.append(peer)
        threading.Thread(target=mistreat, args=(peer, (3, 2, 1, 4, 0)[way % 5]), daemon=True).start()
        way += 1
threading.Thread(target=serve, daemon=True).start()
connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
def call(method, path, headers={}, body=None):
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    return response, response.read()
name = os.path.basename(sys.argv[0])
response, _ = call("POST", "/2020-01-01/extension/register", {"Lambda-Extension-Name": name}, '{"events": []}')
own = {"Lambda-Extension-Identifier": response.headers["Lambda-Extension-Identifier"]}
asked = {"schemaVersion": "2022-12-13", "types": ["platform", "function"], "buffering": {"timeoutMs": 25},
         "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:4000"}}
call("PUT", "/2022-07-01/telemetry", own, json.dumps(asked))
call("GET", "/2020-01-01/extension/event/next", own)
"""


def test_a_hostile_subscriber_harms_neither_its_function_nor_the_region(maker: Maker) -> None:
    name = maker.function("hostile", {}, [maker.layer(HOSTILE, "hostile")])
    innocent = maker.function("innocent", {}, [])
    before = memory_mb(maker)
    for _ in range(4):
        assert maker.call(name, count=10_000, width=100) == 10_000
        assert maker.call(innocent, eval="1 + 1") == 2
    assert memory_mb(maker) - before < 60
    maker.client.delete_function(FunctionName=name)
    wait_until(lambda: states(maker, name) == [], 15, "its environment is gone")


def memory_mb(maker: Maker) -> int:
    with open(f"/proc/{maker.region.process.pid}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * 4096 // 2**20
