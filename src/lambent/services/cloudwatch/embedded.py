"""The embedded metric format: log lines that say metrics, as JSON with a member `_aws`, become metrics.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
Whoever stores log lines shows them here; those that may be meant are kept, within bounds, and read when metrics are
flushed. As on AWS nobody is told of a line that does not keep to the format: it stays what it is, a log line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec

from lambent.clock import Clock
from lambent.services.cloudwatch.distribution import Distribution
from lambent.services.cloudwatch.domain import (
    LARGEST,
    MINUTE,
    NEWEST_S,
    OLDEST_S,
    Cell,
    Datum,
    Dimensions,
    Metric,
)

MARK = b'"_aws"'
#: What may wait to be read, and the data that may come of it; lines beyond it are not read.
MAX_LINES = 20_000
MAX_BYTES = 16 * 1024 * 1024
MAX_DATA = 20_000
#: Of one line, as AWS limits them.
MAX_METRICS = 100
MAX_DIMENSIONS = 30
MAX_VALUES = 100
#: Sets of dimensions for each directive, every one of which makes series of its own, and data for each line.
MAX_SETS = 30
MAX_LINE_DATA = 1000
_SIZES = ("Bytes", "Kilobytes", "Megabytes", "Gigabytes", "Terabytes", "Bits", "Kilobits", "Megabits", "Gigabits")
_COUNTED = (*_SIZES, "Terabits", "Count")
UNITS = frozenset(
    ("Seconds", "Microseconds", "Milliseconds", "Percent", "None", *_COUNTED, *(f"{unit}/Second" for unit in _COUNTED))
)


class _MetricDefinition(msgspec.Struct, rename="pascal", frozen=True):
    name: str
    unit: str = "None"
    storage_resolution: int = 60


class _Directive(msgspec.Struct, rename="pascal", frozen=True):
    namespace: str
    dimensions: list[list[str]]
    metrics: list[_MetricDefinition]


class _Metadata(msgspec.Struct, rename="pascal", frozen=True):
    cloud_watch_metrics: list[_Directive]
    #: Milliseconds.
    timestamp: int


_read_line = msgspec.json.Decoder(dict[str, Any]).decode


class EmbeddedMetrics:
    """Implements ports.LogReader."""

    def __init__(self, has_room: Callable[[], bool], clock: Clock) -> None:
        self._has_room = has_room
        self._clock = clock
        self._lines: list[tuple[str, str, bytes]] = []
        self._bytes = 0
        self.lost = 0

    def read_events(self, account: str, region: str, times: Sequence[int], messages: Sequence[bytes]) -> None:
        for message in messages:
            if MARK in message:
                if len(self._lines) >= MAX_LINES or self._bytes + len(message) > MAX_BYTES:
                    self.lost += 1
                    continue
                self._lines.append((account, region, message))
                self._bytes += len(message)

    def collect(self) -> Iterator[Datum]:
        """An aggregation.Source."""
        lines, self._lines, self._bytes = self._lines, [], 0
        now = self._clock.now()
        data = 0
        for number, (account, region, message) in enumerate(lines):
            if data >= MAX_DATA or not self._has_room():
                self.lost += len(lines) - number
                return
            for datum in islice(data_of(account, region, message, now), MAX_LINE_DATA):
                data += 1
                yield datum


def data_of(account: str, region: str, message: bytes, now: float) -> Iterator[Datum]:
    """What a line of log says; nothing where it is not in the format."""
    try:
        members = _read_line(message)
        metadata = msgspec.convert(members.get("_aws"), _Metadata)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        return
    time = metadata.timestamp / 1000
    if not now - OLDEST_S <= time <= now + NEWEST_S:
        return
    minute = int(time) // MINUTE
    for directive in metadata.cloud_watch_metrics:
        if not 1 <= len(directive.namespace) <= 255 or directive.namespace.startswith("AWS/"):
            continue
        for dimensions in _dimension_sets(directive, members):
            for definition in directive.metrics[:MAX_METRICS]:
                values = _values(members.get(definition.name))
                if values is not None and 1 <= len(definition.name) <= 255 and definition.unit in UNITS:
                    metric = Metric(account, region, directive.namespace, definition.name, dimensions)
                    yield Datum(Cell(metric, minute, definition.unit), values)


def _dimension_sets(directive: _Directive, members: Mapping[str, Any]) -> Iterator[Dimensions]:
    for names in directive.dimensions[:MAX_SETS]:
        if len(names) > MAX_DIMENSIONS:
            continue
        found = {name: members.get(name) for name in names}
        if all(isinstance(value, str) and 1 <= len(value) <= 1024 and name for name, value in found.items()):
            yield tuple(sorted((name, str(value)) for name, value in found.items()))


def _values(given: Any) -> Distribution | None:
    numbers = given if isinstance(given, list) else [given]
    if not 1 <= len(numbers) <= MAX_VALUES:
        return None
    made = Distribution()
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            return None
        # Before it becomes a float: an integer of JSON may have any size.
        if not abs(number) <= LARGEST:
            return None
        made.add(float(number))
    return made
