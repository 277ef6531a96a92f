"""Rates of requests: a token bucket per method or route of a stage that has limits, and one per account."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from lambent.clock import Clock

#: Buckets kept; one that is forgotten begins full.
MAX_BUCKETS = 4096


class _Bucket:
    __slots__ = ("at", "tokens")

    def __init__(self, tokens: float, at: float) -> None:
        self.tokens = tokens
        self.at = at


class TokenBuckets:
    """Refilled by the clock when they are asked. Used on the event loop only."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: OrderedDict[Hashable, _Bucket] = OrderedDict()

    def take(self, key: Hashable, rate: float, burst: int) -> bool:
        """May one more request pass, at `rate` per second and `burst` at once?"""
        now = self._clock.monotonic()
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= MAX_BUCKETS:
                self._buckets.popitem(last=False)
            bucket = self._buckets[key] = _Bucket(burst, now)
        else:
            bucket.tokens = min(burst, bucket.tokens + (now - bucket.at) * rate)
            bucket.at = now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True
