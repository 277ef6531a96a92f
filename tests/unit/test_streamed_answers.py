"""Streamed answers cut in any way: metadata, body, errors in between, times."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.clock import SystemClock
from lambent.edge.execute_api.rest import streaming
from lambent.edge.execute_api.rest.exchange import Exchange
from lambent.edge.execute_api.rest.execution_log import ExecutionLog
from lambent.edge.http_events import streamed
from lambent.edge.http_events.responses import MalformedProxyResponse
from lambent.edge.http_events.streamed import SEPARATOR, Body, FunctionFailed, Opening, opening
from lambent.errors import UncodedError
from lambent.invoke.streams import MOST_WAITING, ResponseStream, open_stream
from lambent.ports import InvokeResult, ResponseSink
from lambent.request import BrokenOff

PRELUDE = b'{"statusCode":200,"headers":{"x":"y"}}'


def ended(error: str | None = None) -> InvokeResult:
    return InvokeResult(b'{"errorMessage":"as told"}' if error else b"", error, "$LATEST", None, cast(Any, None))


async def streaming_of(
    pieces: list[bytes], content_type: str = streamed.PRELUDE_TYPE, end: InvokeResult | Exception | None = None
) -> ResponseStream:
    async def invoke(sink: ResponseSink) -> InvokeResult:
        sink.begin(content_type)
        for piece in pieces:
            sink.write(piece)
            await asyncio.sleep(0)
        if isinstance(end, Exception):
            raise end
        return end or ended()

    return await open_stream(invoke)


async def read(pieces: list[bytes], limit: int = 1000, **more: Any) -> tuple[Opening, bytes]:
    stream = await streaming_of(pieces, **more)
    begun = await opening(stream, limit, has_prelude=streamed.is_prelude(stream.content_type))
    rest = [piece async for piece in Body(stream, "id")]
    return begun, begun.first + b"".join(rest)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in pairwise(edges)]


@given(body=st.binary(max_size=60), places=st.lists(st.integers(0, 1000), max_size=12))
def test_metadata_ends_at_the_first_eight_nul_bytes_however_it_is_cut(body: bytes, places: list[int]) -> None:
    begun, whole = asyncio.run(read(cut(PRELUDE + SEPARATOR + body, places)))
    assert (begun.prelude, whole) == (PRELUDE, body)


@given(body=st.binary(min_size=1, max_size=60), places=st.lists(st.integers(0, 1000), max_size=12))
def test_a_body_of_another_type_is_what_it_is(body: bytes, places: list[int]) -> None:
    begun, whole = asyncio.run(read(cut(body, places), content_type="text/plain"))
    assert (begun.prelude, whole) == (b"", body)


@pytest.mark.parametrize("excess", [0, 1])
@pytest.mark.parametrize("size", [1, 7, 9, 10_000])
def test_metadata_has_a_limit(size: int, excess: int) -> None:
    data = b"x" * (100 + excess) + SEPARATOR + b"body"
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    if excess:
        with pytest.raises(MalformedProxyResponse, match="first 100 bytes"):
            asyncio.run(read(pieces, limit=100))
    else:
        assert asyncio.run(read(pieces, limit=100))[1] == b"body"


@pytest.mark.parametrize(
    ("pieces", "end", "expected"),
    [
        ([], ended("Unhandled"), FunctionFailed),
        ([PRELUDE], ended("Unhandled"), FunctionFailed),
        ([PRELUDE], ended(), MalformedProxyResponse),
        ([PRELUDE], UncodedError("ServiceException", "ours", 500), UncodedError),
        ([PRELUDE + SEPARATOR + b"x"], ended("Unhandled"), BrokenOff),
        ([PRELUDE + SEPARATOR + b"x"], UncodedError("ServiceException", "ours", 500), BrokenOff),
    ],
    ids=["nothing", "within metadata", "metadata alone", "platform", "within body", "platform within body"],
)
def test_a_failure_is_told_by_where_it_comes(
    pieces: list[bytes], end: InvokeResult | Exception, expected: type[Exception]
) -> None:
    with pytest.raises(expected):
        asyncio.run(read(pieces, end=end))


def test_an_answer_that_is_let_go_of_takes_no_more_memory_and_tells_once() -> None:
    told: list[str] = []

    async def scenario() -> tuple[bool, bool, int]:
        stream = await streaming_of([b"x"], content_type="text/plain", end=ended())
        body = Body(stream, "id")
        body.ended = lambda: told.append("ended")
        was_full = not stream.write(b"x" * MOST_WAITING)
        await body.aclose()
        await body.aclose()
        takes = stream.write(b"x" * MOST_WAITING)
        return was_full, takes, len(stream._waiting)

    assert asyncio.run(scenario()) == (True, True, 0)
    assert told == ["ended"]


@pytest.mark.parametrize("content_type", ["", streamed.PRELUDE_TYPE, "text/\nplain"])
def test_a_body_without_a_type_that_can_be_sent_is_bytes(content_type: str) -> None:
    assert streamed.body_type(content_type) == (b"content-type", b"application/octet-stream")


# ---- within a REST API ----


def exchange() -> Exchange:
    api = SimpleNamespace(definition=SimpleNamespace(endpoint_type="EDGE"))
    made = SimpleNamespace(api=api, log=ExecutionLog(), content_ms=None, integration_latency_ms=None)
    return cast(Exchange, made)


async def timed(stream: ResponseStream, timeout_s: float) -> tuple[list[bytes], Exchange]:
    about, clock = exchange(), SystemClock()
    body = streaming.TimedBody(Body(stream, "id"), about, clock, began=clock.monotonic(), timeout_s=timeout_s)
    pieces: list[bytes] = []
    try:
        async for piece in body:
            pieces += [piece]
    except BrokenOff as error:
        pieces.append(str(error).encode())
    finally:
        await body.aclose()
    return pieces, about


async def hanging() -> ResponseStream:
    async def invoke(sink: ResponseSink) -> InvokeResult:
        sink.begin("text/plain")
        sink.write(b"so far")
        await asyncio.Event().wait()
        return ended()

    return await open_stream(invoke)


def test_a_stream_that_falls_silent_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "_IDLE_S", {"EDGE": 0.01})

    async def scenario() -> tuple[list[bytes], Exchange]:
        return await timed(await hanging(), 60)

    pieces, about = asyncio.run(scenario())
    assert pieces == [b"so far", b"Execution failed due to a timeout error: idle for 0.01 s"]
    assert about.content_ms is not None
    assert about.integration_latency_ms is not None


def test_a_stream_that_takes_too_long_is_broken_off() -> None:
    async def scenario() -> tuple[list[bytes], Exchange]:
        return await timed(await hanging(), 0.01)

    pieces, _ = asyncio.run(scenario())
    assert pieces == [b"so far", b"Execution failed due to a timeout error: it took longer than its timeout"]
