"""A small HTTP/1.1 server end for what runs in a sandbox: bytes to messages and back. It knows no route.

One listener serves every API of the sandbox (Runtime, Extensions, Telemetry …): each is a `Service`, mounted at the
path that its requests begin with. An environment that nobody connects to costs a watched descriptor and nothing else.
The client is a hostile process: connections, headers and bodies are bounded, and what is malformed gets 400 and a
closed connection.
"""

from __future__ import annotations

import json
import logging
import socket
from asyncio import AbstractEventLoop, Transport
from asyncio import Protocol as AsyncioProtocol
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any, cast

import httptools

log = logging.getLogger(__name__)

_MAX_HEAD = 64 * 1024
#: What a header counts for beside its bytes: kept as objects, thousands of short ones take thirty times their size.
_HEADER_WEIGHT = 150
#: Of one sandbox: open connections, and bytes of bodies that are not whole yet.
_MAX_CONNECTIONS = 64
_MAX_HELD = 16 * 1024 * 1024
#: Pieces of bodies that one sandbox may send in a second, and at once: each takes microseconds of an event loop that is
#: everybody's. Of more it is read later.
_PIECES_PER_S = 25_000
_PIECES_AT_ONCE = 5_000
#: Pieces that a refused request counts for.
_REFUSAL_WEIGHT = 50
_SHORTEST_REST_S = 0.01
#: Bytes that are taken before anybody looks whether there is to be a rest.
_SLICE = 16 * 1024
#: As many as may wait to be accepted.
_BACKLOG = 256
#: After the system refused a descriptor.
_ACCEPT_AGAIN_S = 0.1

#: The bytes of a whole response.
Answer = bytes
#: Takes a body piece by piece.
Receiver = Callable[[bytes], None]

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


class HttpError(Exception):
    """A refusal, with the JSON body that the Runtime API gives it."""

    def __init__(self, status: int, error_type: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type

    def answer(self) -> Answer:
        return json_answer(self.status, {"errorMessage": str(self), "errorType": self.error_type})


def answer(status: int, body: bytes, content_type: bytes, headers: Sequence[bytes] = ()) -> Answer:
    lines = [b"Content-Type: " + content_type, b"Content-Length: %d" % len(body), *headers]
    return _STATUS_LINES[status] + b"\r\n".join(lines) + b"\r\n\r\n" + body


def json_answer(status: int, fields: dict[str, Any]) -> Answer:
    return answer(status, json.dumps(fields, separators=(",", ":")).encode(), b"application/json")


class Message:
    """One request. `oversized`: its body went over the limit and was thrown away."""

    __slots__ = ("_body", "_head", "_headers", "_trailers", "method", "oversized", "receiver", "size", "target")

    def __init__(self) -> None:
        self.method = b""
        self.target = b""
        self.size = 0
        self.oversized = False
        #: Who takes the body as it comes; None: it is kept.
        self.receiver: Receiver | None = None
        self._head = 0
        self._headers: dict[bytes, bytes] = {}
        self._trailers: dict[bytes, bytes] = {}
        # One buffer as soon as there is a second piece: many small ones would take thirty times their size.
        self._body: bytes | bytearray = b""

    @property
    def path(self) -> bytes:
        return self.target.partition(b"?")[0]

    def header(self, name: bytes) -> bytes | None:
        return self._headers.get(name)

    def trailer(self, name: bytes) -> bytes | None:
        return self._trailers.get(name)

    def body(self) -> bytes:
        return bytes(self._body)

    def add_header(self, name: bytes, value: bytes, *, trailing: bool) -> None:
        self._head += len(name) + len(value) + _HEADER_WEIGHT
        if self._head > _MAX_HEAD:
            raise HttpError(431, "RequestHeaderFieldsTooLarge", "The request's headers are too large.")
        (self._trailers if trailing else self._headers)[name.lower()] = value

    def forget(self) -> None:
        """Its body will not be read."""
        self._body = b""

    def add_body(self, chunk: bytes, limit: int) -> int:
        """Returns by how many bytes what is kept grew."""
        self.size += len(chunk)
        if self.receiver is not None:
            self.receiver(chunk)
            return 0
        if self.oversized:
            return 0
        if self.size > limit:
            self.oversized = True
            self._body = b""
            return len(chunk) - self.size
        if not self._body:
            self._body = chunk
        elif isinstance(self._body, bytearray):
            self._body += chunk
        else:
            self._body = bytearray(self._body + chunk)
        return len(chunk)


class Service:
    """One API: who answers the requests below a path. Everything is called by the event loop."""

    #: Largest body that is kept; a request with a larger one is `oversized`.
    max_body = 0

    def begin(self, connection: Connection, message: Message) -> Receiver | None:
        """The head of `message` is here. A receiver takes its body as it comes; None: it is kept up to `max_body`.

        Raises HttpError, which also closes the connection.
        """
        return None

    def handle(self, connection: Connection, message: Message) -> Answer | None:
        """`message` is whole. None: `connection.send` gives the answer later. Raises HttpError."""
        raise NotImplementedError

    def connection_lost(self, connection: Connection, unfinished: Message | None) -> None:
        """A connection ended that is owed an answer, or in the middle of a request (`unfinished`)."""


class SandboxApi:
    """Every HTTP API that one sandbox sees, on the socket that listens inside it.

    Nothing is accepted before `listen`. The socket stays the sandbox's; `close` before it is closed.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        listener: socket.socket,
        spawn: Callable[[Coroutine[Any, Any, None], str], None],
        on_bug: Callable[[Exception], None],
    ) -> None:
        """`spawn` runs a task that somebody waits for; `on_bug` learns of an error in a service."""
        self._loop = loop
        self._listener = listener
        self._fd = listener.fileno()
        self._spawn = spawn
        self.on_bug = on_bug
        #: Longest path first.
        self._mounts: list[tuple[bytes, Service]] = []
        self._connections: set[Connection] = set()
        self._held = 0
        #: Pieces that may come now, and as of when; below zero: so many too many have come.
        self._credit = float(_PIECES_AT_ONCE)
        self._credited_at = loop.time()
        #: Whether the event loop watches the socket; and whether it should.
        self._watching = False
        self._listening = False
        listener.setblocking(False)

    def __repr__(self) -> str:
        return f"<SandboxApi {len(self._connections)} connections>"

    def mount(self, path: bytes, service: Service) -> None:
        """Requests whose path begins with `path` (`/2020-01-01/extension`) are `service`'s, in place of another's."""
        mounts = [mount for mount in self._mounts if mount[0] != path]
        self._mounts = sorted([*mounts, (path, service)], key=lambda mount: -len(mount[0]))

    def unmount(self, service: Service) -> None:
        """Its requests get 404 from now on, and the connections that it answered last are closed. Idempotent."""
        self._mounts = [mount for mount in self._mounts if mount[1] is not service]
        for connection in list(self._connections):
            if connection.service is service:
                connection.close()

    def find(self, path: bytes) -> Service | None:
        return next((service for prefix, service in self._mounts if path.startswith(prefix)), None)

    def listen(self) -> None:
        """Accept who connects; every service that the sandbox finds at its start is mounted by now. Idempotent."""
        self._listening = True
        self._watch(True)

    def suspend(self) -> None:
        """The sandbox's processes are dead: forget their connections, and accept none until the next `listen`."""
        self.close()
        # Who had connected and not been accepted: a request of theirs is not to be taken for one of their successors.
        with suppress(OSError):
            for _ in range(_BACKLOG):
                self._listener.accept()[0].close()

    def close(self) -> None:
        """Idempotent."""
        self._listening = False
        self._watch(False)
        for connection in list(self._connections):
            connection.close()

    def _watch(self, watching: bool) -> None:
        if watching is self._watching:
            return
        self._watching = watching
        if watching:
            self._loop.add_reader(self._fd, self._accept)
        else:
            self._loop.remove_reader(self._fd)

    # ---- for connections ----

    def hold(self, size: int) -> None:
        """Bodies that are not whole grew by `size`, which may be negative. Raises HttpError where they are too much."""
        self._held += size
        if size > 0 and self._held > _MAX_HELD:
            raise HttpError(503, "ServiceUnavailable", "Too many large requests are being sent at once.")

    def charge(self, pieces: int) -> None:
        """So many more have come."""
        self._credit -= pieces

    def rest_s(self) -> float:
        """For how long nothing is to be read, since too much has come."""
        if self._credit >= 0:
            return 0.0
        now = self._loop.time()
        self._credit = min(_PIECES_AT_ONCE, self._credit + (now - self._credited_at) * _PIECES_PER_S)
        self._credited_at = now
        return 0.0 if self._credit >= 0 else max(_SHORTEST_REST_S, -self._credit / _PIECES_PER_S)

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        self._loop.call_later(seconds, callback)

    def lost(self, connection: Connection) -> None:
        self._connections.discard(connection)

    # ---- accepting ----

    def _accept(self) -> None:
        """Called by the event loop when somebody connects."""
        try:
            client, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionError):
            return
        except OSError as error:
            # No descriptor is free: asking again at once would turn the event loop in circles.
            log.warning("A connection from a sandbox could not be accepted: %s", error)
            self._watch(False)
            self._loop.call_later(_ACCEPT_AGAIN_S, self._accept_again)
            return
        if len(self._connections) >= _MAX_CONNECTIONS:
            client.close()
            return
        client.setblocking(False)
        connection = Connection(self)
        self._connections.add(connection)
        self._spawn(self._adopt(connection, client), "sandbox connection")

    def _accept_again(self) -> None:
        if self._listening:
            self._watch(True)

    async def _adopt(self, connection: Connection, client: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: connection, client)
        except OSError:  # it has gone again
            client.close()
            self._connections.discard(connection)
            return
        if connection not in self._connections or not self._listening:
            connection.close()


class Connection(AsyncioProtocol):
    """One keep-alive connection, one request at a time."""

    def __init__(self, api: SandboxApi) -> None:
        self._api = api
        #: Whose the request under way is, or was the last; None: of nobody.
        self.service: Service | None = None
        self._transport: Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._message: Message | None = None
        #: Bytes since the last of a body: of heads, trailers and what stands between chunks.
        self._head_size = 0
        self._in_body = False
        self._held = 0
        #: Bytes of a body that the parser leaves alone, because its request offers to switch protocols.
        self._unparsed = 0
        #: A request whose answer is still owed.
        self._owing = False
        self._keep_alive = True
        #: What was received and not looked at yet.
        self._kept = b""
        self._is_taking = False
        # Why no more is read. Invariant, but while data is taken: the transport reads iff neither is set.
        self._paused = False
        self._resting = False
        self._reading = True

    def send(self, data: Answer) -> None:
        """Answer the request that is owed one."""
        self._owing = False
        if self._transport is not None:
            self._transport.write(data)
            if not self._keep_alive:
                self._transport.close()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def pause(self) -> None:
        """Read no more until `resume`; a little of what was read already still comes."""
        self._paused = True
        self._read_on(False)

    def resume(self) -> None:
        self._paused = False
        self._go_on()

    def _read_on(self, reading: bool) -> None:
        if reading is self._reading or self._transport is None or self._transport.is_closing():
            return
        self._reading = reading
        if reading:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _rest(self, seconds: float) -> None:
        self._resting = True
        self._read_on(False)
        self._api.later(seconds, self._wake)

    def _wake(self) -> None:
        self._resting = False
        self._go_on()

    # ---- asyncio ----

    def connection_made(self, transport: Any) -> None:
        """Called by the event loop."""
        self._transport = cast(Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        self._kept = self._kept + data if self._kept else data
        self._go_on()

    def _go_on(self) -> None:
        """Take what has come, until somebody holds it up, and read on if nobody does."""
        if self._is_taking or self._paused or self._resting:
            return
        self._is_taking = True
        try:
            self._take_kept()
        finally:
            self._is_taking = False
        if not (self._paused or self._resting):
            self._read_on(True)

    def _take_kept(self) -> None:
        data, self._kept, at = self._kept, b"", 0
        while at < len(data) and self._transport is not None and not self._transport.is_closing():
            if rest_s := self._api.rest_s():
                self._rest(rest_s)
            if self._paused or self._resting:
                self._kept = data[at:]
                return
            self._take_in(data[at : at + _SLICE])
            at += _SLICE

    def _take_in(self, data: bytes) -> None:
        try:
            self._head_size += len(data)
            self._feed(data)
            if self._head_size > 2 * _MAX_HEAD:
                raise HttpError(431, "RequestHeaderFieldsTooLarge", "The request's headers are too large.")
        except httptools.HttpParserError as error:
            # The parser wraps what its callbacks raise.
            cause = error.__context__
            if isinstance(cause, HttpError):
                self._break_off(cause)
            elif isinstance(cause, Exception) and not isinstance(cause, httptools.HttpParserError):
                self._api.on_bug(cause)
            else:
                self._break_off(HttpError(400, "BadRequest", f"The request is not HTTP: {error}."))
        except HttpError as error:
            self._break_off(error)
        except Exception as error:  # our own bug must end this environment, not hang its client
            self._api.on_bug(error)

    def eof_received(self) -> bool:
        """Called by the event loop; False closes the transport."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self._transport = None
        self._api.lost(self)
        self._release()
        message, self._message = self._message, None
        if self.service is not None and (message is not None or self._owing):
            self.service.connection_lost(self, message)

    def _feed(self, data: bytes) -> None:
        while data:
            if self._unparsed:
                data = self._add_unparsed(data)
                continue
            try:
                self._parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                # The offer is ignored, as HTTP allows. The parser is done for, and took the headers for all there is.
                self._parser = httptools.HttpRequestParser(self)
                data = data[upgrade.args[0] :]

    def _add_unparsed(self, data: bytes) -> bytes:
        """Returns what comes after the body."""
        assert self._message is not None
        body, rest = data[: self._unparsed], data[self._unparsed :]
        self._take(body)
        self._unparsed -= len(body)
        if not self._unparsed:
            self._complete()
        return rest

    # ---- httptools ----

    def on_message_begin(self) -> None:
        if self._owing:
            raise HttpError(400, "BadRequest", "A request came before the answer to the last one.")
        if self._transport is not None and self._transport.get_write_buffer_size():
            # Nobody who has read that answer can have left some of it here: it would pile up.
            raise HttpError(400, "BadRequest", "A request came before the answer to the last one was read.")
        self._message = Message()

    def on_url(self, url: bytes) -> None:
        assert self._message is not None
        self._message.target += url
        if len(self._message.target) > _MAX_HEAD:
            raise HttpError(414, "UriTooLong", "The request's target is too long.")

    def on_header(self, name: bytes, value: bytes) -> None:
        assert self._message is not None
        self._message.add_header(name, value, trailing=self._in_body)

    def on_headers_complete(self) -> None:
        message = self._message
        assert message is not None
        self._in_body = True
        message.method = self._parser.get_method()
        self.service = self._api.find(message.path)
        if self.service is not None:
            message.receiver = self.service.begin(self, message)
        if message.header(b"expect") is not None and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._take(body)

    def on_message_complete(self) -> None:
        message = self._message
        assert message is not None
        self._keep_alive = self._parser.should_keep_alive()
        length = message.header(b"content-length") if self._parser.should_upgrade() else None
        if length is not None and int(length) > 0:
            self._unparsed = int(length)
        else:
            self._complete()

    def _complete(self) -> None:
        message, self._message = self._message, None
        assert message is not None
        self._in_body = False
        self._head_size = 0
        self._owing = True
        self._release()
        try:
            if self.service is None:
                path = message.path.decode("latin-1")[:200]
                raise HttpError(404, "NotFound", f"There is no {path} in this API.")
            reply = self.service.handle(self, message)
        except HttpError as error:
            self._api.charge(_REFUSAL_WEIGHT)
            reply = error.answer()
        if reply is not None:
            self.send(reply)

    def _take(self, body: bytes) -> None:
        assert self._message is not None
        self._head_size = 0
        self._api.charge(1)
        kept = self._message.add_body(body, self.service.max_body if self.service is not None else 0)
        self._held += kept
        self._api.hold(kept)

    def _release(self) -> None:
        self._api.hold(-self._held)
        self._held = 0

    def _break_off(self, error: HttpError) -> None:
        # At once: whoever sends at the same time is not to be refused for what is gone.
        self._release()
        self._api.charge(_REFUSAL_WEIGHT)
        if self._message is not None:
            self._message.forget()
        if self._transport is not None:
            self._transport.write(error.answer())
            self._transport.close()
