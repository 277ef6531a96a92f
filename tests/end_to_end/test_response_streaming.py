"""InvokeWithResponseStream through boto3: what a function writes arrives as it is written, and ends as on AWS."""

from __future__ import annotations

import base64
import io
import json
import os
import socket
import threading
import time
import zipfile
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError

from tests.conftest import wait_until
from tests.roles import ROLE

pytestmark = pytest.mark.slow

NODE = """
const { setTimeout: sleep } = require('node:timers/promises');
const { pipeline } = require('node:stream/promises');
const fs = require('node:fs');

const actions = {
  async slowly(event, stream) {
    for (let i = 0; i < event.pieces; i++) {
      stream.write(JSON.stringify({ i, at: Date.now() }) + '\\n');
      await sleep(event.pause);
    }
    stream.end();
  },
  async large(event, stream) {
    const piece = Buffer.alloc(65536, 'x');
    await pipeline(function* () {
      for (let left = event.bytes; left > 0; left -= 65536) yield piece.subarray(0, Math.min(left, 65536));
    }, stream);
  },
  async counting(event, stream) {
    // How far it came is written where the next invocation finds it.
    const piece = Buffer.alloc(65536, 'x');
    for (let i = 1; i <= event.pieces; i++) {
      if (!stream.write(piece)) await new Promise((resolve) => stream.once('drain', resolve));
      fs.writeFileSync('/tmp/count', String(i));
    }
    stream.end();
  },
  async count(event, stream) {
    stream.end(fs.existsSync('/tmp/count') ? fs.readFileSync('/tmp/count') : '0');
  },
  async prelude(event, stream) {
    stream = awslambda.HttpResponseStream.from(stream, { statusCode: 201, headers: { a: 'b' } });
    stream.end('body');
  },
  async early(event, stream) { throw new RangeError('too early'); },
  async midway(event, stream) { stream.write('part'); throw new RangeError('midway'); },
  async exits(event, stream) { stream.write('part'); await sleep(50); process.exit(3); },
  async hangs(event, stream) { stream.write('part'); await sleep(60000); },
  async lingers(event, stream) { stream.end('all'); await sleep(400); console.log('done at last'); },
  async logs(event, stream) { console.log('a line'); stream.end('logged'); },
};
exports.handler = awslambda.streamifyResponse(async (event, stream, context) => actions[event.do](event, stream));
exports.whole = async (event) => {
  if (event.fail) throw new Error('failed');
  return { whole: event };
};
"""

#: A runtime of one's own, as the guide for custom runtimes has them: chunks, trailers.
CUSTOM = """#!/usr/bin/python3
import base64, http.client, json, os, time
host = os.environ["AWS_LAMBDA_RUNTIME_API"]
connection = http.client.HTTPConnection(host)
def chunk(data):
    connection.send(b"%x\\r\\n%s\\r\\n" % (len(data), data))
while True:
    connection.request("GET", "/2018-06-01/runtime/invocation/next")
    answer = connection.getresponse()
    event = json.loads(answer.read())
    request_id = answer.getheader("Lambda-Runtime-Aws-Request-Id")
    connection.putrequest("POST", f"/2018-06-01/runtime/invocation/{request_id}/response")
    connection.putheader("Lambda-Runtime-Function-Response-Mode", "streaming")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.putheader("Content-Type", "text/event-stream")
    connection.putheader("Trailer", "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body")
    connection.endheaders()
    for i in range(event.get("pieces", 3)):
        chunk(b"piece %d %d\\n" % (i, time.time() * 1000))
        time.sleep(event.get("pause", 0))
    if event.get("bytes"):
        piece = b"x" * 65536
        for _ in range(event["bytes"] // len(piece)):
            chunk(piece)
    if event.get("cut"):
        connection.close()
        connection = http.client.HTTPConnection(host)
        continue
    error = json.dumps({"errorType": "Function.Midway", "errorMessage": "it broke"}).encode()
    trailers = b""
    if event.get("fail"):
        trailers = (b"Lambda-Runtime-Function-Error-Type: Function.Midway\\r\\n"
                    b"Lambda-Runtime-Function-Error-Body: " + base64.b64encode(error) + b"\\r\\n")
    connection.send(b"0\\r\\n" + trailers + b"\\r\\n")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (202, b'{"status":"OK"}')
"""


def zipped(files: dict[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o755 << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def functions(region: Any) -> Any:
    client = region.client("lambda")
    node = {"Runtime": "nodejs20.x", "Code": {"ZipFile": zipped({"index.js": NODE})}}
    provided = {"Runtime": "provided.al2023", "Code": {"ZipFile": zipped({"bootstrap": CUSTOM})}}
    for name, settings in {
        "streams": {**node, "Handler": "index.handler", "Timeout": 30},
        "brief": {**node, "Handler": "index.handler", "Timeout": 1},
        "whole": {**node, "Handler": "index.whole", "Timeout": 5},
        "alone": {**node, "Handler": "index.handler", "Timeout": 30},
        "custom": {**provided, "Handler": "x", "Timeout": 10},
    }.items():
        client.create_function(FunctionName=name, Role=ROLE, MemorySize=256, **settings)
    for name in ("streams", "brief", "whole", "alone", "custom"):
        client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    client.put_function_concurrency(FunctionName="alone", ReservedConcurrentExecutions=1)
    return client


def begin(client: Any, function: str, event: dict[str, Any], **options: Any) -> dict[str, Any]:
    answer: dict[str, Any] = client.invoke_with_response_stream(
        FunctionName=function, Payload=json.dumps(event).encode(), **options
    )
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert answer["ResponseStreamContentType"] == "application/vnd.amazon.eventstream"
    return answer


def read(client: Any, function: str, event: dict[str, Any], **options: Any) -> tuple[bytes, dict[str, Any]]:
    """The whole response, and the event that ends it."""
    *chunks, last = begin(client, function, event, **options)["EventStream"]
    return b"".join(event["PayloadChunk"]["Payload"] for event in chunks), last["InvokeComplete"]


def lines_of(payload: bytes) -> list[float]:
    return [json.loads(line)["at"] for line in payload.splitlines()]


@pytest.mark.alone
def test_each_piece_arrives_when_it_is_written(functions: Any) -> None:
    read(functions, "streams", {"do": "slowly", "pieces": 1, "pause": 0})
    late = []
    for event in begin(functions, "streams", {"do": "slowly", "pieces": 4, "pause": 150})["EventStream"]:
        now = time.time() * 1000
        if "PayloadChunk" in event:
            late += [now - written for written in lines_of(event["PayloadChunk"]["Payload"])]
        else:
            assert event == {"InvokeComplete": {}}
    assert len(late) == 4
    assert max(late) < 50, late


@pytest.mark.alone
def test_a_custom_runtime_streams_over_the_runtime_api(functions: Any) -> None:
    late = []
    for event in begin(functions, "custom", {"pieces": 3, "pause": 0.1})["EventStream"]:
        now = time.time() * 1000
        if "PayloadChunk" in event:
            late += [now - float(line.split()[2]) for line in event["PayloadChunk"]["Payload"].splitlines()]
    assert len(late) == 3
    assert max(late) < 50, late


def test_what_a_custom_runtime_says_in_its_trailers_ends_the_stream(functions: Any) -> None:
    body, complete = read(functions, "custom", {"fail": True})
    assert body.startswith(b"piece 0")
    assert complete["ErrorCode"] == "Unhandled"
    assert json.loads(complete["ErrorDetails"]) == {"errorType": "Function.Midway", "errorMessage": "it broke"}


def test_a_response_that_a_custom_runtime_cuts_short_is_an_error(functions: Any) -> None:
    body, complete = read(functions, "custom", {"cut": True})
    assert body.count(b"piece") == 3
    assert json.loads(complete["ErrorDetails"])["errorType"] == "Runtime.TruncatedResponse"
    # And it goes on with the next.
    assert read(functions, "custom", {})[1] == {}


def test_a_plain_invoke_of_what_streams_gets_the_whole(functions: Any) -> None:
    answer = functions.invoke(FunctionName="streams", Payload=b'{"do":"prelude"}')
    assert answer["Payload"].read() == b'{"statusCode":201,"headers":{"a":"b"}}' + bytes(8) + b"body"
    answer = functions.invoke(FunctionName="streams", Payload=b'{"do":"midway"}')
    assert answer["FunctionError"] == "Unhandled"
    assert json.loads(answer["Payload"].read())["errorMessage"] == "midway"
    answer = functions.invoke(FunctionName="streams", Payload=b'{"do":"large","bytes":6291557}')
    assert json.loads(answer["Payload"].read())["errorType"] == "Function.ResponseSizeTooLarge"
    assert len(functions.invoke(FunctionName="custom", Payload=b'{"pieces":4}')["Payload"].read().splitlines()) == 4


def test_a_function_that_does_not_stream_gives_one_chunk(functions: Any) -> None:
    chunk, complete = begin(functions, "whole", {"a": 1})["EventStream"]
    assert json.loads(chunk["PayloadChunk"]["Payload"]) == {"whole": {"a": 1}}
    assert complete == {"InvokeComplete": {}}
    body, failed = read(functions, "whole", {"fail": True})
    assert (body, failed["ErrorCode"]) == (b"", "Unhandled")
    assert json.loads(failed["ErrorDetails"])["errorMessage"] == "failed"


@pytest.mark.parametrize(
    ("function", "action", "part", "words"),
    [
        ("streams", "early", b"", '"errorMessage":"too early"'),
        ("streams", "midway", b"part", '"errorMessage":"midway"'),
        ("streams", "exits", b"part", "Error: Runtime exited with error: exit status 3"),
        ("brief", "hangs", b"part", "Error: Task timed out after 1.00 seconds"),
    ],
)
def test_how_a_stream_can_end_badly(functions: Any, function: str, action: str, part: bytes, words: str) -> None:
    body, complete = read(functions, function, {"do": action})
    assert body == part
    assert complete["ErrorCode"] == "Unhandled"
    assert words in complete["ErrorDetails"]
    # What died is started again.
    assert read(functions, function, {"do": "logs"}) == (b"logged", {})


def test_the_log_of_an_invocation_comes_with_its_end(functions: Any) -> None:
    body, complete = read(functions, "streams", {"do": "logs"}, LogType="Tail")
    tail = base64.b64decode(complete["LogResult"]).decode()
    assert body == b"logged"
    assert "\ta line\n" in tail
    assert "REPORT RequestId: " in tail


def test_a_response_is_whole_before_its_function_is_done(functions: Any) -> None:
    began = time.monotonic()
    chunk, end = begin(functions, "streams", {"do": "lingers"}, LogType="Tail")["EventStream"]
    assert chunk == {"PayloadChunk": {"Payload": b"all"}}
    # The end that the SDK waits for is the invocation's.
    assert time.monotonic() - began > 0.4
    assert b"done at last" in base64.b64decode(end["InvokeComplete"]["LogResult"])


def test_a_dry_run_checks_and_runs_nothing(functions: Any) -> None:
    answer = functions.invoke_with_response_stream(FunctionName="streams", InvocationType="DryRun", Payload=b"{}")
    assert (answer["StatusCode"], list(answer["EventStream"])) == (204, [])


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"FunctionName": "nobody"}, "ResourceNotFoundException"),
        ({"FunctionName": "streams", "Payload": b"{"}, "InvalidRequestContentException"),
        ({"FunctionName": "streams", "Payload": b'"' + b"x" * 6291456 + b'"'}, "RequestTooLargeException"),
        ({"FunctionName": "streams", "Qualifier": "nothing"}, "ResourceNotFoundException"),
        ({"FunctionName": "streams", "TenantId": "blue"}, "InvalidParameterValueException"),
    ],
    ids=["function", "json", "size", "qualifier", "tenant"],
)
def test_what_is_wrong_before_the_first_byte_is_an_ordinary_error(
    functions: Any, options: dict[str, Any], code: str
) -> None:
    with pytest.raises(ClientError) as caught:
        functions.invoke_with_response_stream(**options)
    assert caught.value.response["Error"]["Code"] == code


def test_a_throttle_is_an_ordinary_error(functions: Any) -> None:
    functions.put_function_concurrency(FunctionName="whole", ReservedConcurrentExecutions=0)
    try:
        with pytest.raises(ClientError) as caught:
            functions.invoke_with_response_stream(FunctionName="whole")
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
    finally:
        functions.delete_function_concurrency(FunctionName="whole")


def test_the_first_six_megabytes_come_as_fast_as_they_can_and_the_rest_at_two_a_second(functions: Any) -> None:
    started = time.monotonic()
    marks: list[tuple[int, float]] = []
    size = 0
    for event in begin(functions, "streams", {"do": "large", "bytes": 8 * 1024 * 1024})["EventStream"]:
        if "PayloadChunk" in event:
            size += len(event["PayloadChunk"]["Payload"])
            marks.append((size, time.monotonic() - started))
    assert size == 8 * 1024 * 1024
    assert next(at for taken, at in marks if taken >= 5 * 1024 * 1024) < 0.5
    assert 0.7 < marks[-1][1] < 2.5


def reader_of(region: Any, function: str, event: dict[str, Any]) -> socket.socket:
    """A client that has sent its request and reads nothing."""
    path = f"/2021-11-15/functions/{function}/response-streaming-invocations"
    request = AWSRequest("POST", region.url + path, data=json.dumps(event).encode())
    SigV4Auth(region.key, "lambda", region.name).add_auth(request)
    host, port = str(region.url).removeprefix("http://").split(":")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    connection.connect((host, int(port)))
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    body = json.dumps(event).encode()
    head += f"Content-Length: {len(body)}\r\n\r\n"
    connection.sendall(f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\n{head}".encode() + body)
    return connection


def resident(region: Any) -> int:
    with open(f"/proc/{region.process.pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def busy(region: Any) -> int:
    """Environments that run a function."""
    statistics = json.loads(region.request("GET", "/_lambent/statistics", sign="lambda").body)
    return int(statistics["invoker"]["busy"])


def test_a_client_that_does_not_read_holds_up_the_function_and_not_the_server(region: Any, functions: Any) -> None:
    pieces = 88  # 5.5 MB: the rate does not come into it
    read(functions, "streams", {"do": "large", "bytes": 5_000_000})
    before = resident(region)
    idle = [reader_of(region, "streams", {"do": "counting", "pieces": pieces}) for _ in range(8)]
    try:
        # All of them have begun, and have been held up.
        for client in idle:
            assert client.recv(1) == b"H"
        counts: list[int] = []

        def stands_still() -> bool:
            counts.append(resident(region))
            return len(counts) > 40 and max(counts[-40:]) == min(counts[-40:])

        wait_until(stands_still)
        assert resident(region) - before < 12 * 1024 * 1024, resident(region) - before
        assert busy(region) == 8
        # Whoever reads again gets everything.
        late = idle.pop()
        size = 0
        while size < pieces * 65536:
            piece = late.recv(1024 * 1024)
            assert piece
            size += len(piece)
        late.close()
        wait_until(lambda: busy(region) == 7)
    finally:
        for client in idle:
            client.close()


def test_a_client_that_hangs_up_stops_nothing(region: Any, functions: Any) -> None:
    client = reader_of(region, "alone", {"do": "counting", "pieces": 80})
    assert client.recv(1) == b"H"
    with pytest.raises(ClientError, match="TooManyRequests"):
        read(functions, "alone", {"do": "count"})
    client.close()

    def count() -> bytes:
        try:
            return read(functions, "alone", {"do": "count"})[0]
        except functions.exceptions.TooManyRequestsException:
            return b""

    wait_until(lambda: count() == b"80")


def test_many_streams_at_once_all_come_whole(region: Any, functions: Any) -> None:
    sizes: list[int] = []

    def run() -> None:
        client = region.client("lambda", endpoint_url=region.url)
        body, complete = read(client, "custom", {"bytes": 1024 * 1024, "pieces": 0})
        sizes.append(len(body) if complete == {} else -1)

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sizes == [1024 * 1024] * 6
