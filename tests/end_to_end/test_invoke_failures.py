"""Every way in which an invocation can end badly, through a whole region: the payload, the header, the log lines, and
that the next invocation works.
"""

from __future__ import annotations

import base64
import io
import json
import re
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.conftest import Region, wait_until
from tests.roles import ROLE

pytestmark = pytest.mark.slow

PYTHON = """
import ctypes, os, sys, time
calls = 0
if os.path.exists("/tmp/break-init") and os.environ.get("INIT") == "exit":
    os._exit(7)

def handler(event, context):
    global calls
    calls += 1
    do = event.get("do")
    if do == "touch": open("/tmp/kept", "w").close()
    elif do == "kept": return os.path.exists("/tmp/kept")
    elif do == "timeout": print("going to sleep", flush=True); time.sleep(60)
    elif do == "memory":
        hold = []
        while True: hold.append(bytearray(1 << 20))
    elif do == "exit": print("last words", flush=True); os._exit(event["code"])
    elif do == "segfault": ctypes.string_at(0)
    elif do == "raise": raise ValueError("not today")
    elif do == "set": return {1, 2}
    elif do == "big": return "x" * (6 * 1024 * 1024 + 100)
    elif do == "largest": return "x" * (6 * 1024 * 1024 + 98)
    elif do == "child":
        if os.fork() == 0: time.sleep(60)
        os._exit(0)
    return calls
"""

NODE = """
const fs = require("fs");
let calls = 0;
exports.handler = async (event) => {
  calls += 1;
  switch (event.do) {
    case "touch": fs.writeFileSync("/tmp/kept", ""); break;
    case "kept": return fs.existsSync("/tmp/kept");
    case "timeout": console.log("going to sleep"); await new Promise(() => setTimeout(() => {}, 60000)); break;
    case "memory": { const hold = []; for (;;) hold.push(Buffer.alloc(1 << 20, 1)); }
    case "exit": console.log("last words"); process.exit(event.code);
    case "segfault": process.kill(process.pid, "SIGSEGV"); await new Promise(() => setTimeout(() => {}, 60000)); break;
    case "raise": throw new RangeError("not today");
    case "reject": Promise.reject(new Error("not today")); await new Promise(() => setTimeout(() => {}, 60000)); break;
    case "set": { const loop = {}; loop.loop = loop; return loop; }
    case "big": return "x".repeat(6 * 1024 * 1024 + 100);
    case "largest": return "x".repeat(6 * 1024 * 1024 + 98);
  }
  return calls;
};
"""

LANGUAGES = {
    "python": ("python3.12", "app.py", PYTHON),
    "node": ("nodejs20.x", "app.js", NODE),
}


@dataclass
class Answer:
    """One Invoke, and what it wrote."""

    request_id: str
    error: str | None
    payload: bytes
    tail: str

    @property
    def json(self) -> Any:
        return json.loads(self.payload)

    @property
    def report(self) -> str:
        return self.tail.rstrip("\n").rsplit("\n", 1)[-1]


class Function:
    """A function in a region."""

    def __init__(self, region: Region, name: str) -> None:
        self.region, self.name = region, name

    def __call__(self, **event: Any) -> Answer:
        response = self.region.client("lambda").invoke(
            FunctionName=self.name, Payload=json.dumps(event), LogType="Tail"
        )
        assert response["StatusCode"] == 200
        assert response["ExecutedVersion"] == "$LATEST"
        return Answer(
            response["ResponseMetadata"]["RequestId"],
            response.get("FunctionError"),
            response["Payload"].read(),
            base64.b64decode(response["LogResult"]).decode(),
        )

    def log(self, contains: str) -> list[str]:
        """All lines of the log once one of them contains that."""
        logs = self.region.client("logs")

        def lines() -> list[str]:
            try:
                events = logs.filter_log_events(logGroupName=f"/aws/lambda/{self.name}")["events"]
            except logs.exceptions.ResourceNotFoundException:
                return []
            messages = [event["message"] for event in events]
            return messages if any(contains in message for message in messages) else []

        found: list[str] = wait_until(lines, 10, f"{contains!r} in the log of {self.name}")
        return found


Deploy = Callable[..., Function]


@pytest.fixture
def deploy(region: Region, request: pytest.FixtureRequest) -> Deploy:
    """`deploy(language, files=None, **configuration)` creates a function named after the test."""

    def make(language: str, files: dict[str, str] | None = None, **configuration: Any) -> Function:
        runtime, name, source = LANGUAGES[language]
        package = io.BytesIO()
        with zipfile.ZipFile(package, "w") as archive:
            for path, text in (files or {name: source}).items():
                entry = zipfile.ZipInfo(path)
                entry.external_attr = 0o755 << 16
                archive.writestr(entry, text)
        client = region.client("lambda")
        settings = {
            "Runtime": runtime, "Handler": "app.handler", "Role": ROLE,
            "Timeout": 10, **configuration,
        }  # fmt: skip
        unique = re.sub(r"[^A-Za-z0-9-]", "-", request.node.name)[:60]
        client.create_function(FunctionName=unique, Code={"ZipFile": package.getvalue()}, **settings)
        client.get_waiter("function_active_v2").wait(FunctionName=unique, WaiterConfig={"Delay": 0.05})
        return Function(region, unique)

    return make


def check_exit(answer: Answer, words: str, error_type: str = "Runtime.ExitError") -> None:
    assert answer.error == "Unhandled"
    assert answer.json == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {answer.request_id} Error: {words}",
    }
    check_lines(answer)
    assert answer.report.endswith(f"\tStatus: error\tError Type: {error_type}")


def check_lines(answer: Answer) -> None:
    lines = answer.tail.split("\n")
    assert lines[0] == f"START RequestId: {answer.request_id} Version: $LATEST"
    assert f"END RequestId: {answer.request_id}" in lines
    assert answer.report.startswith(f"REPORT RequestId: {answer.request_id}\tDuration: ")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_timeout(deploy: Deploy, language: str) -> None:
    function = deploy(language, Timeout=1)
    function(do="touch")
    answer = function(do="timeout")
    assert answer.error == "Unhandled"
    assert answer.payload.decode() == (
        f'{{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: {answer.request_id} '
        'Error: Task timed out after 1.00 seconds"}'
    )
    check_lines(answer)
    assert "going to sleep" in answer.tail
    assert "\tDuration: 1000.00 ms\tBilled Duration: 1000 ms\t" in answer.report
    assert answer.report.endswith("\tStatus: timeout")
    # The same environment: globals are lost, /tmp is not, and nobody waits for another init time.
    after = function(do="kept")
    assert (after.error, after.json) == (None, True)
    assert "Init Duration" not in after.report
    assert function().json == 2


@pytest.mark.parametrize("language", LANGUAGES)
def test_running_out_of_memory(deploy: Deploy, language: str) -> None:
    function = deploy(language, MemorySize=128, Timeout=30)
    function()
    answer = function(do="memory")
    check_exit(answer, "Runtime exited with error: signal: killed", "Runtime.OutOfMemory")
    assert "\tMemory Size: 128 MB\tMax Memory Used: 128 MB\t" in answer.report
    assert function().json == 1


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("code", "words"),
    [(0, "Runtime exited without providing a reason"), (3, "Runtime exited with error: exit status 3")],
)
def test_an_exit(deploy: Deploy, language: str, code: int, words: str) -> None:
    function = deploy(language)
    function(do="touch")
    answer = function(do="exit", code=code)
    check_exit(answer, words)
    assert "last words" in answer.tail
    assert function(do="kept").json is True
    assert function().json == 2


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_segmentation_fault(deploy: Deploy, language: str) -> None:
    function = deploy(language)
    check_exit(function(do="segfault"), "Runtime exited with error: signal: segmentation fault")
    assert function().json == 1


def test_an_exit_that_leaves_a_child_behind(deploy: Deploy) -> None:
    function = deploy("python")
    check_exit(function(do="child"), "Runtime exited without providing a reason")
    assert function().json == 1


@pytest.mark.parametrize(
    ("language", "kind"), [("python", "Runtime.ImportModuleError"), ("node", "Runtime.ImportModuleError")]
)
def test_a_module_that_is_not_there(deploy: Deploy, language: str, kind: str) -> None:
    function = deploy(language, Handler="missing.handler")
    for _ in range(2):
        answer = function()
        assert (answer.error, answer.json["errorType"]) == ("Unhandled", kind)
        assert "missing" in answer.json["errorMessage"]
        check_lines(answer)
        assert answer.report.endswith(f"\tStatus: error\tError Type: {kind}")
    lines = [line.split("ms\t", 1)[1] for line in function.log("Phase: invoke") if line.startswith("INIT_REPORT")]
    assert lines[:2] == [
        f"Phase: init\tStatus: error\tError Type: {kind}\n",
        f"Phase: invoke\tStatus: error\tError Type: {kind}\n",
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_handler_that_is_not_there(deploy: Deploy, language: str) -> None:
    answer = deploy(language, Handler="app.nobody")()
    assert (answer.error, answer.json["errorType"]) == ("Unhandled", "Runtime.HandlerNotFound")
    assert answer.report.endswith("\tError Type: Runtime.HandlerNotFound")


def test_code_that_raises_while_it_is_loaded(deploy: Deploy) -> None:
    answer = deploy("python", {"app.py": "raise RuntimeError('while loading')"})()
    assert answer.error == "Unhandled"
    assert answer.json["errorMessage"] == "while loading"
    assert answer.json["errorType"] == "RuntimeError"


def test_an_init_that_fails_once_is_tried_again_within_the_first_invocation(deploy: Deploy) -> None:
    source = (
        "import os\n"
        "if not os.path.exists('/tmp/tried'):\n"
        "    open('/tmp/tried', 'w').close()\n"
        "    os._exit(7)\n"
        "def handler(event, context): return 'second time'\n"
    )
    function = deploy("python", {"app.py": source})
    answer = function()
    assert (answer.error, answer.json) == (None, "second time")
    assert "Init Duration" not in answer.report
    kinds = [line.split(" ", 1)[0] for line in function.log("REPORT RequestId")]
    assert kinds == ["INIT_START", "INIT_REPORT", "START", "END", "REPORT"]


@pytest.mark.alone
@pytest.mark.timeout(60)
def test_an_init_that_takes_too_long(deploy: Deploy) -> None:
    function = deploy("python", {"app.py": "import time\ntime.sleep(60)\ndef handler(e, c): pass\n"}, Timeout=1)
    answer = function()
    assert answer.json["errorType"] == "Sandbox.Timedout"
    assert answer.report.endswith("\tStatus: timeout")
    reports = [line for line in function.log("Phase: invoke") if line.startswith("INIT_REPORT")]
    assert re.fullmatch(r"INIT_REPORT Init Duration: 1000\d\.\d\d ms\tPhase: init\tStatus: timeout\n", reports[0])
    assert re.fullmatch(r"INIT_REPORT Init Duration: 10\d\d\.\d\d ms\tPhase: invoke\tStatus: timeout\n", reports[1])


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_handler_that_raises_keeps_its_environment(deploy: Deploy, language: str) -> None:
    function = deploy(language)
    function()
    answer = function(do="raise")
    assert (answer.error, answer.json["errorMessage"]) == ("Unhandled", "not today")
    assert answer.json["errorType"] == {"python": "ValueError", "node": "RangeError"}[language]
    check_lines(answer)
    assert "Status:" not in answer.report
    assert function().json == 3


def test_an_error_that_nobody_caught_costs_no_other_invocation(deploy: Deploy) -> None:
    function = deploy("node")
    for _ in range(5):
        answer = function(do="reject")
        assert (answer.error, answer.json["errorType"]) == ("Unhandled", "Runtime.UnhandledPromiseRejection")
        assert answer.report.endswith("\tStatus: error\tError Type: Runtime.ExitError")
        after = function()
        assert (after.error, after.json) == (None, 1)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_result_that_is_not_json(deploy: Deploy, language: str) -> None:
    function = deploy(language)
    answer = function(do="set")
    kind = {"python": "Runtime.MarshalError", "node": "Error"}[language]
    assert (answer.error, answer.json["errorType"]) == ("Unhandled", kind)
    assert function().json == 2


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_response_that_is_too_large(deploy: Deploy, language: str) -> None:
    function = deploy(language)
    assert len(function(do="largest").payload) == 6_291_556
    answer = function(do="big")
    assert answer.error == "Unhandled"
    assert answer.json == {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    }
    assert function().error is None


def test_nothing_runs_between_invocations(deploy: Deploy) -> None:
    source = (
        "import threading, time\n"
        "ticks = 0\n"
        "def tick():\n"
        "    global ticks\n"
        "    while True:\n"
        "        time.sleep(0.001)\n"
        "        ticks += 1\n"
        "threading.Thread(target=tick, daemon=True).start()\n"
        "def handler(event, context): return ticks\n"
    )
    function = deploy("python", {"app.py": source})
    before = function().json
    time.sleep(1.5)  # a claim about time: it is frozen after the first tenth of it
    assert function().json - before < 600


def test_a_custom_runtime_without_a_bootstrap(deploy: Deploy) -> None:
    answer = deploy("python", {"nothing": ""}, Runtime="provided.al2023")()
    assert answer.error == "Unhandled"
    assert answer.json == {
        "errorType": "Runtime.InvalidEntrypoint",
        "errorMessage": f"RequestId: {answer.request_id} Error: "
        "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]",
    }
    assert answer.report.endswith("\tStatus: error\tError Type: Runtime.InvalidEntrypoint")


def test_an_update_of_the_code_is_seen_by_the_next_invocation(deploy: Deploy) -> None:
    function = deploy("python", {"app.py": "def handler(e, c): return 'old'"})
    assert function().json == "old"
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("app.py", "def handler(e, c): return 'new'")
    client = function.region.client("lambda")
    client.update_function_code(FunctionName=function.name, ZipFile=package.getvalue())
    client.get_waiter("function_updated_v2").wait(FunctionName=function.name, WaiterConfig={"Delay": 0.05})
    assert function().json == "new"


def test_log_lines_of_the_system_as_json(deploy: Deploy) -> None:
    function = deploy("python", LoggingConfig={"LogFormat": "JSON", "SystemLogLevel": "DEBUG"})
    answer = function()
    events = [json.loads(line) for line in function.log("platform.report") if '"platform.' in line]
    kinds = [event["type"] for event in events]
    assert kinds[:1] == ["platform.initStart"]
    assert kinds[-3:] == ["platform.start", "platform.runtimeDone", "platform.report"]
    report = events[-1]["record"]
    assert (report["requestId"], report["status"]) == (answer.request_id, "success")
    assert report["metrics"]["billedDurationMs"] >= 1
