"""A streamed response between the function that writes it and the door that sends it on: the waiting side.

A door (InvokeWithResponseStream, a function URL, a REST API) opens a stream and reads it as fast as its client takes
it; what is not read holds up the function, never this process's memory. A reader that goes away stops nothing: as on
AWS the function runs to its end, and what it still writes is thrown away.
"""

from __future__ import annotations

import asyncio
from asyncio import Future, Task
from collections.abc import Callable, Coroutine
from typing import Any

from lambent.ports import InvokeResult, ResponseSink

#: So much may wait to be read before the function is held up; it goes on once all of it was taken.
MOST_WAITING = 256 * 1024


async def open_stream(invoke: Callable[[ResponseSink], Coroutine[Any, Any, InvokeResult]]) -> ResponseStream:
    """Begin an invocation and return once its function began to respond, or ended without having done so.

    `invoke` gets the sink to put into the call: `lambda sink: calls.call(arn, asker, event, …, stream=sink)`, or
    `lambda sink: invoker.invoke(function, Invocation(…, stream=sink))`. Raises what it raises before the first byte.

        stream = await open_stream(…)
        stream.content_type         # "" where the function failed before it began: no pieces, `result` tells why
        async for piece in stream:  # ends with the response; raises the AwsError of a platform that failed in between
            …
        stream.is_whole             # False where the function failed, also in the middle: `result` tells how
        await stream.ending()       # the InvokeResult; a function may go on after its response
        stream.close()              # nobody reads any more (a `finally`); the function goes on
    """
    stream = ResponseStream()
    task = asyncio.get_running_loop().create_task(invoke(stream), name="streamed invocation")
    stream.follow(task)
    try:
        await stream.beginning()
    except BaseException:
        stream.close()
        raise
    return stream


class ResponseStream:
    """Implements ports.ResponseSink for the environment; for one reader it is an async iterator of bytes."""

    def __init__(self) -> None:
        self.content_type = ""
        #: None until the invocation ended well or with a function error.
        self.result: InvokeResult | None = None
        self._error: BaseException | None = None
        self._task: Task[InvokeResult] | None = None
        self._began = False
        self._finished = False
        self._ended = False
        self._closed = False
        # One buffer: many small pieces would take thirty times their size.
        self._waiting = bytearray()
        self._on_drain: Callable[[], None] | None = None
        #: What the reader waits for.
        self._news: Future[None] | None = None

    def __repr__(self) -> str:
        state = "closed" if self._closed else "ended" if self._ended else "open" if self._began else "waiting"
        return f"<ResponseStream {state}, {len(self._waiting)} bytes>"

    # ---- ports.ResponseSink ----

    def begin(self, content_type: str) -> None:
        self.content_type = content_type
        self._began = True
        self._tell()

    def write(self, piece: bytes) -> bool:
        if self._closed:
            return True
        self._waiting += piece
        self._tell()
        return len(self._waiting) < MOST_WAITING

    def on_drain(self, callback: Callable[[], None]) -> None:
        self._on_drain = callback
        if self._closed or not self._waiting:
            self._drained()

    def finish(self) -> None:
        self._finished = True
        self._tell()

    # ---- the reader ----

    async def beginning(self) -> None:
        """Wait for the first byte; raises what the invocation raised before it."""
        while not (self._began or self._ended):
            await self._wait()
        if not self._began and self._error is not None:
            raise self._error

    @property
    def is_whole(self) -> bool:
        """Once the pieces have ended: whether these are all that the function wanted to say."""
        return self._finished or (self.result is not None and self.result.function_error is None)

    async def ending(self) -> InvokeResult:
        """Wait for the end of the invocation, and of its function; raises what the platform failed with."""
        while not self._ended:
            await self._wait()
        if self.result is None:
            assert self._error is not None
            raise self._error
        return self.result

    def __aiter__(self) -> ResponseStream:
        return self

    async def __anext__(self) -> bytes:
        """All that has come since the last piece, at least one byte."""
        while not self._waiting:
            if self._finished or self._ended or self._closed:
                if self._error is not None and not self._finished:
                    raise self._error
                raise StopAsyncIteration
            await self._wait()
        data = bytes(self._waiting)
        self._waiting.clear()
        self._drained()
        return data

    async def aclose(self) -> None:
        self.close()

    def close(self) -> None:
        """Read no more. Idempotent; the invocation goes on, and its function writes to nobody."""
        self._closed = True
        self._waiting.clear()
        self._drained()
        self._tell()

    # ---- small parts ----

    def follow(self, task: Task[InvokeResult]) -> None:
        """`task` is the invocation that writes to this."""
        self._task = task
        task.add_done_callback(self._end)

    def _end(self, task: Task[InvokeResult]) -> None:
        if task.cancelled():
            self._error = asyncio.CancelledError()
        elif (error := task.exception()) is not None:
            self._error = error
        else:
            self.result = task.result()
        self._ended = True
        self._tell()

    async def _wait(self) -> None:
        self._news = asyncio.get_running_loop().create_future()
        await self._news

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def _drained(self) -> None:
        callback, self._on_drain = self._on_drain, None
        if callback is not None:
            callback()
