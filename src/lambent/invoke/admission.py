"""How much may run at once: the arithmetic of Lambda's concurrency limits. Pure; one per region of an account.

Three limits stand between a request and an environment: concurrent executions (the function's reservation, or what
reservations leave of the account's limit), ten requests a second for each unit of that, and a thousand new
environments per function every ten seconds.

Provisioned concurrency is set aside from those for one version. What it has no room for, or comes faster than ten
requests a second for each unit of it, spills over to what the function may run on demand.
"""

from __future__ import annotations

from collections.abc import Mapping

from lambent.invoke.errors import ThrottleReason, TooManyRequestsException

REQUESTS_PER_UNIT = 10
#: New environments of one function at once, and how many a second it regains.
START_BURST = 1000
STARTS_PER_S = 100.0


class Share:
    """What is set aside for one version of a function. Executions under it count against nothing else."""

    __slots__ = ("amount", "peak", "rate_at", "rate_tokens", "running")

    def __init__(self, amount: int, now: float) -> None:
        self.amount = amount
        self.running = 0
        #: The most that ran under it at once lately.
        self.peak = 0
        self.rate_tokens = 0.0
        self.rate_at = now - 1.0

    def take(self, now: float) -> bool:
        """Count one more execution under it; False: it spills over."""
        if self.running >= self.amount:
            return False
        rate = self.amount * REQUESTS_PER_UNIT
        tokens = min(float(rate), self.rate_tokens + (now - self.rate_at) * rate)
        self.rate_at = now
        if tokens < 1.0:
            self.rate_tokens = tokens
            return False
        self.rate_tokens = tokens - 1.0
        self.running += 1
        if self.running > self.peak:
            self.peak = self.running
        return True


class FunctionLoad:
    """What one function (all its versions) uses on demand."""

    __slots__ = (
        "peak",
        "provisioned",
        "rate_at",
        "rate_tokens",
        "reserved",
        "running",
        "shares",
        "start_tokens",
        "starts_at",
    )

    def __init__(self, now: float) -> None:
        self.running = 0
        #: The most that ran at once lately, shares included.
        self.peak = 0
        #: ReservedConcurrentExecutions, None without.
        self.reserved: int | None = None
        #: By version. Invariant: `provisioned` is the sum of their amounts.
        self.shares: dict[str, Share] = {}
        self.provisioned = 0
        #: Requests that it may still begin within this second.
        self.rate_tokens = 0.0
        self.rate_at = now - 1.0
        self.start_tokens = float(START_BURST)
        self.starts_at = now

    @property
    def total(self) -> int:
        """Executions, those under provisioned concurrency among them."""
        return self.running + sum(share.running for share in self.shares.values())


class Admission:
    """Concurrency of one account in one region."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._functions: dict[str, FunctionLoad] = {}
        # Invariant: `_set_aside` is the sum of all reservations and of what functions without one have provisioned,
        # `_unreserved_running` counts the executions of functions without a reservation, outside any share.
        self._set_aside = 0
        self._unreserved_running = 0
        #: All executions, and the most at once lately: of all, and of those counted in `_unreserved_running`.
        self.running = 0
        self._peak = 0
        self._unreserved_peak = 0

    def __repr__(self) -> str:
        return (
            f"<Admission {self._unreserved_running}/{self.limit - self._set_aside} unreserved, "
            f"{self._set_aside} set aside>"
        )

    def reserve(self, function: str, amount: int | None, now: float) -> None:
        """Set or lift a reservation. What runs already counts against it."""
        load = self._load(function, now)
        if load.reserved == amount:
            return
        if load.reserved is None:
            self._unreserved_running -= load.running
        self._set_aside -= _set_aside(load)
        load.reserved = amount
        self._set_aside += _set_aside(load)
        if amount is None:
            self._unreserved_running += load.running

    def provision(self, function: str, version: str, amount: int, now: float) -> None:
        """Set `amount` aside for the version, or nothing any more. What runs under it ends under it."""
        load = self._load(function, now)
        self._set_aside -= _set_aside(load)
        share = load.shares.get(version)
        if share is None:
            if amount:
                load.shares[version] = Share(amount, now)
        elif amount:
            share.amount = amount
        else:
            # Those that still run under it are released on it, whoever knows it.
            share.amount = 0
            del load.shares[version]
        load.provisioned = sum(each.amount for each in load.shares.values())
        self._set_aside += _set_aside(load)

    def acquire(
        self, function: str, version: str, reserved: int | None, now: float
    ) -> tuple[FunctionLoad, Share | None]:
        """Count one more execution, to be given to `release`; raises TooManyRequestsException."""
        load = self._functions.get(function)
        if load is None or load.reserved != reserved:
            self.reserve(function, reserved, now)
            load = self._functions[function]
        share = None
        if load.shares:
            share = load.shares.get(version)
            if share is not None and share.take(now):
                self._count(load, load.total)
                return load, share
        if reserved is None:
            limit = self.limit - self._set_aside
            if self._unreserved_running >= limit:
                raise TooManyRequestsException(ThrottleReason.ACCOUNT_CONCURRENCY)
        else:
            limit = reserved - load.provisioned
            if load.running >= limit:
                raise TooManyRequestsException(_reserved_reason(share))
        rate = limit * REQUESTS_PER_UNIT
        tokens = min(float(rate), load.rate_tokens + (now - load.rate_at) * rate)
        load.rate_at = now
        if tokens < 1.0:
            load.rate_tokens = tokens
            reason = ThrottleReason.ACCOUNT_RATE if reserved is None else ThrottleReason.RESERVED_RATE
            raise TooManyRequestsException(reason)
        load.rate_tokens = tokens - 1.0
        load.running += 1
        if reserved is None:
            self._unreserved_running += 1
            if self._unreserved_running > self._unreserved_peak:
                self._unreserved_peak = self._unreserved_running
        self._count(load, load.total if load.shares else load.running)
        return load, None

    def _count(self, load: FunctionLoad, total: int) -> None:
        if total > load.peak:
            load.peak = total
        self.running += 1
        if self.running > self._peak:
            self._peak = self.running

    def release(self, load: FunctionLoad, share: Share | None) -> None:
        self.running -= 1
        if share is not None:
            share.running -= 1
            return
        load.running -= 1
        if load.reserved is None:
            self._unreserved_running -= 1

    def take_start(self, load: FunctionLoad, now: float) -> None:
        """One more environment for the function; raises TooManyRequestsException where it grows too fast."""
        load.start_tokens = min(float(START_BURST), load.start_tokens + (now - load.starts_at) * STARTS_PER_S)
        load.starts_at = now
        if load.start_tokens < 1.0:
            reason = (
                ThrottleReason.ACCOUNT_CONCURRENCY if load.reserved is None else ThrottleReason.RESERVED_CONCURRENCY
            )
            raise TooManyRequestsException(reason)
        load.start_tokens -= 1.0

    def return_start(self, function: str) -> None:
        """A start that was taken did not take place."""
        load = self._functions.get(function)
        if load is not None:
            load.start_tokens = min(float(START_BURST), load.start_tokens + 1.0)

    def forget(self, function: str) -> None:
        """The function is gone. What it still runs is released as it ends."""
        load = self._functions.pop(function, None)
        if load is not None:
            self._set_aside -= _set_aside(load)

    @property
    def loads(self) -> Mapping[str, FunctionLoad]:
        """By function."""
        return self._functions

    def take_peaks(self) -> tuple[dict[str, int], int, int]:
        """Since the last call: the most by function, the most together, the most of functions without a reservation."""
        functions = {}
        for name, load in self._functions.items():
            if load.peak:
                functions[name] = load.peak
                load.peak = load.total
        peaks = functions, self._peak, self._unreserved_peak
        self._peak, self._unreserved_peak = self.running, self._unreserved_running
        return peaks

    def take_share_peak(self, function: str, version: str) -> tuple[int, int]:
        """Since the last call, the most that ran at once under the version's share, and how much that is."""
        load = self._functions.get(function)
        share = load.shares.get(version) if load is not None else None
        if share is None:
            return 0, 0
        peak, share.peak = share.peak, share.running
        return peak, share.amount

    def _load(self, function: str, now: float) -> FunctionLoad:
        load = self._functions.get(function)
        if load is None:
            load = self._functions[function] = FunctionLoad(now)
        return load


def _set_aside(load: FunctionLoad) -> int:
    """What no other function may use."""
    return load.provisioned if load.reserved is None else load.reserved


def _reserved_reason(share: Share | None) -> ThrottleReason:
    """Why nothing is left of a reservation: its provisioned part may have been asked for too fast, or be full."""
    if share is not None and share.running < share.amount:
        return ThrottleReason.RESERVED_RATE
    return ThrottleReason.RESERVED_CONCURRENCY
