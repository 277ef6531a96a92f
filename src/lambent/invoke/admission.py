"""How much may run at once: the arithmetic of Lambda's concurrency limits. Pure; one per region of an account.

Three limits stand between a request and an environment: concurrent executions (the function's reservation, or what
reservations leave of the account's limit), ten requests a second for each unit of that, and a thousand new
environments per function every ten seconds.
"""

from __future__ import annotations

from lambent.invoke.errors import ThrottleReason, TooManyRequestsException

#: Concurrency that reservations must leave to functions without one.
UNRESERVED_FLOOR = 100
REQUESTS_PER_UNIT = 10
#: New environments of one function at once, and how many a second it regains.
START_BURST = 1000
STARTS_PER_S = 100.0


class FunctionLoad:
    """What one function (all its versions) uses."""

    __slots__ = ("rate_at", "rate_tokens", "reserved", "running", "start_tokens", "starts_at")

    def __init__(self, now: float) -> None:
        self.running = 0
        #: ReservedConcurrentExecutions, None without.
        self.reserved: int | None = None
        #: Requests that it may still begin within this second.
        self.rate_tokens = 0.0
        self.rate_at = now - 1.0
        self.start_tokens = float(START_BURST)
        self.starts_at = now


class Admission:
    """Concurrency of one account in one region."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._functions: dict[str, FunctionLoad] = {}
        # Invariant: `_reserved` is the sum of all reservations, `_unreserved_running` counts the executions
        # of functions without one.
        self._reserved = 0
        self._unreserved_running = 0

    def __repr__(self) -> str:
        return (
            f"<Admission {self._unreserved_running}/{self._limit - self._reserved} unreserved, "
            f"{self._reserved} reserved>"
        )

    def reserve(self, function: str, amount: int | None, now: float) -> None:
        """Set or lift a reservation. What runs already counts against it."""
        load = self._load(function, now)
        if load.reserved == amount:
            return
        if load.reserved is None:
            self._unreserved_running -= load.running
        self._reserved += (amount or 0) - (load.reserved or 0)
        load.reserved = amount
        if amount is None:
            self._unreserved_running += load.running

    def acquire(self, function: str, reserved: int | None, now: float) -> FunctionLoad:
        """Count one more execution, to be given to `release`; raises TooManyRequestsException."""
        load = self._functions.get(function)
        if load is None or load.reserved != reserved:
            self.reserve(function, reserved, now)
            load = self._functions[function]
        if reserved is None:
            limit = self._limit - self._reserved
            if self._unreserved_running >= limit:
                raise TooManyRequestsException(ThrottleReason.ACCOUNT_CONCURRENCY)
        else:
            limit = reserved
            if load.running >= limit:
                raise TooManyRequestsException(ThrottleReason.RESERVED_CONCURRENCY)
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
        return load

    def release(self, load: FunctionLoad) -> None:
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

    def forget(self, function: str) -> None:
        """The function is gone. What it still runs is released as it ends."""
        load = self._functions.pop(function, None)
        if load is not None:
            self._reserved -= load.reserved or 0

    @property
    def running(self) -> int:
        return sum(load.running for load in self._functions.values())

    def _load(self, function: str, now: float) -> FunctionLoad:
        load = self._functions.get(function)
        if load is None:
            load = self._functions[function] = FunctionLoad(now)
        return load
