"""The only SQL for the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, delete, select
from sqlalchemy.dialects.sqlite import insert

from lambent.services.billing.prices import Usage


class Line(NamedTuple):
    """What a line of the ledger is about."""

    account: str
    region: str
    function: str
    version: str
    #: Days since the epoch, UTC.
    day: int
    architecture: str


_metadata = MetaData()
ledger = Table(
    "ledger",
    _metadata,
    Column("account", String, primary_key=True),
    Column("region", String, primary_key=True),
    Column("function", String, primary_key=True),
    Column("version", String, primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("architecture", String, primary_key=True),
    Column("requests", Integer, nullable=False),
    Column("billed_ms", Integer, nullable=False),
    Column("mb_ms", Integer, nullable=False),
    Column("provisioned_mb_ms", Integer, nullable=False),
    Column("kept_mb_ms", Integer, nullable=False),
    Column("tmp_mb_ms", Integer, nullable=False),
    Column("cached_mb_ms", Integer, nullable=False),
    Column("restored_mb", Integer, nullable=False),
    Column("streamed_bytes", Integer, nullable=False),
    sqlite_with_rowid=False,
)


class LedgerStore:
    """Methods named for what they do to the rows; call them inside `Database.read` or `write`."""

    def add(self, tx: Connection, lines: Mapping[Line, Usage]) -> None:
        """Onto what the lines have."""
        new = insert(ledger)
        statement = new.on_conflict_do_update(
            index_elements=list(Line._fields),
            set_={name: ledger.c[name] + new.excluded[name] for name in Usage._fields},
        )
        tx.execute(statement, [{**line._asdict(), **usage._asdict()} for line, usage in lines.items()])

    def since(self, tx: Connection, day: int) -> list[tuple[Line, Usage]]:
        """Every line from that day on, the oldest first."""
        rows = tx.execute(select(ledger).where(ledger.c.day >= day).order_by(ledger.c.day, *ledger.primary_key.columns))
        width = len(Line._fields)
        return [(Line(*row[:width]), Usage(*row[width:])) for row in rows]

    def delete_all(self, tx: Connection) -> None:
        tx.execute(delete(ledger))
