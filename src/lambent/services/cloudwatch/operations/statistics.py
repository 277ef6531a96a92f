"""GetMetricStatistics: statistics of one metric by period."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from lambent.context import Context
from lambent.services.cloudwatch import statistics
from lambent.services.cloudwatch.aggregation import Metrics
from lambent.services.cloudwatch.distribution import Distribution
from lambent.services.cloudwatch.domain import MINUTE, Metric, dimensions_of
from lambent.services.cloudwatch.errors import (
    InvalidParameterCombinationException,
    InvalidParameterValueException,
    MissingRequiredParameterException,
)
from lambent.services.cloudwatch.store import MetricStore

MAX_DATAPOINTS = 1440


class StatisticsOperations:
    def __init__(self, metrics: Metrics, store: MetricStore) -> None:
        self._metrics = metrics
        self._store = store

    async def GetMetricStatistics(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        simple, extended = params.get("Statistics") or [], params.get("ExtendedStatistics") or []
        _check_statistics(simple, extended)
        start, end = _span(params)
        metric = Metric(
            context.account,
            context.region,
            params["Namespace"],
            params["MetricName"],
            dimensions_of(params.get("Dimensions")),
        )

        def read(tx: Connection) -> dict[tuple[int, str], Distribution]:
            first, last = start // MINUTE, -(-end // MINUTE)
            minutes = self._store.minutes_of(tx, metric, first, last, params.get("Unit"), buckets=bool(extended))
            return statistics.periods(minutes, start, params["Period"])

        gathered = await self._metrics.read(read)
        point = functools.partial(_datapoint, simple, extended)
        points = [point(at, unit, values) for (at, unit), values in sorted(gathered.items())]
        return {"Label": metric.name, "Datapoints": [each for each in points if each is not None]}


def _check_statistics(simple: list[str], extended: list[str]) -> None:
    if simple and extended:
        raise InvalidParameterCombinationException(
            "The parameters Statistics and ExtendedStatistics are mutually exclusive and you have specified both."
        )
    if not simple and not extended:
        raise MissingRequiredParameterException(
            "At least one of the parameters Statistics and ExtendedStatistics must be specified."
        )
    for number, name in enumerate(extended, 1):
        if statistics.is_unsupported(name):
            raise InvalidParameterValueException(
                f"The value {name} for parameter ExtendedStatistics.member.{number} is not supported."
            )
        if name in statistics.SIMPLE or statistics.statistic(name) is None:
            raise InvalidParameterValueException(
                f"The value {name} for parameter ExtendedStatistics.member.{number} is not a valid statistic."
            )


def _span(params: Mapping[str, Any]) -> tuple[int, int]:
    """First and last second asked for, the first rounded down to its minute."""
    period: int = params["Period"]
    if period % MINUTE:
        raise InvalidParameterValueException(
            "The parameter Period must be a multiple of 60: metrics are kept by the minute."
        )
    start, end = params["StartTime"].timestamp(), params["EndTime"].timestamp()
    if start >= end:
        raise InvalidParameterValueException("The parameter StartTime must be less than the parameter EndTime.")
    begin, last = int(start) // MINUTE * MINUTE, int(-(-end // 1))
    wanted = -(-(last - begin) // period)
    if wanted > MAX_DATAPOINTS:
        raise InvalidParameterCombinationException(
            f"You have requested up to {wanted:,} datapoints, which exceeds the limit of {MAX_DATAPOINTS:,}. "
            "You may reduce the datapoints requested by increasing Period, or decreasing the time range."
        )
    return begin, last


def _datapoint(simple: list[str], extended: list[str], at: int, unit: str, values: Distribution) -> Any:
    """None where it has none of the statistics."""
    point: dict[str, Any] = {"Timestamp": datetime.fromtimestamp(at, UTC), "Unit": unit}
    for name in simple:
        point[name] = statistics.SIMPLE[name](values)
    if extended:
        found = {name: stat(values) for name in extended if (stat := statistics.statistic(name)) is not None}
        point["ExtendedStatistics"] = {name: value for name, value in found.items() if value is not None}
        if not point["ExtendedStatistics"]:
            return None
    return point
