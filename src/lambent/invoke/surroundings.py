"""What environments have in common: who owns them, and what they use of the node."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from lambent.clock import Clock
from lambent.errors import AwsError
from lambent.invoke import tracing
from lambent.invoke.host import AttachEndpoint, DetachEndpoint, Launcher
from lambent.invoke.job import Job
from lambent.invoke.launch import Starter
from lambent.invoke.logs import Share
from lambent.invoke.telemetry.outbox import Budget
from lambent.invoke.timers import Timers
from lambent.ports import InvocationRecord, LogAccess, LogSink, TraceSink

if TYPE_CHECKING:
    from lambent.invoke.environment import Environment

#: A sandbox or a process in it that takes this long to start never will: an error is better than a hang.
START_LIMIT_S = 30.0


class Owner(Protocol):
    """Who made the environment, and decides what it does next."""

    def environment_not_restored(self, environment: Environment, error: AwsError) -> None:
        """Its runtime did not come out of its snapshot: what waits for it gets this error. Destroy it."""

    def environment_usable(self, environment: Environment) -> None:
        """Its first init is over, well or badly; it can be given a job."""

    def environment_free(self, environment: Environment, job: Job, record: InvocationRecord, now: float) -> None:
        """It answered `job` and can be given another."""

    def environment_measured(self, environment: Environment) -> None:
        """Its `memory_mb` changed."""

    def environment_expired(self, environment: Environment, reason: str) -> None:
        """It was idle for too long, or is too old: destroy it."""

    def environment_broke(self, environment: Environment, job: Job | None) -> None:
        """The platform failed in it, not the function. It is dead; `job` has its error."""

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run `work` as a task that somebody waits for."""


@dataclass(frozen=True, slots=True)
class Services:
    """What every environment of one invoker uses."""

    loop: AbstractEventLoop
    clock: Clock
    timers: Timers
    launcher: Launcher
    starter: Starter
    logs: LogSink
    #: None: every function may write them.
    log_access: LogAccess | None
    #: What all environments together may print.
    log_share: Share
    owner: Owner
    attach_endpoint: AttachEndpoint
    detach_endpoint: DetachEndpoint
    idle_timeout: float
    sampler: tracing.Sampler
    #: Takes what is sent to the X-Ray daemon of an environment; None: nobody does.
    traces: TraceSink | None
    #: What telemetry may hold for subscribers that are slow.
    telemetry_budget: Budget
