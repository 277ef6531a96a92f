"""Streamed responses through the invoker, from real processes that speak frames, and lie in them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from lambent.invoke.errors import ServiceException, TooManyRequestsException
from lambent.invoke.faults import MAX_PAYLOAD
from lambent.invoke.streams import ResponseStream, open_stream
from lambent.ports import FunctionVersion
from tests.invoke_support import Bench, bench, do, function

BEGIN = {"frame": "Btext/plain"}


def run(folder: Path, scenario: Callable[[Bench], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with bench(folder) as b:
            await scenario(b)

    asyncio.run(main())


async def stream(b: Bench, *steps: dict[str, Any], of: FunctionVersion | None = None) -> ResponseStream:
    invocation = do(*steps)
    return await open_stream(lambda sink: b.invoker.invoke(of or function(), replace(invocation, stream=sink)))


async def read(stream: ResponseStream) -> bytes:
    return b"".join([piece async for piece in stream])


def test_pieces_come_as_they_are_written_and_the_result_behind_them(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        opened = await stream(
            b, BEGIN, {"frame": "Pone "}, {"sleep": 0.2}, {"frame": "Ptwo"}, {"frame": "W"}, {"end": ""}
        )
        assert opened.content_type == "text/plain"
        assert await anext(opened) == b"one "
        assert opened.result is None
        assert await anext(opened) == b"two"
        assert await read(opened) == b""
        result = await opened.ending()
        assert (result.payload, result.function_error, opened.is_whole) == (b"", None, True)
        record = result.record
        assert record.streamed_bytes == 7
        assert record.first_byte_ms is not None
        # Of the 200 ms between the pieces; a busy machine reads the first one late.
        assert record.first_byte_ms < record.duration_ms - 50
        # The same environment answers the next one, which streams nothing.
        assert (await b.invoker.invoke(function(), do({"calls": 0}))).payload == b"2"

    run(tmp_path, scenario)


def test_who_does_not_ask_for_a_stream_gets_the_whole(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        steps = BEGIN, {"frame": "Pone "}, {"frame": "Ptwo"}, {"frame": "W"}
        result = await b.invoker.invoke(function(), do(*steps, {"end": ""}))
        assert (result.payload, result.record.streamed_bytes) == (b"one two", 0)
        failed = await b.invoker.invoke(function(), do(*steps, {"end": 'X\0{"errorType":"X"}'}))
        assert (failed.payload, failed.function_error) == (b'{"errorType":"X"}', "Unhandled")

    run(tmp_path, scenario)


def test_who_asks_for_a_stream_of_what_does_not_stream_gets_one_piece(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        opened = await stream(b, {"echo": "whole"})
        assert [piece async for piece in opened] == [b'"whole"']
        assert (opened.content_type, opened.is_whole) == ("application/json", True)
        failed = await stream(b, {"error": "boom"})
        assert [piece async for piece in failed] == []
        assert (failed.content_type, failed.is_whole) == ("", False)
        assert json.loads((await failed.ending()).payload)["errorMessage"] == "boom"

    run(tmp_path, scenario)


def test_a_process_that_dies_in_the_middle_ends_the_stream_with_its_exit(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        opened = await stream(b, BEGIN, {"frame": "Ppart"}, {"exit": 3})
        assert await read(opened) == b"part"
        result = await opened.ending()
        assert "exit status 3" in json.loads(result.payload)["errorMessage"]
        assert (opened.is_whole, result.record.streamed_bytes) == (False, 4)
        assert (await b.invoker.invoke(function(), do({"calls": 0}))).payload == b"1"

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    "lies",
    [
        [{"frame": "Pearly"}],
        [{"frame": "W"}],
        [{"frame": "Z"}],
        [BEGIN, BEGIN],
        [{"frame": "B" + "x" * 2000}],
        [BEGIN, {"pieces": [1, 300_000]}],
        [BEGIN, {"frame": "Q"}],
    ],
    ids=["piece", "whole", "end", "twice", "type", "piece-size", "unknown"],
)
def test_a_runtime_that_lies_about_its_stream_is_reset(tmp_path: Path, lies: list[dict[str, Any]]) -> None:
    async def scenario(b: Bench) -> None:
        opened = await stream(b, *lies, {"sleep": 60})
        assert await read(opened) == b""
        assert json.loads((await opened.ending()).payload)["errorType"] == "Runtime.ExitError"
        assert (await b.invoker.invoke(function(), do({"calls": 0}))).payload == b"1"

    run(tmp_path, scenario)


def test_a_content_type_that_would_write_headers_of_its_own_is_none(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        opened = await stream(b, {"frame": "Ba/b\r\nset-cookie: x"}, {"frame": "Px"}, {"frame": "W"}, {"end": ""})
        assert (opened.content_type, await read(opened)) == ("", b"x")

    run(tmp_path, scenario)


def test_what_is_collected_has_the_limit_of_whole_responses(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        size = MAX_PAYLOAD // 200_000 * 200_000
        most = BEGIN, {"pieces": [size // 200_000, 200_000]}, {"pieces": [1, MAX_PAYLOAD - size]}
        result = await b.invoker.invoke(function(), do(*most, {"end": ""}))
        assert result.payload == b"x" * MAX_PAYLOAD
        result = await b.invoker.invoke(function(), do(*most, {"frame": "Py"}, {"end": ""}))
        assert json.loads(result.payload)["errorType"] == "Function.ResponseSizeTooLarge"
        assert (await b.invoker.invoke(function(), do({"calls": 0}))).payload == b"1"

    run(tmp_path, scenario)


def test_a_reader_that_closes_lets_its_function_write_to_nobody(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        opened = await stream(b, BEGIN, {"pieces": [20, 200_000]}, {"end": ""})
        opened.close()
        result = await opened.ending()
        assert (result.function_error, result.record.streamed_bytes) == (None, 4_000_000)

    run(tmp_path, scenario)


def test_a_refusal_comes_before_the_stream(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        with pytest.raises(TooManyRequestsException):
            await stream(b, of=function(reserved_concurrency=0))

    run(tmp_path, scenario)


def test_a_reset_of_the_region_breaks_streams_off(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        opened = await stream(b, BEGIN, {"frame": "Ppart"}, {"sleep": 60})
        assert await anext(opened) == b"part"
        await b.invoker.reset()
        with pytest.raises(ServiceException):
            await anext(opened)
        assert b.launcher.alive == {}

    run(tmp_path, scenario)


def test_who_gives_up_while_waiting_for_the_first_byte_stops_nothing(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        opening = asyncio.ensure_future(stream(b, {"sleep": 0.1}, BEGIN, {"frame": "Px"}, {"end": ""}))
        await b.settle(lambda: b.invoker.statistics()["busy"] == 1)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await b.settle(lambda: b.invoker.statistics()["busy"] == 0)
        await b.settle(lambda: bool(b.records.records))
        assert b.records.records[-1].status == "success"

    run(tmp_path, scenario)
