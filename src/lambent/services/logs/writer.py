"""Writers of environments, and the buffer between them and the store's flush.

`write` runs for every line that any function prints, so it appends to two lists and counts, nothing more; names are
resolved and bytes are made once per flush. Back-pressure is per writer first (one that floods waits for the next flush,
which bounds it to its limit per flush interval), and a shared limit after that, which never stops a writer with little.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from lambent.services.logs.catalogue import Stream
from lambent.services.logs.domain import MAX_EVENT_BYTES

#: Bytes that one writer may have waiting: 10 MB/s at five flushes a second.
WRITER_LIMIT = 2 * 1024 * 1024
#: Bytes that all may have waiting together, above which writers with more than SMALL are stopped.
TOTAL_LIMIT = 4 * 1024 * 1024
SMALL = 64 * 1024
#: What an event is counted beside its message: roughly what it takes in memory.
EVENT_COST = 64

#: account, region, group name, stream name
StreamKey = tuple[str, str, str, str]


class WriteBuffer:
    def __init__(self, wake: Callable[[], None]) -> None:
        #: Called when the first event after a flush has come.
        self._wake = wake
        #: Writers with events waiting.
        self.dirty: list[StreamWriter] = []
        #: Bytes waiting or being flushed.
        self.total = 0
        self._stopped: list[tuple[StreamWriter, Callable[[], None]]] = []

    def __repr__(self) -> str:
        return f"<WriteBuffer: {self.total} bytes of {len(self.dirty)} writers, {len(self._stopped)} stopped>"

    def mark_dirty(self, writer: StreamWriter) -> None:
        self.dirty.append(writer)
        self._wake()

    def take(self) -> list[StreamWriter]:
        writers, self.dirty = self.dirty, []
        return writers

    def release(self, size: int) -> None:
        """`size` bytes are on their way no longer; writers that may go on are told."""
        self.total -= size
        stopped, self._stopped = self._stopped, []
        for writer, callback in stopped:
            if writer.congested:
                self._stopped.append((writer, callback))
            else:
                callback()

    def on_drain(self, writer: StreamWriter, callback: Callable[[], None]) -> None:
        if writer.congested:
            self._stopped.append((writer, callback))
        else:
            asyncio.get_running_loop().call_soon(callback)


class StreamWriter:
    """ports.LogWriter."""

    __slots__ = ("_buffer", "_size", "key", "messages", "stream", "times")

    def __init__(self, buffer: WriteBuffer, key: StreamKey) -> None:
        self._buffer = buffer
        self.key = key
        #: What `key` named at the last flush; it may be deleted since.
        self.stream: Stream | None = None
        self.times: list[int] = []
        self.messages: list[bytes] = []
        #: Bytes in `messages`, with EVENT_COST each.
        self._size = 0

    def __repr__(self) -> str:
        return f"<StreamWriter {self.key[2]} {self.key[3]}: {len(self.messages)} events waiting>"

    def write(self, timestamp_ms: int, message: bytes) -> bool:
        size = len(message)
        if not 0 < size <= MAX_EVENT_BYTES:
            return self._write_pieces(timestamp_ms, message)
        times = self.times
        if not times:
            self._buffer.mark_dirty(self)
        times.append(timestamp_ms)
        self.messages.append(message)
        size += EVENT_COST
        self._size = own = self._size + size
        buffer = self._buffer
        buffer.total = total = buffer.total + size
        return own < SMALL or (own < WRITER_LIMIT and total < TOTAL_LIMIT)

    def on_drain(self, callback: Callable[[], None]) -> None:
        self._buffer.on_drain(self, callback)

    def close(self) -> None:
        """Nothing to do: what waits is flushed, and the writer is forgotten with its last reference."""

    @property
    def congested(self) -> bool:
        return not (self._size < SMALL or (self._size < WRITER_LIMIT and self._buffer.total < TOTAL_LIMIT))

    def take(self) -> tuple[list[int], list[bytes], int]:
        """Timestamps and messages that wait, and what they count for in the buffer."""
        taken = self.times, self.messages, self._size
        self.times, self.messages, self._size = [], [], 0
        return taken

    def _write_pieces(self, timestamp_ms: int, message: bytes) -> bool:
        """An empty message is no event; a huge one becomes several."""
        for start in range(0, len(message), MAX_EVENT_BYTES):
            self.write(timestamp_ms, message[start : start + MAX_EVENT_BYTES])
        return not self.congested
