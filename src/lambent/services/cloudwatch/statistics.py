"""Statistics by name: `Sum`, `Average`, `p99.9`; and a metric's minutes gathered into periods."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from lambent.services.cloudwatch.distribution import Distribution
from lambent.services.cloudwatch.domain import MINUTE
from lambent.services.cloudwatch.store import Minute

#: A statistic of some values; None where they do not have it.
Statistic = Callable[[Distribution], float | None]

SIMPLE: Mapping[str, Statistic] = {
    "SampleCount": lambda values: values.count,
    "Sum": lambda values: values.sum,
    "Average": lambda values: values.sum / values.count,
    "Minimum": lambda values: values.minimum,
    "Maximum": lambda values: values.maximum,
}
_PERCENTILE = re.compile(r"p(\d{1,3}(?:\.\d{1,10})?)")
#: What CloudWatch has beside these, and a histogram by the minute does not tell well enough.
_OTHER = re.compile(r"(tm|wm|tc|ts|pr|TM|WM|TC|TS|PR)(\d|\()|IQM$")


def statistic(name: str) -> Statistic | None:
    """None: there is no such statistic."""
    simple = SIMPLE.get(name)
    if simple is not None:
        return simple
    found = _PERCENTILE.fullmatch(name)
    if found is None or not 0 <= (percent := float(found[1])) <= 100:
        return None
    return lambda values: values.percentile(percent)


def is_unsupported(name: str) -> bool:
    """Trimmed and winsorized means, percentile ranks: statistics of CloudWatch's that there are not here."""
    return _OTHER.match(name) is not None


def periods(minutes: Iterable[Minute], start: int, period: int) -> dict[tuple[int, str], Distribution]:
    """Data by period and unit, each named by the second at which the period begins; `start` begins one of them."""
    gathered: dict[tuple[int, str], Distribution] = {}
    for minute, unit, values in minutes:
        at = minute * MINUTE
        key = at - (at - start) % period, unit
        whole = gathered.get(key)
        if whole is None:
            gathered[key] = values
        else:
            whole.merge(values)
    return gathered
