"""Lambda's prices applied to what the ledger counted. Pure.

cost = requests × price + GB-seconds × price of the architecture + what was provisioned + /tmp above 512 MB
+ snapshots kept and restored + what responses streamed beyond 6 MB.
https://aws.amazon.com/lambda/pricing/ (us-east-1, first tier, free tier left out).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from lambent.config import Rates

#: Megabyte-milliseconds in a gigabyte-second.
GB_S = 1024 * 1000
GB = 1024**3


class Usage(NamedTuple):
    """Whole numbers only, so that sums are exact."""

    requests: int = 0
    #: Billed milliseconds of all invocations.
    billed_ms: int = 0
    #: Those run on demand, and those run under provisioned concurrency: each times its memory.
    mb_ms: int = 0
    provisioned_mb_ms: int = 0
    #: Provisioned concurrency kept ready, whether used or not.
    kept_mb_ms: int = 0
    #: Billed milliseconds times what /tmp has beyond 512 MB.
    tmp_mb_ms: int = 0
    #: SnapStart: the memory of snapshots kept, whether used or not, and that of each environment restored.
    cached_mb_ms: int = 0
    restored_mb: int = 0
    #: Of streamed responses what each had beyond its first 6 MB.
    streamed_bytes: int = 0

    def __add__(self, other: object) -> Usage:
        if not isinstance(other, Usage):
            return NotImplemented
        return Usage(*(left + right for left, right in zip(self, other, strict=True)))


class Cost(NamedTuple):
    """In dollars."""

    requests: float
    duration: float
    provisioned: float
    tmp: float
    snap_start: float
    streamed: float

    @property
    def total(self) -> float:
        return sum(self)


def cost_of(usage: Usage, architecture: str, rates: Rates) -> Cost:
    arm = architecture == "arm64"
    return Cost(
        requests=usage.requests * rates.request,
        duration=usage.mb_ms / GB_S * (rates.gb_second_arm64 if arm else rates.gb_second),
        provisioned=(
            usage.provisioned_mb_ms / GB_S * rates.provisioned_gb_second
            + usage.kept_mb_ms / GB_S * rates.kept_gb_second
        ),
        tmp=usage.tmp_mb_ms / GB_S * rates.tmp_gb_second,
        snap_start=usage.cached_mb_ms / GB_S * rates.cached_gb_second + usage.restored_mb / 1024 * rates.restored_gb,
        streamed=usage.streamed_bytes / GB * rates.streamed_gb,
    )


def total(usages: Iterable[Usage]) -> Usage:
    return sum(usages, Usage())
