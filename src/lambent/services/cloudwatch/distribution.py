"""What a metric keeps of the values of one minute: exact count, sum, extremes, and a histogram for percentiles.

The histogram's buckets grow by a constant factor, so a percentile is off by at most 1 % of its value, whatever the
values are, and two histograms merge by adding counts. Tens of buckets are a usual minute.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil, inf, log

import msgspec

#: Largest relative error of a percentile.
ERROR = 0.01
_GAMMA = (1 + ERROR) / (1 - ERROR)
SCALE = 1 / log(_GAMMA)
#: The middle of a bucket, as a part of its upper end.
_MIDDLE = 2 / (1 + _GAMMA)
#: The bucket of zero. No value that AWS admits comes near it: 2^-360 has index -12,475.
ZERO = -1_000_000

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(dict[int, float]).decode


def bucket_of(value: float) -> int:
    """`value` is zero or more."""
    return ceil(log(value) * SCALE) if value > 0 else ZERO


class Distribution:
    """Mutable, and owned by whoever fills it."""

    __slots__ = ("buckets", "count", "maximum", "minimum", "sum")

    def __init__(self) -> None:
        self.count = 0.0
        self.sum = 0.0
        self.minimum = inf
        self.maximum = -inf
        #: Count by bucket; None where percentiles cannot be told.
        self.buckets: dict[int, float] | None = {}

    @classmethod
    def of(cls, value: float, count: float = 1.0) -> Distribution:
        made = cls()
        made.add(value, count)
        return made

    @classmethod
    def given(
        cls, count: float, total: float, minimum: float, maximum: float, buckets: dict[int, float] | None = None
    ) -> Distribution:
        """From sums: percentiles can be told where `buckets` are given or all values are the same."""
        made = cls()
        made.count, made.sum, made.minimum, made.maximum = count, total, minimum, maximum
        if buckets is None and minimum == maximum and minimum >= 0:
            buckets = {bucket_of(minimum): count}
        made.buckets = buckets
        return made

    def __repr__(self) -> str:
        return f"<Distribution of {self.count:g} from {self.minimum:g} to {self.maximum:g}>"

    def add(self, value: float, count: float = 1.0) -> None:
        self.count += count
        self.sum += value * count
        self.minimum = min(self.minimum, value)
        self.maximum = max(self.maximum, value)
        if value < 0:
            # CloudWatch has no percentiles of negative values either.
            self.buckets = None
        elif self.buckets is not None:
            index = bucket_of(value)
            self.buckets[index] = self.buckets.get(index, 0) + count

    def merge(self, other: Distribution) -> None:
        self.count += other.count
        self.sum += other.sum
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)
        if self.buckets is None or other.buckets is None:
            self.buckets = None
            return
        for index, count in other.buckets.items():
            self.buckets[index] = self.buckets.get(index, 0) + count

    def percentile(self, percent: float) -> float | None:
        """The value that `percent` of all values do not exceed."""
        if self.buckets is None or not self.count:
            return None
        rank = percent / 100 * self.count
        seen = 0.0
        for index in sorted(self.buckets):
            seen += self.buckets[index]
            if seen >= rank and seen > 0:
                value = 0.0 if index == ZERO else _GAMMA**index * _MIDDLE
                return min(max(value, self.minimum), self.maximum)
        return self.maximum


def merged(parts: Iterable[Distribution]) -> Distribution:
    whole = Distribution()
    for part in parts:
        whole.merge(part)
    return whole


def packed(buckets: dict[int, float] | None) -> bytes | None:
    return None if buckets is None else _pack(buckets)


def unpacked(data: bytes | None) -> dict[int, float] | None:
    return None if data is None else _unpack(data)
