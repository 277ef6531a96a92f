"""A small HTTP/1.1 server end for the Runtime API: bytes to messages and back. It knows no route.

The client is a hostile process: headers and bodies are bounded, and what is malformed gets 400 and a closed connection.
"""

from __future__ import annotations

import json
import logging
from asyncio import Protocol as AsyncioProtocol
from asyncio import Transport
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Protocol, cast

import httptools

log = logging.getLogger(__name__)

_MAX_HEAD = 64 * 1024

#: The bytes of a whole response.
Answer = bytes

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

    __slots__ = ("_chunks", "_headers", "_trailers", "method", "oversized", "size", "target")

    def __init__(self) -> None:
        self.method = b""
        self.target = b""
        self.size = 0
        self.oversized = False
        self._headers: dict[bytes, bytes] = {}
        self._trailers: dict[bytes, bytes] = {}
        self._chunks: list[bytes] = []

    def header(self, name: bytes) -> bytes | None:
        return self._headers.get(name)

    def trailer(self, name: bytes) -> bytes | None:
        return self._trailers.get(name)

    def body(self) -> bytes:
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)

    def add_header(self, name: bytes, value: bytes, *, trailing: bool) -> None:
        (self._trailers if trailing else self._headers)[name.lower()] = value

    def add_body(self, chunk: bytes, limit: int) -> None:
        self.size += len(chunk)
        if self.size > limit:
            self.oversized = True
            self._chunks.clear()
        else:
            self._chunks.append(chunk)


class Service(Protocol):
    """Who answers."""

    def handle(self, connection: Connection, message: Message) -> Answer | None:
        """None: `connection.send` gives the answer later. Raises HttpError."""

    def connection_lost(self, connection: Connection, unfinished: Message | None) -> None: ...

    def connection_bug(self, error: Exception) -> None: ...


class Connection(AsyncioProtocol):
    """One keep-alive connection, one request at a time."""

    def __init__(self, service: Service, max_body: int) -> None:
        self._service = service
        self._max_body = max_body
        self._transport: Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._message: Message | None = None
        self._head_size = 0
        self._in_body = False
        #: Bytes of a body that the parser leaves alone, because its request offers to switch protocols.
        self._unparsed = 0
        #: A request whose answer is still owed.
        self._owing = False
        self._keep_alive = True

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

    # ---- asyncio ----

    def connection_made(self, transport: Any) -> None:
        """Called by the event loop."""
        self._transport = cast(Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        try:
            self._head_size += len(data)
            if not self._in_body and self._head_size > 2 * _MAX_HEAD:
                raise HttpError(431, "RequestHeaderFieldsTooLarge", "The request's headers are too large.")
            self._feed(data)
        except httptools.HttpParserError as error:
            # The parser wraps what its callbacks raise.
            cause = error.__context__
            if isinstance(cause, HttpError):
                self._break_off(cause)
            elif isinstance(cause, Exception) and not isinstance(cause, httptools.HttpParserError):
                self._service.connection_bug(cause)
            else:
                self._break_off(HttpError(400, "BadRequest", f"The request is not HTTP: {error}."))
        except HttpError as error:
            self._break_off(error)
        except Exception as error:  # our own bug must end this environment, not hang its client
            self._service.connection_bug(error)

    def eof_received(self) -> bool:
        """Called by the event loop; False closes the transport."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self._transport = None
        self._service.connection_lost(self, self._message)

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
        self._message.add_body(body, self._max_body)
        self._unparsed -= len(body)
        if not self._unparsed:
            self._complete()
        return rest

    # ---- httptools ----

    def on_message_begin(self) -> None:
        if self._owing:
            raise HttpError(400, "BadRequest", "A request came before the answer to the last one.")
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
        if message.header(b"expect") is not None and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        assert self._message is not None
        self._message.add_body(body, self._max_body)

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
        try:
            reply = self._service.handle(self, message)
        except HttpError as error:
            reply = error.answer()
        if reply is not None:
            self.send(reply)

    def _break_off(self, error: HttpError) -> None:
        self._message = None
        if self._transport is not None:
            self._transport.write(error.answer())
            self._transport.close()
