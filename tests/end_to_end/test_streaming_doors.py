"""Streamed answers through function URLs and REST APIs, as HTTP clients see them: byte by byte, and when they end."""

from __future__ import annotations

import http.client
import io
import json
import re
import shutil
import socket
import ssl
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from framework_bundles import BUNDLES, packed
from front_doors import allow_api

from lambent.runtimes.catalog import Catalog
from tests.conftest import wait_until
from tests.roles import ROLE

AVAILABLE = [spec.name for spec in Catalog(Path("/nonexistent")).available()]
NODE = next((name for name in AVAILABLE if name.startswith("nodejs")), "")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not NODE, reason="no Node runtime on this machine")]

#: Does what the path says.
CODE = """
const { setTimeout: wait } = require('node:timers/promises');
const { once } = require('node:events');
const from = (stream, head) => awslambda.HttpResponseStream.from(stream, head);

const times = async (stream, pause) => {
  stream = from(stream, { statusCode: 201, headers: { 'content-type': 'text/event-stream', 'x-own': 'yes' },
                          cookies: ['a=1', 'b=2; Path=/'] });
  for (let n = 0; n < 4; n++) {
    stream.write(`${Date.now()}\\n`);
    await wait(pause);
  }
  stream.end();
};

const ways = {
  slow: (event, stream) => times(stream, 250),
  quick: (event, stream) => times(stream, 10),
  async plain(event, stream) {
    stream.setContentType('text/html');
    stream.write('<p>');
    stream.end('done');
  },
  async bytes(event, stream) { stream.end(Buffer.from([0, 255, 0, 0, 0, 0, 0, 0, 0, 0, 1])); },
  async pieces(event, stream) {
    const parts = ['{"statusCode":2', '02}\\0\\0', '\\0\\0\\0', '\\0\\0\\0bo', 'dy', '\\0'.repeat(8), 'end'];
    stream.setContentType('application/vnd.awslambda.http-integration-response');
    for (const part of parts) { stream.write(part); await wait(5); }
    stream.end();
  },
  async head(event, stream) {
    stream = from(stream, JSON.parse(event.body));
    stream.write('body');
    stream.end();
  },
  async empty(event, stream) { stream.end(); },
  async nothing(event, stream) { from(stream, { statusCode: 204 }).end(''); },
  async unfinished(event, stream) {
    stream.setContentType('application/vnd.awslambda.http-integration-response');
    stream.end('{"statusCode":200}');
  },
  async endless(event, stream) {
    stream.setContentType('application/vnd.awslambda.http-integration-response');
    stream.end('x'.repeat(200000));
  },
  async raise() { throw new Error('before the first byte'); },
  async fail(event, stream) {
    from(stream, { statusCode: 200 }).write('so far');
    await wait(50);
    throw new Error('in the middle');
  },
  async die(event, stream) {
    from(stream, { statusCode: 200 }).write('so far');
    await wait(50);
    process.exit(3);
  },
  async hang(event, stream) {
    from(stream, { statusCode: 200 }).write('so far');
    await wait(60000);
  },
  async much(event, stream) {
    stream = from(stream, { statusCode: 200 });
    const piece = Buffer.alloc(65536, 'x');
    for (let n = 0; n < 80; n++) if (!stream.write(piece)) await once(stream, 'drain');
    stream.end();
    console.log('wrote it all');
  },
  async gone(event, stream) {
    stream = from(stream, { statusCode: 200 });
    for (let n = 0; n < 20; n++) { stream.write('x'.repeat(1000)); await wait(20); }
    stream.end();
    console.log('went on to the end');
  },
};

exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {
  const way = (event.rawPath ?? event.path).split('/').pop();
  await ways[way](event, stream);
});
exports.buffered = async (event) => ({ statusCode: 418, body: 'as an object' });
"""
PRELUDE = "application/vnd.awslambda.http-integration-response"


class Answer(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes
    #: False where the connection ended before the body did.
    is_whole: bool

    def all(self, name: str) -> list[str]:
        return [value for header, value in self.headers if header.lower() == name]


class Door:
    """A base URL and a client for it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.url = url.rstrip("/")
        self.host, self.port, self.prefix = parts.netloc, parts.port, parts.path.rstrip("/")

    @contextmanager
    def open(
        self, path: str, method: str = "GET", body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, f"{self.prefix}{path}", body, {"Host": self.host, **(headers or {})})
            yield connection.getresponse()

    def send(self, *given: Any, **named: Any) -> Answer:
        with self.open(*given, **named) as response:
            parts, is_whole = [], True
            try:
                while part := response.read1(65536):
                    parts.append(part)
            except (http.client.IncompleteRead, ConnectionResetError):
                is_whole = False
            return Answer(response.status, response.getheaders(), b"".join(parts), is_whole)

    def socket(self, path: str, protocol: str = "HTTP/1.1") -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        sock.sendall(f"GET {self.prefix}{path} {protocol}\r\nHost: {self.host}\r\n\r\n".encode())
        return sock


def package(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def create(region: Any, name: str, **settings: Any) -> str:
    client = region.client("lambda")
    made = client.create_function(
        **{
            "FunctionName": name,
            "Runtime": NODE,
            "Role": ROLE,
            "Handler": "app.handler",
            "Code": {"ZipFile": package({"app.js": CODE})},
            "MemorySize": 256,
            "Timeout": 20,
            **settings,
        }
    )
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 400})
    return str(made["FunctionArn"])


def make_url(region: Any, name: str, mode: str = "RESPONSE_STREAM", **settings: Any) -> Door:
    client = region.client("lambda")
    public = {"FunctionName": name, "Principal": "*"}
    client.add_permission(**public, StatementId="url", Action="lambda:InvokeFunctionUrl", FunctionUrlAuthType="NONE")
    client.add_permission(**public, StatementId="any", Action="lambda:InvokeFunction", InvokedViaFunctionUrl=True)
    made = client.create_function_url_config(**{"FunctionName": name, "AuthType": "NONE", **settings}, InvokeMode=mode)
    return Door(str(made["FunctionUrl"]))


class Rest:
    """A REST API with one method for everything, and what changes it."""

    def __init__(self, region: Any, name: str, **integration: Any) -> None:
        self.client = region.client("apigateway")
        made = self.client.create_rest_api(name=name, endpointConfiguration={"types": ["REGIONAL"]})
        self.id = made["id"]
        resource = self.client.create_resource(restApiId=self.id, parentId=made["rootResourceId"], pathPart="{proxy+}")
        self.method = {"restApiId": self.id, "resourceId": resource["id"], "httpMethod": "ANY"}
        self.client.put_method(
            **self.method, authorizationType="NONE", requestParameters={"method.request.path.proxy": True}
        )
        self.client.put_integration(**self.method, responseTransferMode="STREAM", **integration)
        self.client.create_deployment(restApiId=self.id, stageName="prod")
        port = urlsplit(region.url).port
        self.door = Door(f"http://{self.id}.execute-api.us-east-1.localhost:{port}/prod")


def lambda_proxy(function: str, **more: Any) -> dict[str, Any]:
    path = f"2021-11-15/functions/{function}/response-streaming-invocations"
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/{path}"
    return {"type": "AWS_PROXY", "integrationHttpMethod": "POST", "uri": uri, **more}


@pytest.fixture(scope="module")
def function(region: Any) -> str:
    return create(region, "streams")


@pytest.fixture(scope="module")
def url(region: Any, function: str) -> Door:
    return make_url(region, "streams")


@pytest.fixture(scope="module")
def rest(region: Any, function: str) -> Rest:
    made = Rest(region, "streams", **lambda_proxy(function))
    allow_api(region, "streams", "rest", made.id)
    return made


@pytest.fixture(params=["URL", "REST"])
def door(request: pytest.FixtureRequest, url: Door, rest: Rest) -> Door:
    return url if request.param == "URL" else rest.door


# ---- what arrives, and when ----


def test_each_piece_arrives_when_the_function_writes_it(door: Door) -> None:
    door.send("/plain")  # the cold start is not what this measures
    lags = []
    with door.open("/slow") as response:
        while line := response.readline():
            lags.append(time.time() * 1000 - int(line))
    assert len(lags) == 4
    assert median(lags) < 50, lags


def test_status_headers_and_cookies_come_from_the_prelude(door: Door) -> None:
    answer = door.send("/quick")
    assert (answer.status, answer.is_whole) == (201, True)
    assert answer.all("x-own") == ["yes"]
    assert answer.all("content-type") == ["text/event-stream"]
    assert answer.all("set-cookie") == ["a=1", "b=2; Path=/"]
    assert answer.all("transfer-encoding") == ["chunked"]
    assert answer.all("content-length") == []
    assert len(answer.all("x-amzn-requestid")) == len(answer.all("x-amzn-trace-id")) == 1


def test_the_prelude_may_be_cut_anywhere_and_the_body_may_hold_its_separator(door: Door) -> None:
    answer = door.send("/pieces")
    assert (answer.status, answer.body) == (202, b"body" + bytes(8) + b"end")


def test_without_a_prelude_a_url_answers_200_with_the_streams_type(url: Door) -> None:
    answer = url.send("/plain")
    assert (answer.status, answer.all("content-type"), answer.body) == (200, ["text/html"], b"<p>done")
    answer = url.send("/bytes")
    assert answer.all("content-type") == ["application/octet-stream"]
    assert answer.body == bytes([0, 255, 0, 0, 0, 0, 0, 0, 0, 0, 1])


def test_without_a_prelude_a_rest_api_fails(rest: Rest) -> None:
    answer = rest.door.send("/plain")
    assert (answer.status, json.loads(answer.body)) == (502, {"message": "Internal server error"})


def test_an_empty_stream_is_an_empty_answer_of_a_url(url: Door) -> None:
    answer = url.send("/empty")
    assert (answer.status, answer.body, answer.is_whole) == (200, b"", True)
    assert answer.all("content-type") == ["application/octet-stream"]


@pytest.mark.parametrize(
    ("head", "status", "headers"),
    [
        ({}, 200, {}),
        ({"statusCode": "404"}, 404, {}),
        ({"statusCode": 200, "headers": {"X-Number": 5, "X-Yes": True}}, 200, {"x-number": ["5"], "x-yes": ["true"]}),
        ({"headers": {"Content-Length": "3", "Server": "me", "Transfer-Encoding": "gzip"}}, 200, {"server": []}),
        ({"statusCode": 99}, 502, {}),
        ({"headers": ["a"]}, 502, {}),
        ({"headers": {"X": "a\r\nb: c"}}, 502, {}),
        ({"cookies": "a=1"}, 502, {}),
        ([], 502, {}),
    ],
    ids=[
        "empty",
        "status as text",
        "values that are no text",
        "headers of the connection",
        "status out of range",
        "headers that are no object",
        "line break",
        "cookies that are no list",
        "no object",
    ],
)
def test_preludes_of_all_kinds(door: Door, head: Any, status: int, headers: dict[str, list[str]]) -> None:
    answer = door.send("/head", "POST", json.dumps(head).encode(), {"Content-Type": "application/json"})
    assert answer.status == status
    for name, values in headers.items():
        assert answer.all(name) == values
    if status < 500:
        assert answer.body == b"body"


def test_rest_apis_take_headers_of_several_values(rest: Rest) -> None:
    head = {"statusCode": 200, "multiValueHeaders": {"X-Many": ["1", "2"]}, "headers": {"x-one": "3"}}
    answer = rest.door.send("/head", "POST", json.dumps(head).encode(), {"Content-Type": "application/json"})
    assert (answer.all("x-many"), answer.all("x-one")) == (["1", "2"], ["3"])


def test_head_and_204_have_no_body(door: Door) -> None:
    answer = door.send("/quick", "HEAD")
    assert (answer.status, answer.body, answer.all("x-own")) == (201, b"", ["yes"])
    answer = door.send("/nothing")
    assert (answer.status, answer.body, answer.all("transfer-encoding")) == (204, b"", [])


def test_a_connection_is_used_again_after_a_stream(door: Door) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", door.port, timeout=30)) as connection:
        for _ in range(3):
            connection.request("GET", f"{door.prefix}/pieces", headers={"Host": door.host})
            assert connection.getresponse().read().endswith(b"end")


def test_http_1_0_gets_the_stream_without_chunks(door: Door) -> None:
    with closing(door.socket("/quick", "HTTP/1.0")) as sock:
        received = b"".join(iter(lambda: sock.recv(65536), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert re.fullmatch(rb"(\d+\n){4}", body)


def test_a_stream_over_https_is_as_any_other(door: Door) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with closing(http.client.HTTPSConnection("127.0.0.1", door.port, timeout=30, context=context)) as connection:
        connection.request("GET", f"{door.prefix}/much", headers={"Host": door.host})
        assert len(connection.getresponse().read()) == 80 * 65536
        connection.request("GET", f"{door.prefix}/fail", headers={"Host": door.host})
        with pytest.raises(http.client.IncompleteRead):
            connection.getresponse().read()


# ---- how it ends ----


@pytest.mark.parametrize("way", ["raise", "unfinished", "endless"])
def test_a_failure_before_the_first_byte_is_a_502(door: Door, way: str) -> None:
    answer = door.send(f"/{way}")
    assert answer.status == 502
    assert answer.body in (b"Internal Server Error", b'{"message": "Internal server error"}')


@pytest.mark.parametrize("way", ["fail", "die"])
def test_a_failure_in_the_middle_cuts_the_answer_short(door: Door, way: str) -> None:
    answer = door.send(f"/{way}")
    assert (answer.status, answer.body, answer.is_whole) == (200, b"so far", False)
    assert door.send("/pieces").is_whole


def test_a_timeout_in_the_middle_cuts_the_answer_short(region: Any, function: str) -> None:
    create(region, "short", Timeout=1)
    answer = make_url(region, "short").send("/hang")
    assert (answer.status, answer.body, answer.is_whole) == (200, b"so far", False)


def test_the_timeout_of_an_integration_cuts_the_answer_short(region: Any, function: str) -> None:
    made = Rest(region, "impatient", **lambda_proxy(function), timeoutInMillis=400)
    allow_api(region, "streams", "impatient", made.id)
    answer = made.door.send("/slow")
    assert (answer.status, answer.is_whole) == (201, False)
    assert answer.body.count(b"\n") == 2


# ---- who reads slowly or leaves ----


def memory_of(region: Any) -> int:
    status = Path(f"/proc/{region.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]


def told(region: Any, words: str) -> Callable[[], bool]:
    def look() -> bool:
        events = region.client("logs").filter_log_events(logGroupName="/aws/lambda/streams")["events"]
        return any(words in event["message"] for event in events)

    return look


def test_a_client_that_does_not_read_holds_up_the_function_and_no_memory(region: Any, door: Door) -> None:
    door.send("/plain")
    before = memory_of(region)
    socks = [door.socket("/much") for _ in range(4)]
    try:
        for sock in socks:
            assert sock.recv(4096)
        # Enough for whatever does not stop to have come through: the function is far faster than this.
        deadline = time.monotonic() + 1.0
        wait_until(lambda: time.monotonic() > deadline)
        assert memory_of(region) - before < 12 * 1024 * 1024
    finally:
        for sock in socks:
            sock.close()


def test_a_client_that_reads_slowly_gets_it_all(door: Door) -> None:
    with door.open("/much") as response:
        size = 0
        while part := response.read(300_000):
            size += len(part)
    assert size == 80 * 65536


def test_a_function_goes_on_when_its_client_hangs_up(region: Any, door: Door) -> None:
    sock = door.socket("/gone")
    assert sock.recv(4096)
    sock.close()
    wait_until(told(region, "went on to the end"), what="the function's last line")


# ---- what the owner sets ----


def test_cors_of_a_url_holds_for_streams(region: Any, function: str) -> None:
    create(region, "cors")
    door = make_url(region, "cors", Cors={"AllowOrigins": ["https://a.example"], "ExposeHeaders": ["x-own"]})
    answer = door.send("/quick", headers={"Origin": "https://a.example"})
    assert answer.all("access-control-allow-origin") == ["https://a.example"]
    assert answer.all("access-control-expose-headers") == ["x-own"]
    assert door.send("/quick", headers={"Origin": "https://b.example"}).all("access-control-allow-origin") == []


def test_a_url_that_asks_for_signatures_refuses_before_it_streams(region: Any, function: str) -> None:
    create(region, "signed")
    door = make_url(region, "signed", AuthType="AWS_IAM")
    answer = door.send("/quick")
    assert (answer.status, b"Forbidden" in answer.body) == (403, True)


def test_a_function_that_does_not_stream_sends_what_it_returns(region: Any) -> None:
    create(region, "buffered", Handler="app.buffered")
    answer = make_url(region, "buffered").send("/")
    assert (answer.status, answer.all("content-type")) == (200, ["application/json"])
    assert json.loads(answer.body) == {"statusCode": 418, "body": "as an object"}


def test_a_buffered_url_collects_what_a_function_streams(region: Any, function: str) -> None:
    create(region, "collected")
    door = make_url(region, "collected", "BUFFERED")
    answer = door.send("/quick")
    assert (answer.status, answer.all("x-own"), answer.all("transfer-encoding")) == (201, ["yes"], [])
    assert answer.all("set-cookie") == ["a=1", "b=2; Path=/"]
    assert answer.body.count(b"\n") == 4
    plain = door.send("/plain")
    assert (plain.status, plain.all("content-type"), plain.body) == (200, ["text/html"], b"<p>done")
    assert door.send("/fail").status == door.send("/unfinished").status == 502
    region.client("lambda").update_function_url_config(FunctionName="collected", InvokeMode="RESPONSE_STREAM")
    assert door.send("/quick").all("transfer-encoding") == ["chunked"]


def test_http_apis_do_not_stream(region: Any, function: str) -> None:
    made = region.client("apigatewayv2").create_api(Name="streams", ProtocolType="HTTP", Target=function)
    allow_api(region, "streams", "http", made["ApiId"])
    answer = Door(made["ApiEndpoint"]).send("/quick")
    assert (answer.status, answer.all("transfer-encoding")) == (500, [])


# ---- REST APIs ----


def test_access_logs_tell_of_streams_when_they_end(region: Any, rest: Rest) -> None:
    region.client("logs").create_log_group(logGroupName="access")
    names = "status responseLength integration.responseTransferMode integration.timeToAllHeaders "
    names += "integration.timeToFirstContent integration.latency"
    stage = [
        ("/accessLogSettings/destinationArn", "arn:aws:logs:us-east-1:000000000000:log-group:access"),
        ("/accessLogSettings/format", "$context.requestId " + " ".join(f"$context.{name}" for name in names.split())),
    ]
    rest.client.update_account(patchOperations=[{"op": "replace", "path": "/cloudwatchRoleArn", "value": ROLE}])
    operations = [{"op": "replace", "path": path, "value": value} for path, value in stage]
    rest.client.update_stage(restApiId=rest.id, stageName="prod", patchOperations=operations)
    answer = rest.door.send("/slow")

    def line() -> list[str]:
        events = region.client("logs").filter_log_events(logGroupName="access")["events"]
        return next((event["message"].split() for event in events if "201" in event["message"].split()), [])

    _, status, length, mode, headers, content, latency = wait_until(line, what="the line")
    assert (status, int(length), mode) == ("201", len(answer.body), "STREAMED")
    assert int(headers) <= int(content) < 500
    assert int(latency) >= 1000


def test_a_test_of_a_method_shows_the_stream_collected(rest: Rest) -> None:
    shown = rest.client.test_invoke_method(**rest.method | {"httpMethod": "ANY"}, pathWithQueryString="/pieces")
    assert (shown["status"], shown["body"]) == (202, "body" + "\0" * 8 + "end")
    assert shown["log"] == ""


@pytest.fixture
def backend() -> Iterator[str]:
    """A server that sends three pieces as it is told to, then ends as the path says."""
    listener = socket.create_server(("127.0.0.1", 0))
    program = """
import socket, sys, time
listener = socket.socket(fileno=int(sys.argv[1]))
while True:
    sock, _ = listener.accept()
    path = sock.recv(65536).split()[1]
    head = b"HTTP/1.1 203 X", b"Content-Type: text/plain", b"X-Own: yes", b"Transfer-Encoding: chunked", b"", b""
    sock.sendall(b"\\r\\n".join(head))
    for n in range(3):
        line = b"%d\\n" % (time.time() * 1000)
        sock.sendall(b"%x\\r\\n%b\\r\\n" % (len(line), line))
        time.sleep(0.2)
    if not path.endswith(b"cut"):
        sock.sendall(b"0\\r\\n\\r\\n")
    sock.close()
"""
    command = ["python3", "-c", program, str(listener.fileno())]
    process = subprocess.Popen(command, pass_fds=[listener.fileno()])
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    process.kill()
    process.wait()
    listener.close()


def test_a_server_behind_a_rest_api_streams_too(region: Any, backend: str) -> None:
    made = Rest(
        region,
        "http",
        type="HTTP_PROXY",
        integrationHttpMethod="GET",
        uri=f"{backend}/{{proxy}}",
        requestParameters={"integration.request.path.proxy": "method.request.path.proxy"},
    )
    lags = []
    with made.door.open("/x") as response:
        assert (response.status, response.getheader("x-own")) == (203, "yes")
        while line := response.readline():
            lags.append(time.time() * 1000 - int(line))
    assert len(lags) == 3
    assert median(lags) < 50, lags
    answer = made.door.send("/cut")
    assert (answer.status, answer.body.count(b"\n"), answer.is_whole) == (203, 3, False)


# ---- real clients ----


def test_curl_sees_pieces_and_truncation(url: Door) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl on this machine")
    options = ["curl", "-sN", "--resolve", f"{url.host}:127.0.0.1"]
    whole = subprocess.run([*options, f"{url.url}/pieces"], capture_output=True, check=True)
    assert whole.stdout == b"body" + bytes(8) + b"end"
    cut = subprocess.run([*options, f"{url.url}/fail"], capture_output=True, check=False)
    # 18: transfer closed with outstanding read data remaining.
    assert (cut.returncode, cut.stdout) == (18, b"so far")


def test_fetch_of_node_reads_a_stream_and_sees_its_truncation(url: Door) -> None:
    program = """
const [base, host] = process.argv.slice(1);
const read = async (path) => {
  const response = await fetch(base + path);
  const parts = [];
  try { for await (const part of response.body) parts.push(Buffer.from(part).toString()); }
  catch (error) { parts.push('broken'); }
  return [response.status, parts];
};
(async () => console.log(JSON.stringify([await read('/slow'), await read('/fail')])))();
"""
    base = f"http://127.0.0.1:{url.port}/_aws/lambda-url/{url.host.partition('.')[0]}"
    found = subprocess.run(["node", "-e", program, base, url.host], capture_output=True, check=True, timeout=30)
    slow, cut = json.loads(found.stdout)
    assert (slow[0], len(slow[1])) == (201, 4)
    assert cut == [200, ["so far", "broken"]]


# ---- frameworks ----

STREAMING = {
    "Hono": replace(BUNDLES["Hono"], source="hono_stream.mjs"),
    "Fastify": replace(BUNDLES["Fastify"], source="fastify_stream.js"),
}


@pytest.mark.parametrize("framework", STREAMING)
def test_a_framework_streams_with_its_own_adapter(region: Any, framework: str) -> None:
    bundle = STREAMING[framework]
    name = framework.lower()
    create(region, name, Handler=bundle.handler, Code={"ZipFile": packed(bundle)})
    door = make_url(region, name)
    answer = door.send("/teapot")
    assert (answer.status, json.loads(answer.body)) == (418, {"short": True})
    lags = []
    with door.open("/events") as response:
        assert response.getheader("content-type", "").startswith("text/event-stream")
        assert [value.partition(";")[0] for value in response.headers.get_all("set-cookie")] == ["first=1", "second=2"]
        while line := response.readline():
            if line.startswith(b"data: "):
                lags.append(time.time() * 1000 - int(line.removeprefix(b"data: ")))
    assert len(lags) == 3
    assert median(lags) < 50, lags
    assert door.send("/large").body == b"".join(bytes([n]) * 50000 for n in range(100))
