"""Which environment runs which request: reuse, start, wait or evict. Decides only; the invoker acts.

Mutable state: for each function version (a Group) its idle environments and its waiting requests; and the memory that
all live environments are charged with. There are four cases for a request:

1. An environment of its group is idle: the most recently used one takes it, so that surplus ones age out.
2. A new one fits into the node's memory: start it.
3. It fits once idle environments of less worth are evicted: evict, then start.
4. All memory is busy: its group queues for memory, served in turn by function.

A request that waits is bound to no environment: it gets whichever of its group is free or ready first, and what was
started for it in vain becomes idle.

Provisioned environments are kept beside these: they take requests first, are started for nobody in particular, and
are neither evicted nor counted among what is idle.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

#: What an environment of a function never seen before is charged with, MiB: a small runtime and its function. The
#: measured peak follows. MemorySize is a limit, seldom reached; charging it would leave most of the machine unused.
FIRST_CHARGE_MB = 48
#: What even the smallest environment costs: its processes beside the runtime, and the kernel's structures for it.
LEAST_CHARGE_MB = 8
#: A freed environment goes to its own group's next request, unless another group has waited this long for memory.
FAIR_WAIT_S = 0.25
#: Counts of use are halved this often, so that worth follows what is used now.
_HALF_LIFE_S = 300.0


class Member(Protocol):
    """An environment as the pool sees it."""

    #: Its Group, for good.
    group: Any
    #: MiB, the pool's to change.
    charge_mb: int
    #: Kept ready, whether somebody asks for it or not.
    provisioned: bool


class Waiter(Protocol):
    """A request as the pool sees it."""

    @property
    def since(self) -> float:
        """When it began to wait, monotonic."""


E = TypeVar("E", bound=Member)
J = TypeVar("J", bound=Waiter)


class QueueFull(Exception):
    """No memory is left for another environment, and enough requests wait for it already."""


@dataclass(slots=True, eq=False)
class Group(Generic[E, J]):
    """All environments and waiting requests of one version of a function."""

    key: str
    memory_mb: int
    #: What its owner knows of it, and works out at the first start; the pool does not look.
    about: Any
    blueprint: Any = None
    #: Whose requests alone they serve, "" where the function does not tell tenants apart.
    tenant_id: str = ""
    #: Most recently used last.
    idle: list[E] = field(default_factory=list)
    busy: set[E] = field(default_factory=set)
    starting: set[E] = field(default_factory=set)
    #: Starts that were decided on and not begun.
    planned: int = 0
    #: Provisioned ones that are idle, most recently used last, and those that start.
    ready: list[E] = field(default_factory=list)
    preparing: set[E] = field(default_factory=set)
    #: How many are to be kept ready, as far as this version knows.
    target: int = 0
    waiting: deque[J] = field(default_factory=deque)
    #: The version is no longer current: what is busy finishes, nothing rests.
    retired: bool = False
    #: Largest memory seen in an environment, MiB.
    peak_mb: int = 0
    #: What one start costs, seconds.
    start_s: float = 0.05
    #: Requests served since `counted_at`, the older half forgotten now and then.
    hits: float = 0.0
    counted_at: float = 0.0

    @property
    def coming(self) -> int:
        """Environments that will be there for who waits."""
        return len(self.starting) + self.planned

    def charge(self) -> int:
        expected = max(LEAST_CHARGE_MB, self.peak_mb) if self.peak_mb else FIRST_CHARGE_MB
        return min(self.memory_mb, expected)

    def worth(self, now: float) -> float:
        """Of one idle environment: the start time that keeping it saves per second, by MiB."""
        age = max(1.0, now - self.counted_at)
        return self.start_s * (self.hits / age) / max(1, self.charge())

    def members(self) -> list[E]:
        return [*self.ready, *self.idle, *self.busy, *self.starting, *self.preparing]

    def is_empty(self) -> bool:
        return not (
            self.idle
            or self.busy
            or self.starting
            or self.waiting
            or self.planned
            or self.ready
            or self.preparing
            or self.target
        )


@dataclass(frozen=True, slots=True)
class Start(Generic[E, J]):
    """Make an environment for the group, charged with `charge_mb`: `Pool.starting`, then `Pool.started`.

    Or `Pool.cancel` it, where nobody waits for it any more.
    """

    group: Group[E, J]
    charge_mb: int


@dataclass(frozen=True, slots=True)
class Run(Generic[E, J]):
    """Give the job to the environment."""

    environment: E
    job: J


@dataclass(frozen=True, slots=True)
class Evict(Generic[E]):
    """Destroy the environment; the pool has forgotten it."""

    environment: E
    reason: str


Decision = Start[E, J] | Run[E, J] | Evict[E]


class Pool(Generic[E, J]):
    """Every environment of the node."""

    def __init__(self, budget_mb: int, max_waiting: int = 10_000) -> None:
        self._budget_mb = budget_mb
        self._max_waiting = max_waiting
        self._groups: dict[str, Group[E, J]] = {}
        #: Groups that wait for memory, in turn. Invariant: each has more waiting than starting.
        self._hungry: deque[Group[E, J]] = deque()
        #: Invariant: sum of `charge_mb` over all members, and of the charges of Starts under way.
        self.charged_mb = 0

    def __repr__(self) -> str:
        counts = self.statistics()
        return (
            f"<Pool [Environments: {counts['busy']} busy, {counts['idle']} idle, {counts['starting']} starting | "
            f"Requests: {counts['waiting']} waiting | Memory: {self.charged_mb} of {self._budget_mb} MB]>"
        )

    def statistics(self) -> dict[str, int]:
        groups = self._groups.values()
        return {
            "busy": sum(len(group.busy) for group in groups),
            "idle": sum(len(group.idle) for group in groups),
            "starting": sum(len(group.starting) + len(group.preparing) for group in groups),
            "ready": sum(len(group.ready) for group in groups),
            "waiting": sum(len(group.waiting) for group in groups),
            "groups": len(groups),
            "memory_mb": self.charged_mb,
            "memory_budget_mb": self._budget_mb,
        }

    # ---- requests ----

    def group(self, key: str, memory_mb: int, about: Any, now: float) -> Group[E, J]:
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(key, memory_mb, about, counted_at=now)
        return group

    def find(self, key: str) -> Group[E, J] | None:
        return self._groups.get(key)

    def take(self, group: Group[E, J]) -> E | None:
        """Case 1: the environment used last, now busy; or None."""
        if group.ready:
            environment = group.ready.pop()
        elif group.idle:
            environment = group.idle.pop()
        else:
            return None
        group.busy.add(environment)
        group.hits += 1
        return environment

    def needs_start(self, group: Group[E, J]) -> bool:
        """Whether one more waiting request would want one more environment."""
        return len(group.waiting) >= group.coming

    def wait(self, group: Group[E, J], job: J, now: float) -> list[Decision[E, J]]:
        """Cases 2 to 4: nothing is idle, so `job` waits and perhaps an environment starts. Raises QueueFull."""
        start = self._plan_start(group, now) if self.needs_start(group) else []
        if start is None:
            if sum(len(hungry.waiting) for hungry in self._hungry) >= self._max_waiting:
                raise QueueFull
            if group not in self._hungry:
                self._hungry.append(group)
        group.waiting.append(job)
        group.hits += 1
        return start or []

    def abandon(self, group: Group[E, J], job: J) -> bool:
        """The caller of a waiting job is gone. False: it does not wait, an environment has it."""
        try:
            group.waiting.remove(job)
        except ValueError:
            return False
        self.tidy(group)
        return True

    # ---- environments ----

    def starting(self, environment: E) -> None:
        """A Start is being carried out by this environment (its memory was charged when it was planned)."""
        group = environment.group
        group.planned -= 1
        (group.preparing if environment.provisioned else group.starting).add(environment)

    def cancel(self, start: Start[E, J], now: float) -> list[Decision[E, J]]:
        """The Start does not take place."""
        start.group.planned -= 1
        self.charged_mb -= start.charge_mb
        decisions = self._feed_hungry(now)
        self.tidy(start.group)
        return decisions

    def prepare(self, group: Group[E, J], now: float) -> list[Decision[E, J]]:
        """What starts a provisioned environment, its Start last; nothing where there is no memory for it."""
        return self._plan_start(group, now) or []

    def started(self, environment: E, now: float) -> list[Decision[E, J]]:
        """It can take a job now."""
        group = environment.group
        group.starting.discard(environment)
        group.preparing.discard(environment)
        group.busy.add(environment)
        if group.waiting:
            # It serves at least once, whoever else wants its memory: else two functions could evict each other's
            # environments for ever without running any.
            return [self._run_next(environment)]
        return self.release(environment, now)

    def release(self, environment: E, now: float) -> list[Decision[E, J]]:
        """It is free: the next request, rest, or the end for it."""
        group = environment.group
        if not (group.waiting or group.retired or self._hungry):
            group.busy.discard(environment)
            (group.ready if environment.provisioned else group.idle).append(environment)
            return []
        return self._release_slowly(environment, now)

    def start_failed(self, environment: E, now: float) -> tuple[J | None, list[Decision[E, J]]]:
        """It never came to be. The request that has waited longest for it gets the error, if one still waits."""
        group = environment.group
        self._forget(environment)
        job = group.waiting.popleft() if not environment.provisioned and len(group.waiting) > group.coming else None
        decisions = self._feed_hungry(now)
        self.tidy(group)
        return job, decisions

    def discard(self, environment: E, now: float) -> list[Decision[E, J]]:
        """It is destroyed or failed to start: its memory is free for others. Idempotent."""
        if not self._forget(environment):
            return []
        group = environment.group
        decisions = self._feed_hungry(now)
        missing = len(group.waiting) - group.coming
        if missing > 0 and group not in self._hungry:
            # What was started for them is gone; busy ones of the group may take them, but need not come free soon.
            for _ in range(missing):
                start = self._plan_start(group, now)
                if start is None:
                    self._hungry.append(group)
                    break
                decisions += start
        self.tidy(group)
        return decisions

    def measured(self, environment: E, memory_mb: int) -> None:
        """Charge it with the most that any of its kind was seen to use."""
        group = environment.group
        group.peak_mb = max(group.peak_mb, memory_mb)
        self.charged_mb += group.charge() - environment.charge_mb
        environment.charge_mb = group.charge()

    def relieve(self, now: float) -> list[Decision[E, J]]:
        """Measured memory may have grown over the budget: evict idle environments until it fits.

        Or it has shrunk: let start what waits for memory.
        """
        decisions: list[Decision[E, J]] = []
        while self.charged_mb > self._budget_mb and (victim := self._least_worth(now)) is not None:
            decisions.append(self._evict(victim))
        return decisions + self._feed_hungry(now)

    def trim_tenants(self, limit: int, now: float) -> list[Decision[E, J]]:
        """Evict idle environments of tenants, those worth least, until one more stays within `limit`."""
        groups = [group for group in self._groups.values() if group.tenant_id]
        excess = sum(len(group.idle) + len(group.busy) + group.coming for group in groups) + 1 - limit
        decisions: list[Decision[E, J]] = []
        while excess > 0 and (idle := [group for group in groups if group.idle]):
            victim = min(idle, key=lambda group: group.worth(now) / len(group.idle)).idle[0]
            decisions.append(self._evict(victim, "tenants have too many environments"))
            excess -= 1
        return decisions

    def retire(self, key: str) -> list[Decision[E, J]]:
        """The version is no longer current. Requests under way and waiting are still served by its environments."""
        group = self._groups.get(key)
        if group is None:
            return []
        group.retired = True
        group.target = 0
        evicted: list[Decision[E, J]] = [
            self._evict(environment, "its function changed") for environment in (*group.idle, *group.ready)
        ]
        self.tidy(group)
        return evicted

    def lend(self, memory_mb: int) -> None:
        """So much less of the node's memory (more: negative) is for environments from now on."""
        self._budget_mb -= memory_mb

    def groups(self) -> list[Group[E, J]]:
        return list(self._groups.values())

    def clear(self) -> list[J]:
        """Forget everything; returns the requests that waited. Its environments are the caller's to destroy."""
        waiting = [job for group in self._groups.values() for job in group.waiting]
        for group in self._groups.values():
            for members in (group.idle, group.ready, group.busy, group.starting, group.preparing, group.waiting):
                members.clear()
            group.planned = group.target = 0
        self._groups.clear()
        self._hungry.clear()
        self.charged_mb = 0
        return waiting

    def members(self) -> list[E]:
        return [environment for group in self._groups.values() for environment in group.members()]

    # ---- planning ----

    def _plan_start(self, group: Group[E, J], now: float) -> list[Decision[E, J]] | None:
        """What makes room for one more environment and starts it; None where no room can be made."""
        need = group.charge()
        if self.charged_mb + need <= self._budget_mb:
            return [self._planned(group, need)]
        evictable = sum(environment.charge_mb for other in self._groups.values() for environment in other.idle)
        free = self._budget_mb - self.charged_mb
        # The only environment starts even where it alone is over the budget.
        if need > free + evictable and self.charged_mb > evictable:
            return None
        decisions: list[Decision[E, J]] = []
        while self.charged_mb + need > self._budget_mb and (victim := self._least_worth(now)) is not None:
            decisions.append(self._evict(victim))
        decisions.append(self._planned(group, need))
        return decisions

    def _planned(self, group: Group[E, J], need: int) -> Start[E, J]:
        self.charged_mb += need
        group.planned += 1
        return Start(group, need)

    def _least_worth(self, now: float) -> E | None:
        groups = [group for group in self._groups.values() if group.idle]
        for group in groups:
            if now - group.counted_at > _HALF_LIFE_S:
                group.hits /= 2
                group.counted_at += (now - group.counted_at) / 2
        if not groups:
            return None
        # Every environment beyond those a group used last is worth less: count its worth as shared.
        return min(groups, key=lambda group: group.worth(now) / len(group.idle)).idle[0]

    def _evict(self, environment: E, reason: str = "its memory was needed") -> Evict[E]:
        self._forget(environment)
        self.tidy(environment.group)
        return Evict(environment, reason)

    def _release_slowly(self, environment: E, now: float) -> list[Decision[E, J]]:
        group = environment.group
        if group.waiting and (environment.provisioned or not self._owes_memory(group, now)):
            return [self._run_next(environment)]
        if group.retired and not group.waiting:
            return [self._evict(environment, "its function changed"), *self._feed_hungry(now)]
        group.busy.discard(environment)
        (group.ready if environment.provisioned else group.idle).append(environment)
        decisions = self._feed_hungry(now)
        if group.waiting and environment in group.idle:
            # Room for the other function was made elsewhere.
            group.idle.remove(environment)
            group.busy.add(environment)
            decisions.append(self._run_next(environment))
        elif len(group.waiting) > group.coming and group not in self._hungry:
            self._hungry.append(group)
        return decisions

    def _run_next(self, environment: E) -> Run[E, J]:
        group = environment.group
        job = group.waiting.popleft()
        self._sate(group)
        return Run(environment, job)

    def _owes_memory(self, group: Group[E, J], now: float) -> bool:
        """Whether another function has waited so long for memory that this group's environment must make room."""
        first = self._hungry[0] if self._hungry else None
        return first is not None and first is not group and now - first.waiting[0].since > FAIR_WAIT_S

    def _feed_hungry(self, now: float) -> list[Decision[E, J]]:
        decisions: list[Decision[E, J]] = []
        while self._hungry:
            group = self._hungry[0]
            start = self._plan_start(group, now)
            if start is None:
                break
            decisions += start
            self._hungry.popleft()
            if len(group.waiting) > group.coming:
                self._hungry.append(group)
        return decisions

    def _sate(self, group: Group[E, J]) -> None:
        """A waiting request of the group was served: it may no longer want memory."""
        if group in self._hungry and len(group.waiting) <= group.coming:
            self._hungry.remove(group)

    def _forget(self, environment: E) -> bool:
        group = environment.group
        for members in (group.busy, group.starting, group.preparing, group.idle, group.ready):
            if environment in members:
                members.remove(environment)
                break
        else:
            return False
        self.charged_mb -= environment.charge_mb
        return True

    def tidy(self, group: Group[E, J]) -> None:
        """Forget a group that has nothing left."""
        self._sate(group)
        if group.is_empty() and self._groups.get(group.key) is group:
            del self._groups[group.key]
