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
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from typing import Any

from lambent.clock import Clock
from lambent.errors import AccessDeniedException, AwsError
from lambent.invoke import tracing
from lambent.invoke.admission import Admission, FunctionLoad, Share
from lambent.invoke.environment import Environment
from lambent.invoke.errors import (
    EFSMountFailureException,
    InvalidRuntimeException,
    InvalidSubnetIDException,
    RecursiveInvocationException,
    ServiceException,
    SnapStartException,
    SnapStartTimeoutException,
    ThrottleReason,
    TooManyRequestsException,
    check_ready,
    check_tenant,
)
from lambent.invoke.host import AttachEndpoint, DetachEndpoint, Launcher, Runtimes
from lambent.invoke.job import Job
from lambent.invoke.launch import Blueprint, Starter
from lambent.invoke.logs import node_share
from lambent.invoke.pool import Decision, Evict, Pool, QueueFull, Run, Start
from lambent.invoke.provisioning import INIT_FAILED, NO_MEMORY, NOT_STARTED, Provisioning, Target
from lambent.invoke.snapshots import SnapshotKeeper
from lambent.invoke.starts import AT_ONCE, StartQueue
from lambent.invoke.states import STOPPED
from lambent.invoke.surroundings import Services
from lambent.invoke.telemetry.station import region_budget
from lambent.invoke.timers import Timers
from lambent.ports import (
    CredentialIssuer,
    FunctionVersion,
    Invocation,
    InvocationRecord,
    InvokeResult,
    LogAccess,
    LogSink,
    MetricSink,
    Provision,
    RecordSink,
    Roles,
    TraceSink,
)
from lambent.sandbox.spec import MOUNT_FILE_SYSTEM, UNKNOWN_NETWORK, SandboxError

log = logging.getLogger(__name__)

#: Why an environment did not start, of which the client is told.
_UNRESTORED = (SnapStartException, SnapStartTimeoutException)
_KNOWN = (
    *_UNRESTORED,
    InvalidRuntimeException,
    EFSMountFailureException,
    InvalidSubnetIDException,
    AccessDeniedException,
)

_NO_MEMORY_LEFT = (
    "This node has no memory left for another environment, and as many requests as it keeps wait for some already "
    "(see --memory-budget)."
)


#: Environments that tenants may have together, in halves of the account's concurrency: AWS keeps 2,500 for each 1,000.
_TENANT_SHARE = 5

#: Who assumes the roles of functions.
PRINCIPAL = "lambda.amazonaws.com"
#: The kernel's names of machines → AWS's.
_ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}


class _Executions(Job):
    """A Job with what the invoker has to give back when it ends."""

    __slots__ = ("admission", "load", "share")

    admission: Admission
    load: FunctionLoad
    share: Share | None


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
        metrics: MetricSink | None = None,
        log_access: LogAccess | None = None,
        roles: Roles | None = None,
        traces: TraceSink | None = None,
    ) -> None:
        """`roles` None: nobody asks whether Lambda can assume a function's role."""
        self._launcher = launcher
        self._runtimes = runtimes
        self._logs = logs
        self._log_access = log_access
        self._roles = roles
        self._credentials = credentials
        self._clock = clock
        self._account_concurrency = account_concurrency
        self._machine = _ARCHITECTURES.get(platform.machine(), platform.machine())
        self._idle_timeout = idle_timeout
        self._attach_endpoint = attach_endpoint
        self._detach_endpoint = detach_endpoint
        self._records = tuple(records)
        self._metrics = metrics
        self._traces = traces
        budget_mb = memory_budget_mb or _three_quarters_of_memory()
        self._pool: Pool[Environment, _Executions] = Pool(budget_mb)
        #: Implements ports.Snapshots.
        self.snapshots = SnapshotKeeper(budget_mb, self._lend)
        #: By (account, region).
        self._admissions: dict[tuple[str, str], Admission] = {}
        self._tasks: set[Task[None]] = set()
        #: Starts that wait for their turn, and how many sandboxes are being made.
        self._starts = StartQueue()
        self._launching = 0
        # Set by `start`
        self._loop: AbstractEventLoop
        self._timers: Timers
        self._services: Services
        self._provisioning: Provisioning
        self._accepting = False

    def __repr__(self) -> str:
        return f"<Invoker {self._pool!r}>"

    # ---- lifecycle ----

    async def start(self, endpoint_url: str) -> None:
        """`endpoint_url` is the region's, as functions see it."""
        self._loop = asyncio.get_running_loop()
        self._timers = Timers(self._loop, self._clock)
        self._provisioning = Provisioning(self._clock, self._timers, self._begin_next)
        self._services = Services(
            loop=self._loop,
            clock=self._clock,
            timers=self._timers,
            launcher=self._launcher,
            starter=Starter(self._runtimes, self._credentials, endpoint_url),
            logs=self._logs,
            log_access=self._log_access,
            log_share=node_share(self._clock),
            owner=self,
            attach_endpoint=self._attach_endpoint,
            detach_endpoint=self._detach_endpoint,
            idle_timeout=self._idle_timeout,
            sampler=tracing.Sampler(),
            traces=self._traces,
            telemetry_budget=region_budget(self._clock),
        )
        self.snapshots.start(self._services)
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
        self._starts.clear()
        self._provisioning.clear()
        for environment in self._pool.members():
            environment.destroy(reason)
        self.snapshots.clear(reason)
        for job in self._pool.clear():
            self._reject(job, ServiceException.of(job.invocation.request_id))
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _lend(self, memory_mb: int) -> None:
        """Snapshots take so much more of the node's memory, or give it back."""
        self._pool.lend(memory_mb)
        self._act(self._pool.relieve(self._clock.monotonic()))

    def retire(self, account: str, region: str, name: str, version: str | None = None) -> None:
        self.snapshots.retire(account, region, name, version)
        for group in self._pool.groups():
            function = group.about
            if (function.name, function.account, function.region) != (name, account, region):
                continue
            if version is None or function.version == version:
                self._act(self._pool.retire(group.key))

    def age(self, seconds: float) -> None:
        """As if every idle environment had been idle for so much longer."""
        for environment in self._pool.members():
            environment.age(seconds)
        self.snapshots.age(seconds)
        self._timers.run_due()

    def reserve(self, account: str, region: str, name: str, amount: int | None) -> None:
        """ReservedConcurrentExecutions of a function are this many now, whether it runs or not."""
        self._admission(account, region).reserve(name, amount, self._clock.monotonic())

    def forget(self, account: str, region: str, name: str) -> None:
        """The function is gone, with its reservation and all that was provisioned."""
        self._admission(account, region).forget(name)
        self._provisioning.forget(account, region, name)

    def provision(self, function: FunctionVersion, amount: int) -> None:
        """Keep `amount` environments of the version ready from now on."""
        now = self._clock.monotonic()
        self._admission(function.account, function.region).provision(function.name, function.version, amount, now)
        group = self._pool.group(_key(function), function.memory_mb, function, now)
        for environment in self._provisioning.set(function, group, amount):
            environment.provisioned = False
            if environment not in group.busy:
                # One that is busy goes on as any other and ages out.
                self._discard(environment, "less concurrency is provisioned")
        self._pool.tidy(group)
        self._begin_next()

    def provision_of(self, function: FunctionVersion) -> Provision:
        return self._provisioning.describe(_key(function))

    # ---- watching ----

    def statistics(self) -> dict[str, int]:
        return {
            **self._pool.statistics(),
            **self.snapshots.statistics(),
            "running": sum(admission.running for admission in self._admissions.values()),
            "launching": self._launching,
            "starts_waiting": len(self._starts),
            "timers": len(self._timers),
            "tasks": len(self._tasks),
        }

    def environments(self) -> list[dict[str, Any]]:
        """Every one that there is, for operators."""
        now = self._clock.monotonic()
        return [environment.describe(now) for environment in self._pool.members()]

    def take_peaks(self) -> Iterator[tuple[str, str, Mapping[str, int], int, int]]:
        """Implements ports.ConcurrencyPeaks."""
        for (account, region), admission in self._admissions.items():
            functions, total, unreserved = admission.take_peaks()
            if functions:
                yield account, region, functions, total, unreserved

    def take_provisioned_peaks(self) -> Iterator[tuple[FunctionVersion, int, int]]:
        """Implements ports.ProvisionedPeaks."""
        for function in self._provisioning.functions():
            admission = self._admission(function.account, function.region)
            yield function, *admission.take_share_peak(function.name, function.version)

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
        if function.snap_start:
            check_ready(function)
        key = f"{function.arn}:{function.version} {function.environment_key}"
        if invocation.tenant_id or function.per_tenant:
            check_tenant(function, invocation.tenant_id)
            key = f"{key} {invocation.tenant_id}"
        if "Lineage=" in invocation.trace_id and not function.allows_recursion:
            self._stop_loop(function, invocation)
        admission = self._admissions.get((function.account, function.region))
        if admission is None:
            admission = self._admission(function.account, function.region)
        try:
            load, share = admission.acquire(function.name, function.version, function.reserved_concurrency, now)
        except TooManyRequestsException:
            self._note_throttle(function, invocation)
            raise
        job = _Executions(function, invocation, self._loop.create_future(), now)
        job.admission, job.load, job.share = admission, load, share
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
                admission.release(load, share)
            raise

    def _wait(self, key: str, job: _Executions, now: float) -> None:
        """No environment is idle: queue the job, and start one if that is what it takes."""
        group = None
        try:
            group = self._pool.group(key, job.function.memory_mb, job.function, now)
            if job.function.per_tenant:
                group.tenant_id = job.invocation.tenant_id
                self._act(self._pool.trim_tenants(_TENANT_SHARE * self._account_concurrency // 2, now))
            if self._pool.needs_start(group):
                job.admission.take_start(job.load, now)
            decisions = self._pool.wait(group, job, now)
        except Exception as error:  # whatever it is: the execution counted by `acquire` does not happen
            job.admission.release(job.load, job.share)
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
        if self._traces is not None:
            self._traces.refused(function, invocation)

    def _stop_loop(self, function: FunctionVersion, invocation: Invocation) -> None:
        """Raises RecursiveInvocationException where the chain of calls led here too often."""
        if tracing.hops(invocation.trace_id, function.arn) < tracing.MAX_HOPS:
            return
        log.warning("%s runs in a loop: it was stopped after %d rounds", function.arn, tracing.MAX_HOPS)
        if self._metrics is not None:
            self._metrics.count(invocation.invoked_arn, "RecursiveInvocationsDropped")
        raise RecursiveInvocationException

    def _act(self, decisions: list[Decision[Environment, _Executions]]) -> None:
        """Carry out what the pool decided."""
        for decision in decisions:
            if isinstance(decision, Run):
                decision.environment.run(decision.job)
            elif isinstance(decision, Evict):
                decision.environment.destroy(decision.reason)
            elif self._launching < AT_ONCE:
                self._start(decision)
            else:
                self._starts.add(decision)

    # ---- starting ----

    def _start(self, start: Start[Environment, _Executions], target: Target | None = None) -> None:
        group = start.group
        environment = Environment(
            self._services,
            group.about,
            group,
            start.charge_mb,
            tenant_id=group.tenant_id,
            provisioned=target is not None,
        )
        self._pool.starting(environment)
        if target is not None:
            self._provisioning.starting(target, environment)
        self._launching += 1
        self.spawn(self._launch(environment), f"launch {environment.id[:8]}")

    def _begin_next(self) -> None:
        """Let start what waits for its turn; first what somebody waits for, then what is provisioned."""
        while self._launching < AT_ONCE and (start := self._starts.pop()) is not None:
            if len(start.group.waiting) < start.group.coming:
                # Those who waited for it were served by others.
                function = start.group.about
                self._admission(function.account, function.region).return_start(function.name)
                self._act(self._pool.cancel(start, self._clock.monotonic()))
            else:
                self._start(start)
        while self._accepting and self._launching < AT_ONCE and (target := self._provisioning.next()) is not None:
            self._prepare(target)

    def _prepare(self, target: Target) -> None:
        """Start one more provisioned environment."""
        decisions = self._pool.prepare(target.group, self._clock.monotonic())
        if not decisions:
            self._provisioning.postpone(target, NO_MEMORY)
            return
        *evictions, start = decisions
        self._act(evictions)
        assert isinstance(start, Start)
        self._start(start, target)

    async def _launch(self, environment: Environment) -> None:
        group = environment.group
        try:
            self._check_role(environment.function)
            if group.blueprint is None:
                group.blueprint = await self._services.starter.blueprint(environment.function)
            if not (environment.function.snap_start and await self._restore(environment, group.blueprint)):
                await environment.launch(group.blueprint)
        except LookupError as error:
            self._never_started(environment, InvalidRuntimeException(str(error)))
        except AccessDeniedException as error:
            self._never_started(environment, error)
        except Exception as error:  # whatever keeps it from starting is the platform's failure; the client gets a 500
            log.error("%r did not start", environment, exc_info=error)
            self._never_started(environment, _as_known(error, environment.function))
        finally:
            self._launching -= 1
            self._begin_next()

    async def _restore(self, environment: Environment, blueprint: Blueprint) -> bool:
        """Launch it from its version's snapshot. False where it has to start as any other."""
        snapshot_id = await self.snapshots.find(environment.function)
        if not snapshot_id:
            return False
        try:
            await environment.launch(blueprint, snapshot_id)
        except (SandboxError, TimeoutError) as error:
            log.warning("%r is not restored but started: %s", environment, error)
            self.snapshots.lost(environment.function, snapshot_id)
            return False
        return True

    def _check_role(self, function: FunctionVersion) -> None:
        """It may be gone, or trust Lambda no more, since the function was given it."""
        if self._roles is not None and not self._roles.can_be_assumed_by(function.role, PRINCIPAL):
            raise AccessDeniedException("The role defined for the function cannot be assumed by Lambda.")

    def _never_started(self, environment: Environment, error: Exception) -> None:
        environment.destroy("it did not start")
        if environment.provisioned:
            told = isinstance(error, (InvalidRuntimeException, AccessDeniedException))
            words = str(error) if told else NOT_STARTED
            self._provisioning.lost(environment, words)
        job, decisions = self._pool.start_failed(environment, self._clock.monotonic())
        if job is not None:
            known = isinstance(error, _KNOWN)
            self._reject(job, error if known else ServiceException.of(job.invocation.request_id))
        self._act(decisions)

    def _reject(self, job: _Executions, error: Exception) -> None:
        job.admission.release(job.load, job.share)
        if not job.done.done():
            job.done.set_exception(error)

    def _admission(self, account: str, region: str) -> Admission:
        return self._admissions.setdefault((account, region), Admission(self._account_concurrency))

    # ---- what environments tell (environment.Owner) ----

    def environment_not_restored(self, environment: Environment, error: AwsError) -> None:
        self._never_started(environment, error)

    def environment_usable(self, environment: Environment) -> None:
        now = self._clock.monotonic()
        if environment.provisioned:
            if environment.state is STOPPED:
                self._discard(environment, "its init failed", INIT_FAILED)
                return
            self._provisioning.up(environment)
        environment.group.start_s += 0.3 * (now - environment.born_at - environment.group.start_s)
        self._act(self._pool.started(environment, now))

    def environment_free(self, environment: Environment, job: Job, record: InvocationRecord, now: float) -> None:
        assert isinstance(job, _Executions)
        job.admission.release(job.load, job.share)
        for sink in self._records:
            sink.record(record)
        if now > environment.old_at:
            self._discard(environment, "its credentials are about to expire")
            return
        if (environment.provisioned or environment.is_restored) and environment.state is STOPPED:
            self._discard(environment, "it is not ready any more")
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
            job.admission.release(job.load, job.share)
        if environment in environment.group.starting:
            # Starting another for who waits would fail the same way, without end: one of them gets the error.
            self._never_started(environment, ServiceException())
        elif environment.provisioned:
            self._discard(environment, "the platform failed in it", NOT_STARTED)
        else:
            self._act(self._pool.discard(environment, self._clock.monotonic()))

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = self._loop.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _discard(self, environment: Environment, reason: str, failure: str = "") -> None:
        """`failure`: why a provisioned one never came up."""
        environment.destroy(reason)
        self._act(self._pool.discard(environment, self._clock.monotonic()))
        if environment.provisioned:
            self._provisioning.lost(environment, failure)
            self._begin_next()

    def _ended(self, task: Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("The task %r failed", task.get_name(), exc_info=error)


def _key(function: FunctionVersion) -> str:
    """Of the group of its environments."""
    return f"{function.arn}:{function.version} {function.environment_key}"


def _three_quarters_of_memory() -> int:
    """MiB."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * 3 // 4 // (1024 * 1024)


def _as_known(error: Exception, function: FunctionVersion) -> Exception:
    """What the client is told of, if there is an error of AWS's for it."""
    if isinstance(error, SandboxError) and error.call == MOUNT_FILE_SYSTEM:
        arn = function.file_systems[0][0]
        return EFSMountFailureException(f"The function could not mount the EFS file system with access point {arn}.")
    if isinstance(error, SandboxError) and error.call == UNKNOWN_NETWORK:
        return InvalidSubnetIDException()
    return error
