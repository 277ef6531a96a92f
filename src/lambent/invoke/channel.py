"""Talking to a runtime that speaks frames: one length-prefixed frame each way over a socket pair.

A frame is a 4-byte big-endian length of what follows, a type byte and a body. Nothing here waits: bytes go out in one
`send` where the socket takes them, the rest when it can; bodies are opaque and never copied more often than needed.
The other end is hostile: a frame that is too long or of unknown type ends the conversation.
"""

from __future__ import annotations

import logging
import socket
import struct
from asyncio import AbstractEventLoop
from typing import Protocol

from lambent.invoke.faults import MAX_PAYLOAD, valid_error_type

log = logging.getLogger(__name__)

_HEAD = struct.Struct(">IB")
_INVOKE_HEAD = struct.Struct(">IBH")
_INIT, _INVOKE = ord("I"), ord("V")
_READY, _INIT_ERROR, _RESPONSE, _ERROR, _FATAL = ord("R"), ord("X"), ord("S"), ord("E"), ord("F")
#: A streamed response: its content type; its pieces; that it is whole; the end of its invocation, with error type, NUL
#: and payload where it failed.
_STREAM, _PIECE, _WHOLE, _STREAM_END = ord("B"), ord("P"), ord("W"), ord("Z")
#: A body may also carry an error type before its payload.
_MAX_FRAME = MAX_PAYLOAD + 4096
_MAX_PIECE = 256 * 1024
_MAX_CONTENT_TYPE = 1024
_RECEIVE = 64 * 1024
#: Bytes received in one turn of the event loop.
_TURN = 1024 * 1024
#: Frames handled in one turn, after which nobody listens for a while: the smallest costs everybody's event loop as much
#: as a large one.
_MOST_FRAMES = 500
_REST_S = 0.02
#: Of those that a dead process left behind.
_LAST_FRAMES = 10_000


class RuntimeEvents(Protocol):
    """What a runtime tells its environment, over frames or HTTP. Each is called by the event loop."""

    def runtime_ready(self) -> None:
        """Init is done; it waits for an invocation."""

    def runtime_init_failed(self, error_type: str, payload: bytes) -> None: ...

    def runtime_responded(self, payload: bytes) -> None: ...

    def runtime_erred(self, error_type: str, payload: bytes) -> None: ...

    def runtime_stream_began(self, content_type: str) -> None:
        """It began to respond piece by piece."""

    def runtime_stream_piece(self, piece: bytes) -> None: ...

    def runtime_stream_whole(self) -> None:
        """The streamed response is whole; the function may go on."""

    def runtime_stream_ended(self, error_type: str, payload: bytes) -> None:
        """The invocation is over; where `error_type` is not "", the streamed response ended early with this error."""

    def runtime_crashed(self, payload: bytes) -> None:
        """It answers with an error that its process ends with: it takes no further invocation."""

    def runtime_oversized(self) -> None:
        """It sent a response over the limit."""

    def runtime_lost(self, reason: str) -> None:
        """No more comes from it: it closed its end, and has exited or is about to."""

    def runtime_misbehaved(self, reason: str) -> None:
        """It said what cannot be true now or makes no sense. It may be in the middle of anything."""

    def runtime_bug(self, error: Exception) -> None:
        """Our own code failed while handling what it sent."""


class RuntimeLink(Protocol):
    """The server's end of one runtime process."""

    def init(self, body: bytes) -> None: ...

    def invoke(self, header: Header, payload: bytes, *, streamed: bool = False) -> None:
        """`streamed`: the caller takes the response piece by piece, from whatever runtime."""

    def pause(self) -> None:
        """Read no more of a streamed response until `resume`, so that the runtime has to wait with writing it.

        What was read already still comes."""

    def resume(self) -> None: ...

    def drain(self) -> None:
        """Handle what has arrived already: the process is gone, its last words may not be read yet."""

    def overhead_s(self) -> float:
        """How long ago the last answer was whole, where a runtime asks for the next invocation apart from that."""

    def close(self) -> None: ...


#: request_id, deadline_ms, invoked_function_arn, trace_id, client_context, cognito_identity, tenant_id.
Header = tuple[str, str, str, str, str, str, str]


def header_text(value: bytes) -> str:
    """What a runtime names as its content type, as far as it can stand in a header."""
    text = value.decode("latin-1")
    return text if text.isprintable() and text.isascii() else ""


class FrameChannel:
    """A RuntimeLink over the frames of Lambent's own bootstraps."""

    def __init__(self, loop: AbstractEventLoop, sock: socket.socket, events: RuntimeEvents) -> None:
        self._loop = loop
        self._socket = sock
        self._fd = sock.fileno()
        self._events = events
        # Receiving. Either `_buffer` holds the beginning of a frame, or `_body` is a long one being filled.
        self._buffer = b""
        self._body: memoryview | None = None
        self._filled = 0
        # Sending
        self._unsent: list[memoryview] = []
        self._open = True
        self._paused = False
        self._resting = False
        #: `_buffer` may begin with whole frames.
        self._behind = False
        self._most_frames = _MOST_FRAMES
        #: Invariant: open, and neither paused, resting nor behind.
        self._watching = True
        loop.add_reader(self._fd, self._on_readable)

    def init(self, body: bytes) -> None:
        self._send(_HEAD.pack(len(body) + 1, _INIT), body)

    def invoke(self, header: Header, payload: bytes, *, streamed: bool = False) -> None:
        fields = "\0".join(header).encode()
        head = _INVOKE_HEAD.pack(3 + len(fields) + len(payload), _INVOKE, len(fields)) + fields
        self._send(head, payload)

    def pause(self) -> None:
        self._paused = True
        self._watch()

    def resume(self) -> None:
        self._paused = False
        if self._behind and not self._resting:
            self._rest(0)
        self._watch()

    def drain(self) -> None:
        self._most_frames = _LAST_FRAMES
        self._catch_up()
        # A process can leave at most its socket buffer behind, far less than this many turns.
        for _ in range(16):
            if not self._open or self._behind or not self._receive():
                return

    def overhead_s(self) -> float:
        """Who answers in a frame asks for the next with it."""
        return 0.0

    def close(self) -> None:
        """Idempotent. The socket stays open: it belongs to the sandbox."""
        if self._open:
            self._open = False
            self._watch()
            if self._unsent:
                self._unsent.clear()
                self._loop.remove_writer(self._fd)

    # ---- receiving ----

    def _watch(self) -> None:
        watching = self._open and not (self._paused or self._resting or self._behind)
        if watching is self._watching:
            return
        self._watching = watching
        if watching:
            self._loop.add_reader(self._fd, self._on_readable)
        else:
            self._loop.remove_reader(self._fd)

    def _rest(self, seconds: float) -> None:
        self._resting = True
        self._loop.call_later(seconds, self._wake)

    def _wake(self) -> None:
        """Called by the event loop."""
        self._resting = False
        if self._open and not self._paused:
            try:
                self._catch_up()
            except Exception as error:  # our own bug must end this environment, not hang its client
                self._events.runtime_bug(error)
        self._watch()

    def _catch_up(self) -> None:
        if self._behind:
            self._behind = False
            data, self._buffer = self._buffer, b""
            self._split(data)

    def _on_readable(self) -> None:
        try:
            self._receive()
        except Exception as error:  # our own bug must end this environment, not hang its client
            self._events.runtime_bug(error)

    def _receive(self) -> bool:
        """Read once and handle; False when there was nothing."""
        if self._body is not None:
            return self._receive_body()
        try:
            data = self._socket.recv(_RECEIVE)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            return self._lose(f"reading from it failed: {error}")
        if not data:
            return self._lose("it closed its channel")
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        if len(data) >= 5:
            length, kind = _HEAD.unpack_from(data)
            if length + 4 == len(data):  # the common case: one whole frame
                self._handle(kind, data[5:])
                return True
        self._split(data)
        return True

    def _split(self, data: bytes) -> None:
        at, size, frames = 0, len(data), 0
        while size - at >= 5 and self._open:
            if frames == self._most_frames:
                self._behind = True
                self._rest(_REST_S)
                self._watch()
                break
            frames += 1
            length, kind = _HEAD.unpack_from(data, at)
            end = at + 4 + length
            if not 1 <= length <= _MAX_FRAME:
                self._refuse(length, kind)
                return
            if end > size:
                if length > _RECEIVE:
                    self._begin_body(data[at + 4 :], length)
                    return
                break
            self._handle(kind, data[at + 5 : end])
            at = end
        self._buffer = data[at:]

    def _refuse(self, length: int, kind: int) -> None:
        if kind == _RESPONSE and length > _MAX_FRAME:
            self._events.runtime_oversized()
        else:
            self._events.runtime_misbehaved(f"it sent a frame of {length} bytes")

    def _begin_body(self, beginning: bytes, length: int) -> None:
        """`beginning` starts with the type byte."""
        self._body = memoryview(bytearray(length))
        self._filled = len(beginning)
        self._body[: self._filled] = beginning

    def _receive_body(self) -> bool:
        body = self._body
        assert body is not None
        limit = self._filled + _TURN
        while self._filled < min(len(body), limit):
            try:
                received = self._socket.recv_into(body[self._filled :])
            except (BlockingIOError, InterruptedError):
                return False
            except OSError as error:
                return self._lose(f"reading from it failed: {error}")
            if not received:
                return self._lose("it closed its channel within a frame")
            self._filled += received
        if self._filled == len(body):
            self._body = None
            self._handle(body[0], bytes(body[1:]))
        return True

    def _handle(self, kind: int, body: bytes) -> None:
        events = self._events
        if kind == _RESPONSE:
            if len(body) > MAX_PAYLOAD:
                events.runtime_oversized()
            else:
                events.runtime_responded(body)
        elif kind == _ERROR:
            error_type, _, payload = body.partition(b"\0")
            events.runtime_erred(valid_error_type(error_type), payload)
        elif kind == _FATAL:
            events.runtime_crashed(body.partition(b"\0")[2])
        elif kind == _READY:
            events.runtime_ready()
        elif kind == _INIT_ERROR:
            error_type, _, payload = body.partition(b"\0")
            events.runtime_init_failed(valid_error_type(error_type), payload)
        else:
            self._handle_stream(kind, body)

    def _handle_stream(self, kind: int, body: bytes) -> None:
        events = self._events
        if kind == _PIECE and len(body) <= _MAX_PIECE:
            events.runtime_stream_piece(body)
        elif kind == _WHOLE:
            events.runtime_stream_whole()
        elif kind == _STREAM and len(body) <= _MAX_CONTENT_TYPE:
            events.runtime_stream_began(header_text(body))
        elif kind == _STREAM_END:
            error_type, _, payload = body.partition(b"\0")
            events.runtime_stream_ended(valid_error_type(error_type) if body else "", payload)
        else:
            events.runtime_misbehaved(f"it sent a frame of type {kind} and {len(body)} bytes")

    def _lose(self, reason: str) -> bool:
        self.close()
        self._events.runtime_lost(reason)
        return False

    # ---- sending ----

    def _send(self, head: bytes, body: bytes) -> None:
        if self._unsent:
            self._unsent += [memoryview(head), memoryview(body)]
            return
        total = len(head) + len(body)
        try:
            # Joining small frames is cheaper than gathering them.
            sent = self._socket.send(head + body) if total <= _RECEIVE else self._socket.sendmsg([head, body])
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            # The process is gone; the reader learns how.
            return
        if sent < total:
            self._keep(head, body, sent)

    def _keep(self, head: bytes, body: bytes, sent: int) -> None:
        if sent < len(head):
            self._unsent.append(memoryview(head)[sent:])
            sent = len(head)
        self._unsent.append(memoryview(body)[sent - len(head) :])
        self._loop.add_writer(self._fd, self._on_writable)

    def _on_writable(self) -> None:
        try:
            while self._unsent:
                sent = self._socket.send(self._unsent[0])
                if sent < len(self._unsent[0]):
                    self._unsent[0] = self._unsent[0][sent:]
                    return
                self._unsent.pop(0)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._unsent.clear()
        self._loop.remove_writer(self._fd)
