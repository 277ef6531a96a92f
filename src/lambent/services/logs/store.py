"""The log store: takes events from writers and PutLogEvents, puts them on disk in batches, and reads them back.

One task flushes: every 200 ms while something waits (at once when a caller waits for it), one write for all streams,
one fsync a second or per group of waiting callers. The event loop owns the index, one writer thread the files being
appended to; two more threads read and, for `upkeep`, rewrite.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from lambent.clock import Clock
from lambent.ports import LogReader
from lambent.services.logs import blocks, loading
from lambent.services.logs.catalogue import Group, GroupRow, Row, Stream, encode_rows
from lambent.services.logs.domain import DAY_MS, FOREVER_MS
from lambent.services.logs.errors import ServiceUnavailableException
from lambent.services.logs.index import Index
from lambent.services.logs.reader import Page, Query, read_page
from lambent.services.logs.segments import Journal, Run, Segment, run_at, unlink_all, write_all
from lambent.services.logs.upkeep import Upkeep
from lambent.services.logs.writer import StreamKey, StreamWriter, WriteBuffer

log = logging.getLogger(__name__)
T = TypeVar("T")

FLUSH_SECONDS = 0.2
SYNC_SECONDS = 1.0


@dataclass(slots=True)
class _Part:
    """Events of one stream that go out with a flush."""

    stream: Stream
    times: list[int]
    messages: list[bytes]
    first_sequence: int = 0


@dataclass(slots=True)
class _Batch:
    """What one flush takes."""

    parts: list[_Part] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    ingested_ms: int = 0
    #: Bytes to be released in the buffer.
    size: int = 0
    #: Callers who wait until it can be read, or until it is on disk.
    flush_waiters: list[asyncio.Future[None]] = field(default_factory=list)
    sync_waiters: list[asyncio.Future[None]] = field(default_factory=list)

    def settle(self, error: Exception | None) -> None:
        for future in (*self.flush_waiters, *self.sync_waiters):
            if future.done():
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)


class LogStore:
    """ports.LogSink, and what the operations stand on."""

    def __init__(self, directory: Path, clock: Clock, budget: int, readers: Sequence[LogReader] = ()) -> None:
        """`readers` are shown all events as they go to disk."""
        self._directory = directory
        self._read_by = tuple(readers)
        self._clock = clock
        self._budget = budget
        self.index = Index()
        # ---- files being appended to; the writer thread's while it runs
        self._journal: Journal
        self._catalogue_fd = -1
        self._catalogue_size = 0
        self._catalogue_unsynced = False
        # ---- waiting for the next flush
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        self._buffer = WriteBuffer(self._wake.set)
        self._next = _Batch()
        # ---- the flush
        self._task: asyncio.Task[None] | None = None
        self._flush_lock = asyncio.Lock()
        self._current: _Batch | None = None
        self._unsynced = False
        self._synced_at = 0.0
        self._stopping = False
        # ---- counters
        self._events = 0
        self._lost_events = 0
        self._flushes = 0
        self._writer = ThreadPoolExecutor(1, "logs-writer")
        self._readers = ThreadPoolExecutor(2, "logs-reader")
        self._upkeep = Upkeep(self.index, directory, budget, executor=self._readers, oldest_kept_ms=self.oldest_kept_ms)

    def __repr__(self) -> str:
        return f"<LogStore {self._directory}: {self.index!r}, {self._buffer!r}>"

    # ---- lifecycle

    async def start(self) -> None:
        """Takes up what is in the directory. Raises OSError where it cannot be used."""
        left_over = await self._on_writer(self._open)
        self._synced_at = asyncio.get_running_loop().time()
        self._task = asyncio.create_task(self._flush_forever(), name="logs flush")
        self._task.add_done_callback(self._flusher_ended)
        self._upkeep.start(left_over)

    async def stop(self) -> None:
        """Everything accepted is on disk when this returns."""
        if self._task is None:
            return
        self._stopping = True
        self._wake.set()
        self._urgent.set()
        await asyncio.wait([self._task])
        self._task = None
        self._next.settle(ServiceUnavailableException("The log store is stopped."))
        await self._upkeep.stop()
        self._writer.shutdown()
        self._readers.shutdown()
        os.close(self._catalogue_fd)

    async def reset(self) -> None:
        """Every group, stream and event is gone, on disk as well."""
        async with self._upkeep.paused(), self._flush_lock:
            for writer in self._buffer.take():
                self._buffer.release(writer.take()[2])
            old = self.index.clear()
            await self._on_writer(self._empty, self.index.catalogue.snapshot(), old, self.index.take_number())
            self.index.add_segment(self._journal)

    # ---- events

    def open_stream(self, account: str, region: str, group: str, stream: str) -> StreamWriter:
        return StreamWriter(self._buffer, (account, region, group, stream))

    async def put(self, stream: Stream, times: list[int], messages: list[bytes]) -> None:
        """Append events, ascending in time; on disk when this returns. Raises ServiceUnavailableException."""
        self._next.parts.append(_Part(stream, times, messages))
        await self.commit()

    async def commit(self) -> None:
        """Wait until everything changed so far is on disk."""
        await self._wait_in(self._next.sync_waiters)

    async def flush(self) -> None:
        """Wait until everything written so far can be read (it need not be on disk)."""
        if self._buffer.total or self._next.parts:
            await self._wait_in(self._next.flush_waiters)

    async def read(self, query: Query) -> Page:
        return await self.in_thread(read_page, query)

    async def in_thread(self, work: Callable[..., T], *args: object) -> T:
        """Run on a reader thread what takes more than a millisecond."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, work, *args)

    # ---- groups and streams; changes are on disk after `commit`

    def find_group(self, account: str, region: str, name: str) -> Group | None:
        return self.index.catalogue.find(account, region, name)

    def has_group(self, account: str, region: str, name: str) -> bool:
        return self.find_group(account, region, name) is not None

    def groups(self, account: str, region: str) -> Collection[Group]:
        return self.index.catalogue.groups(account, region).values()

    def create_group(
        self,
        account: str,
        region: str,
        name: str,
        *,
        log_class: str = "STANDARD",
        tags: dict[str, str] | None = None,
        protected: bool = False,
    ) -> Group:
        return self.index.catalogue.create_group(
            account, region, name, self.now_ms(), log_class=log_class, tags=tags, protected=protected
        )

    def create_stream(self, group: Group, name: str) -> Stream:
        return self.index.catalogue.create_stream(group, name, self.now_ms(), transient=False)

    def update_group(self, group: Group, row: GroupRow) -> None:
        self.index.catalogue.update_group(group, row)
        self._upkeep.wake()

    def delete_group(self, group: Group) -> None:
        self.index.delete_group(group)
        self._upkeep.wake()

    def delete_stream(self, stream: Stream) -> None:
        self.index.delete_stream(stream)
        self._upkeep.wake()

    def oldest_kept_ms(self, group: Group) -> int:
        """Events before this are past the group's retention."""
        days = group.row.retention_days
        return 0 if days is None else self.now_ms() - days * DAY_MS

    def now_ms(self) -> int:
        return int(self._clock.now() * 1000)

    def statistics(self) -> dict[str, int]:
        groups = list(self.index.catalogue.all_groups())
        return {
            "groups": len(groups),
            "streams": sum(len(group.streams) for group in groups),
            "stored_bytes": sum(group.stored_bytes for group in groups),
            "disk_bytes": self.index.charge(),
            "budget_bytes": self._budget,
            "files": len(self.index.segments),
            "buffered_bytes": self._buffer.total,
            "events": self._events,
            "flushes": self._flushes,
            "lost_events": self._lost_events,
            **self._upkeep.statistics(),
        }

    async def upkeep(self) -> None:
        """Do now what is due: sealing, retention, budget. The background task does it by itself in time."""
        await self._upkeep.run_once()

    # ---- the flush

    async def _wait_in(self, waiters: list[asyncio.Future[None]]) -> None:
        if self._task is None or self._task.done():
            raise ServiceUnavailableException("The log store is stopped.")
        future = asyncio.get_running_loop().create_future()
        waiters.append(future)
        self._wake.set()
        self._urgent.set()
        await future

    async def _flush_forever(self) -> None:
        while not self._stopping or self._wake.is_set():
            await self._wake.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_SECONDS):
                    await self._urgent.wait()
            self._wake.clear()
            self._urgent.clear()
            async with self._flush_lock:
                await self._flush_once()

    async def _flush_once(self) -> None:
        batch = self._current = self._take_batch()
        loop = asyncio.get_running_loop()
        has_data = bool(batch.parts or batch.rows)
        due = loop.time() - self._synced_at >= SYNC_SECONDS and (has_data or self._unsynced)
        sync = bool(batch.sync_waiters) or due or self._stopping
        try:
            if self._journal.runs and self._journal.charge + batch.size > self._upkeep.segment_bytes:
                await self._roll()
            runs = await self._on_writer(self._write, batch, sync)
        except OSError as error:
            self._give_up(batch, error)
            return
        finally:
            self._buffer.release(batch.size)
        self.index.append(runs)
        self._flushes += 1
        self._events += sum(run.events for run in runs)
        batch.settle(None)
        self._plan_sync(synced=sync, has_data=has_data)
        if self.index.catalogue.is_bloated():
            await self._compact_catalogue()

    def _take_batch(self) -> _Batch:
        batch, self._next = self._next, _Batch()
        for writer in self._buffer.take():
            times, messages, counted = writer.take()
            batch.size += counted
            batch.parts.append(_Part(self._stream_of(writer), times, messages))
        for part in batch.parts:
            for reader in self._read_by:
                group = part.stream.group
                reader.read_events(group.row.account, group.row.region, part.times, part.messages)
            part.first_sequence = part.stream.next_sequence
            part.stream.next_sequence += len(part.times)
        batch.rows = self.index.catalogue.take_pending()
        batch.ingested_ms = self.now_ms()
        return batch

    def _stream_of(self, writer: StreamWriter) -> Stream:
        stream = writer.stream
        if stream is None or stream.gone:
            stream = writer.stream = self._ensure_stream(writer.key)
        return stream

    def _ensure_stream(self, key: StreamKey) -> Stream:
        account, region, group_name, stream_name = key
        group = self.find_group(account, region, group_name) or self.create_group(account, region, group_name)
        stream = group.streams.get(stream_name)
        return stream or self.index.catalogue.create_stream(group, stream_name, self.now_ms(), transient=True)

    def _plan_sync(self, *, synced: bool, has_data: bool) -> None:
        loop = asyncio.get_running_loop()
        if synced:
            self._synced_at = loop.time()
            self._unsynced = False
        elif has_data and not self._unsynced:
            self._unsynced = True
            # The flush that this wakes comes FLUSH_SECONDS later.
            loop.call_at(self._synced_at + SYNC_SECONDS - FLUSH_SECONDS, self._wake.set)

    def _give_up(self, batch: _Batch, error: OSError) -> None:
        """The disk refused: callers who wait are told, what environments wrote is lost and counted."""
        lost = sum(len(part.times) for part in batch.parts)
        self._lost_events += lost
        self.index.catalogue.put_back(batch.rows)
        log.error("The log store could not write %d events to %s: %s.", lost, self._directory, error)
        batch.settle(ServiceUnavailableException(f"The log store could not write: {error.strerror}."))

    async def _compact_catalogue(self) -> None:
        rows = self.index.catalogue.snapshot()
        try:
            await self._on_writer(self._rewrite_catalogue, rows)
        except OSError as error:
            # The old file is as good, only longer.
            log.error("The log store could not rewrite its catalogue in %s: %s.", self._directory, error)
        else:
            self.index.catalogue.rewritten(len(rows))

    async def _roll(self) -> None:
        """Go on in a new journal; upkeep makes a chunk of the full one."""
        full = self._journal
        self._journal = await self._on_writer(Journal.create, self._directory, self.index.take_number())
        self.index.add_segment(self._journal)
        await self._upkeep.seal(full)

    def _flusher_ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is None:
            return
        log.critical("The log store's flush failed; nothing more is logged.", exc_info=task.exception())
        for batch in (self._current, self._next):
            if batch is not None:
                batch.settle(ServiceUnavailableException("The log store failed."))

    # ---- on the writer thread

    async def _on_writer(self, work: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, work, *args)

    def _write(self, batch: _Batch, sync: bool) -> list[Run]:
        if batch.rows:
            self._catalogue_size += write_all(self._catalogue_fd, encode_rows(batch.rows), self._catalogue_size)
            self._catalogue_unsynced = True
        runs, pieces = _encode(batch, self._journal)
        if pieces:
            self._journal.append(pieces)
        if sync:
            # The catalogue first: a block of a stream that is not in it would be unreadable.
            if self._catalogue_unsynced:
                os.fdatasync(self._catalogue_fd)
                self._catalogue_unsynced = False
            self._journal.sync()
        return runs

    def _open(self) -> list[Journal]:
        """Take up the directory; returns full journals that were not sealed."""
        state = loading.load(self._directory, self.index)
        self._catalogue_fd, self._catalogue_size = state.catalogue_fd, state.catalogue_size
        self._journal = state.journal
        return state.left_over

    def _empty(self, rows: list[Row], segments: Sequence[Segment], number: int) -> None:
        # The catalogue first: without their streams, blocks that a crash leaves here mean nothing.
        self._rewrite_catalogue(rows)
        unlink_all(segments)
        self._journal = Journal.create(self._directory, number)

    def _rewrite_catalogue(self, rows: list[Row]) -> None:
        data = encode_rows(rows)
        fd = loading.replace_catalogue(self._directory, data)
        os.close(self._catalogue_fd)
        self._catalogue_fd, self._catalogue_size = fd, len(data)


def _encode(batch: _Batch, journal: Journal) -> tuple[list[Run], list[bytes]]:
    """The bytes of all parts, and the index entries they will have at the journal's end."""
    runs: list[Run] = []
    pieces: list[bytes] = []
    offset = journal.size
    for part in batch.parts:
        times, messages = _in_order(part.times, part.messages)
        stream_id = part.stream.row.id
        for start in range(0, len(times), blocks.BLOCK_EVENTS):
            end = start + blocks.BLOCK_EVENTS
            head, body, span = blocks.encode(
                stream_id, offset, part.first_sequence + start, batch.ingested_ms, times[start:end], messages[start:end]
            )
            runs.append(run_at(span, part.stream, journal))
            pieces += (head, body)
            offset += span.length
    return runs, pieces


def _in_order(times: list[int], messages: list[bytes]) -> tuple[list[int], list[bytes]]:
    """Sorted by time, stably: an environment's two pipes may be read a little out of turn."""
    ordered = sorted(times)
    if ordered != times:
        order = sorted(range(len(times)), key=times.__getitem__)
        messages = [messages[i] for i in order]
    if ordered[0] < 0 or ordered[-1] > FOREVER_MS:
        # A function frames its own log lines, with any number for a time.
        ordered = [min(max(0, time), FOREVER_MS) for time in ordered]
    return ordered, messages
