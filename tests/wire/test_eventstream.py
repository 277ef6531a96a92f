"""Event streams: frames against botocore's own reader, and the streams of real operations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from botocore.awsrequest import HeadersDict
from botocore.eventstream import EventStreamBuffer
from botocore.parsers import create_parser
from conformance.services import botocore_model, router
from hypothesis import given, settings
from hypothesis import strategies as st

from lambent import wire
from lambent.errors import AwsError, SerializationException, UncodedError
from lambent.request import Request, Response
from lambent.wire.api_model import ApiModels
from lambent.wire.eventstream import EventReader, Frame, FrameDecoder, decode_frames, encode_frame
from lambent.wire.parse.rest_json import RestJsonParser

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

header_values = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.binary(max_size=40),
    st.text(max_size=40),
    st.integers(0, 10**13).map(lambda ms: EPOCH + timedelta(milliseconds=ms)),
    st.uuids(),
)
frames = st.builds(
    Frame, headers=st.dictionaries(st.text(min_size=1, max_size=20), header_values, max_size=4), payload=st.binary()
)


@settings(derandomize=True, max_examples=60, database=None)
@given(st.lists(frames, max_size=4), st.integers(1, 50))
def test_frames_come_back_equal_however_they_are_cut(sent: list[Frame], size: int) -> None:
    data = b"".join(map(encode_frame, sent))
    decoder = FrameDecoder()
    received = [frame for at in range(0, len(data), size) for frame in decoder.feed(data[at : at + size])]
    decoder.finish()
    assert sent == received


@settings(derandomize=True, max_examples=60, database=None)
@given(frames)
def test_botocore_reads_the_frames(frame: Frame) -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(encode_frame(frame))
    (message,) = list(buffer)
    assert frame.payload == message.payload
    expected = {
        name: (value - EPOCH) // timedelta(milliseconds=1)
        if isinstance(value, datetime)
        else value.bytes
        if isinstance(value, UUID)
        else value
        for name, value in frame.headers.items()
    }
    assert expected == message.headers


def test_integers_of_every_size_have_their_type() -> None:
    frame = Frame({"a": 1, "b": -2, "c": 3, "d": -4})
    raw = encode_frame(frame, {"a": 2, "b": 3, "c": 4, "d": 5})
    assert decode_frames(raw) == [frame]
    assert len(raw) == 16 + 4 * 3 + 1 + 2 + 4 + 8


def test_a_header_may_be_thirty_thousand_bytes_long() -> None:
    assert decode_frames(encode_frame(Frame({"h": "x" * 30_000}))) == [Frame({"h": "x" * 30_000})]


@settings(derandomize=True, max_examples=150, database=None)
@given(frames, st.data())
def test_damaged_frames_are_refused(frame: Frame, data: st.DataObject) -> None:
    raw = bytearray(encode_frame(frame))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SerializationException):
        decode_frames(bytes(raw))


@settings(derandomize=True, max_examples=100, database=None)
@given(st.binary(max_size=200))
def test_random_bytes_are_refused(raw: bytes) -> None:
    if raw:
        with pytest.raises(SerializationException):
            decode_frames(raw)


# ---- streams of operations -----------------------------------------------------------------------------------------


def answer(service: str, name: str, result: dict[str, Any]) -> tuple[Response, bytes]:
    protocol = botocore_model(service, "").metadata["protocol"]
    compiled = router()._codecs[service, protocol].operation(name)
    assert compiled is not None
    request = Request("POST", b"/", b"", [], b"", "request-1")

    async def collect() -> tuple[Response, bytes]:
        response = wire.serialize(compiled.match({}), result, request)
        assert response.stream is not None
        return response, b"".join([chunk async for chunk in response.stream])

    return asyncio.run(collect())


async def stream(*events: Any) -> AsyncIterator[dict[str, Any]]:
    for event in events:
        if isinstance(event, Exception):
            raise event
        yield event


class Raw:
    """What botocore reads a streaming body from."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self) -> list[bytes]:
        return [self._data[at : at + 7] for at in range(0, len(self._data), 7)]

    def close(self) -> None:
        pass


def botocore_parses(service: str, name: str, response: Response, body: bytes) -> dict[str, Any]:
    model = botocore_model(service, "")
    shape = model.operation_model(name).output_shape
    seen = {
        "status_code": response.status,
        "headers": HeadersDict((key.decode(), value.decode()) for key, value in response.headers),
        "body": Raw(body),
        "context": {"operation_name": name},
    }
    parsed: dict[str, Any] = create_parser(model.metadata["protocol"]).parse(seen, shape)
    return parsed


def test_invoke_with_response_stream() -> None:
    events = [
        {"PayloadChunk": {"Payload": b"\x00one"}},
        {"PayloadChunk": {"Payload": b"two"}},
        {"InvokeComplete": {"ErrorCode": "Unhandled", "LogResult": "bG9n"}},
    ]
    result = {"StatusCode": 200, "ExecutedVersion": "$LATEST", "EventStream": stream(*events)}
    response, body = answer("lambda", "InvokeWithResponseStream", result)
    assert dict(response.headers)[b"content-type"] == b"application/vnd.amazon.eventstream"
    parsed = botocore_parses("lambda", "InvokeWithResponseStream", response, body)
    assert (parsed["ExecutedVersion"], list(parsed["EventStream"])) == ("$LATEST", events)


def test_stream_of_a_json_protocol_begins_with_the_other_members() -> None:
    event = {"sessionStart": {"requestId": "r", "sessionId": "s", "logGroupIdentifiers": ["g"]}}
    response, body = answer("logs", "StartLiveTail", {"responseStream": stream(event)})
    parsed = botocore_parses("logs", "StartLiveTail", response, body)
    assert list(parsed["responseStream"]) == [event]
    assert decode_frames(body)[0].headers[":event-type"] == "initial-response"


def test_stream_in_xml() -> None:
    events = [
        {"Records": {"Payload": b"a,b\n"}},
        {"Stats": {"Details": {"BytesScanned": 4, "BytesProcessed": 4, "BytesReturned": 4}}},
        {"End": {}},
    ]
    response, body = answer("s3", "SelectObjectContent", {"Payload": stream(*events)})
    assert list(botocore_parses("s3", "SelectObjectContent", response, body)["Payload"]) == events


class SessionTimeoutException(AwsError):
    """the session has timed out"""


def test_exception_of_the_model_ends_a_stream() -> None:
    event = {"sessionUpdate": {"sessionResults": []}}
    _, body = answer("logs", "StartLiveTail", {"responseStream": stream(event, SessionTimeoutException())})
    last = decode_frames(body)[-1]
    assert last.headers[":message-type"] == "exception"
    assert last.headers[":exception-type"] == "SessionTimeoutException"
    assert b"the session has timed out" in last.payload


def test_other_errors_end_a_stream_by_their_code() -> None:
    broken = stream({"PayloadChunk": {"Payload": b"x"}}, UncodedError("ServiceException", "gone"))
    _, body = answer("lambda", "InvokeWithResponseStream", {"EventStream": broken})
    assert decode_frames(body)[-1].headers == {
        ":message-type": "error",
        ":error-code": "ServiceException",
        ":error-message": "gone",
    }


def test_a_fault_of_the_handler_breaks_the_stream_visibly() -> None:
    request = Request("POST", b"/", b"", [], b"", "request-1")
    compiled = router()._codecs["lambda", "rest-json"].operation("InvokeWithResponseStream")
    assert compiled is not None

    async def collect() -> list[bytes]:
        response = wire.serialize(compiled.match({}), {"EventStream": stream(KeyError("bug"))}, request)
        assert response.stream is not None
        chunks = [await anext(response.stream)]
        with pytest.raises(KeyError, match="bug"):
            await anext(response.stream)
        return chunks

    (chunk,) = asyncio.run(collect())
    assert decode_frames(chunk)[0].headers[":error-code"] == "InternalFailure"


# ---- streams in ----------------------------------------------------------------------------------------------------


def test_events_of_a_request_are_read() -> None:
    model = ApiModels(["lexv2-runtime"]).service("lexv2-runtime").operation("StartConversation")
    assert model is not None
    events = [
        Frame({":message-type": "event", ":event-type": "TextInputEvent"}, b'{"text":"hi","eventId":"e"}'),
        Frame({":message-type": "event", ":event-type": "Unheard"}, b"{}"),
        Frame({":message-type": "event", ":event-type": "DisconnectionEvent"}, b'{"eventId":"f"}'),
    ]
    signed = Frame({":date": EPOCH, ":chunk-signature": b"s"}, encode_frame(events[2]))
    body = encode_frame(events[0]) + encode_frame(events[1]) + encode_frame(signed)
    labels = {"botId": "b", "botAliasId": "a", "localeId": "l", "sessionId": "s"}
    params = RestJsonParser().compile(model)(Request("POST", b"/", b"", [], body, "r"), labels)
    assert params["requestEventStream"] == [
        {"TextInputEvent": {"text": "hi", "eventId": "e"}},
        {"DisconnectionEvent": {"eventId": "f"}},
    ]


def test_events_with_raw_payloads_and_headers_are_read() -> None:
    output = ApiModels(["lambda"]).service("lambda").operation("InvokeWithResponseStream").output  # type: ignore[union-attr]
    assert output is not None
    reader = EventReader(output.members["EventStream"], lambda shape: lambda data: data)
    frame = Frame({":event-type": "PayloadChunk"}, b"\x01\x02")
    assert reader.read(frame) == {"PayloadChunk": {"Payload": b"\x01\x02"}}
