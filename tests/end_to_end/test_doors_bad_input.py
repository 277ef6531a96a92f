"""What nobody may send, sent to every front door by raw sockets: each request has its answer, and nothing hangs."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import struct
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.conftest import Region
from tests.roles import ROLE

pytestmark = pytest.mark.slow

#: Answers with the event, or with what the body says that it should answer.
CODE = """
import base64, json

def handler(event, context):
    body = event.get("body") or ""
    if event.get("isBase64Encoded"):
        body = base64.b64decode(body).decode("utf-8", "replace")
    if body.startswith('{"answer":'):
        return json.loads(body)["answer"]
    return {"statusCode": 200, "headers": {"x-reached": "function"}, "body": json.dumps(event)}
"""
MIB = 1024 * 1024


class Answer(NamedTuple):
    status: int
    head: bytes
    body: bytes

    @property
    def event(self) -> Any:
        assert b"x-reached: function" in self.head, self
        return json.loads(self.body)


class Door(NamedTuple):
    """One way to the function."""

    name: str
    port: int
    host: str
    #: Before the path that the function's owner speaks of.
    prefix: str
    body_limit: int

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def send(self, data: bytes, *, half_close: bool = False) -> bytes:
        """All that comes back until the server closes."""
        with self.connect() as client:
            with contextlib.suppress(ConnectionError):
                client.sendall(data)
                if half_close:
                    client.shutdown(socket.SHUT_WR)
            return read_all(client)

    def head(self, path: str = "/", *headers: str, method: str = "GET") -> bytes:
        lines = [f"{method} {self.prefix}{path} HTTP/1.1", f"Host: {self.host}", "Connection: close", *headers]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def get(self, path: str = "/", *headers: str) -> Answer:
        return parsed(self.send(self.head(path, *headers)))

    def post(self, body: bytes, path: str = "/") -> Answer:
        return parsed(self.send(self.head(path, f"Content-Length: {len(body)}", method="POST") + body))

    def result(self, result: Any) -> Answer:
        """The answer for what the function returns."""
        return self.post(json.dumps({"answer": result}, separators=(",", ":")).encode())


def read_all(client: socket.socket) -> bytes:
    data = bytearray()
    with contextlib.suppress(ConnectionError):
        while piece := client.recv(65536):
            data += piece
    return bytes(data)


def parsed(data: bytes) -> Answer:
    head, end, body = data.partition(b"\r\n\r\n")
    assert end, data
    return Answer(int(head.split(b" ", 2)[1]), head, body)


class Backend(NamedTuple):
    """A server behind HTTP integrations, and the targets that it was asked for."""

    url: str
    targets: list[str]


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    targets: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            targets.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: Any) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Backend(f"http://127.0.0.1:{server.server_address[1]}/public", targets)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def function(region: Region) -> str:
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("app.py", CODE)
    client = region.client("lambda")
    arn = client.create_function(
        FunctionName="echo",
        Runtime=f"python3.{sys.version_info.minor}",
        Role=ROLE,
        Handler="app.handler",
        Code={"ZipFile": package.getvalue()},
        Timeout=10,
    )["FunctionArn"]
    client.get_waiter("function_active_v2").wait(FunctionName="echo", WaiterConfig={"Delay": 0, "MaxAttempts": 400})
    client.add_permission(
        FunctionName="echo", StatementId="apis", Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com"
    )
    return str(arn)


@pytest.fixture(scope="module")
def doors(region: Region, function: str, backend: Backend) -> dict[str, Door]:
    port = urlsplit(region.url).port or 0
    rest = rest_api(region, function, backend)
    http = http_api(region, function, backend)
    made = [
        Door("url", port, urlsplit(function_url(region)).netloc, "", 6 * MIB),
        Door("rest", port, f"{rest}.execute-api.us-east-1.localhost:{port}", "/prod", 10 * MIB),
        Door("http", port, f"{http}.execute-api.us-east-1.localhost:{port}", "", 10 * MIB),
        Door("rest by path", port, f"127.0.0.1:{port}", f"/restapis/{rest}/prod/_user_request_", 10 * MIB),
        Door("http by path", port, f"127.0.0.1:{port}", f"/_aws/execute-api/{http}/$default", 10 * MIB),
    ]
    return {door.name: door for door in made}


def function_url(region: Region) -> str:
    client = region.client("lambda")
    url = client.create_function_url_config(FunctionName="echo", AuthType="NONE")["FunctionUrl"]
    client.add_permission(
        FunctionName="echo",
        StatementId="url",
        Action="lambda:InvokeFunctionUrl",
        Principal="*",
        FunctionUrlAuthType="NONE",
    )
    client.add_permission(
        FunctionName="echo",
        StatementId="invoke",
        Action="lambda:InvokeFunction",
        Principal="*",
        InvokedViaFunctionUrl=True,
    )
    return str(url)


def rest_api(region: Region, function: str, backend: Backend) -> str:
    """`/{proxy+}` to the function, `/admin` for signed requests only, `/files/{proxy+}` to the server."""
    client = region.client("apigateway")
    api = client.create_rest_api(name="doors")
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function}/invocations"

    def resource(parent: str, part: str) -> str:
        return str(client.create_resource(restApiId=api["id"], parentId=parent, pathPart=part)["id"])

    def method(resource_id: str, authorization: str = "NONE", **integration: Any) -> None:
        at = {"restApiId": api["id"], "resourceId": resource_id, "httpMethod": "ANY"}
        greedy = {"requestParameters": {"method.request.path.proxy": True}} if "http" in str(integration) else {}
        client.put_method(**at, authorizationType=authorization, **greedy)
        client.put_integration(**at, **integration)

    root = api["rootResourceId"]
    to_function = {"type": "AWS_PROXY", "integrationHttpMethod": "POST", "uri": uri}
    for target in (root, resource(root, "{proxy+}")):
        method(target, **to_function)
    method(resource(root, "admin"), "AWS_IAM", **to_function)
    method(
        resource(resource(root, "files"), "{proxy+}"),
        type="HTTP_PROXY",
        integrationHttpMethod="ANY",
        uri=f"{backend.url}/{{proxy}}",
        requestParameters={"integration.request.path.proxy": "method.request.path.proxy"},
    )
    client.create_deployment(restApiId=api["id"], stageName="prod")
    return str(api["id"])


def http_api(region: Region, function: str, backend: Backend) -> str:
    client = region.client("apigatewayv2")
    api = client.create_api(Name="doors", ProtocolType="HTTP", Target=function)["ApiId"]

    def route(key: str, authorization: str = "NONE", **integration: Any) -> None:
        made = client.create_integration(ApiId=api, **integration)["IntegrationId"]
        client.create_route(ApiId=api, RouteKey=key, AuthorizationType=authorization, Target=f"integrations/{made}")

    route("ANY /admin", "AWS_IAM", IntegrationType="AWS_PROXY", IntegrationUri=function, PayloadFormatVersion="2.0")
    route(
        "ANY /files/{proxy+}",
        IntegrationType="HTTP_PROXY",
        IntegrationMethod="ANY",
        IntegrationUri=f"{backend.url}/{{proxy}}",
        PayloadFormatVersion="1.0",
    )
    return str(api)


NAMES = ["url", "rest", "http", "rest by path", "http by path"]
APIS = NAMES[1:]


@pytest.fixture(params=NAMES)
def door(request: pytest.FixtureRequest, doors: dict[str, Door]) -> Door:
    return doors[request.param]


@pytest.fixture(params=APIS)
def api(request: pytest.FixtureRequest, doors: dict[str, Door]) -> Door:
    return doors[request.param]


# ---- paths ---------------------------------------------------------------------------------------------------------

TRICKS = [
    "/a/../b",
    "/a/%2e%2e/b",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/..%2f..%2fetc%2fpasswd",
    "/../../../../2015-03-31/functions",
    "/../../../_lambent/health",
    "//double//slash",
    "/a%2Fb",
    "/a%252Fb",
    "/.",
    "/%00",
    "/%",
    "/%zz",
    "/%ff%fe",
    "/%c0%ae%c0%ae/",
    "/a;b=c",
    "/a\\..\\b",
    "/a%0d%0aSet-Cookie:x=1",
    "/http://elsewhere.example/",
    "/" + "a/" * 3000,
    "/" + "%2e%2e/" * 1000,
    "/caf\xc3\xa9",
]


@pytest.mark.parametrize("path", TRICKS)
def test_tricks_in_paths_reach_the_function_as_data_or_are_refused(door: Door, path: str) -> None:
    answer = door.get(path)
    assert answer.status < 500, answer
    assert b"root:" not in answer.body
    assert b"Set-Cookie" not in answer.head
    if b"x-reached: function" in answer.head:
        event = answer.event
        # Another API, stage or service never comes of it.
        assert event["requestContext"]["apiId"] in door.host + door.prefix
        assert event["requestContext"]["stage"] in ("$default", "prod")
    else:
        assert answer.status in (400, 403, 404), answer


@pytest.mark.parametrize("path", ["/admin", "/%61dmin", "/adm%69n", "//admin", "/admin/"])
def test_a_protected_route_is_protected_however_it_is_written(api: Door, path: str) -> None:
    answer = api.get(path)
    if answer.status == 200:
        # Not that route but the one for all the rest, and its function is told so.
        event = answer.event
        assert "http" in api.name
        assert path in ("//admin", "/admin/")
        assert event["routeKey"] == "$default"
    else:
        assert answer.status == 403, answer


@pytest.mark.parametrize(
    "path",
    [
        "/files/../admin",
        "/files/..",
        "/files/%2e%2e/secret",
        "/files/..%2f..%2fsecret",
        "/files/%252e%252e/secret",
        "/files/a/../../../secret",
        "/files/%5c..%5csecret",
        "/files//etc/passwd",
        "/files/@elsewhere.example/",
        "/files/%23fragment",
        "/files/%3Fquery=1",
        "/files/a%0d%0aX-Injected:1",
    ],
)
def test_no_path_leaves_the_folder_of_the_server_behind_an_integration(api: Door, backend: Backend, path: str) -> None:
    before = len(backend.targets)
    assert api.get(path).status < 500
    for target in backend.targets[before:]:
        assert target.startswith("/public/"), target
        assert "?" not in target
        # What a server would take for a way up is only what the client wrote itself.
        assert target.count("..") <= path.count("..") + path.lower().count("%2e%2e"), target


# ---- heads ---------------------------------------------------------------------------------------------------------

#: What two servers could read in two ways; all of it is refused before any door is looked for.
SMUGGLED = {
    "two hosts": "POST {path} HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n",
    "two different hosts": "GET {path} HTTP/1.1\r\nHost: {host}\r\nHost: localhost\r\n\r\n",
    "no host": "GET {path} HTTP/1.1\r\n\r\n",
    "length and chunks": "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4\r\n"
    "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": "POST {path} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n"
    "Content-Length: 4\r\n\r\n0\r\n\r\n",
    "two lengths": "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "a list of lengths": "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4, 4\r\n\r\nabcd",
    "a negative length": "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: -1\r\n\r\n",
    "a signed length": "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: +4\r\n\r\nabcd",
    "a length in hexadecimal": "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0x4\r\n\r\nabcd",
    "an enormous length": "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "chunked is not last": "POST {path} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked, identity\r\n\r\n"
    "0\r\n\r\n",
    "an unknown encoding": "POST {path} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": "POST {path} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a folded header": "GET {path} HTTP/1.1\r\nHost: {host}\r\nX-A: b\r\n c\r\n\r\n",
    "a header without a name": "GET {path} HTTP/1.1\r\nHost: {host}\r\n: b\r\n\r\n",
    "a zero byte": "GET {path} HTTP/1.1\r\nHost: {host}\r\nX-A: b\0c\r\n\r\n",
    "a bare carriage return": "GET {path} HTTP/1.1\r\nHost: {host}\r\nX-A: b\rX-B: c\r\n\r\n",
    "a bad chunk size": "POST {path} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a chunk longer than it says": "POST {path} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n"
    "1\r\nabc\r\n0\r\n\r\n",
    "an enormous chunk": "POST {path} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n"
    "fffffffffffffffff\r\n",
    "another version": "GET {path} HTTP/3.7\r\nHost: {host}\r\n\r\n",
    "a target that is no path": "GET elsewhere HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "another host in the target": "GET http://elsewhere.example{path} HTTP/1.1\r\nHost: {host}\r\n\r\n",
}


@pytest.mark.parametrize("name", SMUGGLED)
@pytest.mark.parametrize("way", ["url", "http by path"])
def test_what_could_be_read_in_two_ways_is_refused(doors: dict[str, Door], way: str, name: str) -> None:
    door = doors[way]
    data = SMUGGLED[name].format(path=f"{door.prefix}/", host=door.host).encode()
    # What stands behind would be a second request, if the first one ended where the other reader thinks.
    behind = door.head("/smuggled")
    answers = door.send(data + behind, half_close=True)
    assert parsed(answers).status in (400, 413), answers
    assert answers.count(b"HTTP/1.1 ") == 1
    assert b"smuggled" not in answers


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "BREW", "get", "A" * 1000])
def test_odd_methods_are_answered(door: Door, method: str) -> None:
    answer = parsed(door.send(door.head("/x", method=method), half_close=True))
    assert answer.status < 500, answer


@pytest.mark.parametrize(
    "header",
    [
        "Cookie: " + "a=b; " * 2000,
        "X-Amzn-Trace-Id: " + "Root=" * 3000,
        "X-Forwarded-For: " + "1.2.3.4, " * 1000,
        "X-Bytes: \xff\xfe\x80",
        "Content-Type: " + "a" * 9000,
        "Authorization: AWS4-HMAC-SHA256 Credential=/////, SignedHeaders=;;;, Signature=",
        "Accept-Encoding: " + "gzip;q=0.1," * 1000,
        "Origin: null",
        "Range: bytes=0-18446744073709551615,-1",
        "If-Modified-Since: never",
        "Content-Encoding: gzip",
        "Expect: 100-continue",
        "Expect: everything",
        "Upgrade: websocket",
        "Connection: close, x-amzn-trace-id, host",
    ],
)
def test_odd_headers_are_data(door: Door, header: str) -> None:
    assert door.get("/x", header).status < 500


def test_odd_queries_are_data(door: Door) -> None:
    for query in ("?", "??", "?&&&", "?=", "?a=%zz&b=%ff", "?a&a=1&a", "?" + "a=b&" * 2000, "?a[]=1;b", "?%00=%0d%0a"):
        assert door.get(f"/x{query}").status == 200, query


# ---- bodies --------------------------------------------------------------------------------------------------------


def test_too_much_is_refused_before_it_is_sent(door: Door) -> None:
    for length in (door.body_limit + 1, 10**12):
        with door.connect() as client:
            client.sendall(door.head("/", f"Content-Length: {length}", method="POST"))
            answer = parsed(read_all(client))
            assert (answer.status, b"x-reached" in answer.head) == (413, False), answer


def test_chunks_without_end_are_refused_and_memory_stays_flat(door: Door, region: Region) -> None:
    chunk = b"%x\r\n%b\r\n" % (MIB, b"x" * MIB)

    def attempt() -> None:
        with door.connect() as client:
            client.sendall(door.head("/", "Transfer-Encoding: chunked", method="POST"))
            answers = threading.Thread(target=lambda: heads.append(read_all(client)))
            answers.start()
            with contextlib.suppress(ConnectionError):
                for _ in range(40):
                    client.sendall(chunk)
                client.shutdown(socket.SHUT_WR)
            answers.join()

    heads: list[bytes] = []
    attempt()
    before = resident(region)
    for _ in range(3):
        attempt()
    assert {head[:12] for head in heads} == {b"HTTP/1.1 413"}
    assert resident(region) - before < 30 * MIB


def resident(region: Region) -> int:
    """Bytes of memory of the server."""
    assert region.process is not None
    with open(f"/proc/{region.process.pid}/statm") as file:
        return int(file.read().split()[1]) * 4096


# ---- clients -------------------------------------------------------------------------------------------------------


def test_slow_clients_keep_nobody_waiting(door: Door) -> None:
    head = door.head("/slow", "Content-Length: 100", method="POST")
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(door.connect()) for _ in range(140)]
        for index, client in enumerate(slow):
            client.sendall((head + b"x" * 50)[: index or None])
        started = time.monotonic()
        assert door.get("/quick").status == 200
        assert time.monotonic() - started < 5
        for index in (0, 139):
            # They are still welcome.
            slow[index].sendall((head + b"x" * 100)[index or len(head) + 50 :])
            assert parsed(read_all(slow[index])).status == 200


def test_who_closes_its_half_is_answered(door: Door) -> None:
    assert parsed(door.send(door.head("/x"), half_close=True)).status == 200
    # A request cut off has none.
    for data in (b"", door.head("/x")[:-2], door.head("/", "Content-Length: 5", method="POST") + b"abc"):
        assert b"x-reached" not in door.send(data, half_close=True)


def test_who_hangs_up_harms_nobody(door: Door) -> None:
    for _ in range(20):
        client = door.connect()
        client.sendall(door.head("/x"))
        # Reset, not merely closed.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
    assert door.get("/x").status == 200


# ---- functions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "result",
    [
        {"statusCode": 200, "headers": {"x-a": "b\r\nx-injected: 1"}},
        {"statusCode": 200, "headers": {"x-a\r\nx-injected": "1"}},
        {"statusCode": 200, "headers": {"x a": "1"}},
        {"statusCode": 200, "headers": {"": "1"}},
        {"statusCode": 200, "headers": {"x-a": {"b": 1}}},
        {"statusCode": 200, "headers": [["x-a", "b"]]},
        {"statusCode": "200 OK\r\nx-injected: 1"},
        {"statusCode": 99},
        {"statusCode": 100},
        {"statusCode": 99999},
        {"statusCode": -1},
        {"statusCode": None},
        {"statusCode": [200]},
        {"statusCode": 200, "body": {"a": 1}},
    ],
)
def test_answers_of_functions_that_are_none_are_bad_gateways(door: Door, result: Any) -> None:
    answer = door.result(result)
    assert b"x-injected" not in answer.head
    assert answer.status in (500, 502), answer


@pytest.mark.parametrize(
    "header",
    [("content-length", "5"), ("transfer-encoding", "chunked"), ("connection", "upgrade"), ("date", "never")],
)
def test_functions_do_not_frame_answers(door: Door, header: tuple[str, str]) -> None:
    with door.connect() as client:
        body = json.dumps({"answer": {"statusCode": 200, "headers": dict([header]), "body": "x" * 20}}).encode()
        body = body.replace(b": ", b":", 1)
        head = door.head("/", f"Content-Length: {len(body)}", method="POST")
        client.sendall(head + body)
        answer = parsed(read_all(client))
    assert answer.status == 200
    assert answer.body == b"x" * 20
    assert answer.head.lower().count(b"\r\ncontent-length: ") == 1
    assert b"\r\ntransfer-encoding" not in answer.head.lower()
