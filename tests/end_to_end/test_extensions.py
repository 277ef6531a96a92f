"""The Extensions API, as extensions that were written from the protocol alone see it."""

from __future__ import annotations

import base64
import json
import re
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from extension_programs import BASH_EXTENSION, PYTHON_EXTENSION, archive

from lambent.runtimes.catalog import Catalog
from tests.conftest import wait_until
from tests.roles import ROLE

pytestmark = pytest.mark.slow

PYTHON = f"python3.{sys.version_info.minor}"
AVAILABLE = [spec.name for spec in Catalog(Path("/nonexistent")).available()]
NODE = next((name for name in AVAILABLE if name.startswith("nodejs")), "")
needs_node = pytest.mark.skipif(not NODE, reason="no Node runtime on this machine")

PYTHON_CODE = """
import json, os, time, urllib.request, urllib.error

def call(method, path, headers={}, body=None):
    request = urllib.request.Request(
        f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2020-01-01/extension/{path}", body, headers, method=method)
    try:
        answer = urllib.request.urlopen(request)
    except urllib.error.HTTPError as error:
        answer = error
    return answer.status, dict(answer.headers), json.loads(answer.read() or b"null")

def register(name, events, **headers):
    return call("POST", "register", {"Lambda-Extension-Name": name, **headers}, json.dumps({"events": events}).encode())

ID = "Lambda-Extension-Identifier"
AT_INIT = eval(os.environ.get("AT_INIT", "None"))

def handler(event, context):
    time.sleep(event.get("sleep", 0))
    if "exit" in event:
        os._exit(event["exit"])
    if "eval" in event:
        return eval(event["eval"])
    return {"init": AT_INIT, "request": context.aws_request_id}
"""
NODE_CODE = "exports.handler = async (event) => ({ request: 'node' });"
BOOTSTRAP = """#!/bin/bash
api=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation
while :; do
  headers=$(mktemp)
  curl -sS -D "$headers" "$api/next" >/dev/null
  id=$(grep -i ^lambda-runtime-aws-request-id "$headers" | tr -d '\\r' | cut -d' ' -f2)
  curl -sS -X POST "$api/$id/response" -d '{"request":"bash"}' >/dev/null
done
"""


class Maker:
    def __init__(self, region: Any) -> None:
        self.region = region
        self.client = region.client("lambda")
        self._layers: dict[str, str] = {}

    def layer(self, name: str, files: dict[str, str | bytes], executable: bool = True) -> str:
        if name not in self._layers:
            content = {"ZipFile": archive(files, executable)}
            version = self.client.publish_layer_version(LayerName=name, Content=content)
            self._layers[name] = version["LayerVersionArn"]
        return self._layers[name]

    def extensions(self, *names: str) -> list[str]:
        """A layer with the Python extension under these names."""
        files: dict[str, str | bytes] = {f"extensions/{name}": PYTHON_EXTENSION for name in names}
        return [self.layer(f"of-{'-'.join(names)}"[:120], files)] if names else []

    def function(
        self, name: str, layers: list[str], plan: Any = None, runtime: str = PYTHON, code: Any = None, **more: Any
    ) -> str:
        variables = {"PLAN": json.dumps(plan or {}), **more.pop("variables", {})}
        self.client.create_function(
            FunctionName=name,
            Runtime=runtime,
            Role=ROLE,
            Layers=layers,
            Handler="app.handler",
            Code={"ZipFile": archive(code or {"app.py": PYTHON_CODE})},
            Environment={"Variables": variables},
            **{"Timeout": 10, "MemorySize": 256, **more},
        )
        self.client.get_waiter("function_active_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 400}
        )
        return name

    def invoke(self, name: str, event: Any = None, **options: Any) -> Any:
        return self.client.invoke(FunctionName=name, Payload=json.dumps(event or {}), **options)

    def call(self, name: str, event: Any = None) -> Any:
        """What it answers, once its extensions are done as well: the next call finds the environment free."""
        answer = self.invoke(name, event)
        begin = f"REPORT RequestId: {answer['ResponseMetadata']['RequestId']}"
        wait_until(lambda: any(line.startswith(begin) for line in self.log(name)), 15, begin)
        return json.loads(answer["Payload"].read())

    def lines(self, name: str, begin: str, count: int = 1) -> list[str]:
        """The log's lines that begin so, once there are `count`."""
        found: list[str] = wait_until(
            lambda: len(lines := [line for line in self.log(name) if line.startswith(begin)]) >= count and lines,
            15,
            f"{begin} in the log",
        )
        return found

    def states(self, name: str) -> list[str]:
        answer = self.region.request("GET", "/_lambent/environments", sign="lambda").json()
        return [each["state"] for each in answer["environments"] if each["function"] == name]

    def log(self, name: str) -> list[str]:
        events = self.region.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        return [event["message"] for event in events]

    def told(self, name: str, **fields: Any) -> list[Any]:
        """What Python extensions said in the log, as far as it has these fields."""
        said = [json.loads(line) for line in self.log(name) if line.startswith('{"from"')]
        return [one for one in said if all(key in one and value in (..., one[key]) for key, value in fields.items())]

    def wait_told(self, name: str, count: int = 1, **fields: Any) -> list[Any]:
        found: list[Any] = wait_until(
            lambda: len(said := self.told(name, **fields)) >= count and said, 10, f"{fields} in the log"
        )
        return found

    def retire(self, name: str) -> None:
        """Whatever runs the function ends."""
        self.client.update_function_configuration(FunctionName=name, Description=str(time.monotonic()))


@pytest.fixture(scope="module")
def make(region: Any) -> Maker:
    return Maker(region)


def test_an_extension_registers_sees_invocations_in_order_and_is_told_of_the_end(make: Maker) -> None:
    plan = {"watch": {"headers": {"Lambda-Extension-Accept-Feature": "other, accountId"}}}
    name = make.function("sees", make.extensions("watch"), plan)
    ids = [make.call(name)["request"] for _ in range(3)]
    [registered] = make.wait_told(name, registered=...)
    assert registered["registered"] == {
        "functionName": "sees", "functionVersion": "$LATEST", "handler": "app.handler", "accountId": "000000000000",
    }  # fmt: skip
    wait_until(lambda: make.states(name) == ["frozen"], what="it is frozen, its extension too")
    make.retire(name)
    *events, shutdown = make.wait_told(name, 4, event=...)
    assert [event["event"]["requestId"] for event in events] == ids
    first = events[0]["event"]
    assert set(first) == {"eventType", "deadlineMs", "requestId", "invokedFunctionArn", "tracing"}
    assert first["eventType"] == "INVOKE"
    assert first["invokedFunctionArn"].endswith(":function:sees")
    assert first["tracing"]["type"] == "X-Amzn-Trace-Id"
    assert first["tracing"]["value"].startswith("Root=1-")
    assert 5000 < first["deadlineMs"] - events[0]["now"] <= 10_000
    assert all(re.fullmatch(r"[0-9a-f-]{36}", event["id"]) for event in events)
    assert (shutdown["event"]["eventType"], shutdown["event"]["shutdownReason"]) == ("SHUTDOWN", "spindown")
    assert 0 < shutdown["event"]["deadlineMs"] - shutdown["now"] <= 2000


@pytest.mark.parametrize(
    ("runtime", "code", "variables"),
    [
        pytest.param(PYTHON, {"app.py": PYTHON_CODE}, {}, id="forked"),
        pytest.param(PYTHON, {"app.py": PYTHON_CODE}, {"PYTHONHASHSEED": "0"}, id="by-exec"),
        pytest.param(NODE, {"app.js": NODE_CODE}, {}, id="pooled", marks=needs_node),
        pytest.param("provided.al2023", {"bootstrap": BOOTSTRAP}, {}, id="provided"),
    ],
)
def test_a_shell_extension_runs_beside_every_kind_of_runtime(
    make: Maker, runtime: str, code: Any, variables: dict[str, str], request: Any
) -> None:
    layer = make.layer("shell", {"extensions/shell.sh": BASH_EXTENSION})
    kind = request.node.callspec.id
    name = make.function(f"beside-{kind}", [layer], runtime=runtime, code=code, variables=variables)
    assert "request" in make.call(name)
    assert "request" in make.call(name)
    make.retire(name)
    said = make.lines(name, "shell.sh: ", 4)
    assert said[0].startswith('shell.sh: registered 200 {"functionName":"beside-')
    assert [line.count("INVOKE") for line in said] == [0, 1, 1, 0]
    assert '"shutdownReason":"spindown"' in said[3]
    assert "EXTENSION\tName: shell.sh\tState: Ready\tEvents: [INVOKE, SHUTDOWN]\n" in make.log(name)


def test_the_client_is_answered_while_the_extension_works_and_the_report_covers_both(make: Maker) -> None:
    name = make.function("early", make.extensions("works"), {"works": {"INVOKE": [["sleep", 0.8]]}})
    make.call(name)
    began = time.monotonic()
    request_id = json.loads(make.invoke(name)["Payload"].read())["request"]
    assert time.monotonic() - began < 0.6
    assert make.states(name) == ["finishing"]
    [report] = make.lines(name, f"REPORT RequestId: {request_id}")
    assert 800 <= float(report.split("Duration: ")[1].split()[0]) < 3000
    answer = make.invoke(name, LogType="Tail")
    # Who wants the log waits for all of it.
    assert b"REPORT RequestId: " in base64.b64decode(answer["LogResult"])
    metrics = make.region.client("cloudwatch")
    [point] = metrics.get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName="PostRuntimeExtensionsDuration",
        Dimensions=[{"Name": "FunctionName", "Value": name}],
        StartTime=time.time() - 3600,
        EndTime=time.time() + 3600,
        Period=7200,
        Statistics=["Minimum", "SampleCount"],
    )["Datapoints"]
    assert point["SampleCount"] == 3
    assert point["Minimum"] > 600


def test_extensions_see_the_variables_that_aws_gives_them(make: Maker) -> None:
    variables = {"MINE": "yes"}
    plan = {"env": {"init": [["environment", 0]]}}
    name = make.function("variables", make.extensions("env"), plan, variables=variables)
    make.call(name)
    [told] = make.wait_told(name, environment=...)
    seen = told["environment"]
    assert (seen["MINE"], seen["AWS_LAMBDA_FUNCTION_NAME"]) == ("yes", "variables")
    assert {"AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_LAMBDA_RUNTIME_API", "PATH"} <= set(seen)
    hidden = {"AWS_EXECUTION_ENV", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR", "AWS_XRAY_CONTEXT_MISSING"}
    assert not hidden & set(seen)
    assert not [key for key in seen if key.startswith("_") and key != "_"]
    assert told["uid"] == 993


# ---- what goes wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "kind", "words"),
    [
        ([["exit", 3]], "Extension.Crash", "exit status 3"),
        ([["exit", 0]], "Extension.Crash", "exit code 0"),
        ([["signal", 11]], "Extension.Crash", "signal: segmentation fault"),
        ([["exit/error", "Extension.Bad"], ["exit", 1]], "Extension.ExitError", "exit status 1"),
    ],
    ids=["status", "zero", "signal", "reported"],
)
def test_an_extension_that_ends_takes_the_environment_with_it(
    make: Maker, steps: list[Any], kind: str, words: str, request: Any
) -> None:
    plan = {"ends": {"INVOKE": [["once", "/tmp/ended"], *steps]}, "stays": {}}
    name = make.function(f"ends-{request.node.callspec.id}", make.extensions("ends", "stays"), plan)
    answer = make.invoke(name, {"sleep": 5})
    request_id = answer["ResponseMetadata"]["RequestId"]
    assert answer["FunctionError"] == "Unhandled"
    assert json.loads(answer["Payload"].read()) == {
        "errorType": kind,
        "errorMessage": f"RequestId: {request_id} Error: {words}",
    }
    [report] = make.lines(name, f"REPORT RequestId: {request_id}")
    assert report.endswith(f"\tStatus: error\tError Type: {kind}\n")
    [told] = [each for each in make.wait_told(name, 3, event=...) if each["event"]["eventType"] == "SHUTDOWN"]
    assert (told["from"], told["event"]["shutdownReason"]) == ("stays", "failure")
    # The next invocation begins anew, in the same place.
    assert make.call(name, {"eval": "os.listdir('/tmp')"}) == ["ended"]
    assert len(make.wait_told(name, 4, registered=...)) == 4


@pytest.mark.parametrize(
    ("plan", "kind", "words", "state"),
    [
        ({"start": [["exit", 4]]}, "Extension.Crash", "exit status 4", "State: Started\tEvents: []"),
        (
            {"init": [["init/error", "Extension.NoKey"], ["exit", 5]]},
            "Extension.InitError",
            "exit status 5",
            "State: InitError\tEvents: [INVOKE, SHUTDOWN]\tError Type: Extension.NoKey",
        ),
    ],
    ids=["crash", "reported"],
)
def test_an_extension_that_fails_at_init_fails_the_init(
    make: Maker, plan: Any, kind: str, words: str, state: str, request: Any
) -> None:
    name = make.function(f"init-{request.node.callspec.id}", make.extensions("fails"), {"fails": plan})
    answer = make.invoke(name)
    request_id = answer["ResponseMetadata"]["RequestId"]
    assert json.loads(answer["Payload"].read()) == {
        "errorType": kind,
        "errorMessage": f"RequestId: {request_id} Error: {words}",
    }
    log = make.log(name)
    phases = [line.split("Phase: ")[1].split()[0] for line in log if line.startswith("INIT_REPORT")]
    assert phases == ["init", "invoke"]
    assert all(line.endswith(f"\tStatus: error\tError Type: {kind}\n") for line in log if "INIT_REPORT" in line)
    assert f"EXTENSION\tName: fails\t{state}\n" in log


@pytest.mark.parametrize(
    ("content", "executable", "words", "error"),
    [
        (PYTHON_EXTENSION, False, "permission denied", "PermissionDenied"),
        ("#!/no/such/program\n", True, "no such file or directory", "UnknownError"),
    ],
    ids=["not-executable", "no-interpreter"],
)
def test_an_extension_that_cannot_be_started_is_named(
    make: Maker, content: str, executable: bool, words: str, error: str, request: Any
) -> None:
    kind = request.node.callspec.id
    layer = make.layer(f"cannot-{kind}", {"extensions/cannot": content}, executable)
    name = make.function(f"cannot-{kind}", [layer])
    answer = json.loads(make.invoke(name)["Payload"].read())
    assert answer["errorType"] == "Extension.LaunchError"
    assert answer["errorMessage"].endswith(f" Error: fork/exec /opt/extensions/cannot: {words}")
    assert f"EXTENSION\tName: cannot\tState: LaunchError\tEvents: []\tError Type: {error}\n" in make.log(name)


def test_a_timeout_is_told_to_the_extensions_and_one_that_outlasts_it_is_a_timeout(make: Maker) -> None:
    name = make.function("slow", make.extensions("works"), {"works": {"INVOKE": [["sleep", 0.1]]}}, Timeout=1)
    answer = json.loads(make.invoke(name, {"sleep": 5})["Payload"].read())
    assert answer["errorType"] == "Sandbox.Timedout"
    told = make.wait_told(name, 2, event=...)[1]
    assert (told["event"]["eventType"], told["event"]["shutdownReason"]) == ("SHUTDOWN", "timeout")
    late = make.function("late", make.extensions("works"), {"works": {"INVOKE": [["sleep", 1.5]]}}, Timeout=1)
    answered = make.invoke(late)
    assert "FunctionError" not in answered
    [report] = make.lines(late, f"REPORT RequestId: {answered['ResponseMetadata']['RequestId']}")
    assert report.endswith("\tStatus: timeout\n")
    assert "Duration: 1000.00 ms" in report
    assert make.wait_told(late, 2, event=...)[1]["event"]["shutdownReason"] == "timeout"


def test_the_runtime_is_asked_to_end_where_there_is_an_extension(make: Maker) -> None:
    code = (
        PYTHON_CODE
        + """
import signal, sys
def end(*_):
    print("asked to end", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
"""
    )
    name = make.function("asked", make.extensions("watch"), code={"app.py": code})
    make.call(name)
    make.retire(name)
    assert make.lines(name, "asked to end")
    plain = make.function("not-asked", [], code={"app.py": code})
    make.call(plain)
    make.retire(plain)
    wait_until(lambda: make.states(plain) == [])
    assert not [line for line in make.log(plain) if "asked" in line]


def test_ten_extensions_are_started_and_eleven_are_too_many(make: Maker) -> None:
    ten = [f"e{number}" for number in range(10)]
    name = make.function("ten", make.extensions(*ten), MemorySize=1024, Timeout=30)
    make.call(name)
    ready = make.lines(name, "EXTENSION", 10)
    assert sorted(line.split("\t")[1] for line in ready) == [f"Name: {each}" for each in ten]
    assert len(make.wait_told(name, 10, event=...)) == 10
    eleven = make.function("eleven", make.extensions(*ten, "f"))
    answer = json.loads(make.invoke(eleven)["Payload"].read())
    assert answer["errorType"] == "Extension.LaunchError"
    assert "Extension limit (10) reached" in answer["errorMessage"]


# ---- internal extensions and the API itself -------------------------------------------------------------------------

INTERNAL = (
    PYTHON_CODE
    + """
import threading
status, headers, body = register("inner", ["INVOKE"])
own = {ID: headers[ID]}
def loop():
    time.sleep(0.2)
    while True:
        event = call("GET", "event/next", own)[2]
        time.sleep(0.2)
        print(json.dumps({"from": "inner", "event": event}), flush=True)
threading.Thread(target=loop, daemon=True).start()
"""
)


def test_an_internal_extension_is_waited_for(make: Maker) -> None:
    name = make.function("internal", [], code={"app.py": INTERNAL})
    answer = make.call(name)
    assert answer["init"] is None
    [told] = make.wait_told(name, event=...)
    assert told["event"]["requestId"] == answer["request"]
    [report] = make.lines(name, "REPORT")
    assert float(report.split("\tDuration: ")[1].split()[0]) >= 200
    assert float(report.split("Init Duration: ")[1].split()[0]) >= 200
    assert "EXTENSION\tName: inner\tState: Ready\tEvents: [INVOKE]\n" in make.log(name)


REFUSED = {
    "no-name": ("call('POST', 'register', {}, b'{}')", "Extension.InvalidExtensionName"),
    "bad-event": ("register('x', ['RESTORE'])", "Extension.InvalidEventType"),
    "internal-shutdown": ("register('x', ['SHUTDOWN'])", "Extension.InvalidEventType"),
    "not-json": ("call('POST', 'register', {'Lambda-Extension-Name': 'x'}, b'{')", "InvalidRequestFormat"),
    "not-object": ("call('POST', 'register', {'Lambda-Extension-Name': 'x'}, b'[1]')", "InvalidRequestFormat"),
    "events-text": ("register('x', 'INVOKE')", "InvalidRequestFormat"),
    "twice": ("(register('x', []), register('x', []))[1]", "Extension.InvalidExtensionState"),
    "crowd": ("[register(f'x{n}', []) for n in range(11)][10]", "Extension.TooManyExtensions"),
    "no-identifier": ("call('GET', 'event/next')", "Extension.MissingExtensionIdentifier"),
    "no-uuid": ("call('GET', 'event/next', {ID: 'x'})", "Extension.InvalidExtensionIdentifier"),
    "stranger": (f"call('GET', 'event/next', {{ID: '{uuid.uuid4()}'}})", "Extension.UnknownExtensionIdentifier"),
    "no-error-type": (
        "call('POST', 'exit/error', {ID: register('x', [])[1][ID]}, b'')",
        "Extension.MissingHeader",
    ),
    "huge": ("register('x', ['INVOKE'] * 20000)", "InvalidRequestFormat"),
}


def test_what_the_api_refuses_it_refuses_as_aws_does(make: Maker) -> None:
    for label, (expression, kind) in REFUSED.items():
        # Extensions that registered and never wait would keep init from ending: this one fails it.
        code = PYTHON_CODE + f"\nraise Exception(json.dumps(({expression})[::2]))\n"
        name = make.function(f"refused-{label}", [], code={"app.py": code})
        said = json.loads(make.invoke(name)["Payload"].read())["errorMessage"]
        status, body = json.loads(said)
        assert (status, body["errorType"], set(body)) == (403, kind, {"errorMessage", "errorType"}), label


def test_nobody_registers_after_init(make: Maker) -> None:
    name = make.function("closed", [])
    status, _, body = make.call(name, {"eval": "register('late', ['INVOKE'])"})
    assert (status, body["errorType"]) == (403, "Extension.RegistrationClosed")
    assert make.call(name, {"eval": "call('GET', 'event/next')"})[0] == 403
    assert make.call(name, {"eval": "call('GET', 'nothing')"})[0] == 404
    assert make.call(name, {"eval": "call('GET', 'register')"})[0] == 405


# ---- hostile ones ---------------------------------------------------------------------------------------------------

HOSTILE = {
    "flood": """#!/usr/bin/python3
import http.client, os
c = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
for n in range(100000):
    c.request("POST", "/2020-01-01/extension/register", b'{"events":["INVOKE"]}', {"Lambda-Extension-Name": f"n{n}"})
    c.getresponse().read()
""",
    "bodies": """#!/usr/bin/python3
import os, socket
host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
open_ = []
while True:
    try:
        s = socket.create_connection((host, int(port)))
        s.sendall(b"POST /2020-01-01/extension/register HTTP/1.1\\r\\nContent-Length: 1000000000\\r\\n\\r\\n")
        s.sendall(b"x" * 10000000)
        open_.append(s)
    except OSError:
        pass
""",
    "connections": """#!/usr/bin/python3
import os, socket
host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
open_ = []
while True:
    try:
        open_.append(socket.create_connection((host, int(port))))
    except OSError:
        pass
""",
    "forks": """#!/bin/bash
f() { f | f & }
f
while :; do :; done
""",
    "prints": """#!/bin/bash
while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done
""",
}


def test_hostile_extensions_harm_their_own_functions_alone(make: Maker) -> None:
    good = make.function("victim", [])
    make.call(good)
    pid = make.region.process.pid
    descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    for kind, program in HOSTILE.items():
        layer = make.layer(f"hostile-{kind}", {"extensions/bad": program})
        make.invoke(make.function(f"hostile-{kind}", [layer]), InvocationType="Event")
    wait_until(lambda: all(make.states(f"hostile-{kind}") == ["init"] for kind in HOSTILE))
    slowest = 0.0
    for _ in range(30):
        began = time.monotonic()
        make.invoke(good)
        slowest = max(slowest, time.monotonic() - began)
    assert slowest < 2
    assert int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) < 500_000  # type: ignore[index]
    # Each has 64 connections at most.
    assert len(list(Path(f"/proc/{pid}/fd").iterdir())) - descriptors < 500
    # Their inits go on for ten seconds, unless the region ends.
    assert all(make.states(f"hostile-{kind}") == ["init"] for kind in HOSTILE)
