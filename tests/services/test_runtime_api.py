"""The HTTP Runtime API over real sockets: every route, state and refusal, then AWS's own client against it."""

from __future__ import annotations

import asyncio
import base64
import functools
import json
import socket
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lambent.invoke.faults import MAX_PAYLOAD, valid_error_type
from lambent.invoke.http import SandboxApi
from lambent.invoke.runtime_api import HttpRuntime
from lambent.sandbox.spec import RuntimeSpec
from tests.invoke_support import Bench, bench, function, invocation

ID = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
HEADER = (ID, "1542409706888", "arn:aws:lambda:us-east-1:0:function:f", "Root=1-2-3", '{"a":\r\n1}', "", "")
NEXT = "/2018-06-01/runtime/invocation/next"
ACCEPTED = {"status": "OK"}


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One keep-alive connection, written by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Reply:
        self.begin(method, path, body, headers)
        return await self.reply()

    def begin(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> None:
        fields = {"Host": "x", **({} if body is None else {"Content-Length": str(len(body))}), **(headers or {})}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + (body or b""))

    async def reply(self) -> Reply:
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)
        status, *lines = head.decode().strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return Reply(int(status.split()[1]), headers, body)

    async def at_end(self) -> bool:
        return await asyncio.wait_for(self.reader.read(), 5) == b""


@dataclass
class Told:
    """RuntimeEvents that keeps what it is told."""

    events: list[tuple[Any, ...]] = field(default_factory=list)

    def has(self, count: int) -> bool:
        return len(self.events) == count

    def runtime_ready(self) -> None:
        self.events.append(("ready",))

    def runtime_init_failed(self, error_type: str, payload: bytes) -> None:
        self.events.append(("init failed", error_type, payload))

    def runtime_responded(self, payload: bytes) -> None:
        self.events.append(("responded", payload))

    def runtime_erred(self, error_type: str, payload: bytes) -> None:
        self.events.append(("erred", error_type, payload))

    def runtime_stream_began(self, content_type: str) -> None:
        self.events.append(("stream began", content_type))

    def runtime_stream_piece(self, piece: bytes) -> None:
        self.events.append(("piece", piece))

    def runtime_stream_whole(self) -> None:
        self.events.append(("whole",))

    def runtime_stream_ended(self, error_type: str, payload: bytes) -> None:
        self.events.append(("stream ended", error_type, payload))

    def runtime_crashed(self, payload: bytes) -> None:
        self.events.append(("crashed", payload))

    def runtime_oversized(self) -> None:
        self.events.append(("oversized",))

    def runtime_lost(self, reason: str) -> None:
        self.events.append(("lost", reason))

    def runtime_misbehaved(self, reason: str) -> None:
        self.events.append(("misbehaved", reason))

    def runtime_bug(self, error: Exception) -> None:
        self.events.append(("bug", error))


@dataclass
class Api:
    runtime: HttpRuntime
    told: Told
    port: int

    async def connect(self) -> Client:
        return Client(*await asyncio.open_connection("127.0.0.1", self.port))

    async def running(self, payload: bytes = b"{}") -> Client:
        """A client that has been given an invocation."""
        client = await self.connect()
        client.begin("GET", NEXT)
        await self.until(lambda: ("ready",) in self.told.events)
        self.runtime.invoke(HEADER, payload)
        assert (await client.reply()).status == 200
        return client

    async def until(self, condition: Callable[[], bool]) -> None:
        deadline = asyncio.get_running_loop().time() + 5
        while not condition():
            assert asyncio.get_running_loop().time() < deadline, self.told.events
            await asyncio.sleep(0.001)


def serve(scenario: Callable[[Api], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        tasks: list[asyncio.Task[None]] = []
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            told = Told()
            api = SandboxApi(
                asyncio.get_running_loop(),
                listener,
                lambda work, name: tasks.append(asyncio.ensure_future(work)),
                told.runtime_bug,
            )
            runtime = HttpRuntime(api, told)
            runtime.init(b"")
            api.listen()
            try:
                await scenario(Api(runtime, told, listener.getsockname()[1]))
                assert not any(event[0] == "bug" for event in told.events), told.events
            finally:
                runtime.close()
                api.close()
                await asyncio.gather(*tasks)

    asyncio.run(main())


def post(what: str, request_id: str = ID) -> str:
    return f"/2018-06-01/runtime/invocation/{request_id}/{what}"


def test_next_waits_and_gives_the_invocation_with_its_headers() -> None:
    async def scenario(api: Api) -> None:
        client = await api.connect()
        client.begin("GET", NEXT)
        await api.until(lambda: api.told.events == [("ready",)])
        api.runtime.invoke(HEADER, b'{"x":1}')
        reply = await client.reply()
        assert (reply.status, reply.body) == (200, b'{"x":1}')
        assert reply.headers == {
            "content-type": "application/json",
            "content-length": "7",
            "lambda-runtime-aws-request-id": ID,
            "lambda-runtime-deadline-ms": "1542409706888",
            "lambda-runtime-invoked-function-arn": "arn:aws:lambda:us-east-1:0:function:f",
            "lambda-runtime-trace-id": "Root=1-2-3",
            "lambda-runtime-client-context": '{"a":  1}',
        }

    serve(scenario)


def test_an_invocation_ends_when_the_next_is_asked_for() -> None:
    async def scenario(api: Api) -> None:
        client = await api.running()
        reply = await client.request("POST", post("response"), b'"done"')
        assert (reply.status, reply.json) == (202, ACCEPTED)
        assert api.told.events == [("ready",)]
        client.begin("GET", NEXT)
        await api.until(lambda: len(api.told.events) > 1)
        assert api.told.events[1:] == [("responded", b'"done"')]

    serve(scenario)


def test_a_response_counts_when_the_process_ends_before_asking_for_more() -> None:
    async def scenario(api: Api) -> None:
        client = await api.running()
        await client.request("POST", post("response"), b"1")
        api.runtime.drain()
        assert api.told.events[1:] == [("responded", b"1")]

    serve(scenario)


def test_next_asked_again_gives_the_same_invocation() -> None:
    async def scenario(api: Api) -> None:
        client = await api.running(b'"same"')
        assert (await client.request("GET", NEXT)).body == b'"same"'

    serve(scenario)


def test_an_invocation_goes_to_a_connection_that_is_still_there() -> None:
    async def scenario(api: Api) -> None:
        gone = await api.connect()
        gone.begin("GET", NEXT)
        await api.until(lambda: api.told.events == [("ready",)])
        gone.writer.close()
        await api.until(lambda: api.runtime._waiting == [])
        here = await api.connect()
        here.begin("GET", NEXT)
        await api.until(lambda: len(api.runtime._waiting) == 1)
        api.runtime.invoke(HEADER, b'"for you"')
        assert (await here.reply()).body == b'"for you"'

    serve(scenario)


@pytest.mark.parametrize(
    ("header", "known"),
    [
        ("Runtime.NoSuchHandler", "Runtime.NoSuchHandler"),
        ("Function.Broken", "Function.Broken"),
        ("Function.bad type", "Function.Unknown"),
        ("Exception", "Runtime.Unknown"),
        ("", "Runtime.Unknown"),
    ],
)
def test_an_error_is_passed_on_with_its_type_as_far_as_it_is_valid(header: str, known: str) -> None:
    async def scenario(api: Api) -> None:
        client = await api.running()
        headers = {"Lambda-Runtime-Function-Error-Type": header} if header else {}
        reply = await client.request("POST", post("error"), b'{"errorMessage":"m"}', headers)
        assert (reply.status, reply.json) == (202, ACCEPTED)
        client.begin("GET", NEXT)
        await api.until(lambda: len(api.told.events) > 1)
        assert api.told.events[1:] == [("erred", known, b'{"errorMessage":"m"}')]

    serve(scenario)


def test_an_error_with_a_cause_for_tracing_shows_the_caller_the_error_alone() -> None:
    async def scenario(api: Api) -> None:
        client = await api.running()
        body = {"errorMessage": "m", "errorType": "T", "stackTrace": [], "cause": {"exceptions": []}}
        await client.request(
            "POST", post("error"), json.dumps(body).encode(),
            {"Content-Type": "application/vnd.aws.lambda.error.cause+json"},
        )  # fmt: skip
        api.runtime.drain()
        assert json.loads(api.told.events[1][2]) == {"errorMessage": "m", "errorType": "T", "stackTrace": []}

    serve(scenario)


@pytest.mark.parametrize(
    "body", [b'{"errorMessage":' + b"[" * 100_000, b"[" * 100_000, b"{", b"7", b"[]"], ids=range(5)
)
def test_an_error_with_a_cause_that_is_no_object_is_no_bug_of_ours(body: bytes) -> None:
    async def scenario(api: Api) -> None:
        client = await api.running()
        kind = {"Content-Type": "application/vnd.aws.lambda.error.cause+json"}
        reply = await client.request("POST", post("error"), body, kind)
        assert reply.status == 202
        api.runtime.drain()
        assert api.told.events[1:] == [("erred", "Runtime.Unknown", b'"Invalid error body"')]

    serve(scenario)


STREAM_BEGAN = ("stream began", "application/octet-stream")


def test_a_streamed_response_is_told_as_it_comes_and_ends_with_the_next_invocation() -> None:
    async def scenario(api: Api) -> None:
        client = await api.running()
        client.begin(
            "POST", post("response"),
            headers={"Lambda-Runtime-Function-Response-Mode": "streaming", "Transfer-Encoding": "chunked"},
        )  # fmt: skip
        for number, piece in enumerate((b"one ", b"two"), 1):
            client.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await api.until(functools.partial(api.told.has, 2 + number))
        client.write(b"0\r\n\r\n")
        assert (await client.reply()).status == 202
        assert api.told.events[1:] == [STREAM_BEGAN, ("piece", b"one "), ("piece", b"two"), ("whole",)]
        client.begin("GET", NEXT)
        await api.until(lambda: api.told.events[-1] == ("stream ended", "", b""))

    serve(scenario)


def test_a_stream_that_fails_midway_says_so_in_its_trailers() -> None:
    async def scenario(api: Api) -> None:
        client = await api.running()
        error = b'{"errorMessage":"midway"}'
        client.begin(
            "POST", post("response"),
            headers={
                "Lambda-Runtime-Function-Response-Mode": "streaming",
                "Transfer-Encoding": "chunked",
                "Trailer": "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body",
            },
        )  # fmt: skip
        client.write(
            b"4\r\npart\r\n0\r\nLambda-Runtime-Function-Error-Type: Runtime.Midway\r\n"
            b"Lambda-Runtime-Function-Error-Body: " + base64.b64encode(error) + b"\r\n\r\n"
        )
        assert (await client.reply()).status == 202
        api.runtime.drain()
        assert api.told.events[1:] == [STREAM_BEGAN, ("piece", b"part"), ("stream ended", "Runtime.Midway", error)]

    serve(scenario)


def test_an_unknown_response_mode_is_refused_and_fails_the_invocation() -> None:
    async def scenario(api: Api) -> None:
        client = await api.running()
        reply = await client.request(
            "POST", post("response"), b"1", {"Lambda-Runtime-Function-Response-Mode": "sideways"}
        )
        assert (reply.status, reply.json) == (
            400,
            {"errorMessage": "Invalid function response mode", "errorType": "InvalidFunctionResponseMode"},
        )
        api.runtime.drain()
        assert api.told.events[1][:2] == ("erred", "Runtime.InvalidResponseModeHeader")

    serve(scenario)


def test_a_response_over_the_limit_is_refused_and_the_runtime_goes_on() -> None:
    async def scenario(api: Api) -> None:
        client = await api.running()
        reply = await client.request("POST", post("response"), b"x" * (MAX_PAYLOAD + 1))
        assert (reply.status, reply.json) == (
            413,
            {
                "errorMessage": "Exceeded maximum allowed payload size (6291556 bytes).",
                "errorType": "RequestEntityTooLarge",
            },
        )
        client.begin("GET", NEXT)
        await api.until(lambda: len(api.told.events) > 1)
        assert api.told.events[1][:2] == ("erred", "Function.ResponseSizeTooLarge")

    serve(scenario)


def test_a_response_at_the_limit_passes() -> None:
    async def scenario(api: Api) -> None:
        client = await api.running(b"y" * MAX_PAYLOAD)
        assert (await client.request("POST", post("response"), b"x" * MAX_PAYLOAD)).status == 202
        api.runtime.drain()
        assert len(api.told.events[1][1]) == MAX_PAYLOAD

    serve(scenario)


def test_a_response_cut_short_fails_the_invocation_unless_the_process_died_of_it() -> None:
    async def scenario(api: Api) -> None:
        client = await api.running()
        client.begin("POST", post("response"), headers={"Content-Length": "100"})
        client.write(b"half")
        await client.writer.drain()
        client.writer.close()
        await api.until(lambda: api.runtime.phase.value == "ResponseSent")
        api.runtime.drain()
        assert api.told.events == [("ready",)]
        again = await api.connect()
        again.begin("GET", NEXT)
        await api.until(lambda: len(api.told.events) > 1)
        assert api.told.events[1][:2] == ("erred", "Runtime.TruncatedResponse")

    serve(scenario)


def test_a_foreign_request_id_is_refused() -> None:
    async def scenario(api: Api) -> None:
        client = await api.running()
        for what in ("response", "error"):
            reply = await client.request("POST", post(what, "another-id"), b"1")
            assert (reply.status, reply.json) == (
                400,
                {"errorMessage": "Invalid request ID", "errorType": "InvalidRequestID"},
            )
        assert (await client.request("POST", post("response"), b"1")).status == 202

    serve(scenario)


def test_answering_twice_is_an_invalid_transition() -> None:
    async def scenario(api: Api) -> None:
        client = await api.running()
        await client.request("POST", post("response"), b"1")
        for what, state in (("response", "InvocationResponse"), ("error", "InvocationErrorResponse")):
            reply = await client.request("POST", post(what), b"2")
            assert (reply.status, reply.json) == (
                403,
                {
                    "errorMessage": f"State transition from ResponseSent to {state} failed for runtime. "
                    "Error: State transition is not allowed",
                    "errorType": "InvalidStateTransition",
                },
            )

    serve(scenario)


def test_init_error_fails_init_once() -> None:
    async def scenario(api: Api) -> None:
        client = await api.connect()
        reply = await client.request(
            "POST", "/2018-06-01/runtime/init/error", b'{"errorMessage":"m"}',
            {"Lambda-Runtime-Function-Error-Type": "Runtime.NoHandler"},
        )  # fmt: skip
        assert (reply.status, reply.json) == (202, ACCEPTED)
        assert api.told.events == [("init failed", "Runtime.NoHandler", b'{"errorMessage":"m"}')]
        assert (await client.request("GET", NEXT)).status == 403

    serve(scenario)


def test_init_error_after_init_is_an_invalid_transition() -> None:
    async def scenario(api: Api) -> None:
        client = await api.running()
        reply = await client.request("POST", "/2018-06-01/runtime/init/error", b"{}")
        assert (reply.status, reply.json["errorType"]) == (403, "InvalidStateTransition")

    serve(scenario)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/2018-06-01/ping", 200),
        ("POST", "/2018-06-01/ping", 405),
        ("POST", NEXT, 405),
        ("GET", "/2018-06-01/runtime/restore/next", 404),
        ("POST", "/2018-06-01/runtime/restore/error", 404),
        ("POST", "/2020-01-01/extension/register", 404),
        ("PUT", "/2022-07-01/telemetry", 404),
        ("GET", "/2021-04-23/credentials", 404),
        ("GET", "/", 404),
    ],
)
def test_other_paths_are_answered_cleanly(method: str, path: str, status: int) -> None:
    async def scenario(api: Api) -> None:
        client = await api.connect()
        reply = await client.request(method, path, b"{}" if method != "GET" else None)
        assert reply.status == status
        if status >= 400:
            assert set(reply.json) == {"errorMessage", "errorType"}
        assert (await client.request("GET", "/2018-06-01/ping")).body == b"pong"

    serve(scenario)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"this is not HTTP\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + b"A: " + b"b" * 200_000 + b"\r\n\r\n", 431),
        (b"GET " + NEXT.encode() + b" HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n", 400),
    ],
)
def test_what_is_malformed_is_refused_and_the_connection_closed(data: bytes, status: int) -> None:
    async def scenario(api: Api) -> None:
        client = await api.connect()
        client.write(data)
        assert (await client.reply()).status == status
        assert await client.at_end()
        assert (await (await api.connect()).request("GET", "/2018-06-01/ping")).status == 200

    serve(scenario)


def test_an_offer_to_switch_protocols_is_ignored() -> None:
    async def scenario(api: Api) -> None:
        client = await api.connect()
        offer = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAEAAEAAAAIAAAAB"}
        for _ in range(2):
            assert (await client.request("GET", "/2018-06-01/ping", headers=offer)).body == b"pong"
        client.begin("GET", NEXT, headers=offer)
        await api.until(lambda: api.told.events == [("ready",)])
        api.runtime.invoke(HEADER, b"{}")
        await client.reply()
        assert (await client.request("POST", post("response"), b"x" * 100_000, offer)).status == 202
        api.runtime.drain()
        assert api.told.events[1:] == [("responded", b"x" * 100_000)]

    serve(scenario)


def test_a_client_that_expects_continue_gets_it() -> None:
    async def scenario(api: Api) -> None:
        client = await api.running()
        client.begin("POST", post("response"), headers={"Expect": "100-continue", "Content-Length": "2"})
        assert (await client.reply()).status == 100
        client.write(b"42")
        assert (await client.reply()).status == 202

    serve(scenario)


def test_valid_error_types_are_those_of_the_documentation() -> None:
    assert valid_error_type(b"Runtime.ExitError") == "Runtime.ExitError"
    assert valid_error_type(b"Runtime.exit") == "Runtime.Unknown"
    assert valid_error_type(None) == "Runtime.Unknown"


# ---- whole invocations by runtimes that bring their own client ----------------------------------------------------

HANDLER = """
import os
calls = 0
def handler(event, context):
    global calls
    calls += 1
    if event == "exit": os._exit(3)
    if event == "raise": raise ValueError("no")
    print("called", flush=True)
    left = context.get_remaining_time_in_millis()
    return {"event": event, "calls": calls, "id": context.aws_request_id, "left": left}
"""


def with_interface_client(folder: Path, scenario: Callable[[Bench], Coroutine[Any, Any, None]]) -> None:
    """AWS's own client for Python, unchanged, as a `provided` runtime."""
    (folder / "app.py").write_text(HANDLER)
    program = f"import sys; sys.path.insert(0, {str(folder)!r}); from awslambdaric.__main__ import main; main(sys.argv)"

    async def main() -> None:
        async with bench(folder) as b:
            command = (sys.executable, "-c", program, "app.handler")
            b.launcher.runtimes["provided.al2023"] = RuntimeSpec("provided.al2023", "exec", False, command)
            await scenario(b)

    asyncio.run(main())


@pytest.mark.slow
def test_the_interface_client_of_aws_runs_unchanged(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        hello = function(runtime="provided.al2023")
        for count in (1, 2):
            call = invocation({"n": count})
            result = await b.invoker.invoke(hello, call)
            payload = json.loads(result.payload)
            assert (payload["event"], payload["calls"], payload["id"]) == ({"n": count}, count, call.request_id)
            assert 3000 < payload["left"] <= 5000
        assert [line for line in b.lines() if line == "called\n"] == ["called\n"] * 2

    with_interface_client(tmp_path, scenario)


@pytest.mark.slow
def test_errors_and_exits_of_an_interface_client_are_reported_and_the_next_invocation_works(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        hello = function(runtime="provided.al2023")
        raised = await b.invoker.invoke(hello, invocation("raise"))
        assert (raised.function_error, json.loads(raised.payload)["errorType"]) == ("Unhandled", "ValueError")
        call = invocation("exit")
        exited = await b.invoker.invoke(hello, call)
        assert json.loads(exited.payload) == {
            "errorType": "Runtime.ExitError",
            "errorMessage": f"RequestId: {call.request_id} Error: Runtime exited with error: exit status 3",
        }
        again = await b.invoker.invoke(hello, invocation("again"))
        assert json.loads(again.payload)["calls"] == 1
        assert len(b.launcher.launched) == 1

    with_interface_client(tmp_path, scenario)


ONE_SHOT = """
import http.client, os
connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
connection.request("GET", "/2018-06-01/runtime/invocation/next")
answer = connection.getresponse()
answer.read()
request_id = answer.headers["Lambda-Runtime-Aws-Request-Id"]
connection.request("POST", f"/2018-06-01/runtime/invocation/{request_id}/response", b'"done"')
connection.getresponse().read()
"""


def test_a_runtime_that_exits_after_its_answer_costs_nobody_who_waits(tmp_path: Path) -> None:
    async def main() -> None:
        async with bench(tmp_path, memory_budget_mb=100) as b:
            spec = RuntimeSpec("provided.al2023", "exec", False, (sys.executable, "-c", ONE_SHOT))
            b.launcher.runtimes["provided.al2023"] = spec
            hello = function(runtime="provided.al2023")
            results = await asyncio.gather(*(b.invoker.invoke(hello, invocation(n)) for n in range(4)))
            assert [result.payload for result in results] == [b'"done"'] * 4
            assert len(b.launcher.launched) < 4, "nobody waited"

    asyncio.run(main())
