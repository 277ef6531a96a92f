"""AWS/Lambda: what invocations, throttles and other parts tell, as the metrics that Lambda publishes.

`record` stands on the path of every invocation: it finds one cell and adds to it. Metrics and dimensions are made of
the cells when metrics are flushed. As on AWS, data have the time at which the function was invoked.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from math import ceil, inf, log
from typing import Protocol

import msgspec

from lambent.arn import function_of
from lambent.clock import Clock
from lambent.periodic import Periodic
from lambent.ports import ConcurrencyPeaks, FunctionVersion, InvocationRecord, ProvisionedPeaks
from lambent.services.cloudwatch.distribution import SCALE, ZERO, Distribution, bucket_of, merged
from lambent.services.cloudwatch.domain import MINUTE, Cell, Datum, Dimensions, Metric

NAMESPACE = "AWS/Lambda"
COUNT = "Count"
MILLISECONDS = "Milliseconds"
#: How often the peaks of concurrency since the last time become data.
SAMPLE_SECONDS = 1.0
_ONE = bucket_of(1.0)


class _Invocations:
    """Of one version of a function, as one ARN named it, in one minute."""

    __slots__ = (
        "arn",
        "began",
        "buckets",
        "count",
        "errors",
        "function",
        "maximum",
        "minimum",
        "minute",
        "provisioned",
        "spilled",
        "sum",
        "throttles",
    )

    def __init__(self, function: FunctionVersion, arn: str, minute: int) -> None:
        self.function = function
        self.arn = arn
        self.minute = minute
        self.began = float(minute * MINUTE)
        self.count = 0
        self.errors = 0
        self.throttles = 0
        # Of versions with provisioned concurrency: under it, and beyond it
        self.provisioned = 0
        self.spilled = 0
        # Of durations, in milliseconds
        self.sum = 0.0
        self.minimum = inf
        self.maximum = -inf
        self.buckets: dict[int, float] = {}


class Peaks(ConcurrencyPeaks, ProvisionedPeaks, Protocol):
    """What the invoker tells of itself."""


#: Told of a version, how much concurrency is provisioned for it, and for how many seconds.
Kept = Callable[[FunctionVersion, int, float], None]


class Totals(msgspec.Struct):
    """Of one version since the region began, for operators."""

    invocations: int = 0
    errors: int = 0
    throttles: int = 0
    duration_ms: float = 0.0


class LambdaMetrics:
    """Implements ports.RecordSink and ports.MetricSink."""

    def __init__(self, clock: Clock, kept: Kept) -> None:
        self._clock = clock
        self._kept = kept
        #: By account, region, name and version; what is in `_cells` comes with the next `collect`.
        self.totals: dict[tuple[str, str, str, str], Totals] = {}
        # The id of a function stays its own while a cell refers to it.
        self._cells: dict[tuple[int, str, int], _Invocations] = {}
        #: The cell of the last record: most often it is that of the next one too.
        self._last: _Invocations | None = None
        #: What was counted one by one: minute, ARN, metric and unit.
        self._counted: dict[tuple[int, str, str, str], Distribution] = {}
        self._others: dict[Cell, Distribution] = {}
        self._sampler: Periodic | None = None

    # ---- what others tell

    def record(self, record: InvocationRecord) -> None:
        cell = self._last
        if (
            cell is None
            or record.function is not cell.function
            or not 0.0 <= record.started_at - cell.began < MINUTE
            or record.invoked_arn != cell.arn
        ):
            cell = self._last = self._cell(record.function, record.invoked_arn, int(record.started_at) // MINUTE)
        cell.count += 1
        if record.status != "success":
            cell.errors += 1
        if record.provisioned is not None:
            if record.provisioned:
                cell.provisioned += 1
            else:
                cell.spilled += 1
        duration = record.duration_ms
        cell.sum += duration
        if duration < cell.minimum:
            cell.minimum = duration
        if duration > cell.maximum:
            cell.maximum = duration
        index = ceil(log(duration) * SCALE) if duration > 0.0 else ZERO
        buckets = cell.buckets
        buckets[index] = buckets.get(index, 0) + 1
        if record.extensions_ms:
            self.count(record.invoked_arn, "PostRuntimeExtensionsDuration", record.extensions_ms, MILLISECONDS)

    def throttled(self, function: FunctionVersion, invoked_arn: str) -> None:
        self._cell(function, invoked_arn, int(self._clock.now()) // MINUTE).throttles += 1

    def count(self, arn: str, metric: str, value: float = 1.0, unit: str = COUNT) -> None:
        key = int(self._clock.now()) // MINUTE, arn, metric, unit
        values = self._counted.get(key)
        if values is None:
            values = self._counted[key] = Distribution()
        values.add(value)

    def sample(self, peaks: Peaks) -> None:
        """Make data of how much ran at once since the last time."""
        for account, region, functions, total, unreserved in peaks.take_peaks():
            for name, peak in functions.items():
                self._add(account, region, "ConcurrentExecutions", (("FunctionName", name),), peak, COUNT)
            self._add(account, region, "ConcurrentExecutions", (), total, COUNT)
            self._add(account, region, "UnreservedConcurrentExecutions", (), unreserved, COUNT)
        for function, peak, amount in peaks.take_provisioned_peaks():
            self._kept(function, amount, SAMPLE_SECONDS)
            for dimensions in dimension_sets(function.name, function.version):
                add = functools.partial(self._add, function.account, function.region, dimensions=dimensions, unit=COUNT)
                add("ProvisionedConcurrentExecutions", value=peak)
                if dimensions and amount:
                    add("ProvisionedConcurrencyUtilization", value=peak / amount)

    # ---- lifecycle of the sampler

    def start(self, peaks: Peaks) -> None:
        async def take() -> None:
            self.sample(peaks)

        self._sampler = Periodic("concurrency metrics", take, SAMPLE_SECONDS)
        self._sampler.start()

    async def stop(self) -> None:
        if self._sampler is not None:
            await self._sampler.stop()

    # ---- what becomes of it

    def collect(self) -> Iterator[Datum]:
        """An aggregation.Source."""
        cells, self._cells = self._cells, {}
        self._last = None
        counted, self._counted = self._counted, {}
        others, self._others = self._others, {}
        for cell in cells.values():
            self._add_up(cell)
            yield from _data_of(cell)
        for key, values in counted.items():
            yield from _data_counted(*key, values)
        yield from (Datum(*each) for each in others.items())

    def _add_up(self, cell: _Invocations) -> None:
        function = cell.function
        key = function.account, function.region, function.name, function.version
        totals = self.totals.get(key)
        if totals is None:
            totals = self.totals[key] = Totals()
        totals.invocations += cell.count
        totals.errors += cell.errors
        totals.throttles += cell.throttles
        totals.duration_ms += cell.sum

    def _cell(self, function: FunctionVersion, arn: str, minute: int) -> _Invocations:
        key = minute, arn, id(function)
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = _Invocations(function, arn, minute)
        return cell

    def _add(self, account: str, region: str, name: str, dimensions: Dimensions, value: float, unit: str) -> None:
        metric = Metric(account, region, NAMESPACE, name, dimensions)
        cell = Cell(metric, int(self._clock.now()) // MINUTE, unit)
        values = self._others.get(cell)
        if values is None:
            values = self._others[cell] = Distribution()
        values.add(value)


def dimension_sets(name: str, qualifier: str | None, executed: str = "") -> Iterator[Dimensions]:
    """Under which dimensions Lambda publishes it: `executed` is the version that ran, told where an alias led to it."""
    function = ("FunctionName", name)
    resource = ("Resource", f"{name}:{qualifier}" if qualifier else name)
    yield ()
    yield (function,)
    yield (function, resource)
    if executed and qualifier and not (qualifier.isdigit() or qualifier == "$LATEST"):
        yield (("ExecutedVersion", executed), function, resource)


def _data_of(cell: _Invocations) -> Iterator[Datum]:
    function = cell.function
    found = function_of(cell.arn)
    qualifier = found[1] if found is not None else None
    for dimensions in dimension_sets(function.name, qualifier, function.version):
        # New ones each time: whoever is given a distribution owns it.
        for name, unit, values in _metrics_of(cell):
            metric = Metric(function.account, function.region, NAMESPACE, name, dimensions)
            yield Datum(Cell(metric, cell.minute, unit), values)


def _data_counted(minute: int, arn: str, name: str, unit: str, values: Distribution) -> Iterator[Datum]:
    found = function_of(arn)
    if found is None:
        return
    (account, region, function), qualifier = found
    for dimensions in dimension_sets(function, qualifier):
        # New ones each time: whoever is given a distribution owns it.
        yield Datum(Cell(Metric(account, region, NAMESPACE, name, dimensions), minute, unit), merged([values]))


def _metrics_of(cell: _Invocations) -> Iterator[tuple[str, str, Distribution]]:
    count = cell.count
    if count:
        yield "Invocations", COUNT, Distribution.given(count, count, 1.0, 1.0)
        yield "Errors", COUNT, _flags(count, cell.errors)
        duration = Distribution.given(count, cell.sum, cell.minimum, cell.maximum, dict(cell.buckets))
        yield "Duration", MILLISECONDS, duration
    for name, ones in (
        ("ProvisionedConcurrencyInvocations", cell.provisioned),
        ("ProvisionedConcurrencySpilloverInvocations", cell.spilled),
    ):
        if ones:
            yield name, COUNT, Distribution.given(ones, ones, 1.0, 1.0)
    yield "Throttles", COUNT, _flags(count + cell.throttles, cell.throttles)


def _flags(count: int, ones: int) -> Distribution:
    """One for each of `ones`, zero for the others: so that the average is a rate."""
    buckets = {ZERO: float(count - ones), _ONE: float(ones)}
    buckets = {index: number for index, number in buckets.items() if number}
    return Distribution.given(count, ones, 0.0 if ones < count else 1.0, 1.0 if ones else 0.0, buckets)
