"""One client connection: bytes in, whole requests to the handler one after another, answers out in order.

uvicorn's server runs it in the place of its own HTTP protocol, which leaves limits to others and gives an application
the body in pieces. It costs one task per request, no timer (the server sweeps `deadline`s) and one write per answer.
"""

from __future__ import annotations

import asyncio
import http
import logging
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, NamedTuple, Protocol, runtime_checkable

import httptools

from lambent import ids
from lambent.request import BrokenOff, Request, Response
from lambent.transport.limits import Limits
from lambent.transport.tls import HANDSHAKE, Tls, TlsTransport
from lambent.transport.unfinished import UnfinishedBodies


class Application(Protocol):
    """What answers requests."""

    async def answer(self, request: Request) -> Response: ...

    def body_limit(self, request: Request) -> int:
        """How large the body of `request`, of which only the head is known, may be; asked where it is large."""

    def too_large(self, request: Request, limit: int) -> Response:
        """The answer to a request whose body, left out here, is larger than `limit` bytes."""


@runtime_checkable
class Closing(Protocol):
    """A stream that lets go of what it holds."""

    async def aclose(self) -> None: ...


log = logging.getLogger(__name__)

STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in http.HTTPStatus if status >= 200
}
#: Headers that mean something to the transport itself.
TRANSPORT_HEADERS = frozenset((b"host", b"expect", b"content-length", b"transfer-encoding"))
#: Larger bodies are handed to the kernel as they are, smaller ones are copied behind their head.
JOIN_BYTES = 64 * 1024
#: Pieces of a body that are smaller are put together as they come.
SMALL_PIECE = 4096
NEVER = float("inf")
_NO_TARGET = "The request target is not a path, or names another host than the Host header."


class Exchange(NamedTuple):
    """A request read whole, and what its connection must do after the answer."""

    request: Request
    keep_alive: bool
    #: HTTP/1.0 knows no chunks.
    chunks: bool


class Connection(asyncio.Protocol):
    """Made by the event loop for every accepted socket; `config`, `server_state` … is what uvicorn gives a protocol."""

    def __init__(
        self,
        application: Application,
        limits: Limits,
        sandbox_id: str | None = None,
        group: set[Connection] | None = None,
        tls: Tls | None = None,
        unfinished: UnfinishedBodies | None = None,
        *,
        config: Any = None,
        server_state: Any,
        app_state: Any = None,
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.loop = _loop or asyncio.get_running_loop()
        self.application = application
        self.limits = limits
        self.sandbox_id = sandbox_id

        # Shared with the server
        self.connections: set[Connection] = server_state.connections
        self.tasks: set[asyncio.Task[None]] = server_state.tasks
        self.server_state = server_state
        #: Connections through the same sandbox's listener; None for the region's own.
        self.group = group
        #: For a client that begins with a handshake; None: such a one is refused.
        self.tls = tls
        self.unfinished = unfinished or UnfinishedBodies(limits.unfinished_bytes)

        # Per connection
        self.transport: asyncio.Transport = None  # type: ignore[assignment]
        self.parser = httptools.HttpRequestParser(self)
        self.client_host = ""
        #: `http` until the client shakes hands.
        self.scheme = "http"
        #: When the sweep closes this connection, by the loop's clock. Never while a request is being answered.
        self.deadline = NEVER
        #: Being answered now. Invariant: `waiting` is empty while this is None.
        self.current: Exchange | None = None
        #: Answers `current`; None before the first request.
        self.task: asyncio.Task[None] | None = None
        self.waiting: deque[Exchange] = deque()
        #: A refusal that waits for the answers before it.
        self.refusal: bytes | None = None
        #: True: whatever arrives is thrown away.
        self.discarding = False
        self.draining = False
        #: While the client is slower than the answer; and how much it had not taken when last looked at.
        self._writable: asyncio.Future[None] | None = None
        self._unsent = 0

        # Per request, while it is read
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.names: list[bytes] = []
        self.chunks: list[bytes | bytearray] = []
        self.hosts = 0
        self.expects = False
        self.is_chunked = False
        self.content_length = 0
        self.reading_head = False
        self.reading_body = False
        self.head_bytes = 0
        self.body_bytes = 0
        #: Of this request; 0 until the application is asked.
        self.body_limit = 0
        self.body_started = 0.0

    def __repr__(self) -> str:
        doing = "discarding" if self.discarding else "answering" if self.current else "reading"
        return f"<Connection {self.client_host or self.sandbox_id} {doing}, {len(self.waiting)} waiting>"

    # ---- called by the event loop --------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        peer = transport.get_extra_info("peername")
        self.client_host = peer[0] if isinstance(peer, tuple) else ""
        self.connections.add(self)
        if self.group is not None:
            self.group.add(self)
        self.deadline = self.loop.time() + self.limits.head_seconds

    def connection_lost(self, exc: Exception | None) -> None:
        # A handler that runs goes on: AWS finishes an invocation whose caller has hung up.
        self.connections.discard(self)
        if self.group is not None:
            self.group.discard(self)
        self.discarding = True
        self.unfinished.release(self)
        self.waiting.clear()
        self.deadline = NEVER
        self.parser = None  # type: ignore[assignment]  # breaks the cycle with its callbacks
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    def eof_received(self) -> bool:
        # A client may close its half early and still wait for the answer.
        if self.current is None:
            return False
        self.draining = True
        return True

    def data_received(self, data: bytes) -> None:
        if self.discarding:
            return
        self.head_bytes = self.head_bytes + len(data) if self.reading_head else len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # The request is answered as plain HTTP/1.1; what follows it cannot be read any more.
            self.discarding = True
        except (httptools.HttpParserError, httptools.HttpParserInvalidURLError) as error:
            if self._is_handshake(data):
                self._shake_hands(data)
            elif not self.discarding:
                self._refuse(400, "BadRequestException", f"The request is not valid HTTP: {error}.")
        else:
            if self.reading_head and self.head_bytes > self.limits.head_bytes:
                self._refuse_head()

    def _is_handshake(self, data: bytes) -> bool:
        """Is `data`, which is no HTTP, the first that this client sends, and the begin of TLS?"""
        is_first = self.task is None and self.scheme == "http" and self.head_bytes == len(data)
        return is_first and self.tls is not None and data[0] == HANDSHAKE

    def _shake_hands(self, data: bytes) -> None:
        """Go on as HTTPS; the deadline of the head holds for the handshake."""
        assert self.tls is not None
        self.scheme = "https"
        self.parser = httptools.HttpRequestParser(self)
        self.reading_head = False
        if self.tls.context is not None:
            TlsTransport(self.transport, self, self.tls.context).data_received(data)
            return
        self.transport.pause_reading()
        task = self.loop.create_task(self._shake_hands_later(self.tls, data), name="wait for certificate")
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _shake_hands_later(self, tls: Tls, data: bytes) -> None:
        try:
            context = await tls.wait_context()
        except OSError as error:
            log.error("No TLS for %s: the certificate cannot be had: %s", self.client_host, error)
            self.transport.abort()
            return
        if not self.transport.is_closing():
            layer = TlsTransport(self.transport, self, context)
            layer.resume_reading()
            layer.data_received(data)

    def pause_writing(self) -> None:
        self._writable = self.loop.create_future()
        self._unsent = self.transport.get_write_buffer_size()
        self.deadline = self.loop.time() + self.limits.write_seconds

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None
        self._set_deadline()

    # ---- called by the parser --------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self.names = []
        self.chunks = []
        self.hosts = 0
        self.expects = False
        self.is_chunked = False
        self.content_length = 0
        self.reading_head = True
        self.body_bytes = 0
        self.body_limit = 0
        self._set_deadline()

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.names.append(name)
        name = name.lower()
        if name in TRANSPORT_HEADERS:
            if name == b"host":
                self.hosts += 1
            elif name == b"expect":
                self.expects = value.lower() == b"100-continue"
            elif name == b"content-length":
                self.content_length = int(value)
            else:
                self.is_chunked = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.reading_head = False
        if self.hosts != 1 and (self.hosts > 1 or self.parser.get_http_version() != "1.0"):
            self._refuse(400, "BadRequestException", "A request needs exactly one Host header.")
        elif self.head_bytes > self.limits.head_bytes and self._head_size() > self.limits.head_bytes:
            self._refuse_head()
        elif self._is_too_large(self.content_length):
            self._refuse_body()
        elif self.content_length or self.is_chunked:
            self.reading_body = True
            self.body_started = self.loop.time()
            self._set_deadline()
            if self.current is None:
                self._let_continue()

    def on_body(self, body: bytes) -> None:
        if self.discarding:
            return
        if len(body) < SMALL_PIECE and self.chunks:
            # Kept as they come, a million pieces of two bytes would take thirty times their size.
            if not isinstance(self.chunks[-1], bytearray):
                self.chunks.append(bytearray())
            self.chunks[-1] += body
        else:
            self.chunks.append(body)
        self.body_bytes += len(body)
        if self._is_too_large(self.body_bytes):
            self._refuse_body()
            return
        self._set_deadline()
        if self.body_bytes > self.limits.small_bytes:
            self.unfinished.hold(self, self.body_bytes)

    def on_message_complete(self) -> None:
        self.reading_body = False
        if self.discarding:
            return
        chunks = self.chunks
        if self.body_bytes > self.limits.small_bytes:
            self.unfinished.release(self)
        request = self._request(bytes(chunks[0]) if len(chunks) == 1 else b"".join(chunks))
        self.chunks = []
        if request is None:
            self._refuse(400, "BadRequestException", _NO_TARGET)
            return
        parser = self.parser
        keep_alive = parser.should_keep_alive() and not parser.should_upgrade()
        exchange = Exchange(request, keep_alive, parser.get_http_version() != "1.0")
        if self.current is None:
            self._start(exchange)
        else:
            # Answers keep the order of their requests; the client is made to wait meanwhile.
            self.waiting.append(exchange)
            self.transport.pause_reading()

    def _request(self, body: bytes) -> Request | None:
        """What was read, None where its target is no path."""
        path, _, query = self.url.partition(b"?")
        if not path.startswith(b"/"):
            host, path = _parts_of_absolute_form(path)
            if not path or self._host().lower() not in (b"", host.lower()):
                return None
        method = self.parser.get_method().decode("ascii")
        return Request(
            method,
            path,
            query,
            self.headers,
            body,
            ids.request_id(),
            self.client_host,
            self.scheme,
            self.sandbox_id,
            self.names,
        )

    def _host(self) -> bytes:
        return next((value for name, value in self.headers if name == b"host"), b"")

    def _is_too_large(self, size: int) -> bool:
        """Is a body of `size` bytes, or of which that many have come, more than this request may bring?"""
        if size <= self.limits.unasked_bytes and size <= self.limits.body_bytes:
            return False
        if not self.body_limit:
            request = self._request(b"")
            asked = self.limits.body_bytes if request is None else self.application.body_limit(request)
            self.body_limit = min(asked, self.limits.body_bytes)
        return size > self.body_limit

    def _let_continue(self) -> None:
        """Tell a client that waits with its body (Expect: 100-continue) to send it; its time starts now."""
        if self.expects and self.reading_body:
            self.expects = False
            self.body_started = self.loop.time()
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    # ---- answering -------------------------------------------------------------------------------------------------

    def _start(self, exchange: Exchange) -> None:
        self.current = exchange
        self.deadline = NEVER
        self.task = task = self.loop.create_task(self._answer(exchange))
        self.tasks.add(task)

    async def _answer(self, exchange: Exchange) -> None:
        try:
            response = await self.application.answer(exchange.request)
            if self.transport.is_closing() and response.stream is None:
                log.debug("The client of request %s is gone.", exchange.request.id)
            elif response.stream is None:
                self._send(exchange, response)
            else:
                await self._send_stream(exchange, response)
        except Exception:
            # Nothing above this frame could answer; without the close the client would wait for ever.
            log.exception("Request %s could not be answered.", exchange.request.id)
            self.transport.abort()
            return
        finally:
            # Here and not as a callback, which would cost the loop one more turn for each request.
            self.tasks.discard(self.task)
        self._finish(exchange)

    def _send(self, exchange: Exchange, response: Response) -> None:
        body = response.body
        keep = exchange.keep_alive and not self.draining
        head = self._head(exchange, response, keep, length=len(body))
        if exchange.request.method == "HEAD" or response.status in (204, 304):
            self.transport.write(head)
        elif len(body) <= JOIN_BYTES:
            self.transport.write(head + body)
        else:
            self.transport.writelines((head, body))

    async def _send_stream(self, exchange: Exchange, response: Response) -> None:
        assert response.stream is not None
        if exchange.request.method == "HEAD" or response.status in (204, 304):
            # No body may follow: nobody reads the stream.
            await _let_go(response.stream)
            self._send(exchange, Response(response.status, response.headers))
            return
        chunked = exchange.chunks
        exchange = exchange if chunked else exchange._replace(keep_alive=False)
        self.transport.write(self._head(exchange, response, exchange.keep_alive and not self.draining, length=None))
        if response.body:
            self.transport.write(_chunk(response.body) if chunked else response.body)
        try:
            await self._send_pieces(response.stream, chunked)
        except BrokenOff:
            if chunked:
                # What was written goes out; without a last chunk the client knows that there should be more.
                self._close()
            else:
                self.transport.abort()
        finally:
            await _let_go(response.stream)

    async def _send_pieces(self, stream: AsyncIterator[bytes], chunked: bool) -> None:
        async for piece in stream:
            if self._writable is not None:
                await self._writable
            if self.transport.is_closing():
                return
            if piece:
                self.transport.write(_chunk(piece) if chunked else piece)
        if chunked:
            self.transport.write(b"0\r\n\r\n")
        else:
            self._close()

    def _head(self, exchange: Exchange, response: Response, keep_alive: bool, length: int | None) -> bytes:
        """Status line and headers. `length` None: the body comes in chunks."""
        parts = [
            STATUS_LINES.get(response.status) or b"HTTP/1.1 %d \r\n" % response.status,
            b"date: ",
            self.server_state.default_headers[0][1],
        ]
        identified = False
        for name, value in response.headers:
            if name == b"content-length" or name == b"Content-Length":
                # The handler knows better where the body is not sent (HEAD).
                length = None if length is None else int(value)
                continue
            if b"\n" in value or b"\r" in value:
                # It would let whoever chose the value write headers of its own.
                raise ValueError(f"The header {name!r} of answer {exchange.request.id} has a line break in it.")
            if name == b"x-amzn-requestid":
                identified = True
            parts += (b"\r\n", name, b": ", value)
        if not identified:
            parts += (b"\r\nx-amzn-requestid: ", exchange.request.id.encode())
        if length is None and response.stream is not None:
            if exchange.chunks:
                parts.append(b"\r\ntransfer-encoding: chunked")
        elif response.status != 204:
            parts.append(b"\r\ncontent-length: %d" % (length or 0))
        if not keep_alive:
            parts.append(b"\r\nconnection: close")
        parts.append(b"\r\n\r\n")
        return b"".join(parts)

    def _finish(self, exchange: Exchange) -> None:
        self.current = None
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.waiting and exchange.keep_alive:
            self._start(self.waiting.popleft())
            if not self.waiting:
                self.transport.resume_reading()
        elif self.refusal is not None:
            self._write_refusal(self.refusal)
        elif not exchange.keep_alive or self.draining or self.discarding:
            self._close()
        else:
            self._let_continue()
            self._set_deadline()

    # ---- refusing --------------------------------------------------------------------------------------------------

    def _refuse_head(self) -> None:
        self._refuse(431, "RequestHeaderFieldsTooLarge", "The request line and headers are too large.")

    def give_up(self) -> None:
        """Called by `unfinished`."""
        if self.transport.is_closing():
            self._forget_body()
            return
        self._refuse(503, "ServiceUnavailableException", "Too many requests are being sent too slowly. Try again.")

    def _forget_body(self) -> None:
        self.chunks = []
        self.unfinished.release(self)

    def _refuse_body(self) -> None:
        request = self._request(b"")
        if request is None:
            self._refuse(400, "BadRequestException", _NO_TARGET)
            return
        response = self.application.too_large(request, self.body_limit)
        exchange = Exchange(request, keep_alive=False, chunks=True)
        self._end_with(self._head(exchange, response, False, length=len(response.body)) + response.body)

    def _refuse(self, status: int, code: str, message: str) -> None:
        """Answer what is not a request."""
        text = message.replace("\\", "").replace('"', "'")
        body = f'{{"Type":"User","message":"{text}"}}'.encode()
        head = (
            STATUS_LINES[status],
            b"content-type: application/json\r\nx-amzn-errortype: ",
            code.encode(),
            b"\r\nx-amzn-requestid: ",
            ids.request_id().encode(),
            b"\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body),
        )
        self._end_with(b"".join((*head, body)))

    def _end_with(self, refusal: bytes) -> None:
        """Send it after the answers that are due, and read no further request from this connection."""
        self.discarding = True
        self.reading_body = False
        self._forget_body()
        if self.current is None:
            self._write_refusal(refusal)
        else:
            self.refusal = refusal

    def _write_refusal(self, refusal: bytes) -> None:
        # Closing at once would reset the connection under a client that is still sending, and it would never see why.
        self.transport.write(refusal)
        self.transport.write_eof()
        self.deadline = self.loop.time() + self.limits.discard_seconds

    # ---- time ------------------------------------------------------------------------------------------------------

    def _set_deadline(self) -> None:
        if self._writable is not None:
            # The client's turn to read comes first.
            return
        if self.current is not None:
            self.deadline = NEVER
        elif self.reading_head:
            self.deadline = self.loop.time() + self.limits.head_seconds
        elif self.reading_body:
            grace = self.limits.body_seconds + self.body_bytes / self.limits.body_rate
            self.deadline = self.body_started + grace
        else:
            self.deadline = self.loop.time() + self.limits.idle_seconds

    def expire(self) -> None:
        """Called by the server's sweep when `deadline` has passed."""
        self.deadline = NEVER
        unsent = self.transport.get_write_buffer_size()
        if unsent and unsent < self._unsent:
            self._unsent = unsent
            self.deadline = self.loop.time() + self.limits.write_seconds
        elif unsent or self.current is not None or self.discarding:
            self.transport.abort()
        elif self.reading_head or self.reading_body:
            self._refuse(408, "RequestTimeout", "The request did not arrive in time.")
        else:
            self.transport.close()

    def _close(self) -> None:
        """Close once the client has taken what was written, within the limit."""
        self.deadline = self.loop.time() + self.limits.write_seconds
        self.transport.close()

    def shutdown(self) -> None:
        """Called by the server when it stops: close now, or after the answer that is on its way."""
        self.draining = True
        if self.current is None:
            self._close()


async def _let_go(stream: AsyncIterator[bytes]) -> None:
    """Most are generators; a plain iterator has nothing to let go of."""
    if isinstance(stream, Closing):
        await stream.aclose()


def _chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def _parts_of_absolute_form(target: bytes) -> tuple[bytes, bytes]:
    """`host`, `/a` of `http://host/a`, as proxies ask; empty where the target is neither."""
    scheme, separator, rest = target.partition(b"://")
    if not separator or scheme.lower() not in (b"http", b"https"):
        return b"", b""
    host, _, path = rest.partition(b"/")
    return host, b"/" + path
