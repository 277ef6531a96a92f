"""The record that log files are made of: a block, some events of one stream, with its length and checksum in front.

Layout, little-endian: length and CRC-32 of what follows; stream id, number of the first event in its stream, ingestion
time, first and last timestamp, count; then all timestamps, all message lengths, all messages. Arrays instead of a
header per event let a whole flush be encoded by a few calls into C, whatever the number of lines.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple
from zlib import crc32

_FRAME = struct.Struct("<II")
_HEAD = struct.Struct("<QQQQQI")
#: Bytes of a block that are neither event headers nor messages.
BLOCK_OVERHEAD = _FRAME.size + _HEAD.size
#: Bytes that each event takes beside its message: timestamp and length.
EVENT_OVERHEAD = 12
#: Events in one block at most, so that a reader holds the interpreter for a millisecond at a time, not more.
BLOCK_EVENTS = 2048
_LARGEST_BLOCK = 1 << 30


class Span(NamedTuple):
    """Where a block lies and what it covers, without its events."""

    stream_id: int
    offset: int
    length: int
    first_sequence: int
    events: int
    first_ms: int
    last_ms: int
    ingested_ms: int


class Block(NamedTuple):
    """A decoded block. Timestamps ascend; message i is `body[ends[i] - lengths[i]:ends[i]]`."""

    stream_id: int
    first_sequence: int
    ingested_ms: int
    times: array[int]
    lengths: array[int]
    ends: list[int]
    body: bytes


def encode(
    stream_id: int, offset: int, first_sequence: int, ingested_ms: int, times: Sequence[int], messages: Sequence[bytes]
) -> tuple[bytes, bytes, Span]:
    """Header and body of the block, and its span when it is written at `offset`. `times` must ascend."""
    body = b"".join((array("q", times).tobytes(), array("I", map(len, messages)).tobytes(), *messages))
    events, first, last = len(times), times[0], times[-1]
    head = _HEAD.pack(stream_id, first_sequence, ingested_ms, first, last, events)
    frame = _FRAME.pack(len(head) + len(body), crc32(body, crc32(head)))
    length = BLOCK_OVERHEAD + len(body)
    span = Span(stream_id, offset, length, first_sequence, events, first, last, ingested_ms)
    return frame + head, body, span


def scan(data: bytes, base: int = 0) -> Iterator[Span]:
    """The blocks of `data`, up to the first that is torn or damaged; `base` is the file offset of data[0]."""
    view = memoryview(data)
    offset = 0
    while offset + BLOCK_OVERHEAD <= len(view):
        length, checksum = _FRAME.unpack_from(view, offset)
        end = offset + _FRAME.size + length
        if not _HEAD.size <= length <= _LARGEST_BLOCK or end > len(view):
            return
        if crc32(view[offset + _FRAME.size : end]) != checksum:
            return
        stream_id, sequence, ingested, first, last, count = _HEAD.unpack_from(view, offset + _FRAME.size)
        yield Span(stream_id, base + offset, end - offset, sequence, count, first, last, ingested)
        offset = end


def decode(data: bytes) -> Iterator[Block]:
    """The blocks of `data` with their events; stops before a damaged one."""
    view = memoryview(data)
    for span in scan(data):
        times: array[int] = array("q")
        lengths: array[int] = array("I")
        start = span.offset + BLOCK_OVERHEAD
        middle = start + 8 * span.events
        body = middle + 4 * span.events
        times.frombytes(view[start:middle])
        lengths.frombytes(view[middle:body])
        content = view[body : span.offset + span.length]
        yield Block(
            span.stream_id,
            span.first_sequence,
            span.ingested_ms,
            times,
            lengths,
            list(accumulate(lengths)),
            bytes(content),
        )
