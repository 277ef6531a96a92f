"""A compiled Go function with aws-lambda-go, unchanged, on the Runtime API of provided.al2023."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import os
import shutil
import subprocess
import time
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.roles import ROLE

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "go_function"
CACHE = HERE.parents[1] / ".cache"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bootstrap() -> bytes:
    """The program, built once for each state of its source."""
    if shutil.which("go") is None:
        pytest.skip("Go is not installed")
    sources = b"".join(path.read_bytes() for path in sorted(SOURCE.iterdir()))
    program = CACHE / f"go-function-{hashlib.sha256(sources).hexdigest()[:16]}"
    if not program.exists():
        CACHE.mkdir(exist_ok=True)
        built = program.with_suffix(f".{os.getpid()}")
        done = subprocess.run(
            ["go", "build", "-tags", "lambda.norpc", "-trimpath", "-ldflags=-s -w", "-o", str(built), "."],
            cwd=SOURCE,
            env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0 and "dial tcp" in done.stderr:
            pytest.skip("aws-lambda-go cannot be fetched: no module proxy")
        assert done.returncode == 0, done.stderr
        built.replace(program)
    return program.read_bytes()


@pytest.fixture(scope="module")
def function(region: Any, bootstrap: bytes) -> str:
    client = region.client("lambda")
    client.create_function(
        FunctionName="compiled",
        Runtime="provided.al2023",
        Handler="bootstrap",
        Role=ROLE,
        Timeout=5,
        Code={"ZipFile": zipped({"bootstrap": bootstrap})},
    )
    client.get_waiter("function_active_v2").wait(FunctionName="compiled", WaiterConfig={"Delay": 1})
    return "compiled"


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o755 << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


def invoke(region: Any, function: str, event: dict[str, str]) -> dict[str, Any]:
    answer: dict[str, Any] = region.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event).encode())
    answer["Payload"] = json.loads(answer["Payload"].read())
    return answer


def test_it_answers_with_the_context_of_its_invocation(region: Any, function: str) -> None:
    answer = invoke(region, function, {"name": "Go"})
    assert answer.get("FunctionError") is None, answer
    payload = answer["Payload"]
    assert payload["greeting"] == "Hello, Go"
    assert payload["requestId"] == answer["ResponseMetadata"]["RequestId"]
    assert payload["arn"].endswith(":function:compiled")
    assert payload["function"] == "compiled"
    assert 0 < payload["leftMs"] <= 5000


def test_its_process_is_kept_for_the_next_invocation(region: Any, function: str) -> None:
    first = invoke(region, function, {"name": "Go"})["Payload"]["count"]
    assert invoke(region, function, {"name": "Go"})["Payload"]["count"] == first + 1


def test_an_error_has_the_name_of_its_go_type(region: Any, function: str) -> None:
    answer = invoke(region, function, {"action": "fail"})
    assert answer["FunctionError"] == "Unhandled"
    assert answer["Payload"] == {"errorMessage": "it failed", "errorType": "errorString"}
    typed = invoke(region, function, {"action": "typed", "name": "x"})["Payload"]
    assert typed == {"errorMessage": "no such name: x", "errorType": "wrongName"}


@pytest.mark.alone
def test_what_a_reader_gives_is_streamed_as_it_comes(region: Any, function: str) -> None:
    late = []
    for event in stream(region, function, {"action": "stream"}):
        now = time.time() * 1000
        if "PayloadChunk" in event:
            late += [now - float(line.split()[1]) for line in event["PayloadChunk"]["Payload"].splitlines()]
    assert len(late) == 3
    assert max(late) < 50, late
    # What is no reader comes in one piece.
    chunk, end = stream(region, function, {"name": "Go"})
    assert json.loads(chunk["PayloadChunk"]["Payload"])["greeting"] == "Hello, Go"
    assert end == {"InvokeComplete": {}}


def test_a_reader_that_fails_ends_the_stream_with_its_error(region: Any, function: str) -> None:
    *chunks, end = stream(region, function, {"action": "stream", "name": "broken"})
    assert b"".join(chunk["PayloadChunk"]["Payload"] for chunk in chunks).count(b"piece") == 3
    details = json.loads(end["InvokeComplete"]["ErrorDetails"])
    assert details == {"errorMessage": "no such name: broken", "errorType": "wrongName"}
    assert invoke(region, function, {"action": "stream", "name": "broken"})["Payload"] == details


@pytest.mark.alone
def test_a_web_server_behind_a_url_streams_what_it_writes(region: Any, bootstrap: bytes) -> None:
    client = region.client("lambda")
    client.create_function(
        FunctionName="server",
        Runtime="provided.al2023",
        Handler="url",
        Role=ROLE,
        Timeout=5,
        Code={"ZipFile": zipped({"bootstrap": bootstrap})},
    )
    client.get_waiter("function_active_v2").wait(FunctionName="server", WaiterConfig={"Delay": 1})
    made = client.create_function_url_config(FunctionName="server", AuthType="NONE", InvokeMode="RESPONSE_STREAM")
    public = {"FunctionName": "server", "Principal": "*"}
    client.add_permission(**public, StatementId="url", Action="lambda:InvokeFunctionUrl", FunctionUrlAuthType="NONE")
    client.add_permission(**public, StatementId="call", Action="lambda:InvokeFunction", InvokedViaFunctionUrl=True)
    url = urlsplit(region.url)
    connection = http.client.HTTPConnection(str(url.hostname), url.port, timeout=10)
    for _ in range(2):  # the cold start is not what this measures
        connection.request("GET", "/a/b", headers={"Host": urlsplit(made["FunctionUrl"]).netloc})
        response = connection.getresponse()
        late = []
        while line := response.readline():
            late.append(time.time() * 1000 - float(line.split()[1]))
    assert (response.status, response.getheader("x-path"), response.getheader("set-cookie")) == (202, "/a/b", "a=b")
    assert response.getheader("content-type") == "text/event-stream"
    assert len(late) == 3
    assert max(late) < 50, late


def stream(region: Any, function: str, event: dict[str, str]) -> Any:
    answer = region.client("lambda").invoke_with_response_stream(
        FunctionName=function, Payload=json.dumps(event).encode()
    )
    return answer["EventStream"]


def test_a_panic_is_a_function_error_and_the_next_invocation_works(region: Any, function: str) -> None:
    answer = invoke(region, function, {"action": "panic"})
    assert answer["FunctionError"] == "Unhandled"
    assert answer["Payload"]["errorMessage"] == "it panicked"
    assert invoke(region, function, {"name": "Go"})["Payload"]["greeting"] == "Hello, Go"


def test_an_exit_is_a_function_error_and_the_next_invocation_works(region: Any, function: str) -> None:
    answer = invoke(region, function, {"action": "exit"})
    assert answer["FunctionError"] == "Unhandled"
    assert answer["Payload"]["errorType"] == "Runtime.ExitError"
    assert "exit status 7" in answer["Payload"]["errorMessage"]
    assert invoke(region, function, {"name": "Go"})["Payload"]["count"] == 1


def test_it_times_out_and_the_next_invocation_works(region: Any, function: str) -> None:
    answer = invoke(region, function, {"action": "sleep"})
    assert answer["Payload"]["errorType"] == "Sandbox.Timedout"
    assert invoke(region, function, {"name": "Go"})["Payload"]["greeting"] == "Hello, Go"
