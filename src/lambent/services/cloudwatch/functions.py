"""The functions of metric math, over scalars, time series and arrays of series."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, isfinite, log, log10, sqrt
from typing import Protocol


class MathError(Exception):
    """What is wrong with an expression, as a clause."""


@dataclass(frozen=True, slots=True)
class Series:
    """Values by second since the epoch, ascending; at most one for each period."""

    values: Mapping[int, float]
    period: int
    label: str = ""


#: Text is an argument only, such as REPEAT.
Value = float | str | Series | list[Series]


class Scope(Protocol):
    """Where an expression is evaluated."""

    #: Seconds: of the whole request, its end excluded.
    start: int
    end: int

    def value_of(self, id: str) -> Value:
        """What the query of this id came to."""

    def metrics(self, part: str) -> list[Series]:
        """The series of every query for a metric whose id holds `part`."""

    def charged(self, value: Value) -> Value:
        """`value`; raises MathError once a request has calculated with more points than it may."""


Act = Callable[[float, float], float | None]
#: Names that stand for themselves.
WORDS = frozenset({"REPEAT", "LINEAR"})


def combined(act: Act, left: Value, right: Value) -> Value:
    if isinstance(left, str) or isinstance(right, str):
        raise MathError("Text cannot be calculated with")
    if isinstance(left, float) and isinstance(right, float):
        return _finite(act(left, right))
    if isinstance(left, list):
        if isinstance(right, list):
            raise MathError("Two arrays of time series cannot be combined")
        return [_met(act, each, right) for each in left]
    if isinstance(right, list):
        return [_met(act, left, each) for each in right]
    return _met(act, left, right)


def _met(act: Act, left: float | Series, right: float | Series) -> Series:
    """At least one is a series."""
    if isinstance(left, Series) and isinstance(right, Series):
        pairs = {at: act(value, right.values[at]) for at, value in left.values.items() if at in right.values}
        return _made(pairs, left)
    if isinstance(left, Series):
        assert isinstance(right, float)
        return _made({at: act(value, right) for at, value in left.values.items()}, left)
    assert isinstance(right, Series)
    return _made({at: act(left, value) for at, value in right.values.items()}, right)


def _made(values: Mapping[int, float | None], like: Series) -> Series:
    return Series({at: value for at, value in values.items() if value is not None and isfinite(value)}, like.period)


def _finite(value: float | None) -> float:
    if value is None or not isfinite(value):
        raise MathError("The result is not a number")
    return value


def as_series(value: Value) -> list[Series]:
    if isinstance(value, Series):
        return [value]
    if isinstance(value, list):
        return value
    raise MathError("A time series is needed where there is none")


def _each(value: Value, change: Callable[[float], float | None]) -> Value:
    if isinstance(value, float):
        return _finite(change(value))
    return _mapped(value, lambda one: _made({at: change(each) for at, each in one.values.items()}, one))


def _mapped(value: Value, change: Callable[[Series], Series]) -> Value:
    if isinstance(value, list):
        return [change(one) for one in value]
    return change(as_series(value)[0])


# ---- functions; the scope comes first, whether they need it or not ---------------------------------------------


def _gathered(gather: Callable[[list[float]], float]) -> Callable[..., Value]:
    """Of one series a scalar; of an array the series of what all have together at each time."""

    def act(scope: Scope, value: Value) -> Value:
        if isinstance(value, list):
            times = sorted({at for one in value for at in one.values})
            period = value[0].period if value else 60
            return Series({at: gather([one.values[at] for one in value if at in one.values]) for at in times}, period)
        values = list(as_series(value)[0].values.values())
        return gather(values) if values else 0.0

    return act


def _deviation(values: list[float]) -> float:
    middle = sum(values) / len(values)
    return sqrt(sum((value - middle) ** 2 for value in values) / len(values))


def _metrics(scope: Scope, part: Value = "") -> Value:
    return scope.metrics(part if isinstance(part, str) else "")


def _metric_count(scope: Scope, value: Value) -> Value:
    return float(len(as_series(value)))


def _period(scope: Scope, value: Value) -> Value:
    return float(as_series(value)[0].period)


def _fill(scope: Scope, value: Value, filling: Value) -> Value:
    return _mapped(value, lambda one: _filled(scope, one, filling))


def _filled(scope: Scope, one: Series, filling: Value) -> Series:
    known = dict(one.values)
    first = min(known, default=scope.start)
    times = sorted(known)
    # Its times are those at which the series has data or would have them.
    begin = first - (first - scope.start) // one.period * one.period
    filled: dict[int, float] = {}
    last: float | None = None
    for at in range(begin, scope.end, one.period):
        value = known.get(at)
        if value is None:
            value = _filler(at, known, times, last, filling)
        else:
            last = value
        if value is not None:
            filled[at] = value
    return Series(filled, one.period)


def _filler(at: int, known: Mapping[int, float], times: list[int], last: float | None, filling: Value) -> float | None:
    if filling == "REPEAT":
        return last
    if filling == "LINEAR":
        place = bisect(times, at)
        if not 0 < place < len(times):
            return None
        before, after = times[place - 1], times[place]
        return known[before] + (known[after] - known[before]) * (at - before) / (after - before)
    if isinstance(filling, float):
        return filling
    raise MathError("FILL takes a number, REPEAT or LINEAR")


def _neighbours(change: Callable[[float, int], float]) -> Callable[..., Value]:
    """Of the difference to the value before, and the seconds between."""

    def of_one(one: Series) -> Series:
        items = sorted(one.values.items())
        made = {at: change(value - before, at - since) for (since, before), (at, value) in pairwise(items)}
        return Series(made, one.period)

    return lambda scope, value: _mapped(value, of_one)


def _running_sum(scope: Scope, value: Value) -> Value:
    def of_one(one: Series) -> Series:
        total, made = 0.0, {}
        for at, each in sorted(one.values.items()):
            total += each
            made[at] = total
        return Series(made, one.period)

    return _mapped(value, of_one)


def _if(scope: Scope, test: Value, yes: Value, no: Value | None = None) -> Value:
    if isinstance(test, float):
        chosen = yes if test else no
        if chosen is None:
            raise MathError("IF has no value where its condition is false")
        return chosen
    one = as_series(test)[0]
    made: dict[int, float | None] = {}
    for at, passed in one.values.items():
        chosen = yes if passed else no
        made[at] = (
            chosen.values.get(at) if isinstance(chosen, Series) else chosen if isinstance(chosen, float) else None
        )
    return _made(made, one)


FUNCTIONS: Mapping[str, Callable[..., Value]] = {
    "SUM": _gathered(sum),
    "AVG": _gathered(lambda values: sum(values) / len(values)),
    "MIN": _gathered(min),
    "MAX": _gathered(max),
    "STDDEV": _gathered(_deviation),
    "METRICS": _metrics,
    "METRIC_COUNT": _metric_count,
    "PERIOD": _period,
    "FILL": _fill,
    "RATE": _neighbours(lambda difference, seconds: difference / seconds),
    "DIFF": _neighbours(lambda difference, seconds: difference),
    "DIFF_TIME": _neighbours(lambda difference, seconds: float(seconds)),
    "RUNNING_SUM": _running_sum,
    "ABS": lambda scope, value: _each(value, abs),
    "CEIL": lambda scope, value: _each(value, lambda each: float(ceil(each))),
    "FLOOR": lambda scope, value: _each(value, lambda each: float(floor(each))),
    "LOG": lambda scope, value: _each(value, lambda each: log(each) if each > 0 else None),
    "LOG10": lambda scope, value: _each(value, lambda each: log10(each) if each > 0 else None),
    "IF": _if,
}
#: How few and how many arguments each takes.
ARGUMENTS: Mapping[str, tuple[int, int]] = {
    name: {"METRICS": (0, 1), "FILL": (2, 2), "IF": (2, 3)}.get(name, (1, 1)) for name in FUNCTIONS
}
