"""Event streams (`application/vnd.amazon.eventstream`): frames, and the events of a model's stream inside them.

A frame is a prelude (length of all, length of headers, CRC of both), typed headers, a payload and a CRC of the whole.
An error that a handler raises in the middle of a stream becomes the stream's last frame: its status is long sent.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zlib import crc32

from lambent.errors import AwsError, InternalFailure, SerializationException
from lambent.wire.api_model import Shape

CONTENT_TYPE = b"application/vnd.amazon.eventstream"

HeaderValue = bool | int | bytes | str | datetime | UUID
StreamBody = AsyncIterator[bytes]
#: Compiles how the given members of a structure are written as a payload.
CompileBody = Callable[[Shape, frozenset[str]], Callable[[dict[str, Any]], bytes]]
#: Compiles how a payload is read into a value of a shape.
CompileReader = Callable[[Shape], Callable[[bytes], Any]]

_PRELUDE = struct.Struct(">III")
_LENGTH = struct.Struct(">H")
_INTEGERS = {2: struct.Struct(">b"), 3: struct.Struct(">h"), 4: struct.Struct(">i"), 5: struct.Struct(">q")}
_INTEGER_TYPES = {"byte": 2, "short": 3, "integer": 4, "long": 5}
_SMALLEST = 16
#: AWS's limits of one frame and of its headers.
_LARGEST = 24 * 1024 * 1024
_LARGEST_HEADERS = 128 * 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Frame:
    headers: Mapping[str, HeaderValue] = field(default_factory=dict)
    payload: bytes = b""


# ---- frames --------------------------------------------------------------------------------------------------------


def encode_frame(frame: Frame, integer_types: Mapping[str, int] | None = None) -> bytes:
    """`integer_types` gives the wire type of integer headers; without one they are 8 bytes long."""
    headers = b"".join(
        _encode_header(name, value, (integer_types or {}).get(name, 5)) for name, value in frame.headers.items()
    )
    lengths = struct.pack(">II", _SMALLEST + len(headers) + len(frame.payload), len(headers))
    start = b"".join((lengths, crc32(lengths).to_bytes(4, "big"), headers, frame.payload))
    return start + crc32(start).to_bytes(4, "big")


def _encode_header(name: str, value: HeaderValue, integer_type: int) -> bytes:
    raw_name = name.encode()
    start = bytes((len(raw_name),)) + raw_name
    if value is True or value is False:
        return start + (b"\x00" if value else b"\x01")
    if isinstance(value, int):
        return start + bytes((integer_type,)) + _INTEGERS[integer_type].pack(value)
    if isinstance(value, datetime):
        return start + b"\x08" + _INTEGERS[5].pack((value - _EPOCH) // _MILLISECOND)
    if isinstance(value, UUID):
        return start + b"\x09" + value.bytes
    raw = value.encode() if isinstance(value, str) else value
    return start + (b"\x07" if isinstance(value, str) else b"\x06") + _LENGTH.pack(len(raw)) + raw


class FrameDecoder:
    """Cuts bytes, as they come, into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def __repr__(self) -> str:
        return f"<FrameDecoder {len(self._buffer)} bytes waiting>"

    def feed(self, data: bytes) -> Iterator[Frame]:
        self._buffer += data
        while len(self._buffer) >= _PRELUDE.size:
            total, headers_length, checksum = _PRELUDE.unpack_from(self._buffer)
            if crc32(bytes(self._buffer[:8])) != checksum:
                raise SerializationException("The prelude of an event stream message has a wrong checksum.")
            if not _SMALLEST + headers_length <= total <= _LARGEST or headers_length > _LARGEST_HEADERS:
                raise SerializationException("An event stream message has an impossible length.")
            if len(self._buffer) < total:
                return
            message = bytes(self._buffer[:total])
            del self._buffer[:total]
            yield _decode_frame(message, headers_length)

    def finish(self) -> None:
        """The bytes have ended: half a frame is an error."""
        if self._buffer:
            raise SerializationException("An event stream ends in the middle of a message.")


def decode_frames(data: bytes) -> list[Frame]:
    """The frames of a whole stream."""
    decoder = FrameDecoder()
    frames = list(decoder.feed(data))
    decoder.finish()
    return frames


def _decode_frame(message: bytes, headers_length: int) -> Frame:
    if crc32(message[:-4]) != int.from_bytes(message[-4:], "big"):
        raise SerializationException("An event stream message has a wrong checksum.")
    end = _PRELUDE.size + headers_length
    try:
        headers = dict(_decode_headers(message[_PRELUDE.size : end]))
    except (struct.error, IndexError, ValueError, OverflowError) as error:
        raise SerializationException("An event stream message has malformed headers.") from error
    return Frame(headers, message[end:-4])


def _decode_headers(raw: bytes) -> Iterator[tuple[str, HeaderValue]]:
    at = 0
    while at < len(raw):
        name_end = at + 1 + raw[at]
        name, kind = raw[at + 1 : name_end].decode(), raw[name_end]
        at = name_end + 1
        if kind in (0, 1):
            yield name, kind == 0
            continue
        if kind in (6, 7):
            (length,) = _LENGTH.unpack_from(raw, at)
            at += _LENGTH.size
        else:
            length = 8 if kind == 8 else 16 if kind == 9 else _INTEGERS[kind].size if kind in _INTEGERS else -1
        value = raw[at : at + length]
        if length < 0 or len(value) != length:
            raise ValueError(f"header {name} of type {kind}")
        at += length
        yield name, _decode_value(kind, value)


def _decode_value(kind: int, raw: bytes) -> HeaderValue:
    if kind == 6:
        return raw
    if kind == 7:
        return raw.decode()
    if kind == 8:
        return _EPOCH + timedelta(milliseconds=int.from_bytes(raw, "big", signed=True))
    return UUID(bytes=raw) if kind == 9 else int.from_bytes(raw, "big", signed=True)


# ---- events out ----------------------------------------------------------------------------------------------------


class EventWriter:
    """Writes the events of one stream shape. `compile_body` and `content_type` are the protocol's."""

    def __init__(self, shape: Shape, compile_body: CompileBody, content_type: str) -> None:
        self._content_type = content_type
        self._events = {name: self._event(name, member, compile_body) for name, member in shape.members.items()}
        self._exceptions = {member.name: name for name, member in shape.members.items() if member.data.exception}

    def encode(self, event: dict[str, Any]) -> bytes:
        """One event, `{"PayloadChunk": {"Payload": b"…"}}`."""
        ((name, value),) = event.items()
        return self._events[name](value or {})

    def error(self, error: AwsError) -> bytes:
        """The last frame of a stream that failed: an exception of the model, else a plain error."""
        member = self._exceptions.get(error.wire_code)
        if member is not None:
            return self._events[member]({"message": error.message, "Message": error.message} | error.members)
        headers = {":message-type": "error", ":error-code": error.wire_code, ":error-message": error.message}
        return encode_frame(Frame(headers))

    async def stream(
        self, events: AsyncIterator[dict[str, Any]] | None, initial_response: bytes | None = None
    ) -> StreamBody:
        """Frames of all events; protocols without headers of their own put the other members in front."""
        if initial_response is not None:
            headers = {":event-type": "initial-response", ":content-type": self._content_type, ":message-type": "event"}
            yield encode_frame(Frame(headers, initial_response))
        try:
            if events is not None:
                async for event in events:
                    yield self.encode(event)
        except AwsError as error:
            yield self.error(error)
        except Exception:
            # The client must learn that the stream is broken, not complete; the server's log gets the cause.
            yield self.error(InternalFailure())
            raise
        finally:
            # Whoever hangs up in the middle closes this generator, and with it what it reads.
            if isinstance(events, AsyncGenerator):
                await events.aclose()

    def _event(self, name: str, shape: Shape, compile_body: CompileBody) -> Callable[[dict[str, Any]], bytes]:
        exception = shape.data.exception
        kind = {":exception-type" if exception else ":event-type": name}
        kind[":message-type"] = "exception" if exception else "event"
        header_members = {key: member for key, member in shape.members.items() if member.eventheader}
        integer_types = {
            key: _INTEGER_TYPES[member.type] for key, member in header_members.items() if member.type in _INTEGER_TYPES
        }
        payload, content_type = self._payload(shape, compile_body, frozenset(shape.members) - header_members.keys())

        def write(value: dict[str, Any]) -> bytes:
            headers: dict[str, HeaderValue] = dict(kind)
            body = payload(value)
            if content_type and body is not None:
                headers[":content-type"] = content_type
            headers |= {key: value[key] for key in header_members if value.get(key) is not None}
            return encode_frame(Frame(headers, body or b""), integer_types)

        return write

    def _payload(
        self, shape: Shape, compile_body: CompileBody, members: frozenset[str]
    ) -> tuple[Callable[[dict[str, Any]], bytes | None], str]:
        chosen = next(((key, member) for key, member in shape.members.items() if member.eventpayload), None)
        if chosen is None:
            return (compile_body(shape, members), self._content_type) if members else ((lambda _value: None), "")
        key, member = chosen
        if member.type in {"blob", "string"}:
            raw_type = "application/octet-stream" if member.type == "blob" else "text/plain"
            return (lambda value: _raw(value.get(key))), raw_type
        inner = compile_body(member, frozenset(member.members))
        return (lambda value: inner(value.get(key) or {})), self._content_type


def _raw(value: bytes | str | None) -> bytes:
    return value.encode() if isinstance(value, str) else value or b""


# ---- events in -----------------------------------------------------------------------------------------------------


class EventReader:
    """Reads the events of one stream shape out of frames."""

    def __init__(self, shape: Shape, compile_reader: CompileReader) -> None:
        self._events = {name: self._event(member, compile_reader) for name, member in shape.members.items()}

    def read(self, frame: Frame) -> dict[str, Any] | None:
        """`{"AudioEvent": {…}}`; None for a frame that the model does not know."""
        name = frame.headers.get(":event-type", frame.headers.get(":exception-type"))
        event = self._events.get(name) if isinstance(name, str) else None
        return {str(name): event(frame)} if event else None

    def read_all(self, data: bytes) -> list[dict[str, Any]]:
        """The events of a request's body. A frame may be wrapped in another one that carries its signature."""
        events = []
        for frame in decode_frames(data):
            inner = decode_frames(frame.payload) if ":chunk-signature" in frame.headers else [frame]
            events += [event for event in map(self.read, inner) if event is not None]
        return events

    def _event(self, shape: Shape, compile_reader: CompileReader) -> Callable[[Frame], dict[str, Any]]:
        headers = tuple(name for name, member in shape.members.items() if member.eventheader)
        chosen = next(((name, member) for name, member in shape.members.items() if member.eventpayload), None)
        has_body = len(headers) < len(shape.members)
        read_payload = compile_reader(chosen[1] if chosen else shape) if has_body else None

        def read(frame: Frame) -> dict[str, Any]:
            value: dict[str, Any] = {}
            if chosen and chosen[1].type == "blob":
                value[chosen[0]] = frame.payload
            elif chosen and chosen[1].type == "string":
                value[chosen[0]] = frame.payload.decode(errors="replace")
            elif read_payload and frame.payload:
                value = {chosen[0]: read_payload(frame.payload)} if chosen else read_payload(frame.payload)
            value |= {name: frame.headers[name] for name in headers if name in frame.headers}
            return value

        return read
