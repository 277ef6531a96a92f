"""What Lambent is measured against, in the same run: a bare uvicorn echo, and functions-framework for Python."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.load import cached

ECHO = """
import json

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = (await receive())["body"]
    answer = json.dumps({"message": "Hello, " + json.loads(body)["name"] + "!"}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
"""
FRAMEWORK = """
import functions_framework

@functions_framework.http
def hello(request):
    return {"message": "Hello, " + request.get_json()["name"] + "!"}
"""


@contextlib.contextmanager
def uvicorn_echo() -> Iterator[str]:
    """The floor: the same HTTP server, JSON parsed and answered, no function behind it."""
    folder = cached("bench-echo")
    (folder / "echo.py").write_text(ECHO)
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "echo:app", "--port", str(port), "--loop", "uvloop"]
    with _server([*command, "--http", "httptools", "--no-access-log", "--log-level", "error"], folder, port) as url:
        yield url


@contextlib.contextmanager
def functions_framework() -> Iterator[str]:
    """Raises LookupError where it cannot be installed."""
    folder = cached("bench-functions-framework")
    (folder / "main.py").write_text(FRAMEWORK)
    python = folder / "venv" / "bin" / "python"
    if not (folder / "venv" / "bin" / "functions-framework").exists():
        try:
            subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True, capture_output=True)
            subprocess.run(
                [python, "-m", "pip", "install", "-q", "functions-framework"], check=True, capture_output=True
            )
        except subprocess.CalledProcessError as error:
            raise LookupError("functions-framework could not be installed") from error
    port = free_port()
    command = [str(python.with_name("functions-framework")), "--target", "hello", "--port", str(port)]
    with _server(command, folder, port) as url:
        yield url


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def _server(command: list[str], folder: Path, port: int) -> Iterator[str]:
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=folder, stdout=quiet, stderr=quiet, env={**os.environ, "HOST": "127.0.0.1"})
    try:
        _wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise LookupError(f"{process.args!r} did not start")


EVENT = json.dumps({"name": "bench"}).encode()
