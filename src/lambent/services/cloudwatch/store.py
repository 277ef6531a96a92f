"""The only SQL for metrics: series, and what each has of a minute. Sums grow by merging, so a restart loses none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import (
    Column,
    Connection,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    delete,
    func,
    null,
    select,
)

from lambent.services.cloudwatch.distribution import Distribution, packed, unpacked
from lambent.services.cloudwatch.domain import Cell, Metric, dimensions_text

_metadata = MetaData()
series = Table(
    "metric_series",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("account", String, nullable=False),
    Column("region", String, nullable=False),
    Column("namespace", String, nullable=False),
    Column("name", String, nullable=False),
    #: JSON of `Metric.dimensions`.
    Column("dimensions", String, nullable=False),
    #: The newest minute with data.
    Column("last_minute", Integer, nullable=False),
)
minutes = Table(
    "metric_minutes",
    _metadata,
    Column("series", Integer, primary_key=True),
    #: Since the epoch.
    Column("minute", Integer, primary_key=True),
    Column("unit", String, primary_key=True),
    Column("count", Float, nullable=False),
    Column("sum", Float, nullable=False),
    Column("minimum", Float, nullable=False),
    Column("maximum", Float, nullable=False),
    #: MessagePack of `Distribution.buckets`; NULL where percentiles cannot be told.
    Column("buckets", LargeBinary),
    sqlite_with_rowid=False,
)

# A flush writes thousands of rows: these go to the driver as they are.
_FIND = (
    "SELECT id FROM metric_series WHERE account = ? AND region = ? AND namespace = ? AND name = ? AND dimensions = ?"
)
_MAKE = (
    "INSERT INTO metric_series (account, region, namespace, name, dimensions, last_minute) VALUES (?, ?, ?, ?, ?, ?)"
)
_TOUCH = "UPDATE metric_series SET last_minute = ? WHERE id = ? AND last_minute < ?"
_READ = "SELECT count, sum, minimum, maximum, buckets FROM metric_minutes WHERE series = ? AND minute = ? AND unit = ?"
_PUT = "INSERT OR REPLACE INTO metric_minutes VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


class Row(NamedTuple):
    """A series as ListMetrics tells of it."""

    id: int
    namespace: str
    name: str
    dimensions: str


class Minute(NamedTuple):
    minute: int
    unit: str
    values: Distribution


class Merged(NamedTuple):
    #: Of every series that took data.
    ids: dict[Metric, int]
    #: How many of both there are more.
    series: int
    minutes: int


class MetricStore:
    """Methods named for what they do to the rows; call them inside `Database.read` or `write`."""

    def merge(self, tx: Connection, cells: Mapping[Cell, Distribution], known: Mapping[Metric, int]) -> Merged:
        """Add to what is there."""
        ids: dict[Metric, int] = {}
        newest: dict[int, int] = {}
        rows = []
        new_series = new_minutes = 0
        for cell, values in cells.items():
            metric = cell.metric
            number = ids.get(metric) or known.get(metric) or self._find(tx, metric)
            if number is None:
                number = self._make(tx, metric)
                new_series += 1
            ids[metric] = number
            newest[number] = max(cell.minute, newest.get(number, 0))
            row, is_new = self._merged(tx, number, cell, values)
            rows.append(row)
            new_minutes += is_new
        tx.exec_driver_sql(_PUT, rows)
        tx.exec_driver_sql(_TOUCH, [(minute, number, minute) for number, minute in newest.items()])
        return Merged(ids, new_series, new_minutes)

    def minutes_of(
        self, tx: Connection, metric: Metric, first: int, end: int, unit: str | None, *, buckets: bool
    ) -> list[Minute]:
        """Data from minute `first` up to before `end`, the oldest first; with what percentiles need, or without."""
        number = self._find(tx, metric)
        if number is None:
            return []
        c = minutes.c
        query = select(c.minute, c.unit, c.count, c.sum, c.minimum, c.maximum, c.buckets if buckets else null()).where(
            c.series == number, c.minute >= first, c.minute < end
        )
        if unit is not None:
            query = query.where(c.unit == unit)
        return [
            Minute(minute, unit, _distribution(*values))
            for minute, unit, *values in tx.execute(query.order_by(c.minute, c.unit))
        ]

    def list_series(
        self, tx: Connection, account: str, region: str, namespace: str | None, name: str | None, since: int, after: int
    ) -> Iterable[Row]:
        """With data since a minute; with ids beyond `after`, ascending."""
        c = series.c
        query = select(c.id, c.namespace, c.name, c.dimensions).where(
            c.account == account, c.region == region, c.last_minute >= since, c.id > after
        )
        if namespace is not None:
            query = query.where(c.namespace == namespace)
        if name is not None:
            query = query.where(c.name == name)
        return (Row(*row) for row in tx.execute(query.order_by(c.id)))

    def count(self, tx: Connection) -> tuple[int, int]:
        """Series, and rows of theirs."""
        of_series = tx.execute(select(func.count()).select_from(series)).scalar_one()
        return of_series, tx.execute(select(func.count()).select_from(minutes)).scalar_one()

    def prune(self, tx: Connection, before: int) -> None:
        """Forget minutes before this one, and series that have none left."""
        tx.execute(delete(minutes).where(minutes.c.minute < before))
        tx.execute(delete(series).where(series.c.last_minute < before))

    def delete_all(self, tx: Connection) -> None:
        tx.execute(delete(minutes))
        tx.execute(delete(series))

    def _make(self, tx: Connection, metric: Metric) -> int:
        made = tx.exec_driver_sql(_MAKE, (*metric[:4], dimensions_text(metric.dimensions), 0)).lastrowid
        return int(made)

    def _find(self, tx: Connection, metric: Metric) -> int | None:
        row: int | None = tx.exec_driver_sql(_FIND, (*metric[:4], dimensions_text(metric.dimensions))).scalar()
        return row

    def _merged(self, tx: Connection, number: int, cell: Cell, values: Distribution) -> tuple[Sequence[object], bool]:
        found = tx.exec_driver_sql(_READ, (number, cell.minute, cell.unit)).first()
        whole = values
        if found is not None:
            # A new one: the work may run more than once, and must leave what it was given alone.
            whole = _distribution(*found)
            whole.merge(values)
        buckets = packed(whole.buckets)
        row = number, cell.minute, cell.unit, whole.count, whole.sum, whole.minimum, whole.maximum, buckets
        return row, found is None


def _distribution(count: float, total: float, minimum: float, maximum: float, buckets: bytes | None) -> Distribution:
    return Distribution.given(count, total, minimum, maximum, unpacked(buckets))
