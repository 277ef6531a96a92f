"""The only SQL for metrics: series, and what each has of a minute. Sums grow by merging, so a restart loses none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
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
from lambent.services.cloudwatch.distribution import merged as merged_of
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
    "SELECT id, last_minute FROM metric_series "
    "WHERE account = ? AND region = ? AND namespace = ? AND name = ? AND dimensions = ?"
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


class Place(NamedTuple):
    """Where a series is."""

    id: int
    #: The newest minute with data.
    last_minute: int


class Seen(NamedTuple):
    """What the last writes left, so that the next ones need not read it."""

    places: dict[Metric, Place]
    wholes: dict[Cell, Distribution]


@dataclass(slots=True)
class Merged:
    """What a write left."""

    places: dict[Metric, Place]
    wholes: dict[Cell, Distribution]
    #: How many of both there are more.
    series: int
    minutes: int


class MetricStore:
    """Methods named for what they do to the rows; call them inside `Database.read` or `write`."""

    def merge(self, tx: Connection, cells: Mapping[Cell, Distribution], seen: Seen) -> Merged:
        """Add to what is there. What `seen` tells is not read again."""
        merged = Merged({}, {}, 0, 0)
        rows = []
        newest: dict[int, int] = {}
        for cell, values in cells.items():
            place = merged.places.get(cell.metric) or seen.places.get(cell.metric) or self._place(tx, cell.metric)
            if place is None:
                place = Place(self._make(tx, cell.metric), 0)
                merged.series += 1
            there = self._there(tx, place, cell, seen)
            merged.minutes += there is None
            # A new one: the work may run more than once, and must leave what it was given alone.
            whole = merged_of([values] if there is None else [there, values])
            merged.wholes[cell] = whole
            rows.append(_row(place.id, cell, whole))
            if cell.minute > place.last_minute:
                place = Place(place.id, cell.minute)
                newest[place.id] = cell.minute
            merged.places[cell.metric] = place
        tx.exec_driver_sql(_PUT, rows)
        if newest:
            tx.exec_driver_sql(_TOUCH, [(minute, number, minute) for number, minute in newest.items()])
        return merged

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
        place = self._place(tx, metric)
        return None if place is None else place.id

    def _place(self, tx: Connection, metric: Metric) -> Place | None:
        row = tx.exec_driver_sql(_FIND, (*metric[:4], dimensions_text(metric.dimensions))).first()
        return None if row is None else Place(*row)

    def _there(self, tx: Connection, place: Place, cell: Cell, seen: Seen) -> Distribution | None:
        """What the cell has so far."""
        recent = seen.wholes.get(cell)
        if recent is not None or cell.minute > place.last_minute:
            return recent
        found = tx.exec_driver_sql(_READ, (place.id, cell.minute, cell.unit)).first()
        return None if found is None else _distribution(*found)


def _row(number: int, cell: Cell, whole: Distribution) -> Sequence[object]:
    buckets = packed(whole.buckets)
    return number, cell.minute, cell.unit, whole.count, whole.sum, whole.minimum, whole.maximum, buckets


def _distribution(count: float, total: float, minimum: float, maximum: float, buckets: bytes | None) -> Distribution:
    return Distribution.given(count, total, minimum, maximum, unpacked(buckets))
