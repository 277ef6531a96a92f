"""Provisioned concurrency: of each version that has some, how many environments are to be kept ready, and how many are.

It decides when another one is started or one too many goes; the invoker carries that out and tells what became of it.
A version whose environments do not come up is tried again, ever more seldom.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import inf
from typing import Any

from lambent.clock import Clock
from lambent.invoke.environment import Environment
from lambent.invoke.pool import Group
from lambent.invoke.timers import Timer, Timers
from lambent.ports import FunctionVersion, Provision

#: StatusReason where the function's own code kept an environment from coming up, as recorded on AWS.
INIT_FAILED = "FUNCTION_ERROR_INIT_FAILURE"
NO_MEMORY = "This node has no memory left for another environment (see --memory-budget)."
NOT_STARTED = "The environment did not start (see the log of the region)."
#: An environment that is lost within this time after it was started counts as a failure: the next one waits.
_YOUNG_S = 60.0
_LONGEST_DELAY_S = 300.0


@dataclass(slots=True, eq=False)
class Target:
    """One version and its environments. The first failure is tried again at once, a second one later."""

    function: FunctionVersion
    group: Group[Environment, Any]
    timer: Timer
    requested: int = 0
    #: All that exist, and those that have initialised.
    allocated: set[Environment] = field(default_factory=set)
    available: set[Environment] = field(default_factory=set)
    failure: str = ""
    failures: int = 0
    #: Nothing is started before; monotonic.
    not_before: float = -inf

    @property
    def missing(self) -> int:
        return self.requested - len(self.allocated)


class Provisioning:
    def __init__(self, clock: Clock, timers: Timers, wake: Callable[[], None]) -> None:
        """`wake` is called when `next` may have something again, later than anybody could expect."""
        self._clock = clock
        self._timers = timers
        self._wake = wake
        #: By the key of the group.
        self._targets: dict[str, Target] = {}

    # ---- what is wanted ----

    def set(self, function: FunctionVersion, group: Group[Environment, Any], amount: int) -> list[Environment]:
        """Keep `amount` of the version from now on. Returns those that are too many."""
        target = self._targets.get(group.key)
        if target is None:
            target = self._targets[group.key] = Target(function, group, Timer(self._wake))
        target.requested = group.target = amount
        target.failure, target.failures, target.not_before = "", 0, -inf
        if not amount:
            del self._targets[group.key]
            self._timers.forget(target.timer)
        surplus = list(self._least_useful(target))[: max(0, -target.missing)]
        for environment in surplus:
            self._drop(target, environment)
        return surplus

    def describe(self, key: str) -> Provision:
        target = self._targets.get(key)
        if target is None:
            return Provision()
        return Provision(target.requested, len(target.allocated), len(target.available), target.failure)

    def functions(self) -> list[FunctionVersion]:
        return [target.function for target in self._targets.values()]

    def next(self) -> Target | None:
        """Whose turn it is to get another environment now."""
        now = self._clock.monotonic()
        wanting = [each for each in self._targets.values() if each.missing > 0 and each.not_before <= now]
        return min(wanting, key=lambda each: len(each.allocated) / each.requested, default=None)

    def forget(self, account: str, region: str, name: str) -> None:
        """Of all versions of the function. Their environments are the pool's to retire."""
        for key, target in list(self._targets.items()):
            function = target.function
            if (function.account, function.region, function.name) == (account, region, name):
                self._timers.forget(target.timer)
                target.group.target = 0
                del self._targets[key]

    def clear(self) -> None:
        for target in self._targets.values():
            self._timers.forget(target.timer)
        self._targets.clear()

    # ---- what becomes of it ----

    def starting(self, target: Target, environment: Environment) -> None:
        target.allocated.add(environment)

    def up(self, environment: Environment) -> None:
        target = self._of(environment)
        if target is not None:
            target.available.add(environment)
            target.failure = ""

    def lost(self, environment: Environment, failure: str = "") -> None:
        """It is gone. `failure`: it never came up, and why."""
        target = self._of(environment)
        if target is None:
            return
        self._drop(target, environment)
        if failure or self._clock.monotonic() - environment.born_at < _YOUNG_S:
            self.postpone(target, failure)
        else:
            target.failures = 0

    def postpone(self, target: Target, failure: str) -> None:
        """The next try comes later. Of many that fail together one counts."""
        target.failure = failure or target.failure
        if target.not_before > self._clock.monotonic():
            return
        delay = min(_LONGEST_DELAY_S, 2.0 ** (target.failures - 1)) if target.failures else 0.0
        target.failures += 1
        if delay:
            target.not_before = self._clock.monotonic() + delay
            self._timers.set(target.timer, target.not_before)

    def _of(self, environment: Environment) -> Target | None:
        target = self._targets.get(environment.group.key)
        return target if target is not None and environment in target.allocated else None

    @staticmethod
    def _drop(target: Target, environment: Environment) -> None:
        target.allocated.discard(environment)
        target.available.discard(environment)

    @staticmethod
    def _least_useful(target: Target) -> Iterable[Environment]:
        """Those that start, then idle ones, then busy ones."""
        yield from target.allocated - target.available
        idle = [environment for environment in target.group.ready if environment in target.available]
        yield from idle
        yield from target.available.difference(idle)
