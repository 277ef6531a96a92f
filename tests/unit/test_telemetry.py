"""Parts of the Telemetry API: what may be asked, the events of each schema, bounded outboxes, real deliveries."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from lambent.clock import SystemClock, TestClock
from lambent.invoke.faults import Outcome
from lambent.invoke.logs import Share
from lambent.invoke.records import RuntimeDone, fault
from lambent.invoke.telemetry import wire
from lambent.invoke.telemetry.events import Schema
from lambent.invoke.telemetry.hub import About, Telemetry
from lambent.invoke.telemetry.outbox import Budget, Outbox
from lambent.invoke.telemetry.subscriptions import Api, Destination, InvalidSubscription, Subscription, parse
from lambent.invoke.telemetry.wire import Lines
from lambent.invoke.timers import Timers
from lambent.ports import Invocation, InvocationRecord
from tests.invoke_support import function

NOW = 1_769_860_800.123
HTTP = {"protocol": "HTTP", "URI": "http://sandbox.localdomain:8080/logs?a=b"}
ASKED = {"schemaVersion": "2022-12-13", "types": ["function", "platform"], "destination": HTTP}


def asked(api: Api = Api.TELEMETRY, **changes: Any) -> Subscription:
    fields = {name: value for name, value in {**ASKED, **changes}.items() if value is not None}
    return parse(json.dumps(fields).encode(), api, (9001, 4566))


# ---- what may be asked ----------------------------------------------------------------------------------------------


def test_a_subscription_has_awss_defaults() -> None:
    assert asked() == Subscription(
        Api.TELEMETRY,
        "2022-12-13",
        ("platform", "function"),
        Destination("HTTP", 8080, True, "POST", "sandbox.localdomain:8080", "/logs?a=b"),
        10_000,
        262_144,
        1.0,
    )
    tcp = asked(
        Api.LOGS, schemaVersion=None, destination={"protocol": "TCP", "port": 8080}, buffering={"timeoutMs": 25}
    )
    assert (tcp.schema, tcp.destination, tcp.timeout_s) == ("2020-08-15", Destination("TCP", 8080), 0.025)


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_destination_may_name_method_and_encoding(method: str) -> None:
    assert asked(destination={**HTTP, "method": method, "encoding": "JSON"}).destination.method == method


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schemaVersion": None}, "schemaVersion is not provided"),
        (
            {"schemaVersion": "2021-03-18"},
            "schemaVersion should be one of: 2022-07-01, 2022-12-13, 2025-01-29",
        ),
        ({"types": None}, "types should not be empty"),
        ({"types": []}, "types should not be empty"),
        ({"types": ["platform", "audit"]}, "types should be a list of: platform, function, extension"),
        ({"types": [["platform"]]}, "types should be a list of: platform, function, extension"),
        ({"destination": None}, "destination is not provided"),
        ({"destination": "TCP"}, "destination should be an object"),
        ({"destination": {"protocol": "UDP", "port": 1}}, "protocol should be one of: HTTP, TCP"),
        ({"destination": {"protocol": "TCP"}}, "port is not provided"),
        ({"destination": {"protocol": "TCP", "port": 9001}}, "port 9001 is reserved"),
        ({"destination": {"protocol": "TCP", "port": "80"}}, "port should be an integer between 1 and 65535"),
        ({"destination": {"protocol": "TCP", "port": True}}, "port should be an integer between 1 and 65535"),
        ({"destination": {"protocol": "HTTP"}}, "URI is not provided"),
        ({"destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain"}}, "URI port is not provided"),
        ({"destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:4566"}}, "URI port 4566 is reserved"),
        ({"destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:0"}}, "URI port should be an integer"),
        ({"destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:99999"}}, "URI is not valid"),
        ({"destination": {"protocol": "HTTP", "URI": "https://sandbox.localdomain:80"}}, "URI scheme should be http"),
        ({"destination": {"protocol": "HTTP", "URI": "http://10.0.0.1:80"}}, "URI host should be sandbox.localdomain"),
        ({"destination": {"protocol": "HTTP", "URI": "http://169.254.169.254:80"}}, "URI host should be sandbox"),
        ({"destination": {"protocol": "HTTP", "URI": "http://127.0.0.1:80@evil.com:80"}}, "URI host should be sandbox"),
        ({"destination": {"protocol": "HTTP", "URI": "http://a@127.0.0.1:80"}}, "URI host should be sandbox"),
        ({"destination": {"protocol": "HTTP", "URI": "http://127.0.0.1:80/\r\nX: y"}}, "URI is not valid"),
        ({"destination": {**HTTP, "method": "GET"}}, "method should be one of: POST, PUT"),
        ({"destination": {**HTTP, "encoding": "XML"}}, "encoding should be JSON"),
        ({"buffering": {"maxItems": 999}}, "maxItems should be an integer between 1000 and 10000"),
        ({"buffering": {"maxBytes": 2**21}}, "maxBytes should be an integer between 262144 and 1048576"),
        ({"buffering": {"timeoutMs": 24.5}}, "timeoutMs should be an integer between 25 and 30000"),
        ({"buffering": []}, "buffering should be an object"),
        (
            {"types": [], "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain"}},
            "URI port is not provided; types should not be empty",
        ),
    ],
)
def test_what_is_wrong_with_a_subscription_is_told(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidSubscription, match="^" + words.replace("(", r"\(")):
        asked(**changes)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b"[" * 100_000])
def test_what_is_no_json_object_is_no_subscription(body: bytes) -> None:
    with pytest.raises(InvalidSubscription, match="The request body"):
        parse(body, Api.TELEMETRY, ())


# ---- events ---------------------------------------------------------------------------------------------------------


def schema(version: str, *, json_lines: bool = False) -> Schema:
    api = Api.LOGS if version.startswith("2020") or version.startswith("2021") else Api.TELEMETRY
    return Schema(asked(api, schemaVersion=version), json_lines)


INIT_START = {"initializationType": "on-demand", "functionName": "f", "instanceId": "i", "runtimeVersion": "v"}


@pytest.mark.parametrize(
    ("version", "members"),
    [
        ("2022-07-01", {"initializationType", "runtimeVersion"}),
        ("2022-12-13", set(INIT_START)),
        ("2025-01-29", set(INIT_START)),
        ("2020-08-15", None),
        ("2021-03-18", None),
    ],
)
def test_a_schema_leaves_out_what_it_does_not_know(version: str, members: set[str] | None) -> None:
    event = schema(version).platform(NOW, "platform.initStart", INIT_START)
    if members is None:
        assert event is None
    else:
        assert event is not None
        told = json.loads(event)
        assert (told["time"], told["type"]) == ("2026-01-31T12:00:00.123Z", "platform.initStart")
        assert set(told["record"]) == members


def test_the_logs_api_has_events_of_its_own() -> None:
    old, newer = schema("2020-08-15"), schema("2021-03-18")
    done = {"requestId": "r", "status": "error", "errorType": "Runtime.ExitError", "metrics": {"durationMs": 1.0}}
    assert old.platform(NOW, "platform.runtimeDone", done) is None
    event = newer.platform(NOW, "platform.runtimeDone", done)
    assert event is not None
    assert json.loads(event)["record"] == {"requestId": "r", "status": "failure"}
    told = old.platform(NOW, "platform.report", {"requestId": "r", "metrics": {"durationMs": 1.0}, "status": "success"})
    assert told is not None
    assert json.loads(told)["record"] == {"requestId": "r", "metrics": {"durationMs": 1.0}}
    text = old.platform(NOW, "platform.fault", "RequestId: r Error: it broke\n")
    assert text is not None
    assert json.loads(text)["record"] == "RequestId: r Error: it broke\n"
    for kind in ("platform.fault", "platform.end", "platform.logsSubscription"):
        assert schema("2022-12-13").platform(NOW, kind, {}) is None


@pytest.mark.parametrize(
    ("version", "json_lines", "line", "record"),
    [
        ("2022-12-13", False, b'{"level":"INFO"}\n', '{"level":"INFO"}\n'),
        ("2022-12-13", True, b'{"level":"INFO"}\n', {"level": "INFO"}),
        ("2025-01-29", True, b'{ "level":\n "INFO" }', {"level": "INFO"}),
        ("2022-07-01", True, b'{"level":"INFO"}\n', '{"level":"INFO"}\n'),
        ("2020-08-15", True, b'{"level":"INFO"}\n', '{"level":"INFO"}\n'),
        ("2022-12-13", True, b"{no json}\n", "{no json}\n"),
        ("2022-12-13", True, b"[1]\n", "[1]\n"),
        ("2022-12-13", True, b'{"a":' * 5000, '{"a":' * 5000),
        ("2022-12-13", False, b'\xff\x00"\\\n', '\ufffd\x00"\\\n'),
    ],
)
def test_a_line_is_text_or_an_object_where_the_schema_knows_such(
    version: str, json_lines: bool, line: bytes, record: Any
) -> None:
    event = schema(version, json_lines=json_lines).line(int(NOW * 1000), "function", line)
    assert b"\n" not in event
    assert json.loads(event) == {"time": "2026-01-31T12:00:00.123Z", "type": "function", "record": record}


@pytest.mark.parametrize(
    ("payload", "status", "words"),
    [
        (b"", "failure", ""),
        (
            b'{"errorMessage":"RequestId: r-1 Error: Runtime exited with error: exit status 1"}',
            "failure",
            "RequestId: r-1 Error: Runtime exited with error: exit status 1\nRuntime.ExitError\n",
        ),
        (b'{"errorMessage":"boom"}', "failure", "RequestId: r-1 Error: boom\nRuntime.ExitError\n"),
        (b"[1", "failure", "RequestId: r-1 Error: The runtime failed\nRuntime.ExitError\n"),
        (
            b'{"errorMessage":"RequestId: r-1 Error: Task timed out after 3.00 seconds"}',
            "timeout",
            "RequestId: r-1 Error: Task timed out after 3.00 seconds\n",
        ),
    ],
)
def test_a_fault_is_told_in_the_words_of_the_answer(payload: bytes, status: str, words: str) -> None:
    request = Invocation("r-1", b"", "arn")
    assert fault(RuntimeDone(request, NOW, 1.0, status, "Runtime.ExitError", "", None, 0, payload)) == words


# ---- outboxes -------------------------------------------------------------------------------------------------------


def allowance(left: int) -> Budget:
    return Budget(left, Share(SystemClock(), 10_000, 10_000))


def outbox(budget: Budget | None = None, items: int = 10, size: int = 1000) -> Outbox:
    return Outbox(items, size, budget or allowance(0), lambda count, size: b"dropped %d %d" % (count, size))


def test_an_outbox_gives_what_came_in_order_and_in_pieces() -> None:
    box = outbox(items=3, size=10_000)
    for index in range(7):
        box.add(b"%d" % index)
    assert box.is_full
    assert [box.take(), box.take(), box.take(), box.take()] == [[b"0", b"1", b"2"], [b"3", b"4", b"5"], [b"6"], []]
    box = outbox(items=100, size=2000)
    for _ in range(4):
        box.add(b"x" * 900)
    assert [len(box.take()), box.take()] == [2, [b"dropped 2 1800"]]


def test_an_event_larger_than_the_buffer_goes_alone() -> None:
    box = outbox(size=10)
    box.add(b"x" * 1000)
    assert box.take() == [b"x" * 1000]


def test_what_is_dropped_is_counted_exactly_and_told_where_it_is_missing() -> None:
    box = outbox(items=100, size=1000)
    kept, dropped = list[bytes](), list[bytes]()
    for index in range(30):
        event = b"%06d" % index
        before = len(box)
        box.add(event)
        (kept if len(box) > before else dropped).append(event)
    assert dropped
    assert box.take() == kept
    box.add(b"later")
    assert box.take() == [b"dropped %d %d" % (len(dropped), sum(map(len, dropped))), b"later"]
    assert box.take() == []


def test_nothing_is_taken_after_a_gap_until_there_was_a_delivery() -> None:
    box = outbox(items=100, size=1000)
    box.add(b"x" * 950)
    box.add(b"y" * 800)
    box.add(b"z")
    assert box.take() == [b"x" * 950]
    assert box.take() == [b"dropped 2 801"]


def test_outboxes_grow_beyond_their_size_while_the_region_has_room() -> None:
    budget = allowance(3000)
    one, other = outbox(budget), outbox(budget)
    for _ in range(20):
        one.add(b"x" * 400)
    for _ in range(3):
        other.add(b"y" * 800)
    assert one.size == 8 * 400
    # What was not full yet takes one event more, whatever there is left.
    assert budget.left == -800
    assert other.size == 1600
    while one or other:
        one.take()
        other.take()
    assert budget.left == 3000
    one.add(b"x" * 2000)
    one.clear()
    assert budget.left == 3000


def test_one_outbox_does_not_take_all_that_the_region_has() -> None:
    budget = allowance(10**9)
    box = outbox(budget)
    for _ in range(100):
        box.add(b"x" * 200_000)
    assert 7 * 2**20 < box.size <= 8 * 2**20


# ---- deliveries to real sockets -------------------------------------------------------------------------------------


class Listener:
    """What an extension does: it takes events at a port, as `respond` says."""

    def __init__(self) -> None:
        self.requests: list[tuple[bytes, bytes]] = []
        self.bytes = b""
        self.connections = 0
        #: Of each request in turn; the last one stays.
        self.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"]
        self.port = 0
        self.server: asyncio.Server
        self.writers: list[asyncio.StreamWriter] = []

    @property
    def events(self) -> list[Any]:
        return [event for _, body in self.requests for event in json.loads(body)]

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.bytes.splitlines()]

    async def start(self, serve: Callable[..., Coroutine[Any, Any, None]], port: int = 0) -> None:
        self.server = await asyncio.start_server(serve, "127.0.0.1", port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                body = await reader.readexactly(length)
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if b" 20" in answer[:12]:
                    self.requests.append((head, body))
                writer.write(answer)
                if b"close" in answer:
                    writer.close()
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        while data := await reader.read(65536):
            self.bytes += data
        writer.close()

    def close(self) -> None:
        self.server.close()
        for writer in self.writers:
            writer.close()


class Bench:
    """Telemetry of one environment over plain sockets, time in the test's hand."""

    def __init__(self, clock: TestClock | SystemClock) -> None:
        self.loop = asyncio.get_running_loop()
        self.clock = clock
        self.timers = Timers(self.loop, clock)
        self.tasks: set[asyncio.Task[None]] = set()
        self.settled = 0
        self.lines = Lines(self.loop, self.timers, clock, self.spawn, self.dial, False)
        about = About(function(log_format="JSON"), "instance", "on-demand")
        self.budget = allowance(10**7)
        self.telemetry = Telemetry(about, self.lines, self.budget, self.on_settled)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = self.loop.create_task(work, name=name)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    @staticmethod
    async def dial() -> socket.socket:
        return socket.socket()

    def on_settled(self) -> None:
        self.settled += 1

    def subscribe(self, port: int, name: str = "agent", **changes: Any) -> None:
        if "destination" not in changes:
            changes["destination"] = {"protocol": "HTTP", "URI": f"http://127.0.0.1:{port}"}
        self.telemetry.subscribe(name, asked(**changes))

    def print(self, *lines: str) -> None:
        for line in lines:
            self.telemetry.function_line(int(self.clock.now() * 1000), line.encode())

    def advance(self, seconds: float) -> None:
        assert isinstance(self.clock, TestClock)
        self.clock.advance(seconds)
        self.timers.run_due()

    @staticmethod
    async def until(condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.001)


@asynccontextmanager
async def bench(protocol: str = "http", clock: Any = None) -> AsyncIterator[tuple[Bench, Listener]]:
    made, listener = Bench(clock or TestClock(NOW)), Listener()
    await listener.start(getattr(listener, protocol))
    try:
        yield made, listener
    finally:
        made.telemetry.close()
        made.timers.close()
        listener.close()
        await asyncio.sleep(0)
        assert made.budget.left == 10**7
        assert len(made.timers) == 0


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(main())


def test_events_gather_for_the_time_asked_and_go_in_one_request() -> None:
    async def main() -> None:
        async with bench() as (made, listener):
            made.telemetry.init_start(NOW, "init")
            made.print("early")
            made.subscribe(listener.port, buffering={"timeoutMs": 500})
            made.print("late")
            made.advance(0.499)
            await asyncio.sleep(0.01)
            assert listener.requests == []
            made.advance(0.002)
            await made.until(lambda: listener.requests)
            [(head, _)] = listener.requests
            assert head.startswith(b"POST / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % listener.port)
            assert [event["type"] for event in listener.events] == [
                "platform.initStart",
                "function",
                "platform.telemetrySubscription",
                "function",
            ]

    run(main)


def test_a_full_buffer_goes_at_once_and_one_connection_serves_all() -> None:
    async def main() -> None:
        async with bench() as (made, listener):
            made.subscribe(listener.port, types=["function"], buffering={"maxItems": 1000})
            made.print(*map(str, range(4500)))
            await made.until(lambda: len(listener.requests) == 4)
            made.advance(1.1)
            await made.until(lambda: len(listener.events) == 4500)
            assert [event["record"] for event in listener.events] == [str(index) for index in range(4500)]
            assert listener.connections == 1

    run(main)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 404 Not Found\r\nConnection: close\r\n\r\nnot here",
        b"HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/\r\nContent-Length: 0\r\n\r\n",
        b"close",
        b"nonsense\r\n\r\nclose",
        b"HTTP/1.1 500 No\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 200_000,
    ],
)
def test_a_delivery_that_fails_is_made_again(answer: bytes) -> None:
    async def main() -> None:
        async with bench(clock=SystemClock()) as (made, listener):
            listener.answers = [answer, answer, *listener.answers]
            made.subscribe(listener.port, types=["function"], buffering={"timeoutMs": 25})
            made.print("one", "two")
            await made.until(lambda: listener.requests)
            assert [event["record"] for event in listener.events] == ["one", "two"]

    run(main)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 200 OK\r\n\r\nuntil the end, close",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 202 Accepted\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 200_000,
    ],
)
def test_answers_of_every_kind_end_a_delivery(answer: bytes) -> None:
    async def main() -> None:
        async with bench(clock=SystemClock()) as (made, listener):
            listener.answers = [answer]
            made.subscribe(listener.port, types=["function"], buffering={"timeoutMs": 25})
            sent: list[str] = []
            while len(sent) < 4:
                sent.append(str(len(sent)))
                made.print(sent[-1])
                await made.until(lambda: [event["record"] for event in listener.events] == sent)

    run(main)


def test_a_subscriber_that_listens_late_gets_what_it_missed() -> None:
    async def main() -> None:
        async with bench(clock=SystemClock()) as (made, _):
            late = Listener()
            with socket.create_server(("127.0.0.1", 0)) as probe:
                port = probe.getsockname()[1]
            made.subscribe(port, types=["function"], buffering={"timeoutMs": 25})
            made.print("one")
            await asyncio.sleep(0.05)
            await late.start(late.http, port)
            made.print("two")
            await made.until(lambda: len(late.events) == 2)
            assert [event["record"] for event in late.events] == ["one", "two"]
            late.close()

    run(main)


def test_who_listens_on_loopback_alone_is_found_behind_the_name_of_the_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    # Where nothing is refused by the address itself, as in a sandbox: it is this machine's too.
    monkeypatch.setattr(wire, "_SANDBOX_ADDRESS", "127.0.0.2")

    async def main() -> None:
        async with bench("tcp", SystemClock()) as (made, listener):
            lines = replace(made.lines, own_network=True)
            made.telemetry = Telemetry(About(function(), "instance", "on-demand"), lines, made.budget, made.on_settled)
            destination = {"protocol": "TCP", "port": listener.port}
            made.subscribe(0, destination=destination, types=["function"], buffering={"timeoutMs": 25})
            made.print("one")
            await made.until(lambda: listener.bytes.endswith(b"\n"))
            assert listener.lines[0]["record"] == "one"

    run(main)


def test_a_subscriber_that_never_answers_loses_exactly_what_it_is_told() -> None:
    async def main() -> None:
        async with bench() as (made, listener):
            listener.answers = [b""]
            made.budget.left = 0
            made.subscribe(listener.port)
            lines = [f"{index:0100d}" for index in range(20_000)]
            made.print(*lines)
            await made.until(lambda: listener.connections == 1)
            await asyncio.sleep(0.05)
            subscriber = made.telemetry._subscribers[0]
            assert subscriber._outbox.size <= 2 * 262_144
            listener.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]
            made.advance(10.1)
            made.advance(0.1)
            for _ in range(100):
                made.telemetry.hurry()
                await asyncio.sleep(0.002)
                made.advance(2.0)
                if subscriber.is_settled:
                    break
            told = listener.events
            got = [event["record"] for event in told if event["type"] == "function"]
            [dropped] = [event["record"] for event in told if event["type"] == "platform.logsDropped"]
            assert got == lines[: len(got)]
            size = len(b'{"time":"2026-01-31T12:00:00.123Z","type":"function","record":""}') + 100
            assert dropped == {
                "droppedBytes": (20_000 - len(got)) * size,
                "droppedRecords": 20_000 - len(got),
                "reason": "Some logs were dropped because the downstream consumer is slower than the logs production "
                "rate",
            }
            assert told[-1]["type"] == "platform.logsDropped"
            made.budget.left = 10**7

    run(main)


def test_tcp_gets_a_line_for_each_event() -> None:
    async def main() -> None:
        async with bench("tcp") as (made, listener):
            destination = {"protocol": "TCP", "port": listener.port}
            made.subscribe(0, destination=destination, types=["function"], buffering={"maxItems": 1000})
            made.print(*(f"line {index}\n" for index in range(3000)))
            await made.until(lambda: listener.bytes.count(b"\n") == 3000)
            assert [event["record"] for event in listener.lines] == [f"line {index}\n" for index in range(3000)]
            assert listener.connections == 1

    run(main)


def test_over_tcp_an_event_that_was_cut_off_goes_out_again_whole() -> None:
    async def main() -> None:
        async with bench("tcp", SystemClock()) as (made, listener):
            parts: list[bytes] = []

            async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                # The first reads a little and resets, as a process does that crashes.
                if parts:
                    await listener.tcp(reader, writer)
                else:
                    parts.append(await reader.read(1000))
                    writer.transport.abort()

            listener.server.close()
            await listener.start(break_off)
            destination = {"protocol": "TCP", "port": listener.port}
            made.subscribe(
                0, destination=destination, types=["function"], buffering={"timeoutMs": 25, "maxBytes": 2**20}
            )
            lines = [f"{index:0500d}" for index in range(8000)]
            made.print(*lines)
            await made.until(lambda: listener.bytes.endswith(lines[-1].encode() + b'"}\n'))
            got = [event["record"] for event in listener.lines]
            # What the kernel had taken of the first connection is gone; from there on nothing is.
            assert got == lines[-len(got) :]
            assert len(got) > 3000

    run(main)


def test_a_subscriber_that_keeps_no_connection_gets_them_at_a_pace() -> None:
    async def main() -> None:
        async with bench() as (made, listener):
            listener.answers = [b"HTTP/1.0 200 OK\r\n\r\nclose"]
            made.subscribe(listener.port, types=["function"])
            made.telemetry.hurry()
            for index in range(60):
                made.print(str(index))
                await asyncio.sleep(0.002)
            await asyncio.sleep(0.02)
            # A second's share, one over it, and no more until time passes.
            assert listener.connections == 51
            made.advance(1.0)
            await made.until(lambda: len(listener.events) == 60)
            assert [event["record"] for event in listener.events] == [str(index) for index in range(60)]

    run(main)


def test_two_subscribers_each_get_what_they_asked_for() -> None:
    async def main() -> None:
        async with bench(clock=SystemClock()) as (made, listener):
            other = Listener()
            await other.start(other.http)
            made.subscribe(listener.port, "one", types=["platform"], buffering={"timeoutMs": 25})
            made.subscribe(
                other.port, "two", types=["extension"], schemaVersion="2022-07-01", buffering={"timeoutMs": 25}
            )
            made.telemetry.extension_line(int(NOW * 1000), b"of an extension\n")
            made.print("of the function")
            made.telemetry.extension(NOW, "one", "Ready", ["INVOKE"], None)
            await made.until(lambda: len(listener.events) == 3 and other.events)
            assert [event["record"]["name"] for event in listener.events] == ["one", "two", "one"]
            assert [event["record"] for event in other.events] == ["of an extension\n"]
            other.close()

    run(main)


def test_a_new_subscription_of_the_same_extension_takes_the_place_of_the_old() -> None:
    async def main() -> None:
        async with bench() as (made, listener):
            made.subscribe(1, types=["function"])
            made.print("one")
            made.subscribe(listener.port, types=["function"])
            made.print("two")
            assert made.telemetry.other_api("agent", Api.LOGS) is Api.TELEMETRY
            assert made.telemetry.other_api("agent", Api.TELEMETRY) is None
            made.advance(1.1)
            await made.until(lambda: listener.events)
            assert [event["record"] for event in listener.events] == ["one", "two"]

    run(main)


def test_extensions_that_start_anew_get_what_they_had_not_got() -> None:
    async def main() -> None:
        async with bench() as (made, listener):
            made.subscribe(1, types=["function"])
            was_open = [made.telemetry.is_open]
            made.telemetry.end_init()
            was_open.append(made.telemetry.is_open)
            made.print("last words")
            made.telemetry.begin_init()
            assert [*was_open, made.telemetry.is_open] == [True, False, True]
            assert not made.telemetry.has_subscribers
            made.print("first words")
            made.subscribe(listener.port, types=["function"])
            made.advance(1.1)
            await made.until(lambda: listener.events)
            assert [event["record"] for event in listener.events] == ["last words", "first words"]

    run(main)


def test_of_what_they_had_not_got_they_get_what_they_asked_to_have_buffered_and_hear_of_the_rest() -> None:
    async def main() -> None:
        async with bench() as (made, listener):
            made.subscribe(1, types=["function", "platform"])
            made.telemetry.end_init()
            made.print(*(f"{index:01000d}" for index in range(600)))
            made.telemetry.begin_init()
            made.subscribe(listener.port, types=["function", "platform"])
            made.telemetry.hurry()
            await made.until(lambda: any(event["type"] == "platform.logsDropped" for event in listener.events))
            got = [event["record"] for event in listener.events if event["type"] == "function"]
            assert got == [f"{index:01000d}" for index in range(len(got))]
            assert 240 < len(got) < 262
            [dropped] = [event["record"] for event in listener.events if event["type"] == "platform.logsDropped"]
            assert dropped["droppedRecords"] == 600 - len(got)

    run(main)


def test_who_subscribes_late_in_a_long_init_hears_how_much_it_missed() -> None:
    async def main() -> None:
        async with bench() as (made, listener):
            made.print(*(f"{index:0300d}" for index in range(5000)))
            made.subscribe(listener.port)
            made.telemetry.hurry()
            await made.until(lambda: any(event["type"] == "platform.logsDropped" for event in listener.events))
            got = [event for event in listener.events if event["type"] == "function"]
            [dropped] = [event["record"] for event in listener.events if event["type"] == "platform.logsDropped"]
            assert dropped["droppedRecords"] == 5000 - len(got)
            assert dropped["droppedBytes"] == 300 * dropped["droppedRecords"]

    run(main)


def test_before_a_freeze_everybody_gets_what_there_is() -> None:
    async def main() -> None:
        async with bench() as (made, listener):
            made.subscribe(listener.port, types=["function"], buffering={"timeoutMs": 30_000})
            made.telemetry.end_init()
            made.print("one")
            now = made.clock.monotonic()
            assert made.telemetry.rest(now) == 1.0
            await made.until(lambda: made.settled)
            assert [event["record"] for event in listener.events] == ["one"]
            assert made.telemetry.rest(now) == 0.0
            made.telemetry.freeze()
            made.print("two")
            made.telemetry.wake()
            made.advance(30.0)
            await made.until(lambda: len(listener.events) == 2)

    run(main)


def test_nobody_waits_for_a_subscriber_that_takes_nothing() -> None:
    async def main() -> None:
        async with bench() as (made, listener):
            listener.answers = [b""]
            made.subscribe(listener.port, types=["function"])
            made.print("one")
            now = made.clock.monotonic()
            assert made.telemetry.rest(now) == 1.0
            assert made.telemetry.rest(now + 0.5) == 0.5
            assert made.telemetry.rest(now + 1.0) == 0.0
            made.telemetry.freeze()
            # Its time stands still as it does: the delivery is not given up.
            made.advance(1000.0)
            await asyncio.sleep(0.01)
            assert listener.connections <= 1
            made.telemetry.wake()
            listener.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]
            made.advance(10.1)
            made.advance(0.1)
            await made.until(lambda: listener.events)

    run(main)


def test_a_life_is_told_event_by_event() -> None:
    async def main() -> None:
        async with bench() as (made, listener):
            request = Invocation("r-1", b"{}", "arn")
            record = InvocationRecord(function(), "r-1", NOW, 3.014, 4, 110.1, 128, 36, "success", None, "stream")
            telemetry = made.telemetry
            telemetry.init_start(NOW, "init")
            made.subscribe(listener.port, "telemetry")
            made.subscribe(listener.port, "logs", api=Api.LOGS, schemaVersion=None)
            success = Outcome(b"", "success")
            telemetry.init_runtime_done(NOW, "init", success)
            telemetry.init_report(NOW, "init", 110.1, success)
            telemetry.extension(NOW, "telemetry", "Ready", ["INVOKE"], None)
            telemetry.end_init()
            telemetry.start(NOW, request)
            telemetry.runtime_done(NOW, {"requestId": "r-1", "status": "success"}, "")
            telemetry.report(NOW, record)
            telemetry.restore_start(NOW)
            telemetry.restore_runtime_done(NOW, success)
            telemetry.restore_report(NOW, 15.19, success)
            telemetry.hurry()
            await made.until(lambda: len(listener.requests) == 2)
            first, second = (json.loads(body) for _, body in listener.requests)
            assert [event["type"].removeprefix("platform.") for event in first] == [
                "initStart", "telemetrySubscription", "initRuntimeDone", "initReport", "extension", "start",
                "runtimeDone", "report", "restoreStart", "restoreRuntimeDone", "restoreReport",
            ]  # fmt: skip
            assert [event["type"].removeprefix("platform.") for event in second] == [
                "logsSubscription", "extension", "start", "end", "report"
            ]  # fmt: skip
            report = next(event["record"] for event in first if event["type"] == "platform.report")
            assert report == {
                "requestId": "r-1",
                "metrics": {
                    "durationMs": 3.014,
                    "billedDurationMs": 4,
                    "memorySizeMB": 128,
                    "maxMemoryUsedMB": 36,
                    "initDurationMs": 110.1,
                },
                "status": "success",
            }

    run(main)
