"""What the transport promises a client, byte for byte: limits, order, keep-alive, refusals that arrive."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from lambent.request import Request, Response
from lambent.transport.limits import Limits
from lambent.transport.server import HttpServer

LIMITS = Limits(
    head_bytes=4096,
    body_bytes=100_000,
    unfinished_bytes=400_000,
    head_seconds=0.3,
    body_seconds=0.3,
    idle_seconds=0.8,
    write_seconds=0.5,
    discard_seconds=3,
    sandbox_connections=2,
)


class Echo:
    """Answers with what it was sent; what it must do else stands in the path."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.release = threading.Event()

    async def answer(self, request: Request) -> Response:
        self.requests.append(request)
        if request.raw_path == b"/slow":
            await asyncio.to_thread(self.release.wait, 10)
        if request.raw_path == b"/fail":
            raise RuntimeError("on purpose")
        if request.raw_path == b"/stream":
            return Response(200, stream=_pieces())
        if request.raw_path == b"/large":
            return Response(200, body=b"x" * 30_000_000)
        if request.raw_path == b"/inject":
            return Response(200, [(b"x-value", b"a\r\nx-injected: 1")])
        if request.raw_path == b"/empty":
            return Response(204)
        whom = (request.sandbox_id or "").encode()
        return Response(200, [(b"x-sandbox", whom)], request.method.encode() + b" " + request.body)

    def body_limit(self, request: Request) -> int:
        return 1 << 40

    def too_large(self, request: Request, limit: int) -> Response:
        assert request.body == b""
        return Response(413, body=f"{request.method} {request.raw_path.decode()} over {limit}".encode())


async def _pieces() -> AsyncIterator[bytes]:
    for piece in (b"one,", b"", b"two"):
        yield piece


class Running:
    def __init__(self) -> None:
        self.echo = Echo()
        self.server = HttpServer(LIMITS)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        self.loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)

    def __enter__(self) -> Running:
        self._thread.start()
        self.run(self.server.start(self.listener, self.echo))
        return self

    def __exit__(self, *_: object) -> None:
        self.echo.release.set()
        self.run(self.server.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def run(self, coroutine) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    def call(self, function: Callable[[], object]) -> None:
        async def called() -> None:
            function()

        self.run(called())

    def connect(self, address=None) -> socket.socket:
        client = socket.create_connection(address or self.address, timeout=10)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def send(self, data: bytes) -> bytes:
        """Everything that comes back for `data`, sent over a connection of its own, until the server closes it."""
        with self.connect() as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            return read_all(client)


def read_all(client: socket.socket) -> bytes:
    data = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while piece := client.recv(65536):
            data += piece
    return bytes(data)


def read_answer(client: socket.socket) -> tuple[bytes, bytes]:
    """(head, body) of one answer with a Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = client.recv(65536)
        assert piece, data
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
    while len(body) < length:
        body += client.recv(65536)
    return head, body


@pytest.fixture
def running() -> Iterator[Running]:
    with Running() as server:
        yield server


def request(path: str = "/", body: bytes = b"", *headers: str, method: str = "POST") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


CHUNKED = b"PUT / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


# ---- answers -------------------------------------------------------------------------------------------------------


def test_a_connection_is_kept_and_every_answer_has_an_id_of_its_own(running) -> None:
    ids = set()
    with running.connect() as client:
        for number in range(3):
            client.sendall(request(body=b"%d" % number))
            head, body = read_answer(client)
            assert body == b"POST %d" % number
            ids.add(head.partition(b"x-amzn-requestid: ")[2][:36])
    assert len(ids) == 3


def test_pipelined_requests_are_answered_in_order(running) -> None:
    running.echo.release.set()
    answer = running.send(request("/slow", b"1") + request(body=b"2") + request("/empty") + request(body=b"3"))
    assert [answer.find(b"POST 1"), answer.find(b"POST 2"), answer.find(b"POST 3")] == sorted(
        [answer.find(b"POST 1"), answer.find(b"POST 2"), answer.find(b"POST 3")]
    )
    assert b"POST 3" in answer
    assert answer.count(b"HTTP/1.1 200") == 3


def test_a_body_may_come_in_chunks_and_pieces(running) -> None:
    with running.connect() as client:
        for piece in (CHUNKED[:20], CHUNKED[20:], b"3\r\nab", b"c\r\n2\r", b"\nde\r\n0\r\n\r\n"):
            client.sendall(piece)
        assert read_answer(client)[1] == b"PUT abcde"


def test_a_client_that_expects_100_is_told_to_continue(running) -> None:
    head, _, body = request(body=b"payload").partition(b"\r\n\r\n")
    with running.connect() as client:
        client.sendall(head + b"\r\nExpect: 100-continue\r\n\r\n")
        assert client.recv(1024) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(body)
        assert read_answer(client)[1] == b"POST payload"


def test_a_client_that_expects_100_behind_another_request_is_told_once_that_is_answered(running) -> None:
    head, _, body = request(body=b"payload").partition(b"\r\n\r\n")
    with running.connect() as client:
        client.sendall(request("/slow", b"first") + head + b"\r\nExpect: 100-continue\r\n\r\n")
        running.echo.release.set()
        assert read_answer(client)[1].startswith(b"POST first")
        client.sendall(body)
        assert b"POST payload" in read_answer(client)[1]


def test_a_client_that_does_not_wait_for_100_gets_none_too_late(running) -> None:
    head, _, body = request(body=b"payload").partition(b"\r\n\r\n")
    running.echo.release.set()
    answer = running.send(request("/slow", b"first") + head + b"\r\nExpect: 100-continue\r\n\r\n" + body)
    assert answer.count(b"HTTP/1.1") == 2


def test_a_client_that_expects_100_for_too_much_is_refused_at_once(running) -> None:
    with running.connect() as client:
        client.sendall(request().replace(b"Length: 0", b"Length: 100001")[:-2] + b"Expect: 100-continue\r\n\r\n")
        assert client.recv(1024).startswith(b"HTTP/1.1 413 ")


def test_head_gets_the_length_and_no_body(running) -> None:
    answer = running.send(b"HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert b"content-length: 5\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


def test_no_content_has_no_length(running) -> None:
    answer = running.send(request("/empty"))
    assert answer.startswith(b"HTTP/1.1 204 No Content\r\n")
    assert b"content-length" not in answer


def test_a_stream_is_sent_in_chunks_and_whole_to_http_1_0(running) -> None:
    assert running.send(request("/stream")).endswith(b"\r\n\r\n4\r\none,\r\n3\r\ntwo\r\n0\r\n\r\n")
    old = running.send(b"GET /stream HTTP/1.0\r\n\r\n")
    assert b"chunked" not in old
    assert old.endswith(b"\r\n\r\none,two")


def test_an_absolute_target_is_its_path(running) -> None:
    running.send(b"GET http://localhost/a%2Fb?c=d HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (running.echo.requests[0].raw_path, running.echo.requests[0].query) == (b"/a%2Fb", b"c=d")


def test_an_upgrade_that_is_not_served_is_answered_as_plain_http(running) -> None:
    answer = running.send(
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_handler_that_fails_closes_the_connection_instead_of_hanging(running) -> None:
    assert running.send(request("/fail")) == b""


def test_an_answer_with_a_line_break_in_a_header_is_never_sent(running) -> None:
    assert b"injected" not in running.send(request("/inject"))


def test_who_hangs_up_while_being_answered_harms_nobody(running) -> None:
    with running.connect() as client:
        client.sendall(request("/slow"))
        while not running.echo.requests:
            time.sleep(0.001)
    running.echo.release.set()
    assert b"POST still here" in running.send(request(body=b"still here"))


# ---- what is refused -----------------------------------------------------------------------------------------------

BAD = {
    "nonsense": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "negative length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "length and chunks": b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
    "chunks and length": b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n",
    "other coding": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
    "bad chunk": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "space before colon": b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "folded header": b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n",
    "bare line feeds": b"GET / HTTP/1.1\nHost: a\n\n",
    "nul in a header": b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
    "no path": b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
    "connect": b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    "http/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_malformed_http_is_refused_and_reaches_no_handler(running, data) -> None:
    answer = running.send(data)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"connection: close" in answer
    assert running.echo.requests == []


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[Running]:
    with Running() as server:
        server.echo.release.set()
        yield server


@pytest.mark.slow
@given(
    start=st.sampled_from([request(body=b"abc"), CHUNKED + b"3\r\nabc\r\n0\r\n\r\n", *BAD.values()]),
    changes=st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=6)), max_size=4),
)
def test_whatever_is_sent_is_answered_or_closed(fuzzed, start, changes) -> None:
    for position, piece in changes:
        start = start[: position % len(start)] + piece + start[position % len(start) + 1 :] if start else piece
    answer = fuzzed.send(start)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 ")
    assert b"POST alive" in fuzzed.send(request(body=b"alive"))


def test_what_follows_a_refusal_is_not_read(running) -> None:
    running.send(BAD["two hosts"] + request(body=b"smuggled"))
    assert running.echo.requests == []


def test_a_refusal_waits_for_the_answers_before_it(running) -> None:
    running.echo.release.set()
    answer = running.send(request("/slow", b"first") + b"GET / HTTP/1.1\r\n\r\n")
    assert 0 < answer.find(b"POST first") < answer.find(b"HTTP/1.1 400 ")


def test_headers_have_a_limit(running) -> None:
    assert running.send(request("/", b"", f"X: {'a' * 5000}")).startswith(b"HTTP/1.1 431 ")
    assert running.send(b"GET /" + b"a" * 5000).startswith(b"HTTP/1.1 431 ")


def test_a_body_over_the_limit_is_refused_while_it_is_sent(running) -> None:
    body = b"x" * 4_000_000
    # The client sends everything before it looks for the answer, as SDKs do: it must still get it.
    answer = running.send(request(body=body))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.endswith(b"connection: close\r\n\r\nPOST / over 100000")


def test_a_chunked_body_over_the_limit_is_refused(running) -> None:
    assert running.send(CHUNKED + (b"8000\r\n" + b"x" * 0x8000 + b"\r\n") * 5).startswith(b"HTTP/1.1 413 ")


def test_bodies_that_never_end_make_room_for_others(running) -> None:
    """Those that began first are given up; whoever sends on meanwhile is served."""
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(running.connect()) for _ in range(8)]
        for client in slow:
            # Told to continue, so that they begin in this order.
            client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\nExpect: 100-continue\r\n\r\n")
            assert b" 100 " in client.recv(1024)
            client.sendall(b"x" * 80_000)
        # There is room for five of them.
        for client in slow[:3]:
            assert read_answer(client)[0].startswith(b"HTTP/1.1 503 ")
        assert running.send(request(body=b"y" * 90_000)).startswith(b"HTTP/1.1 200 ")
        for client in slow[-3:]:
            client.sendall(b"x" * 10_000)
            assert read_answer(client)[1] == b"POST " + b"x" * 90_000


# ---- time ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", b""),
        (b"GET / HT", b"408"),
        (request(body=b"ab")[:-1], b"408"),
        (CHUNKED + b"2\r\nab\r\n", b"408"),
        (CHUNKED, b"408"),
        (request(), b"200"),
    ],
    ids=["silent", "half a head", "half a body", "some chunks", "no chunk", "idle"],
)
def test_nobody_keeps_a_connection_by_being_slow(running, data, status) -> None:
    with running.connect() as client:
        client.sendall(data)
        answer = read_all(client) if status != b"408" else client.recv(1024)
        assert answer[9:12] == status


@pytest.mark.slow
def test_a_body_that_trickles_is_cut_off(running) -> None:
    with running.connect() as client:
        client.sendall(request(body=b"x" * 1000)[:-1000])
        deadline = time.monotonic() + 5
        client.settimeout(0.05)
        answer = b""
        while not answer and time.monotonic() < deadline:
            client.sendall(b"x")
            with contextlib.suppress(TimeoutError):
                answer = client.recv(1024)
        assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.slow
def test_who_does_not_read_loses_the_connection(running) -> None:
    with running.connect() as client:
        client.sendall(request("/large"))
        client.recv(10)
        time.sleep(2.5)  # what is tested is that nobody reads for longer than the limit
        received = len(read_all(client))
    assert received < 30_000_000


# ---- stopping, and sockets in sandboxes ----------------------------------------------------------------------------


@pytest.mark.slow
def test_a_stop_finishes_what_is_being_answered() -> None:
    with Running() as running, running.connect() as busy, running.connect() as idle:
        busy.sendall(request("/slow", b"kept"))
        while not running.echo.requests:
            time.sleep(0.001)
        stopping = asyncio.run_coroutine_threadsafe(running.server.stop(), running.loop)
        assert idle.recv(10) == b""
        running.echo.release.set()
        head, body = read_answer(busy)
        assert body == b"POST kept"
        assert b"connection: close" in head
        stopping.result(10)
        with pytest.raises(ConnectionRefusedError):
            running.connect()


def test_requests_from_a_sandboxs_socket_say_so_until_it_is_removed(running) -> None:
    with socket.create_server(("127.0.0.1", 0)) as inside:
        address = inside.getsockname()
        running.call(lambda: running.server.add_socket("abc", inside))
        with running.connect(address) as client:
            client.sendall(request(body=b"hello"))
            assert b"x-sandbox: abc" in read_answer(client)[0]
            running.call(lambda: running.server.remove_socket("abc"))
            running.call(lambda: running.server.remove_socket("abc"))
            assert client.recv(10) == b""
    assert b"x-sandbox: \r\n" in running.send(request())


def test_one_sandbox_cannot_take_every_connection(running) -> None:
    with socket.create_server(("127.0.0.1", 0)) as inside, contextlib.ExitStack() as stack:
        address = inside.getsockname()
        running.call(lambda: running.server.add_socket("abc", inside))
        clients = [stack.enter_context(running.connect(address)) for _ in range(3)]
        for client in clients[:2]:
            client.sendall(request())
            read_answer(client)
        assert read_all(clients[2]) == b""
        running.call(lambda: running.server.remove_socket("abc"))
