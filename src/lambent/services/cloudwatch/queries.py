"""The queries of one GetMetricData: checked, read in one snapshot, calculated, and cut into pages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from lambent.services.cloudwatch import statistics
from lambent.services.cloudwatch.domain import MINUTE, Metric, dimensions_of
from lambent.services.cloudwatch.errors import ValidationError
from lambent.services.cloudwatch.expressions import MathError, Node, Series, Value, parse
from lambent.services.cloudwatch.store import MetricStore

MAX_QUERIES = 500
#: Data points that one request may read, and those that it may calculate with.
MAX_POINTS = 100_800
_MAX_CALCULATED = 3_000_000
#: Expressions that stand on one another.
_MAX_CHAIN = 50
_ID = re.compile(r"[a-z][a-zA-Z0-9_]*")


@dataclass(frozen=True, slots=True)
class Query:
    """One member of MetricDataQueries: for a metric, or an expression."""

    number: int
    id: str
    label: str
    wanted: bool
    period: int = MINUTE
    metric: Metric | None = None
    stat: str = ""
    unit: str | None = None
    expression: Node | None = None
    text: str = ""

    @property
    def where(self) -> str:
        return f"MetricDataQueries.member.{self.number}"


@dataclass(frozen=True, slots=True)
class Result:
    id: str
    label: str
    #: By second, ascending.
    points: Sequence[tuple[int, float]]


# ---- checking --------------------------------------------------------------------------------------------------


def queries_of(account: str, region: str, given: Sequence[Mapping[str, Any]]) -> list[Query]:
    """Raises ValidationError."""
    if not given:
        raise ValidationError("The parameter MetricDataQueries is required.")
    if len(given) > MAX_QUERIES:
        raise ValidationError(f"The collection MetricDataQueries must not have a size greater than {MAX_QUERIES}.")
    queries = [_query(account, region, each, number) for number, each in enumerate(given, 1)]
    by_id = {query.id: query for query in queries}
    if len(by_id) < len(queries):
        raise ValidationError("The values for parameter id in MetricDataQueries are not unique.")
    _check_references(queries, by_id)
    if not any(query.wanted for query in queries):
        raise ValidationError("At least one of the MetricDataQueries must have ReturnData set to true.")
    return queries


def _query(account: str, region: str, given: Mapping[str, Any], number: int) -> Query:
    where = f"MetricDataQueries.member.{number}"
    id, stat, text = given["Id"], given.get("MetricStat"), given.get("Expression")
    if not _ID.fullmatch(id):
        raise ValidationError(
            f"The value {id} for parameter {where}.Id is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$."
        )
    if given.get("AccountId") not in (None, account):
        raise ValidationError(f"The value {given['AccountId']} for parameter {where}.AccountId is invalid.")
    if stat is not None and text is not None:
        raise ValidationError(
            f"The parameters {where}.Expression and {where}.MetricStat are mutually exclusive "
            "and you have specified both."
        )
    wanted = given.get("ReturnData", True) is not False
    label = given.get("Label") or ""
    if "${" in label:
        raise ValidationError(f"The value {label} for parameter {where}.Label is not supported: labels are plain text.")
    if stat is not None:
        if given.get("Period") is not None:
            raise ValidationError(
                f"The parameters {where}.Period and {where}.MetricStat are mutually exclusive "
                "and you have specified both."
            )
        return _metric_query(account, region, stat, Query(number, id, label, wanted))
    if text is None:
        raise ValidationError(f"The parameter {where}.MetricStat is required.\n")
    try:
        node = parse(text)
    except MathError as error:
        raise ValidationError(f"Error in expression '{id}': {error}") from None
    return Query(number, id, label or id, wanted, given.get("Period") or MINUTE, expression=node, text=text)


def _metric_query(account: str, region: str, given: Mapping[str, Any], query: Query) -> Query:
    where = f"{query.where}.MetricStat"
    metric, period, stat = given["Metric"], given["Period"], given["Stat"]
    for name in ("Namespace", "MetricName"):
        if metric.get(name) is None:
            raise ValidationError(f"The parameter {where}.Metric.{name} is required.")
    if period % MINUTE:
        raise ValidationError(f"The parameter {where}.Period must be a multiple of 60: metrics are kept by the minute.")
    if statistics.is_unsupported(stat):
        raise ValidationError(f"The value {stat} for parameter {where}.Stat is not supported.")
    if statistics.statistic(stat) is None:
        raise ValidationError(f"The value {stat} for parameter {where}.Stat is not a valid statistic.")
    wanted = Metric(account, region, metric["Namespace"], metric["MetricName"], dimensions_of(metric.get("Dimensions")))
    label = query.label or wanted.name
    return Query(query.number, query.id, label, query.wanted, period, wanted, stat, given.get("Unit"))


def _check_references(queries: Sequence[Query], by_id: Mapping[str, Query]) -> None:
    """Every id is there, and none leads back to itself."""
    checked: set[str] = set()
    path: list[str] = []

    def follow(query: Query) -> None:
        if query.expression is None or query.id in checked:
            return
        if query.id in path or len(path) > _MAX_CHAIN:
            raise ValidationError(f"Error in expression '{query.id}': It refers to itself, or through too many others")
        path.append(query.id)
        for id in sorted(query.expression.ids()):
            if id not in by_id:
                raise ValidationError(f"Error in expression '{query.id}': Unrecognized id '{id}'")
            follow(by_id[id])
        checked.add(path.pop())

    for query in queries:
        follow(query)


# ---- reading and calculating -----------------------------------------------------------------------------------


@dataclass(slots=True)
class Evaluation:
    """Implements functions.Scope, inside one transaction."""

    store: MetricStore
    tx: Connection
    queries: Mapping[str, Query]
    #: Whole minutes, the end excluded.
    start: int
    end: int
    _values: dict[str, Value] = field(default_factory=dict)
    _calculated: int = 0

    def results(self) -> list[Result]:
        """Raises ValidationError."""
        found: list[Result] = []
        for query in self.queries.values():
            if query.wanted:
                found += self._results_of(query)
        return found

    def value_of(self, id: str) -> Value:
        value = self._values.get(id)
        if value is None:
            query = self.queries[id]
            value = self._values[id] = self.charged(self._evaluated(query))
        return value

    def metrics(self, part: str) -> list[Series]:
        found = [self.value_of(query.id) for query in self.queries.values() if query.metric and part in query.id]
        return [one for one in found if isinstance(one, Series)]

    def charged(self, value: Value) -> Value:
        if isinstance(value, Series):
            self._calculated += len(value.values)
        elif isinstance(value, list):
            self._calculated += sum(len(one.values) for one in value) * 2
        if self._calculated > _MAX_CALCULATED:
            raise MathError("The request calculates with too many data points")
        return value

    def _evaluated(self, query: Query) -> Value:
        if query.expression is None:
            return self._read(query)
        # First what it stands on, so that expressions of expressions do not pile up on Python's stack.
        for id in query.expression.ids():
            self.value_of(id)
        return query.expression.value(self)

    def _read(self, query: Query) -> Series:
        assert query.metric is not None
        stat = statistics.statistic(query.stat)
        assert stat is not None
        minutes = self.store.minutes_of(
            self.tx,
            query.metric,
            self.start // MINUTE,
            -(-self.end // MINUTE),
            query.unit,
            buckets=query.stat not in statistics.SIMPLE,
        )
        values: dict[int, float] = {}
        for (at, _unit), distribution in sorted(statistics.periods(minutes, self.start, query.period).items()):
            value = stat(distribution)
            # Of data in several units the first one counts, unless the query names one.
            if value is not None and at not in values:
                values[at] = value
        return Series(values, query.period, query.label)

    def _results_of(self, query: Query) -> list[Result]:
        try:
            value = self.value_of(query.id)
            if isinstance(value, (float, str)):
                raise MathError("The result must be a time series")
        except MathError as error:
            raise ValidationError(f"Error in expression '{query.id}': {error}") from None
        several = value if isinstance(value, list) else [value]
        return [
            Result(query.id, query.label if one is value else one.label or query.label, sorted(one.values.items()))
            for one in several
        ]


def cut(results: Sequence[Result], skip: int, most: int) -> tuple[list[tuple[Result, bool]], int | None]:
    """The data points after the first `skip`, at most `most`: each result with whether it is whole, and where the
    next page begins; None at the end. A result without data comes with the page that its place is in."""
    page: list[tuple[Result, bool]] = []
    at, end = 0, skip + most
    total = sum(len(result.points) for result in results)
    for result in results:
        size = len(result.points)
        first, last = max(skip - at, 0), min(end - at, size)
        if first < last or (not size and (skip <= at < end or at == end == total)):
            page.append((Result(result.id, result.label, result.points[first:last]), last == size))
        at += size
    return page, end if end < total else None
