"""The files that blocks lie in: journals, which flushes append to, and chunks, which full journals are rewritten into.

All groups share one journal, so that one write and one fsync serve 200 functions at once. Sealing it sorts its blocks
by group and stream into an immutable chunk with an index at its end: one stream's events lie together, and the index
has an entry per run of blocks (64 KiB), not per flush. A chunk names the files it replaces, so a crash between the
rename and the unlinking leaves nothing double. Functions here block; the store calls them on its threads.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, NamedTuple
from zlib import crc32

import msgspec

from lambent.services.logs import blocks
from lambent.services.logs.catalogue import Group, Stream
from lambent.services.logs.domain import BILLED_OVERHEAD

#: Blocks of a stream that one index entry of a chunk spans.
RUN_BYTES = 64 * 1024
#: What an index entry is charged against the budget beside its bytes: it bounds the index in memory, too.
RUN_COST = 512
JOURNAL, CHUNK = ".journal", ".chunk"
_MAGIC = b"LOGCHNK1"
#: A rewrite pauses so long after so many runs.
_BREATH_RUNS, _BREATH_SECONDS = 250, 0.0005


@dataclass(slots=True, eq=False)
class Run:
    """Adjoining blocks of one stream in one file: an entry of the index."""

    stream: Stream
    segment: Segment
    offset: int
    length: int
    blocks: int
    first_sequence: int
    events: int
    first_ms: int
    last_ms: int
    ingested_ms: int
    #: No longer part of its stream (deleted, expired, over budget); its bytes wait for the next rewrite.
    dropped: bool = False

    @property
    def stored_bytes(self) -> int:
        messages = self.length - self.blocks * blocks.BLOCK_OVERHEAD - self.events * blocks.EVENT_OVERHEAD
        return messages + self.events * BILLED_OVERHEAD


class Segment:
    """A file of blocks, open for reading as long as anything refers to it: a run in a reader's hand keeps it alive,
    even after its name is gone."""

    def __init__(self, path: Path, number: int, age: int, flags: int = os.O_RDONLY) -> None:
        self.path = path
        self.number = number
        #: The number of the oldest journal in it: chunks are dropped in this order.
        self.age = age
        self.size = 0
        self.runs: list[Run] = []
        #: Live bytes of each group; their sum is `live`.
        self.groups: dict[Group, int] = {}
        self.live = 0
        self.fd = os.open(path, flags | os.O_CLOEXEC, 0o600)

    def __del__(self) -> None:
        if hasattr(self, "fd"):
            os.close(self.fd)

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self.path.name}: {self.live} of {self.size} bytes live in {len(self.runs)} runs>"
        )

    @property
    def charge(self) -> int:
        """What it takes of the budget."""
        return self.size + RUN_COST * len(self.runs)

    def read(self, run: Run) -> bytes:
        return os.pread(self.fd, run.length, run.offset)

    def add(self, run: Run) -> None:
        self.runs.append(run)
        group = run.stream.group
        self.groups[group] = self.groups.get(group, 0) + run.length
        self.live += run.length

    def drop(self, run: Run) -> None:
        run.dropped = True
        group = run.stream.group
        left = self.groups[group] - run.length
        if left:
            self.groups[group] = left
        else:
            del self.groups[group]
        self.live -= run.length

    def unlink(self) -> None:
        self.path.unlink(missing_ok=True)


def unlink_all(segments: Iterable[Segment]) -> None:
    for segment in segments:
        segment.unlink()


class Journal(Segment):
    """The file that is appended to."""

    def __init__(self, directory: Path, number: int) -> None:
        path = directory / f"{number:010d}{JOURNAL}"
        super().__init__(path, number, number, os.O_RDWR | os.O_CREAT | os.O_APPEND)

    @classmethod
    def create(cls, directory: Path, number: int) -> Journal:
        """A new one whose name survives a power cut."""
        journal = cls(directory, number)
        sync_directory(directory)
        return journal

    def append(self, pieces: Iterable[bytes]) -> None:
        """Write all or, when the disk refuses, nothing (raises OSError)."""
        self.size += write_all(self.fd, b"".join(pieces), self.size)

    def sync(self) -> None:
        os.fdatasync(self.fd)

    def recover(self) -> list[blocks.Span]:
        """The blocks found; whatever follows the last sound one is cut off."""
        size = os.fstat(self.fd).st_size
        spans = list(blocks.scan(os.pread(self.fd, size, 0)))
        self.size = spans[-1].offset + spans[-1].length if spans else 0
        if self.size != size:
            os.ftruncate(self.fd, self.size)
        return spans


def write_all(fd: int, data: bytes, size: int) -> int:
    """Append `data` to a file of `size` bytes; when the disk refuses, cut back what was written and raise."""
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(fd, view) :]
    except OSError:
        os.ftruncate(fd, size)
        raise
    return len(data)


# ---- chunks --------------------------------------------------------------------------------------------------------


class _Entry(NamedTuple):
    """A run as the chunk's index has it."""

    stream_id: int
    offset: int
    length: int
    blocks: int
    first_sequence: int
    events: int
    first_ms: int
    last_ms: int
    ingested_ms: int


class _Index(msgspec.Struct, frozen=True):
    age: int
    #: Numbers of the journals and chunks whose live blocks are all in here.
    replaces: list[int]
    runs: list[_Entry]


def rewrite(directory: Path, number: int, sources: Sequence[Segment], runs: Sequence[Run]) -> tuple[Segment, list[Run]]:
    """A new chunk with copies of `runs`, which are what is live of `sources`; on disk when this returns."""
    ordered = sorted(runs, key=lambda run: (run.stream.group.row.id, run.stream.row.id, run.first_sequence))
    temporary = directory / f"{number:010d}.tmp"
    try:
        with contextlib.ExitStack() as stack:
            content = {source: stack.enter_context(_read_whole(source)) for source in {run.segment for run in runs}}
            age, merged = _write_chunk(temporary, sources, ordered, content)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    path = directory / f"{number:010d}{CHUNK}"
    temporary.rename(path)
    sync_directory(directory)
    chunk = _open_chunk(path, age)
    for run in merged:
        run.segment = chunk
    return chunk, merged


def _read_whole(source: Segment) -> mmap.mmap:
    """All of a file in memory of its own, which goes back when it is closed: the heap would keep 16 MiB for good."""
    content = mmap.mmap(-1, source.size)
    filled = 0
    while filled < source.size:
        # What is missing of a file that somebody cut stays zero, and is no block to any reader.
        received = os.preadv(source.fd, [memoryview(content)[filled:]], filled)
        if not received:
            break
        filled += received
    return content


def _write_chunk(
    path: Path, sources: Sequence[Segment], runs: Sequence[Run], content: Mapping[Segment, mmap.mmap]
) -> tuple[int, list[Run]]:
    with path.open("wb", buffering=1 << 20) as file:
        merged = list(_merge_adjoining(_copy(runs, content, file)))
        index = _Index(min(s.age for s in sources), [s.number for s in sources], [_entry(run) for run in merged])
        footer = msgspec.msgpack.encode(index)
        file.write(footer + crc32(footer).to_bytes(4, "little") + len(footer).to_bytes(4, "little") + _MAGIC)
        file.flush()
        os.fsync(file.fileno())
    return index.age, merged


def load_chunk(path: Path, streams: dict[int, Stream]) -> tuple[Segment, list[Run], list[int]]:
    """The chunk, the runs of streams that still exist, and the numbers of the files it replaces."""
    chunk = _open_chunk(path, int(path.stem))
    index = _read_index(chunk)
    if index is None:
        # The index is damaged, which no crash of ours does: the blocks still tell everything.
        spans = blocks.scan(os.pread(chunk.fd, chunk.size, 0))
        return chunk, list(_merge_adjoining(runs_of(spans, chunk, streams))), []
    chunk.age = index.age
    runs = [Run(streams[e.stream_id], chunk, *e[1:]) for e in index.runs if e.stream_id in streams]
    return chunk, runs, index.replaces


def _open_chunk(path: Path, age: int) -> Segment:
    chunk = Segment(path, int(path.stem), age)
    chunk.size = os.fstat(chunk.fd).st_size
    return chunk


def runs_of(spans: Iterable[blocks.Span], segment: Segment, streams: dict[int, Stream]) -> Iterator[Run]:
    """An index entry for each block of a stream that still exists."""
    for span in spans:
        stream = streams.get(span.stream_id)
        if stream is not None:
            yield run_at(span, stream, segment)


def run_at(span: blocks.Span, stream: Stream, segment: Segment) -> Run:
    """The index entry of one block."""
    return Run(
        stream,
        segment,
        span.offset,
        span.length,
        1,
        span.first_sequence,
        span.events,
        span.first_ms,
        span.last_ms,
        span.ingested_ms,
    )


def _read_index(chunk: Segment) -> _Index | None:
    tail = os.pread(chunk.fd, 16, max(0, chunk.size - 16))
    length = int.from_bytes(tail[4:8], "little")
    if tail[8:] != _MAGIC or length + 16 > chunk.size:
        return None
    footer = os.pread(chunk.fd, length, chunk.size - 16 - length)
    if crc32(footer) != int.from_bytes(tail[:4], "little"):
        return None
    return msgspec.msgpack.decode(footer, type=_Index)


def _copy(runs: Sequence[Run], content: Mapping[Segment, mmap.mmap], file: BinaryIO) -> Iterator[Run]:
    """Write each run's bytes; yields its twin, whose offset is the one in `file`."""
    offset = 0
    for position, run in enumerate(runs):
        if position % _BREATH_RUNS == _BREATH_RUNS - 1:
            # A busy thread lets the event loop wait 5 ms for the interpreter, each time; a sleeping one does not.
            time.sleep(_BREATH_SECONDS)
        file.write(content[run.segment][run.offset : run.offset + run.length])
        yield replace(run, offset=offset)
        offset += run.length


def _merge_adjoining(runs: Iterable[Run]) -> Iterator[Run]:
    last: Run | None = None
    for run in runs:
        if last is not None and _adjoin(last, run) and last.length + run.length <= RUN_BYTES:
            last.length += run.length
            last.blocks += run.blocks
            last.events += run.events
            last.first_ms = min(last.first_ms, run.first_ms)
            last.last_ms = max(last.last_ms, run.last_ms)
            last.ingested_ms = max(last.ingested_ms, run.ingested_ms)
            continue
        if last is not None:
            yield last
        last = run
    if last is not None:
        yield last


def _adjoin(left: Run, right: Run) -> bool:
    return (
        left.stream is right.stream
        and left.offset + left.length == right.offset
        and left.first_sequence + left.events == right.first_sequence
    )


def _entry(run: Run) -> _Entry:
    return _Entry(
        run.stream.row.id,
        run.offset,
        run.length,
        run.blocks,
        run.first_sequence,
        run.events,
        run.first_ms,
        run.last_ms,
        run.ingested_ms,
    )


def sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
