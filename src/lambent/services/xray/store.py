"""The only SQL for traces: each with its span and size, and the documents that it is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    Column,
    Connection,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    String,
    Table,
    delete,
    func,
    select,
)

from lambent.services.xray.domain import LARGEST_TRACE, Segment

_metadata = MetaData()
traces = Table(
    "xray_traces",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("account", String, nullable=False),
    Column("region", String, nullable=False),
    Column("trace_id", String, nullable=False),
    #: Of its earliest segment.
    Column("started_at", Float, nullable=False),
    #: Of whichever segment ended last.
    Column("ended_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    #: Bytes of its documents.
    Column("size", Integer, nullable=False),
    #: How often documents were added.
    Column("revision", Integer, nullable=False),
    #: Documents were left out because it is too large.
    Column("limit_exceeded", Integer, nullable=False),
)
segments = Table(
    "xray_segments",
    _metadata,
    Column("trace", Integer, primary_key=True),
    Column("segment_id", String, primary_key=True),
    Column("document", LargeBinary, nullable=False),
)

# A flush writes thousands of rows: these go to the driver as they are.
_FIND = (
    "SELECT id, started_at, ended_at, size, revision, limit_exceeded FROM xray_traces "
    "WHERE account = ? AND region = ? AND trace_id = ?"
)
_MAKE = (
    "INSERT INTO xray_traces (account, region, trace_id, started_at, ended_at, updated_at, size, revision, "
    "limit_exceeded) VALUES (?, ?, ?, 0, 0, 0, 0, 0, 0)"
)
_UPDATE = (
    "UPDATE xray_traces SET started_at = ?, ended_at = ?, updated_at = ?, size = ?, revision = ?, limit_exceeded = ? "
    "WHERE id = ?"
)
_SIZE = "SELECT length(document) FROM xray_segments WHERE trace = ? AND segment_id = ?"
_PUT = "INSERT OR REPLACE INTO xray_segments (trace, segment_id, document) VALUES (?, ?, ?)"
#: Traces that one statement of pruning deletes.
_PRUNED = 500

#: account, region and trace id.
Key = tuple[str, str, str]


class TraceRow(NamedTuple):
    id: int
    trace_id: str
    started_at: float
    ended_at: float
    updated_at: float
    size: int
    revision: int
    limit_exceeded: int


class TraceStore:
    """Methods named for what they do to the rows; call them inside `Database.read` or `write`."""

    def add(self, tx: Connection, found: Mapping[Key, Sequence[Segment]], now: float) -> int:
        """Add documents to their traces, those with a known id in its place. How many bytes more there are."""
        grown = 0
        for (account, region, trace_id), new in found.items():
            row = tx.exec_driver_sql(_FIND, (account, region, trace_id)).first()
            if row is None:
                number = int(tx.exec_driver_sql(_MAKE, (account, region, trace_id)).lastrowid)
                start, end, size, revision, exceeded = float("inf"), 0.0, 0, 0, 0
            else:
                number, start, end, size, revision, exceeded = row
            before = size
            for segment in new:
                there = tx.exec_driver_sql(_SIZE, (number, segment.id)).scalar() or 0
                if size - there + len(segment.document) > LARGEST_TRACE:
                    exceeded = 1
                    continue
                tx.exec_driver_sql(_PUT, (number, segment.id, segment.document))
                size += len(segment.document) - there
                start, end = min(start, segment.started_at), max(end, segment.ended_at)
            tx.exec_driver_sql(_UPDATE, (min(start, now), end, now, size, revision + 1, exceeded, number))
            grown += size - before
        return grown

    def find(self, tx: Connection, account: str, region: str, trace_id: str) -> TraceRow | None:
        c = traces.c
        query = _rows().where(c.account == account, c.region == region, c.trace_id == trace_id)
        row = tx.execute(query).first()
        return None if row is None else TraceRow(*row)

    def between(
        self,
        tx: Connection,
        account: str,
        region: str,
        span: tuple[float, float],
        column: str,
        before: tuple[float, int] | None,
        limit: int,
    ) -> list[TraceRow]:
        """Traces whose `column` lies in `span`, the newest first; `before`: those that come after this one in order."""
        c = traces.c
        time = c[column]
        query = _rows().where(c.account == account, c.region == region, time >= span[0], time <= span[1])
        if before is not None:
            at, number = before
            query = query.where((time < at) | ((time == at) & (c.id < number)))
        return [TraceRow(*row) for row in tx.execute(query.order_by(time.desc(), c.id.desc()).limit(limit))]

    def documents(self, tx: Connection, number: int) -> list[bytes]:
        query = select(segments.c.document).where(segments.c.trace == number)
        return [bytes(document) for document in tx.execute(query).scalars()]

    def size(self, tx: Connection) -> int:
        """Bytes of all documents."""
        return int(tx.execute(select(func.coalesce(func.sum(traces.c.size), 0))).scalar_one())

    def prune(self, tx: Connection, before: float) -> None:
        """Forget traces that nothing was added to since then."""
        self._delete(tx, tx.execute(select(traces.c.id).where(traces.c.updated_at < before)).scalars())

    def shrink(self, tx: Connection, surplus: int) -> int:
        """Forget the oldest traces of whichever account has most, until so many bytes are free. How many are."""
        c, freed = traces.c, 0
        while freed < surplus:
            total = func.sum(c.size)
            largest = tx.execute(select(c.account).group_by(c.account).order_by(total.desc()).limit(1)).scalar()
            query = select(c.id, c.size).where(c.account == largest).order_by(c.started_at, c.id).limit(_PRUNED)
            gone = []
            for number, size in tx.execute(query):
                gone.append(number)
                freed += size
                if freed >= surplus:
                    break
            if not gone:
                break
            self._delete(tx, gone)
        return freed

    def delete_all(self, tx: Connection) -> None:
        tx.execute(delete(segments))
        tx.execute(delete(traces))

    def _delete(self, tx: Connection, numbers: Iterable[int]) -> None:
        rows = [(number,) for number in numbers]
        if rows:
            tx.exec_driver_sql("DELETE FROM xray_segments WHERE trace = ?", rows)
            tx.exec_driver_sql("DELETE FROM xray_traces WHERE id = ?", rows)


def _rows() -> Select[Any]:
    c = traces.c
    return select(c.id, c.trace_id, c.started_at, c.ended_at, c.updated_at, c.size, c.revision, c.limit_exceeded)
