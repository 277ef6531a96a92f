"""The only SQL for `async_events`. Works on a transaction.

Rows come and go in batches of thousands a second while the event loop is busy. Each statement that SQLite runs gives
the interpreter lock away and has to win it back, so a batch is one statement, not one for each row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from sqlalchemy import Column, Connection, Float, Integer, LargeBinary, MetaData, String, Table, delete, func, select

from lambent.ports import Event
from lambent.triggers.waiting import Waiting

_metadata = MetaData()
events = Table(
    "async_events",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("account", String, nullable=False),
    Column("region", String, nullable=False),
    Column("function", String, nullable=False),
    Column("qualifier", String, nullable=False),
    Column("accepted_at", Float, nullable=False),
    Column("due_at", Float, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    #: Event as MessagePack.
    Column("event", LargeBinary, nullable=False),
)

#: Rows of one statement; powers of two below it make up the rest, so that few texts are prepared.
LARGEST_INSERT = 128

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Event).decode


class EventStore:
    """Methods named for what they do to the rows; call them inside `Database.read` or `write`."""

    def insert(self, tx: Connection, waiting: Sequence[Waiting]) -> None:
        """New ones, which hold their events."""
        start = 0
        while start < len(waiting):
            size = min(LARGEST_INSERT, 1 << ((len(waiting) - start).bit_length() - 1))
            values = [value for entry in waiting[start : start + size] for value in _row(entry)]
            tx.exec_driver_sql(_INSERTS[size], tuple(values))
            start += size

    def postpone(self, tx: Connection, waiting: Iterable[Waiting]) -> None:
        """Write when to try them again, and what was tried."""
        rows = [[entry.id, entry.due_at, entry.attempts, entry.failures] for entry in waiting]
        tx.exec_driver_sql(_POSTPONE, (msgspec.json.encode(rows).decode(),))

    def delete(self, tx: Connection, ids: Iterable[int]) -> None:
        tx.exec_driver_sql(_DELETE, (msgspec.json.encode(list(ids)).decode(),))

    def delete_all(self, tx: Connection) -> None:
        tx.execute(delete(events))

    def all(self, tx: Connection) -> list[Waiting]:
        """Without their events, in the order of acceptance."""
        columns = [column for column in events.c if column is not events.c.event]
        size = func.length(events.c.event).label("size")
        return [
            Waiting(
                row.id,
                (row.account, row.region, row.function, row.qualifier),
                row.accepted_at,
                row.due_at,
                None,
                row.attempts,
                row.failures,
                row.size,
            )
            for row in tx.execute(select(*columns, size).order_by(events.c.id))
        ]

    def last_id(self, tx: Connection) -> int:
        return int(tx.execute(select(func.coalesce(func.max(events.c.id), 0))).scalar_one())

    def load(self, tx: Connection, ids: Sequence[int]) -> dict[int, Event]:
        rows = tx.execute(select(events.c.id, events.c.event).where(events.c.id.in_(ids)))
        return {row.id: _decode(row.event) for row in rows}


def _insert(rows: int) -> str:
    row = f"({', '.join('?' * len(events.c))})"
    names = ", ".join(column.name for column in events.c)
    return f"INSERT INTO async_events ({names}) VALUES {', '.join([row] * rows)}"  # noqa: S608 - names of our own


_INSERTS = {size: _insert(size) for size in (1 << power for power in range(LARGEST_INSERT.bit_length()))}
_DELETE = "DELETE FROM async_events WHERE id IN (SELECT value FROM json_each(?))"
_POSTPONE = (
    "UPDATE async_events SET due_at = json_extract(value, '$[1]'), attempts = json_extract(value, '$[2]'), "
    "failures = json_extract(value, '$[3]') FROM json_each(?) WHERE async_events.id = json_extract(value, '$[0]')"
)


def _row(entry: Waiting) -> tuple[object, ...]:
    times = entry.accepted_at, entry.due_at, entry.attempts, entry.failures
    return (entry.id, *entry.lane, *times, _encode(entry.event))
