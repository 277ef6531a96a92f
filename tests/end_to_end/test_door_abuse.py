"""What nobody should send to a public front door: each gets an answer, nothing hangs, and the memory stays flat."""

from __future__ import annotations

import io
import json
import socket
import sys
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from front_doors import DOORS

pytestmark = pytest.mark.slow

#: Returns what the query says.
CODE = """
import json
RESULTS = {
    "text": "hello",
    "status": {"statusCode": "fine"},
    "header": {"statusCode": 200, "headers": {"x": "a\\r\\nSet-Cookie: evil=1"}, "body": "b"},
    "body": {"statusCode": 200, "body": {"a": 1}},
    "base64": {"statusCode": 200, "body": "a", "isBase64Encoded": True},
}

def handler(event, context):
    query = event.get("queryStringParameters") or {}
    if query.get("what") == "raise":
        raise RuntimeError("as told")
    if query.get("what") == "exit":
        import os
        os._exit(3)
    if query.get("what") in RESULTS:
        return RESULTS[query["what"]]
    path = event.get("rawPath") or event["requestContext"]["path"]
    return {"statusCode": 200, "body": json.dumps({"path": path})}
"""


class Front:
    def __init__(self, region: Any, url: str) -> None:
        self.region = region
        self.port = urlsplit(region.url).port
        parts = urlsplit(url)
        self.host = parts.netloc
        self.base = parts.path.rstrip("/")

    def raw(self, data: str | bytes, half_close: bool = False) -> bytes:
        """What comes back for `data`, `{host}` and `{base}` filled in, until the server closes or answers whole."""
        if isinstance(data, str):
            data = data.replace("{host}", self.host).replace("{base}", self.base).encode("latin-1")
        with socket.create_connection(("127.0.0.1", self.port), 20) as client:
            client.sendall(data)
            if half_close:
                client.shutdown(socket.SHUT_WR)
            return _read(client)

    def get(self, path: str) -> bytes:
        return self.raw(f"GET {{base}}{path} HTTP/1.1\r\nHost: {{host}}\r\nConnection: close\r\n\r\n")


def _read(client: socket.socket) -> bytes:
    data = b""
    while True:
        piece = client.recv(65536)
        if not piece:
            return data
        data += piece


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.fixture(scope="module")
def fronts(region: Any) -> dict[str, Front]:
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("app.py", CODE)
    client = region.client("lambda")
    client.create_function(
        FunctionName="abused",
        Runtime=f"python3.{sys.version_info.minor}",
        Role="arn:aws:iam::000000000000:role/abused",
        Handler="app.handler",
        Code={"ZipFile": package.getvalue()},
    )
    client.get_waiter("function_active_v2").wait(FunctionName="abused", WaiterConfig={"Delay": 0.1, "MaxAttempts": 200})
    return {name: Front(region, make(region, "abused")) for name, make in DOORS.items()}


@pytest.fixture(params=DOORS, ids=lambda name: name.replace(" ", "-"))
def front(fronts: dict[str, Front], request: pytest.FixtureRequest) -> Front:
    return fronts[request.param]


PATHS = ["/%2e%2e/%2e%2e/etc/passwd", "/../../x", "//x//y", "/a%2Fb", "/%00", "/%", "/a;b=c", "/\\x", "/" + "a/" * 2000]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path[:20])
def test_tricks_with_paths_stay_data(front: Front, path: str) -> None:
    answer = front.get(path)
    assert status_of(answer) == 200, answer
    # Wherever dots and slashes lead, it is into the function: no other API or service answers.
    assert b'{"path"' in answer


SMUGGLED = {
    "two hosts": "POST {base}/x HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\n\r\n",
    "no host": "POST {base}/x HTTP/1.1\r\n\r\n",
    "length and chunks": (
        "POST {base}/x HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "two lengths": "POST {base}/x HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
    "a length below zero": "POST {base}/x HTTP/1.1\r\nHost: {host}\r\nContent-Length: -1\r\n\r\n",
    "a folded header": "GET {base}/x HTTP/1.1\r\nHost: {host}\r\nX-A: b\r\n c\r\n\r\n",
    "a space before the colon": "GET {base}/x HTTP/1.1\r\nHost: {host}\r\nX-A : b\r\n\r\n",
    "a chunk of no size": (
        "POST {base}/x HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n"
    ),
}


@pytest.mark.parametrize("kind", SMUGGLED)
def test_requests_that_can_be_read_in_two_ways_are_refused(front: Front, kind: str) -> None:
    answer = front.raw(SMUGGLED[kind], half_close=True)
    assert status_of(answer) == 400, answer
    assert answer.count(b"HTTP/1.1 ") == 1


def test_a_half_closed_socket_still_gets_its_answer(front: Front) -> None:
    answer = front.raw("GET {base}/x HTTP/1.1\r\nHost: {host}\r\n\r\n", half_close=True)
    assert status_of(answer) == 200
    # Half a request is none.
    assert front.raw("POST {base}/x HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9\r\n\r\nab", half_close=True) == b""


def test_too_large_a_body_is_refused_before_it_is_sent(front: Front) -> None:
    answer = front.raw(f"POST {{base}}/x HTTP/1.1\r\nHost: {{host}}\r\nContent-Length: {11 << 20}\r\n\r\n")
    assert status_of(answer) == 413
    assert b"essage" in answer


@pytest.mark.parametrize("what", ["status", "header", "body", "base64", "raise", "exit"])
def test_what_is_no_answer_becomes_a_server_error(front: Front, what: str) -> None:
    answer = front.get(f"/x?what={what}")
    assert status_of(answer) in (500, 502), answer
    assert b"nternal" in answer
    assert b"evil=1" not in answer


def test_headers_without_end_are_refused(front: Front) -> None:
    many = "".join(f"X-{number}: {'v' * 1000}\r\n" for number in range(1100))
    assert status_of(front.raw(f"GET {{base}}/x HTTP/1.1\r\nHost: {{host}}\r\n{many}\r\n")) == 431


def test_the_memory_stays_flat(fronts: dict[str, Front]) -> None:
    def abuse() -> None:
        for front in fronts.values():
            for path in PATHS:
                front.get(path)
            for kind in SMUGGLED.values():
                front.raw(kind, half_close=True)
            for what in ("text", "status", "header", "raise"):
                front.get(f"/x?what={what}&{'a=b&' * 1000}")
            body = b"x" * (3 << 20)
            head = f"POST {front.base}/x HTTP/1.1\r\nHost: {front.host}\r\nConnection: close\r\n"
            front.raw(f"{head}Content-Type: image/png\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            front.raw(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:1000], half_close=True)

    pid = next(iter(fronts.values())).region.process.pid
    for _ in range(3):
        abuse()
    before = _resident_mb(pid)
    for _ in range(6):
        abuse()
    assert _resident_mb(pid) - before < 12


def _resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def test_the_doors_still_open(fronts: dict[str, Front]) -> None:
    for front in fronts.values():
        answer = front.get("/still/here")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["path"].endswith("/still/here")
