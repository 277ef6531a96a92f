"""AWS's own Python runtime interface client, unmodified and with its own transport, as a custom runtime."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.roles import ROLE

CACHE = Path(__file__).resolve().parents[2] / ".cache"
#: What every sandbox's root shows, unlike an interpreter that the tests happen to run in.
INTERPRETER = Path("/usr/bin/python3")

BOOTSTRAP = """#!/bin/sh
cd "$LAMBDA_TASK_ROOT"
export PYTHONPATH="$LAMBDA_TASK_ROOT/packages"
exec /usr/bin/python3 -m awslambdaric "$_HANDLER"
"""

HANDLER = """
import logging, sys
logging.getLogger().setLevel("INFO")
count = 0
def handler(event, context):
    global count
    count += 1
    print("a line of print")
    logging.getLogger().info("a line of logging")
    action = event.get("action")
    if action == "raise":
        raise ValueError("it failed")
    if action == "exit":
        sys.exit(4)
    if action == "unserialisable":
        return {1, 2}
    return {
        "echo": event,
        "count": count,
        "request_id": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "left_ms": context.get_remaining_time_in_millis(),
        "native": "runtime_client" in sys.modules,
        "client_context": context.client_context and context.client_context.custom,
    }
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def packages() -> Path:
    """awslambdaric as its index ships it for the sandbox's interpreter, downloaded once."""
    if not INTERPRETER.exists():
        pytest.skip(f"{INTERPRETER} is not on this machine, and no other interpreter shows in every sandbox")
    version = subprocess.run(
        [INTERPRETER, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    target = CACHE / f"awslambdaric-cp{version}"
    if not (target / "awslambdaric").is_dir():
        arguments = ["install", "--quiet", "--target", str(target), "--only-binary=:all:", "--python-version", version]
        done = subprocess.run(
            [sys.executable, "-m", "pip", *arguments, "awslambdaric>=3"], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            pytest.skip(f"awslambdaric has no wheel for Python {version}, or no index is reached")
    return target


@pytest.fixture(scope="module")
def function(region: Any, packages: Path) -> str:
    client = region.client("lambda")
    client.create_function(
        FunctionName="official",
        Runtime="provided.al2023",
        Handler="app.handler",
        Role=ROLE,
        Timeout=10,
        MemorySize=256,
        Code={"ZipFile": zipped(packages)},
    )
    client.get_waiter("function_active_v2").wait(FunctionName="official", WaiterConfig={"Delay": 1})
    return "official"


def zipped(packages: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o755 << 16
        archive.writestr(entry, BOOTSTRAP)
        archive.writestr("app.py", HANDLER)
        for path in packages.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                archive.write(path, f"packages/{path.relative_to(packages)}")
    return buffer.getvalue()


def invoke(region: Any, function: str, event: dict[str, Any], **options: Any) -> dict[str, Any]:
    answer: dict[str, Any] = region.client("lambda").invoke(
        FunctionName=function, Payload=json.dumps(event).encode(), **options
    )
    answer["Payload"] = json.loads(answer["Payload"].read())
    return answer


def test_it_answers_with_the_context_of_its_invocation(region: Any, function: str) -> None:
    answer = invoke(region, function, {"name": "é 漢字"})
    assert answer.get("FunctionError") is None, answer
    payload = answer["Payload"]
    assert payload["echo"] == {"name": "é 漢字"}
    assert payload["request_id"] == answer["ResponseMetadata"]["RequestId"]
    assert payload["arn"].endswith(":function:official")
    assert 0 < payload["left_ms"] <= 10_000


def test_it_speaks_through_its_own_native_transport(region: Any, function: str) -> None:
    assert invoke(region, function, {})["Payload"]["native"] is True


def test_its_process_is_kept_for_the_next_invocation(region: Any, function: str) -> None:
    first = invoke(region, function, {})["Payload"]["count"]
    assert invoke(region, function, {})["Payload"]["count"] == first + 1


def test_an_exception_reaches_the_caller_with_its_trace(region: Any, function: str) -> None:
    answer = invoke(region, function, {"action": "raise"})
    assert answer["FunctionError"] == "Unhandled"
    payload = answer["Payload"]
    assert (payload["errorType"], payload["errorMessage"]) == ("ValueError", "it failed")
    assert any("app.py" in line for line in payload["stackTrace"])


def test_a_result_without_json_is_a_marshal_error(region: Any, function: str) -> None:
    answer = invoke(region, function, {"action": "unserialisable"})
    assert answer["FunctionError"] == "Unhandled"
    assert answer["Payload"]["errorType"] == "Runtime.MarshalError"


def test_an_exit_is_a_function_error_and_the_next_invocation_works(region: Any, function: str) -> None:
    answer = invoke(region, function, {"action": "exit"})
    assert answer["FunctionError"] == "Unhandled"
    assert invoke(region, function, {"again": True})["Payload"]["echo"] == {"again": True}


def test_a_payload_of_five_megabytes_goes_both_ways(region: Any, function: str) -> None:
    text = "x" * (5 * 1024 * 1024)
    assert invoke(region, function, {"text": text})["Payload"]["echo"]["text"] == text


def test_what_it_prints_is_in_the_log_tail(region: Any, function: str) -> None:
    answer = invoke(region, function, {}, LogType="Tail")
    tail = base64.b64decode(answer["LogResult"]).decode()
    assert "a line of print" in tail
    assert "a line of logging" in tail
    assert tail.index("START RequestId") < tail.index("a line of print") < tail.index("END RequestId")
