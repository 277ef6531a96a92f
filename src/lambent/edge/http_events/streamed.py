"""Streamed answers of functions: what comes before the head can be sent, and the body piece by piece.

A function that says `application/vnd.awslambda.http-integration-response` writes status, headers and cookies as JSON,
then eight NUL bytes, then its body. With any other type the body begins at its first byte. Pieces may be cut anywhere.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

from lambent.edge.http_events.responses import MalformedProxyResponse
from lambent.errors import AwsError
from lambent.invoke.streams import ResponseStream
from lambent.request import BrokenOff

log = logging.getLogger(__name__)

PRELUDE_TYPE = "application/vnd.awslambda.http-integration-response"
#: What a body without a type of its own is.
BYTES_TYPE = "application/octet-stream"
SEPARATOR = bytes(8)


class FunctionFailed(Exception):
    """The function ended with an error before the first byte of its body."""


class Opening(NamedTuple):
    #: JSON text; b"" where the body has none before it.
    prelude: bytes
    #: The beginning of the body, as far as it came with what is before it.
    first: bytes


async def opening(stream: ResponseStream, limit: int, *, has_prelude: bool) -> Opening:
    """Wait for the prelude or the first byte of the body; `limit`: bytes that a prelude may have.

    Raises FunctionFailed, MalformedProxyResponse, and the AwsError of a platform that failed.
    """
    received = bytearray()
    async for piece in stream:
        if not has_prelude:
            return Opening(b"", piece)
        seen = max(0, len(received) - len(SEPARATOR))
        received += piece
        at = received.find(SEPARATOR, seen, limit + len(SEPARATOR))
        if at >= 0:
            return Opening(bytes(received[:at]), bytes(received[at + len(SEPARATOR) :]))
        if len(received) >= limit + len(SEPARATOR):
            raise MalformedProxyResponse(f"The response has no eight NUL bytes within its first {limit} bytes.")
    if not stream.is_whole:
        raise FunctionFailed
    if received:
        raise MalformedProxyResponse("The response ended before the eight NUL bytes behind its metadata.")
    return Opening(b"", b"")


def is_prelude(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == PRELUDE_TYPE


def body_type(content_type: str) -> tuple[bytes, bytes]:
    """The header for a body that has no metadata."""
    if not content_type or is_prelude(content_type) or not content_type.isprintable():
        content_type = BYTES_TYPE
    return b"content-type", content_type.encode("latin-1", "replace")


class Body:
    """What follows the opening. Ends in BrokenOff where the function or the platform failed in the middle."""

    def __init__(self, stream: ResponseStream, request_id: str) -> None:
        self._stream = stream
        self._request_id = request_id
        #: Called once when it has ended, however it does.
        self.ended: Callable[[], None] | None = None

    def __aiter__(self) -> Body:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._stream.__anext__()
        except StopAsyncIteration:
            if self._stream.is_whole:
                raise
            result = self._stream.result
            error = "its function failed" if result is None else result.payload.decode("utf-8", "replace")[:1000]
        except AwsError as refused:
            error = str(refused)
        log.info("The answer to request %s ends in the middle: %s", self._request_id, error)
        raise BrokenOff(error)

    async def aclose(self) -> None:
        """The client has it all, or has gone; a function that still writes is not held up."""
        self._stream.close()
        ended, self.ended = self.ended, None
        if ended is not None:
            ended()
