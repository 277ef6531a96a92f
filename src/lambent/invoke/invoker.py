"""The one door to function code: every execution of a function, whoever asks for it, is a call of `Invoker.invoke`.

It asks admission, carries out what the pool decides and owns the tasks that start and stop environments. A warm
invocation passes without a task, a lock or a wait but the one for the function's answer.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
from asyncio import AbstractEventLoop, CancelledError, Task
from collections.abc import Coroutine, Sequence
from typing import Any

from lambent.clock import Clock
from lambent.invoke.admission import Admission, FunctionLoad
from lambent.invoke.environment import Environment, Job, Services
from lambent.invoke.errors import (
    EFSMountFailureException,
    InvalidRuntimeException,
    ServiceException,
    ThrottleReason,
    TooManyRequestsException,
)
from lambent.invoke.host import AttachEndpoint, DetachEndpoint, Launcher, Runtimes
from lambent.invoke.launch import Starter
from lambent.invoke.logs import node_share
from lambent.invoke.pool import Decision, Evict, Group, Pool, QueueFull, Run
from lambent.invoke.timers import Timers
from lambent.ports import (
    CredentialIssuer,
    FunctionVersion,
    Invocation,
    InvocationRecord,
    InvokeResult,
    LogSink,
    RecordSink,
)
from lambent.sandbox.spec import MOUNT_FILE_SYSTEM, SandboxError

log = logging.getLogger(__name__)

_NO_MEMORY_LEFT = (
    "This node has no memory left for another environment, and as many requests as it keeps wait for some already "
    "(see --memory-budget)."
)


#: The kernel's names of machines → AWS's.
_ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}


class _Executions(Job):
    """A Job with what the invoker has to give back when it ends."""

    __slots__ = ("admission", "load")

    admission: Admission
    load: FunctionLoad


class Invoker:
    """Implements ports.Invoker and environment.Owner."""

    def __init__(
        self,
        *,
        launcher: Launcher,
        runtimes: Runtimes,
        logs: LogSink,
        credentials: CredentialIssuer,
        clock: Clock,
        account_concurrency: int,
        memory_budget_mb: int,
        idle_timeout: float,
        attach_endpoint: AttachEndpoint,
        detach_endpoint: DetachEndpoint,
        records: Sequence[RecordSink] = (),
    ) -> None:
        self._launcher = launcher
        self._runtimes = runtimes
        self._logs = logs
        self._credentials = credentials
        self._clock = clock
        self._account_concurrency = account_concurrency
        self._machine = _ARCHITECTURES.get(platform.machine(), platform.machine())
        self._idle_timeout = idle_timeout
        self._attach_endpoint = attach_endpoint
        self._detach_endpoint = detach_endpoint
        self._records = tuple(records)
        self._pool: Pool[Environment, _Executions] = Pool(memory_budget_mb or _three_quarters_of_memory())
        #: By (account, region).
        self._admissions: dict[tuple[str, str], Admission] = {}
        self._tasks: set[Task[None]] = set()
        # Set by `start`
        self._loop: AbstractEventLoop
        self._timers: Timers
        self._services: Services
        self._accepting = False

    def __repr__(self) -> str:
        return f"<Invoker {self._pool!r}>"

    # ---- lifecycle ----

    async def start(self, endpoint_url: str) -> None:
        """`endpoint_url` is the region's, as functions see it."""
        self._loop = asyncio.get_running_loop()
        self._timers = Timers(self._loop, self._clock)
        self._services = Services(
            loop=self._loop,
            clock=self._clock,
            timers=self._timers,
            launcher=self._launcher,
            starter=Starter(self._runtimes, self._credentials, endpoint_url),
            logs=self._logs,
            log_share=node_share(self._clock),
            owner=self,
            attach_endpoint=self._attach_endpoint,
            detach_endpoint=self._detach_endpoint,
            idle_timeout=self._idle_timeout,
        )
        self._accepting = True

    async def stop(self) -> None:
        """Refuse what comes, end what runs, and wait until every sandbox is gone."""
        self._accepting = False
        await self._clear("the region stops")
        self._timers.close()

    async def reset(self) -> None:
        """Back to empty; requests under way end with an error."""
        await self._clear("the region is reset")
        self._admissions.clear()

    async def _clear(self, reason: str) -> None:
        for environment in self._pool.members():
            environment.destroy(reason)
        for job in self._pool.clear():
            self._reject(job, ServiceException.of(job.invocation.request_id))
        while self._tasks:
            await asyncio.wait(self._tasks)

    def retire(self, account: str, region: str, name: str, version: str | None = None) -> None:
        for group in self._pool.groups():
            function = group.about
            if (function.name, function.account, function.region) != (name, account, region):
                continue
            if version is None or function.version == version:
                self._act(self._pool.retire(group.key))

    def reserve(self, account: str, region: str, name: str, amount: int | None) -> None:
        """ReservedConcurrentExecutions of a function changed."""
        self._admission(account, region).reserve(name, amount, self._clock.monotonic())

    def statistics(self) -> dict[str, int]:
        running = sum(admission.running for admission in self._admissions.values())
        return {**self._pool.statistics(), "running": running, "timers": len(self._timers), "tasks": len(self._tasks)}

    # ---- invoking ----

    async def invoke(self, function: FunctionVersion, invocation: Invocation) -> InvokeResult:
        now = self._clock.monotonic()
        if not self._accepting:
            raise ServiceException.of(invocation.request_id)
        if function.architecture != self._machine:
            raise InvalidRuntimeException(
                f"The function is made for {function.architecture} and this region runs on {self._machine}: "
                f"update its code with Architectures {self._machine}."
            )
        admission = self._admissions.get((function.account, function.region))
        if admission is None:
            admission = self._admission(function.account, function.region)
        try:
            load = admission.acquire(function.name, function.reserved_concurrency, now)
        except TooManyRequestsException:
            self._note_throttle(function, invocation)
            raise
        job = _Executions(function, invocation, self._loop.create_future(), now)
        job.admission, job.load = admission, load
        key = f"{function.arn}:{function.version} {function.environment_key}"
        group = self._pool.find(key)
        environment = self._pool.take(group) if group is not None else None
        if environment is not None:
            environment.run(job)
        else:
            self._wait(key, job, now)
        try:
            return await job.done
        except CancelledError:
            if group is None:
                group = self._pool.find(key)
            # One that has an environment already runs to its end without a listener.
            if group is not None and self._pool.abandon(group, job):
                admission.release(load)
            raise

    def _wait(self, key: str, job: _Executions, now: float) -> None:
        """No environment is idle: queue the job, and start one if that is what it takes."""
        group = None
        try:
            group = self._pool.group(key, job.function.memory_mb, job.function, now)
            if self._pool.needs_start(group):
                job.admission.take_start(job.load, now)
            decisions = self._pool.wait(group, job, now)
        except Exception as error:  # whatever it is: the execution counted by `acquire` does not happen
            job.admission.release(job.load)
            if group is not None:
                self._pool.tidy(group)
            if isinstance(error, (QueueFull, TooManyRequestsException)):
                self._note_throttle(job.function, job.invocation)
            if isinstance(error, QueueFull):
                raise TooManyRequestsException(ThrottleReason.ACCOUNT_CONCURRENCY, _NO_MEMORY_LEFT) from None
            raise
        self._act(decisions)

    def _note_throttle(self, function: FunctionVersion, invocation: Invocation) -> None:
        for sink in self._records:
            sink.throttled(function, invocation.invoked_arn)

    def _act(self, decisions: list[Decision[Environment, _Executions]]) -> None:
        """Carry out what the pool decided."""
        for decision in decisions:
            if isinstance(decision, Run):
                decision.environment.run(decision.job)
            elif isinstance(decision, Evict):
                decision.environment.destroy(decision.reason)
            else:
                self._start(decision.group, decision.charge_mb)

    def _start(self, group: Group[Environment, _Executions], charge_mb: int) -> None:
        environment = Environment(self._services, group.about, group, charge_mb)
        self._pool.starting(environment)
        self.spawn(self._launch(environment), f"launch {environment.id[:8]}")

    async def _launch(self, environment: Environment) -> None:
        group = environment.group
        try:
            if group.blueprint is None:
                group.blueprint = await self._services.starter.blueprint(environment.function)
            await environment.launch(group.blueprint)
        except LookupError as error:
            self._never_started(environment, InvalidRuntimeException(str(error)))
        except Exception as error:  # whatever keeps it from starting is the platform's failure; the client gets a 500
            log.error("%r did not start", environment, exc_info=error)
            self._never_started(environment, _as_known(error, environment.function))

    def _never_started(self, environment: Environment, error: Exception) -> None:
        environment.destroy("it did not start")
        job, decisions = self._pool.start_failed(environment, self._clock.monotonic())
        if job is not None:
            known = isinstance(error, (InvalidRuntimeException, EFSMountFailureException))
            self._reject(job, error if known else ServiceException.of(job.invocation.request_id))
        self._act(decisions)

    def _reject(self, job: _Executions, error: Exception) -> None:
        job.admission.release(job.load)
        if not job.done.done():
            job.done.set_exception(error)

    def _admission(self, account: str, region: str) -> Admission:
        return self._admissions.setdefault((account, region), Admission(self._account_concurrency))

    # ---- what environments tell (environment.Owner) ----

    def environment_usable(self, environment: Environment) -> None:
        now = self._clock.monotonic()
        environment.group.start_s += 0.3 * (now - environment.born_at - environment.group.start_s)
        self._act(self._pool.started(environment, now))

    def environment_free(self, environment: Environment, job: Job, record: InvocationRecord, now: float) -> None:
        assert isinstance(job, _Executions)
        job.admission.release(job.load)
        for sink in self._records:
            sink.record(record)
        if now > environment.old_at:
            self._discard(environment, "its credentials are about to expire")
            return
        decisions = self._pool.release(environment, now)
        if decisions:
            self._act(decisions)

    def environment_measured(self, environment: Environment) -> None:
        self._pool.measured(environment, environment.memory_mb)
        self._act(self._pool.relieve(self._clock.monotonic()))

    def environment_expired(self, environment: Environment, reason: str) -> None:
        self._discard(environment, reason)

    def environment_broke(self, environment: Environment, job: Job | None) -> None:
        if isinstance(job, _Executions):
            job.admission.release(job.load)
        if environment in environment.group.starting:
            # Starting another for who waits would fail the same way, without end: one of them gets the error.
            self._never_started(environment, ServiceException())
        else:
            self._act(self._pool.discard(environment, self._clock.monotonic()))

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = self._loop.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _discard(self, environment: Environment, reason: str) -> None:
        environment.destroy(reason)
        self._act(self._pool.discard(environment, self._clock.monotonic()))

    def _ended(self, task: Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("The task %r failed", task.get_name(), exc_info=error)


def _three_quarters_of_memory() -> int:
    """MiB."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * 3 // 4 // (1024 * 1024)


def _as_known(error: Exception, function: FunctionVersion) -> Exception:
    """What the client is told of, if there is an error of AWS's for it."""
    if isinstance(error, SandboxError) and error.call == MOUNT_FILE_SYSTEM:
        arn = function.file_systems[0][0]
        return EFSMountFailureException(f"The function could not mount the EFS file system with access point {arn}.")
    return error
