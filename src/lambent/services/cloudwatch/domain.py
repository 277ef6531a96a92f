"""What a metric is, and which data CloudWatch takes: frozen values and rules without I/O."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from math import isfinite
from typing import Any, NamedTuple

from lambent.services.cloudwatch.distribution import Distribution
from lambent.services.cloudwatch.errors import (
    InvalidParameterCombinationException,
    InvalidParameterValueException,
    MissingRequiredParameterException,
)

MINUTE = 60
DAY = 86_400
#: Days that a minute's data are kept, as on AWS; there is no coarser grain after it.
RETENTION_DAYS = 15
#: ListMetrics tells of what had data in two weeks.
LISTED_S = 14 * DAY
LARGEST = 2.0**360
MAX_METRICS = 1000
MAX_VALUES = 150
#: How far back, and ahead, a datum's time may lie.
OLDEST_S = 14 * DAY
NEWEST_S = 2 * 3600

Dimensions = tuple[tuple[str, str], ...]


class Metric(NamedTuple):
    """One metric of one account in one region."""

    account: str
    region: str
    namespace: str
    name: str
    #: By name, ascending.
    dimensions: Dimensions = ()


class Cell(NamedTuple):
    """A minute of a metric, in one unit."""

    metric: Metric
    #: Since the epoch.
    minute: int
    unit: str


class Datum(NamedTuple):
    cell: Cell
    values: Distribution


def dimensions_of(given: Sequence[Mapping[str, Any]] | None) -> Dimensions:
    return tuple(sorted((each["Name"], each["Value"]) for each in given or ()))


def dimensions_text(dimensions: Dimensions) -> str:
    return json.dumps(dimensions, ensure_ascii=False, separators=(",", ":"))


def dimensions_from(text: str) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in json.loads(text)]


# ---- PutMetricData ---------------------------------------------------------------------------------------------


def data_of(account: str, region: str, params: Mapping[str, Any], now: float) -> list[Datum]:
    """What a PutMetricData publishes. Raises what CloudWatch answers to data that it does not take."""
    namespace: str = params["Namespace"]
    if namespace.startswith("AWS/"):
        raise InvalidParameterValueException(f"The value {namespace} for parameter Namespace is invalid.")
    if params.get("EntityMetricData"):
        raise InvalidParameterValueException(
            "The parameter EntityMetricData is not supported: there are no entities here to relate metrics to."
        )
    given = params.get("MetricData")
    if not given:
        raise MissingRequiredParameterException("The parameter MetricData is required.")
    if len(given) > MAX_METRICS:
        raise InvalidParameterValueException(
            f"The collection MetricData must not have a size greater than {MAX_METRICS}."
        )
    return [
        _datum(account, region, namespace, datum, f"MetricData.member.{number}", now)
        for number, datum in enumerate(given, 1)
    ]


def _datum(account: str, region: str, namespace: str, datum: Mapping[str, Any], where: str, now: float) -> Datum:
    resolution = datum.get("StorageResolution")
    if resolution == 1:
        raise InvalidParameterValueException(
            f"The value 1 for parameter {where}.StorageResolution is not supported: metrics are kept by the minute."
        )
    if resolution not in (None, MINUTE):
        raise InvalidParameterValueException(f"The parameter {where}.StorageResolution must be 1 or 60.")
    dimensions = dimensions_of(datum.get("Dimensions"))
    if len(dict(dimensions)) < len(dimensions):
        raise InvalidParameterValueException(f"The parameter {where}.Dimensions names a dimension more than once.")
    time = _time(datum.get("Timestamp"), where, now)
    metric = Metric(account, region, namespace, datum["MetricName"], dimensions)
    return Datum(Cell(metric, int(time // MINUTE), datum.get("Unit") or "None"), _values(datum, where))


def _time(given: datetime | None, where: str, now: float) -> float:
    if given is None:
        return now
    time = given.timestamp()
    if time < now - OLDEST_S:
        raise InvalidParameterValueException(
            f"The parameter {where}.Timestamp must specify a time within the past two weeks."
        )
    if time > now + NEWEST_S:
        raise InvalidParameterValueException(
            f"The parameter {where}.Timestamp must specify a time no more than two hours in the future."
        )
    return time


def _values(datum: Mapping[str, Any], where: str) -> Distribution:
    ways = [name for name in ("Value", "Values", "StatisticValues") if datum.get(name) not in (None, [])]
    if not ways:
        raise MissingRequiredParameterException(
            f"At least one of the parameters {where}.Value, {where}.Values and {where}.StatisticValues "
            "must be specified."
        )
    if len(ways) > 1:
        raise InvalidParameterCombinationException(
            f"The parameters {where}.{ways[0]} and {where}.{ways[1]} are mutually exclusive "
            "and you have specified both."
        )
    if datum.get("Counts") and ways != ["Values"]:
        raise InvalidParameterCombinationException(f"The parameter {where}.Counts needs {where}.Values.")
    if ways == ["Value"]:
        return Distribution.of(_number(datum["Value"], f"{where}.Value"))
    if ways == ["Values"]:
        return _counted(datum["Values"], datum.get("Counts"), where)
    return _statistics(datum["StatisticValues"], f"{where}.StatisticValues")


def _counted(values: Sequence[float], counts: Sequence[float] | None, where: str) -> Distribution:
    if len(values) > MAX_VALUES:
        raise InvalidParameterValueException(
            f"The collection {where}.Values must not have a size greater than {MAX_VALUES}."
        )
    if counts and len(counts) != len(values):
        raise InvalidParameterValueException(
            f"The parameters {where}.Values and {where}.Counts must be of the same size."
        )
    made = Distribution()
    for number, (value, count) in enumerate(zip(values, counts or [1.0] * len(values), strict=True), 1):
        count = _number(count, f"{where}.Counts.member.{number}")
        if count <= 0:
            raise InvalidParameterValueException(
                f"The value {count} for parameter {where}.Counts.member.{number} is invalid."
            )
        made.add(_number(value, f"{where}.Values.member.{number}"), count)
    return made


def _statistics(given: Mapping[str, float], where: str) -> Distribution:
    count, total, minimum, maximum = (
        _number(given[name], f"{where}.{name}") for name in ("SampleCount", "Sum", "Minimum", "Maximum")
    )
    if maximum < minimum:
        raise InvalidParameterValueException(
            f"The parameter {where}.Maximum must be greater than or equal to {where}.Minimum."
        )
    if count <= 0:
        raise InvalidParameterValueException(f"The parameter {where}.SampleCount must be greater than 0.")
    return Distribution.given(count, total, minimum, maximum)


def _number(value: float, where: str) -> float:
    if not isfinite(value) or abs(value) > LARGEST:
        word = "NaN" if value != value else f"{'-' if value < 0 else ''}Infinity" if not isfinite(value) else value
        raise InvalidParameterValueException(f"The value {word} for parameter {where} is invalid.")
    return float(value)


# ---- ListMetrics -----------------------------------------------------------------------------------------------


def has_dimensions(dimensions: Iterable[Mapping[str, str]], filters: Sequence[Mapping[str, str]]) -> bool:
    """Whether each filter, a name or a name with a value, fits one of the dimensions."""
    values = {each["Name"]: each["Value"] for each in dimensions}
    return all(each["Name"] in values and each.get("Value") in (None, values[each["Name"]]) for each in filters)
