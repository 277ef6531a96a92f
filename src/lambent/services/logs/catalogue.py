"""Log groups and streams: objects in memory, and an append-only file of what made and changed them.

A file of its own and not SQL tables, because every cold start makes a stream: it joins the log's own flush and costs no
transaction, and an environment's first line needs neither a query nor a wait. The objects carry the index (each
stream's runs), so a look-up by name is a dict access. The event loop alone changes them; the log's writer thread
appends the encoded rows, before the blocks that refer to them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING
from zlib import crc32

import msgspec

if TYPE_CHECKING:
    from lambent.services.logs.segments import Run

_FRAME = struct.Struct("<II")


class GroupRow(msgspec.Struct, frozen=True, tag="group", array_like=True):
    id: int
    account: str
    region: str
    name: str
    created_ms: int
    log_class: str = "STANDARD"
    retention_days: int | None = None
    tags: dict[str, str] = {}
    protected: bool = False


class StreamRow(msgspec.Struct, frozen=True, tag="stream", array_like=True):
    id: int
    group_id: int
    name: str
    created_ms: int
    #: Made by an environment's first line, not by CreateLogStream: forgotten with its last event.
    transient: bool = False


class Gone(msgspec.Struct, frozen=True, tag="gone", array_like=True):
    """The group (with its streams) or stream of this id is deleted."""

    id: int


class NextId(msgspec.Struct, frozen=True, tag="next", array_like=True):
    """Ids below this were used. Kept by a rewrite, so that no id comes back while blocks of its first bearer exist."""

    id: int


Row = GroupRow | StreamRow | Gone | NextId


class Stream:
    """One log stream and where its events lie."""

    __slots__ = ("first_ms", "gone", "group", "ingested_ms", "last_ms", "next_sequence", "row", "runs")

    def __init__(self, group: Group, row: StreamRow) -> None:
        self.group = group
        self.row = row
        #: In order of `first_sequence`. Readers on other threads take a copy; it is appended to or replaced whole.
        self.runs: list[Run] = []
        self.next_sequence = 0
        #: Of the events ever seen since the start; None without.
        self.first_ms: int | None = None
        self.last_ms: int | None = None
        self.ingested_ms: int | None = None
        self.gone = False

    def __repr__(self) -> str:
        return (
            f"<Stream {self.row.name!r} of {self.group.row.name!r}: {len(self.runs)} runs, next {self.next_sequence}>"
        )

    def saw(self, first_ms: int, last_ms: int, ingested_ms: int, next_sequence: int) -> None:
        self.first_ms = first_ms if self.first_ms is None else min(first_ms, self.first_ms)
        self.last_ms = last_ms if self.last_ms is None else max(last_ms, self.last_ms)
        self.ingested_ms = ingested_ms if self.ingested_ms is None else max(ingested_ms, self.ingested_ms)
        self.next_sequence = max(self.next_sequence, next_sequence)


class Group:
    __slots__ = ("disk_bytes", "gone", "row", "stored_bytes", "streams")

    def __init__(self, row: GroupRow) -> None:
        self.row = row
        self.streams: dict[str, Stream] = {}
        #: Invariant: both are sums over the runs of `streams`; on disk, and as AWS counts (message + 26 an event).
        self.disk_bytes = 0
        self.stored_bytes = 0
        self.gone = False

    def __repr__(self) -> str:
        return f"<Group {self.row.name!r}: {len(self.streams)} streams, {self.disk_bytes} bytes>"


class Catalogue:
    def __init__(self) -> None:
        self._groups: dict[tuple[str, str], dict[str, Group]] = {}
        self._next_id = 1
        #: Rows not yet handed to the file.
        self._pending: list[Row] = []
        #: Rows in the file, with those that later rows made void.
        self._rows_in_file = 0
        self._live_rows = 0

    def __repr__(self) -> str:
        return (
            f"<Catalogue: {self._live_rows} live rows, {self._rows_in_file} in the file, {len(self._pending)} pending>"
        )

    # ---- look-ups

    def groups(self, account: str, region: str) -> dict[str, Group]:
        return self._groups.get((account, region), {})

    def find(self, account: str, region: str, name: str) -> Group | None:
        return self.groups(account, region).get(name)

    def all_groups(self) -> Iterator[Group]:
        for groups in self._groups.values():
            yield from groups.values()

    def streams_by_id(self) -> dict[int, Stream]:
        return {stream.row.id: stream for group in self.all_groups() for stream in group.streams.values()}

    # ---- changes

    def create_group(
        self,
        account: str,
        region: str,
        name: str,
        now_ms: int,
        *,
        log_class: str = "STANDARD",
        tags: dict[str, str] | None = None,
        protected: bool = False,
    ) -> Group:
        row = GroupRow(
            self._take_id(), account, region, name, now_ms, log_class=log_class, tags=tags or {}, protected=protected
        )
        self._pending.append(row)
        return self._add_group(row)

    def create_stream(self, group: Group, name: str, now_ms: int, *, transient: bool) -> Stream:
        row = StreamRow(self._take_id(), group.row.id, name, now_ms, transient)
        self._pending.append(row)
        return self._add_stream(group, row)

    def update_group(self, group: Group, row: GroupRow) -> None:
        """Replace the settings of `group` by `row`, which has the same id."""
        group.row = row
        self._pending.append(row)

    def delete_group(self, group: Group) -> None:
        self._pending.append(Gone(group.row.id))
        self._drop_group(group)

    def delete_stream(self, stream: Stream) -> None:
        self._pending.append(Gone(stream.row.id))
        self._drop_stream(stream)

    # ---- the file

    def take_pending(self) -> list[Row]:
        rows, self._pending = self._pending, []
        self._rows_in_file += len(rows)
        return rows

    def put_back(self, rows: list[Row]) -> None:
        """`rows` could not all be written."""
        self._pending[:0] = rows
        self._rows_in_file -= len(rows)

    def is_bloated(self) -> bool:
        """Whether most of the file says nothing any more."""
        return self._rows_in_file > 2 * self._live_rows + 1000

    def snapshot(self) -> list[Row]:
        """All live rows. What is pending is in them and may follow them once more: twice means what once does."""
        rows: list[Row] = [NextId(self._next_id)]
        for group in self.all_groups():
            rows.append(group.row)
            rows.extend(stream.row for stream in group.streams.values())
        return rows

    def rewritten(self, rows: int) -> None:
        """The file now holds a snapshot of so many rows, nothing else."""
        self._rows_in_file = rows

    def load(self, data: bytes) -> int:
        """Take up the rows of a file; returns the length that is sound (a torn end is to be cut off)."""
        groups: dict[int, Group] = {}
        streams: dict[int, Stream] = {}
        end = 0
        for row, row_end in _decode_rows(data):
            end = row_end
            self._rows_in_file += 1
            self._next_id = max(self._next_id, row.id if isinstance(row, NextId) else row.id + 1)
            match row:
                case GroupRow() if row.id in groups:
                    groups[row.id].row = row
                case GroupRow():
                    groups[row.id] = self._add_group(row)
                case StreamRow() if row.group_id in groups and row.id not in streams:
                    streams[row.id] = self._add_stream(groups[row.group_id], row)
                case Gone() if row.id in groups:
                    self._drop_group(groups.pop(row.id))
                case Gone() if row.id in streams:
                    self._drop_stream(streams.pop(row.id))
        return end

    # ---- parts

    def _take_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def _add_group(self, row: GroupRow) -> Group:
        group = self._groups.setdefault((row.account, row.region), {})[row.name] = Group(row)
        self._live_rows += 1
        return group

    def _add_stream(self, group: Group, row: StreamRow) -> Stream:
        stream = group.streams[row.name] = Stream(group, row)
        self._live_rows += 1
        return stream

    def _drop_group(self, group: Group) -> None:
        group.gone = True
        for stream in list(group.streams.values()):
            self._drop_stream(stream)
        key = (group.row.account, group.row.region)
        del self._groups[key][group.row.name]
        if not self._groups[key]:
            del self._groups[key]
        self._live_rows -= 1

    def _drop_stream(self, stream: Stream) -> None:
        if not stream.gone:
            stream.gone = True
            del stream.group.streams[stream.row.name]
            self._live_rows -= 1


def encode_rows(rows: list[Row]) -> bytes:
    encode = msgspec.msgpack.Encoder().encode
    pieces = []
    for row in rows:
        body = encode(row)
        pieces.append(_FRAME.pack(len(body), crc32(body)))
        pieces.append(body)
    return b"".join(pieces)


def _decode_rows(data: bytes) -> Iterator[tuple[Row, int]]:
    """Each row with the offset behind it, up to the first that is torn."""
    decode = msgspec.msgpack.Decoder(Row).decode
    view = memoryview(data)
    offset = 0
    while offset + _FRAME.size <= len(view):
        length, checksum = _FRAME.unpack_from(view, offset)
        body = view[offset + _FRAME.size : offset + _FRAME.size + length]
        if len(body) < length or crc32(body) != checksum:
            return
        offset += _FRAME.size + length
        yield decode(body), offset
