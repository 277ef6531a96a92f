"""One execution environment: a sandbox, the runtime in it, and the invocation that it runs.

It drives the state machine of `states` from what the runtime, the timers and the sandbox tell it. Which environment
runs which request is the pool's matter; this one is told with `run` and tells its owner when it is free again.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import AbstractEventLoop, Future
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from math import ceil, inf
from typing import Any, Protocol

from msgspec import structs

from lambent.clock import Clock
from lambent.errors import AwsError
from lambent.ids import hex_id
from lambent.invoke import credentials_api, faults, log_levels, tracing
from lambent.invoke.channel import FrameChannel, RuntimeLink
from lambent.invoke.chronicle import Chronicle
from lambent.invoke.errors import ServiceException, SnapStartException, SnapStartTimeoutException
from lambent.invoke.extension_host import ExtensionHost
from lambent.invoke.extensions import Extensions, invoke_event
from lambent.invoke.faults import ERROR, FAILURE, SUCCESS, TIMEOUT, Outcome
from lambent.invoke.host import AttachEndpoint, DetachEndpoint, Launcher, Sandbox
from lambent.invoke.http import SandboxApi
from lambent.invoke.launch import CREDENTIALS_S, Blueprint, LaunchFault, Starter, entrypoint_fault
from lambent.invoke.logs import LogStream, OutputReader, Share
from lambent.invoke.outflow import Outflow
from lambent.invoke.records import RuntimeDone
from lambent.invoke.report import Reporter, billed_ms, log_stream_name
from lambent.invoke.runtime_api import HttpRuntime
from lambent.invoke.states import (
    ANSWERED,
    AT_WORK,
    BUSY,
    FINISHING,
    FROZEN,
    INITIALISING,
    INVOKED,
    READY,
    STOPPED,
    TRANSITIONS,
    Event,
    IllegalTransition,
    State,
)
from lambent.invoke.telemetry.hub import About
from lambent.invoke.telemetry.outbox import Budget
from lambent.invoke.telemetry.station import TelemetryStation
from lambent.invoke.telemetry.wire import Lines
from lambent.invoke.timers import Timer, Timers
from lambent.invoke.wrapped import WrappedRuntime
from lambent.invoke.xray_daemon import XRayDaemon
from lambent.ports import (
    FunctionVersion,
    Invocation,
    InvocationRecord,
    InvokeResult,
    LogAccess,
    LogSink,
    LogWriter,
    ResponseSink,
    TraceSink,
)
from lambent.runtimes.environment import CredentialsEndpoint
from lambent.sandbox.spec import ExitStatus

log = logging.getLogger(__name__)

#: An overrun of init is a failed init; it is done again in the first invocation, under the function's timeout.
INIT_LIMIT_S = 10.0
#: Nobody waits for a provisioned one: its init may take this long, or as long as the function's timeout.
PROVISIONED_INIT_LIMIT_S = 130.0
#: A runtime that comes out of a snapshot has this long, hooks included.
RESTORE_LIMIT_S = 10.0
#: A sandbox or a process in it that takes this long to start never will: an error is better than a hang.
START_LIMIT_S = 30.0
#: Idle this long, an environment is frozen: long enough that back-to-back invocations never pay for it.
FREEZE_AFTER_S = 0.1
#: How long the exit status of a runtime may take to arrive after its channel closed.
_EXIT_STATUS_S = 1.0
#: Reading the peak of memory costs a system call; a busy environment does it this often.
_MEMORY_SAMPLE_S = 0.1
#: Before its credentials run out an environment is replaced, as AWS replaces old ones.
_LIFETIME_S = CREDENTIALS_S - 1800
#: Of an invocation that has not ended.
_NONE = Outcome(b"", SUCCESS)


class Job:
    """One request for an execution and the future of its result."""

    __slots__ = ("done", "function", "invocation", "since")

    def __init__(self, function: FunctionVersion, invocation: Invocation, done: Future[InvokeResult], since: float):
        self.function = function
        self.invocation = invocation
        self.done = done
        #: When it began to wait, monotonic.
        self.since = since


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


class Environment:
    """Implements channel.RuntimeEvents and extension_host.HostEvents; everything runs on the event loop."""

    def __init__(
        self,
        services: Services,
        function: FunctionVersion,
        group: Any,
        charge_mb: int,
        *,
        tenant_id: str = "",
        provisioned: bool = False,
    ) -> None:
        self._services = services
        self._clock = services.clock
        self._timers = services.timers
        self._owner = services.owner
        self.id = hex_id(32)
        self.function = function
        #: The pool's: whose environment this is, and the memory that it is charged with.
        self.group = group
        self.charge_mb = charge_mb
        self.provisioned = provisioned

        # Whole life
        #: Whose invocations alone it runs, "" where the function does not tell tenants apart.
        self.tenant_id = tenant_id
        self.invocations = 0
        self.state = State.STARTING
        self.born_at = services.clock.monotonic()
        #: When it should be replaced.
        self.old_at = self.born_at + _LIFETIME_S
        self._timer = Timer(self._on_timer)
        self.log_stream = log_stream_name(services.clock.now(), function.version, self.id)
        self._credentials = services.starter.credentials(function)
        self._stream = LogStream(self._open_log(services, function), services.clock)
        self._initialization = (
            "provisioned-concurrency" if provisioned else "snap-start" if function.snap_start else "on-demand"
        )
        self._chronicle = Chronicle(Reporter.of(function, self.id, self._initialization), self._stream.write)
        self._mark = tracing.mark(function.arn)
        self._sampler = services.sampler if function.tracing_mode == "Active" else None
        self._output = OutputReader(
            services.loop,
            services.timers,
            services.clock,
            self._stream,
            services.log_share,
            log_levels.shows(function),
        )
        self._sandbox: Sandbox | None = None
        #: What the sandbox's processes may call; None where it has no socket for it.
        self._api: SandboxApi | None = None
        #: Where its SDKs ask for credentials; None: they are in its variables.
        self._credentials_endpoint: CredentialsEndpoint | None = None
        self._daemon: XRayDaemon | None = None
        self._blueprint: Blueprint | None = None
        self._credentials = services.starter.credentials(function)
        self._timeout_s = float(function.timeout_s)
        self.memory_mb = 0
        self._memory_at = 0.0
        #: When it came to rest last, or was born.
        self.idle_since = self.born_at
        #: Init time that the first invocation reports, None once it has (or where init failed).
        self.init_ms: float | None = None
        #: Its runtime comes out of a snapshot: no other can take its place.
        self.is_restored = False
        self._is_restoring = False
        self._launched_at = 0.0
        #: In place of `init_ms`: what that took, and what of it is billed.
        self._restored: tuple[float, int] | None = None

        #: None: no extension subscribed to telemetry, and none can any more.
        self._telemetry: TelemetryStation | None = None

        # One runtime process and its extensions
        self._link: RuntimeLink | None = None
        self._generation = 0
        self._init_at = 0.0
        self._is_runtime_ready = False
        self._host: ExtensionHost | None = None
        #: None: there are none, external or internal.
        self._extensions: Extensions | None = None
        #: Set while those of the last runtime process are being shut down.
        self._leaving: Future[None] | None = None

        # One invocation. Invariant: `_job` is set iff the state is BUSY, FINISHING, RESETTING or REINIT.
        self._job: Job | None = None
        self._started_at = 0.0
        self._started_wall = 0.0
        self._trace_id = ""
        #: Its response, where the runtime streams it.
        self._outflow: Outflow | None = None
        #: How the runtime ended it and when; extensions may go on.
        self._outcome = _NONE
        self._runtime_done_at = 0.0

    def describe(self, now: float) -> dict[str, Any]:
        """For operators; `now` is monotonic."""
        return {
            "id": self.id,
            "account": self.function.account,
            "region": self.function.region,
            "function": self.function.name,
            "version": self.function.version,
            "state": self.state.name.lower(),
            "provisioned": self.provisioned,
            "tenant": self.tenant_id,
            "age_s": round(now - self.born_at, 3),
            "idle_s": round(now - self.idle_since, 3) if self.state in (READY, FROZEN, STOPPED) else None,
            "memory_mb": self.memory_mb,
            "memory_limit_mb": self.function.memory_mb,
            "invocations": self.invocations,
            "log_stream": self.log_stream,
        }

    def __repr__(self) -> str:
        return f"<Environment {self.id[:8]} of {self.function.name}:{self.function.version} {self.state.name}>"

    # ---- starting ----

    async def launch(self, blueprint: Blueprint, restores: str = "") -> None:
        """Make the sandbox and begin init. Raises SandboxError.

        `restores`: id of the snapshot that its runtime comes out of, "" where it starts as any other.
        """
        services = self._services
        self._blueprint = blueprint
        self._launched_at = self._clock.monotonic()
        spec = services.starter.launch_spec(
            blueprint, self.id, self._credentials, self.log_stream, self._initialization
        )
        self.is_restored = self._is_restoring = bool(restores)
        if restores:
            spec = replace(spec, restores=restores)
        async with asyncio.timeout(START_LIMIT_S):
            sandbox = await services.launcher.launch(spec)
        if self.state is State.DEAD:
            await sandbox.destroy("its function changed while it started")
            return
        self._sandbox = sandbox
        if sandbox.endpoint is not None:
            services.attach_endpoint(sandbox.id, sandbox.endpoint)
        if sandbox.runtime_api is not None:
            self._api = SandboxApi(services.loop, sandbox.runtime_api, self._owner.spawn, self.runtime_bug)
            if self._initialization == "snap-start":
                self._credentials_endpoint = credentials_api.mount(
                    self._api,
                    sandbox.runtime_api_address,
                    lambda: services.starter.credentials(self.function),
                    self._clock,
                )
        if sandbox.daemon is not None and services.traces is not None:
            self._daemon = XRayDaemon(
                services.loop, services.timers, services.clock, sandbox.daemon, self.function, services.traces
            )
        self._move(Event.LAUNCHED)
        self._begin_telemetry(sandbox)
        if self._is_restoring:
            # It may have waited for its function, frozen.
            sandbox.thaw()
            self._chronicle.restore_start(self._clock.now())
            self._begin_init(RESTORE_LIMIT_S)
            return
        self._chronicle.init_start(self._clock.now(), "init")
        is_awaited = self._initialization == "on-demand"
        self._begin_init(INIT_LIMIT_S if is_awaited else max(PROVISIONED_INIT_LIMIT_S, self._timeout_s))

    def _begin_init(self, limit_s: float) -> None:
        self._init_at = self._clock.monotonic()
        self._timers.set(self._timer, self._init_at + limit_s)
        sandbox, blueprint = self._sandbox, self._blueprint
        assert sandbox is not None
        assert blueprint is not None
        self._generation += 1
        self._is_runtime_ready = False
        sandbox.exited.add_done_callback(self._exit_watcher(self._generation))
        self._attach_output(sandbox)
        if self._api is not None:
            names = () if blueprint.extension_fault else blueprint.extensions
            self._host = ExtensionHost(sandbox, self._api, self.function, names, self)
            self._extensions = self._host.extensions if blueprint.extensions else None
            self._serve_telemetry(self._api, self._host.extensions, sandbox)
            self._api.listen()
        if blueprint.extension_fault is not None and self._extensions is not None:
            self._fail_launch(self._extensions, blueprint.extension_fault)
        elif self._extensions is None:
            self._connect(sandbox, blueprint)

    def _begin_telemetry(self, sandbox: Sandbox) -> None:
        """Before the first event of an init."""
        if self._telemetry is None and self._api is not None:
            services = self._services
            self._telemetry = TelemetryStation(
                About(self.function, self.id, self._initialization),
                Lines(
                    services.loop,
                    services.timers,
                    services.clock,
                    self._owner.spawn,
                    sandbox.dial,
                    sandbox.has_own_network,
                ),
                services.telemetry_budget,
                self._chronicle,
                self._output,
                self._telemetry_settled,
            )
        if self._telemetry is not None:
            self._telemetry.begin_init()

    def _serve_telemetry(self, api: SandboxApi, extensions: Extensions, sandbox: Sandbox) -> None:
        if self._telemetry is not None:
            runtime_api_port = int(sandbox.runtime_api_address.rpartition(":")[2])
            self._telemetry.serve(api, extensions, (runtime_api_port, self._services.starter.endpoint_port))

    def _end_telemetry_init(self) -> None:
        if self._telemetry is not None and not self._telemetry.end_init():
            self._telemetry = None

    def _telemetry_settled(self) -> None:
        """Its subscribers have got everything: nothing keeps it from being frozen."""
        if self.state is READY:
            self._timers.set(self._timer, self._clock.monotonic())

    def _attach_output(self, sandbox: Sandbox) -> None:
        self._output.attach(sandbox.log_fd, sandbox.output_fd)
        for fd in sandbox.extension_fds:
            self._output.attach_extension(fd)

    def _connect(self, sandbox: Sandbox, blueprint: Blueprint) -> None:
        """Talk to the runtime's process, which is there."""
        if sandbox.channel is not None and blueprint.is_wrapped:
            self._open_wrapped().attach(sandbox.channel)
        elif sandbox.channel is not None:
            self._link = FrameChannel(self._services.loop, sandbox.channel, self)
        else:
            assert self._api is not None
            self._link = HttpRuntime(self._api, self)
        assert self._link is not None
        starter = self._services.starter
        body = starter.restore_body if self._is_restoring else starter.init_body
        self._link.init(
            body(
                blueprint,
                sandbox,
                self._credentials_endpoint or self._credentials,
                self.log_stream,
                self._initialization,
            )
        )

    def _open_wrapped(self) -> WrappedRuntime:
        if not isinstance(self._link, WrappedRuntime):
            assert self._api is not None
            self._link = WrappedRuntime(self._services.loop, self._api, self)
        return self._link

    async def _start_waiting(self, sandbox: Sandbox, blueprint: Blueprint, generation: int) -> None:
        """Start the runtime's process, now that the extensions are there."""
        try:
            # It may call before this learns that it was started.
            if not blueprint.runtime.framed:
                self._connect(sandbox, blueprint)
            elif blueprint.is_wrapped:
                self._open_wrapped()
            async with asyncio.timeout(START_LIMIT_S):
                await sandbox.start_runtime()
            if generation == self._generation and self.state in INITIALISING:
                self._attach_output(sandbox)
                if blueprint.runtime.framed:
                    self._connect(sandbox, blueprint)
        except Exception as error:  # whatever keeps a runtime from starting is the platform's failure
            if generation == self._generation and self.state in INITIALISING:
                self.runtime_bug(error)

    # ---- extensions ----

    def extension_joined(self) -> None:
        assert self._host is not None
        self._extensions = self._host.extensions

    def extensions_registered(self) -> None:
        sandbox, blueprint = self._sandbox, self._blueprint
        if self.state not in INITIALISING or sandbox is None or blueprint is None:
            return
        if blueprint.runtime_waits:
            work = self._start_waiting(sandbox, blueprint, self._generation)
            self._owner.spawn(work, f"start runtime {self.id[:8]}")
        else:
            self._connect(sandbox, blueprint)

    def extensions_at_rest(self) -> None:
        if self._is_runtime_ready and self.state in INITIALISING:
            self._initialised(self._clock.monotonic())
        elif self.state is FINISHING:
            self._output.drain()
            self._output.flush()
            self._end_invocation(self._clock.monotonic())

    def extension_failed(self, error_type: str, words: str) -> None:
        if self.state in AT_WORK:
            request_id = self._job.invocation.request_id if self._job else ""
            self._fail(faults.extension_failed(request_id, error_type, words), f"an extension failed: {words}")
        elif self.state in (READY, FROZEN):
            self._lose_idle(f"an extension failed while idle: {words}")

    def _fail_launch(self, extensions: Extensions, fault: LaunchFault) -> None:
        extensions.fail_launch(fault.name, fault.kind)
        self.extension_failed("Extension.LaunchError", fault.words)

    # ---- one invocation ----

    def run(self, job: Job) -> None:
        """Begin `job`; legal while idle."""
        state = self.state
        self._move(INVOKED)
        self._job = job
        try:
            self._run(job, state)
        except Exception as error:  # our own bug must end this environment, not hang its client
            self.runtime_bug(error)

    def _run(self, job: Job, state: State) -> None:
        if state is STOPPED:
            self._timers.clear(self._timer)
            self._owner.spawn(self._reset(), f"reset {self.id[:8]}")
            return
        if state is FROZEN:
            assert self._sandbox is not None
            self._sandbox.thaw()
        if self._telemetry is not None:
            self._telemetry.wake()
        now = self._clock.monotonic()
        self._timers.set(self._timer, now + self._timeout_s)
        self._begin(job, now)

    async def _reset(self) -> None:
        """A new runtime process in the same sandbox, then init as part of the invocation."""
        sandbox = self._sandbox
        assert sandbox is not None
        if self._leaving is not None:
            await self._leaving
        if self._sandbox is None:
            return  # destroyed meanwhile
        self._output.detach()
        if self._api is not None:
            self._api.suspend()
        try:
            async with asyncio.timeout(START_LIMIT_S):
                await sandbox.restart()
            if self.state is not State.DEAD:
                self._move(Event.RESTARTED)
                self._begin_telemetry(sandbox)
                self._chronicle.init_start(self._clock.now(), "invoke")
                self._begin_init(self._timeout_s)
        except Exception as error:  # whatever keeps a runtime from starting is the platform's failure
            if self.state is not State.DEAD:
                self.runtime_bug(error)

    def _begin(self, job: Job, started_at: float, spent_s: float = 0.0) -> None:
        """Hand the invocation to the runtime. `spent_s` of its time went into an init."""
        invocation = job.invocation
        wall = self._write_start(invocation, started_at)
        deadline_ms = int((wall + self._timeout_s - spent_s) * 1000)
        if self._extensions is not None:
            event = invoke_event(deadline_ms, invocation.request_id, invocation.invoked_arn, self._trace_id)
            self._extensions.begin(event)
        assert self._link is not None
        self._link.invoke(
            (
                invocation.request_id,
                str(deadline_ms),
                invocation.invoked_arn,
                self._trace_id,
                invocation.client_context,
                "",
                invocation.tenant_id,
            ),
            invocation.payload,
            streamed=invocation.stream is not None,
        )

    def _write_start(self, invocation: Invocation, started_at: float) -> float:
        wall = self._clock.now()
        self._started_at, self._started_wall = started_at, wall
        received, sampler = invocation.trace_id, self._sampler
        self._trace_id = header = tracing.header(received, sampler, self.function.arn, wall, self._mark)
        if (received or sampler is not None) and tracing.SAMPLED in header:
            # Whoever tells of the start tells of its trace.
            invocation = structs.replace(invocation, trace_id=header)
        if invocation.log_tail:
            self._stream.begin_tail()
        self._chronicle.start(wall, invocation)
        return wall

    # ---- what the runtime tells ----

    def runtime_ready(self) -> None:
        if self._is_runtime_ready or self.state not in INITIALISING:
            self.runtime_misbehaved("it said that it was ready twice")
            return
        self._is_runtime_ready = True
        self._tell_runtime_done(_NONE)
        if self._host is not None:
            self._host.extensions.close_registration()
        if self._extensions is None or self._extensions.are_at_rest:
            self._initialised(self._clock.monotonic())

    def _initialised(self, now: float) -> None:
        """The runtime and every extension wait for an invocation."""
        state = self.state
        assert self._sandbox is not None
        self._sandbox.limit_cpu()
        self._report_init(
            now, _NONE, self._extensions, logged=state is State.INIT and self._initialization != "on-demand"
        )
        self._end_telemetry_init()
        self._move(Event.INITIALISED)
        if state is State.INIT:
            if self._is_restoring:
                self._is_restoring = False
                self._restored = int((now - self._launched_at) * 1e6) / 1000, ceil((now - self._init_at) * 1000)
            else:
                self.init_ms = int((now - self._init_at) * 1e6) / 1000
            # What starts next is charged with what this one took so far, not with a guess.
            self._sample_memory(now)
            self._rest(now)
            self._owner.environment_usable(self)
        else:
            assert self._job is not None
            # The timer set for the init goes on: one timeout covers both.
            self._begin(self._job, self._init_at, spent_s=now - self._init_at)

    def runtime_init_failed(self, error_type: str, payload: bytes) -> None:
        if self.state in INITIALISING:
            self._fail(Outcome(payload, FAILURE, error_type), "init failed")
        else:
            self.runtime_misbehaved("it reported a failed init after its init")

    def runtime_responded(self, payload: bytes) -> None:
        if self.state is BUSY:
            self._answer(Outcome(payload, SUCCESS))
        else:
            self.runtime_misbehaved("it answered without an invocation")

    def runtime_erred(self, error_type: str, payload: bytes) -> None:
        if self.state is BUSY:
            self._answer(faults.function_error(error_type, payload))
        else:
            self.runtime_misbehaved("it answered without an invocation")

    def runtime_stream_began(self, content_type: str) -> None:
        if self.state is BUSY and self._outflow is None:
            assert self._job is not None
            assert self._link is not None
            stream = self._job.invocation.stream
            self._outflow = Outflow(stream, content_type, self._link, self._clock, self._timers)
        else:
            self.runtime_misbehaved("it began to answer out of turn")

    def runtime_stream_piece(self, piece: bytes) -> None:
        outflow = self._outflow
        if self.state is not BUSY or outflow is None:
            self.runtime_misbehaved("it went on with an answer that it had not begun")
        elif not outflow.take(piece):
            self._fail(faults.response_too_large(outflow.most_bytes), "its response was too large")

    def runtime_stream_whole(self) -> None:
        if self.state is BUSY and self._outflow is not None:
            self._outflow.finish()
        else:
            self.runtime_misbehaved("it finished an answer that it had not begun")

    def runtime_stream_ended(self, error_type: str, payload: bytes) -> None:
        if self.state is not BUSY or self._outflow is None:
            self.runtime_misbehaved("it ended an answer that it had not begun")
        elif error_type:
            self._answer(faults.function_error(error_type, payload))
        else:
            self._answer(Outcome(self._outflow.body(), SUCCESS))

    def runtime_crashed(self, payload: bytes) -> None:
        # Its exit is on its way: an invocation handed to it before that would be lost.
        if self.state is BUSY:
            self._fail(faults.crashed(payload), "it ended with an error that nobody caught")
        else:
            self.runtime_misbehaved("it answered without an invocation")

    def runtime_oversized(self) -> None:
        if self.state is BUSY:
            self._fail(faults.response_too_large(), "its response was too large")
        else:
            self.runtime_misbehaved("it answered without an invocation")

    def runtime_lost(self, reason: str) -> None:
        """The channel is closed; the exit status tells why, and is on its way."""
        sandbox = self._sandbox
        assert sandbox is not None
        if self.state in (READY, FROZEN):
            self._lose_idle(reason)
        elif self.state in AT_WORK and not sandbox.exited.done():
            generation = self._generation
            self._services.loop.call_later(_EXIT_STATUS_S, self._no_exit_status, generation, reason)

    def runtime_bug(self, error: Exception) -> None:
        """Our own code failed: a clear error for the client, and nothing of this environment is used again."""
        job, self._job = self._job, None
        request_id = job.invocation.request_id if job else "-"
        log.error("%r failed, request %s", self, request_id, exc_info=error)
        self.destroy("an internal error")
        if job is not None and not job.done.done():
            job.done.set_exception(ServiceException.of(request_id))
        self._owner.environment_broke(self, job)

    def _no_exit_status(self, generation: int, reason: str) -> None:
        if generation == self._generation and self.state in AT_WORK:
            self._fail(self._exit_outcome(None), reason)

    def _exit_watcher(self, generation: int) -> Callable[[Future[ExitStatus]], None]:
        def on_exit(future: Future[ExitStatus]) -> None:
            if generation == self._generation and not future.cancelled():
                try:
                    self._on_exit(None if future.exception() else future.result())
                except Exception as error:  # our own bug must end this environment, not hang its client
                    self.runtime_bug(error)

        return on_exit

    def _on_exit(self, status: ExitStatus | None) -> None:
        if self._link is not None and self.state in AT_WORK:
            self._link.drain()
        if status is not None and status.error and self.state in INITIALISING:
            # It died on the way to the runtime's first instruction: nothing that the function did.
            self.runtime_bug(RuntimeError(status.error))
        elif self.state in AT_WORK:
            self._fail(self._exit_outcome(status), "its runtime exited")
        elif self.state in (READY, FROZEN):
            self._lose_idle("its runtime exited while idle")

    def _exit_outcome(self, status: ExitStatus | None) -> Outcome:
        request_id = self._job.invocation.request_id if self._job else ""
        # 126 and 127 are the shell's, for a program that it cannot start; a bootstrap may exit with them as well.
        if status is not None and status.code in (126, 127) and self._sandbox is not None:
            words = entrypoint_fault(self.function) if self._sandbox.channel is None else ""
            if words:
                return faults.invalid_entrypoint(request_id, words)
        return faults.exited(request_id, status)

    def runtime_misbehaved(self, reason: str) -> None:
        log.info("%r is reset: %s", self, reason)
        if self.state in AT_WORK:
            self._fail(self._exit_outcome(None), reason)
        elif self.state in (READY, FROZEN):
            self._lose_idle(reason)

    # ---- ends ----

    def _answer(self, outcome: Outcome) -> None:
        """The runtime answered and waits for the next invocation."""
        assert self._sandbox is not None
        if self._sandbox.exited.done():
            # Its last words, read after its end: whoever waits for an environment must not be given to it.
            self._fail(outcome, "its runtime exited after its answer")
            return
        now = self._clock.monotonic()
        self._runtime_done(outcome, now)
        if self._extensions is None or self._extensions.are_at_rest:
            self._end_invocation(now)
            return
        self._move(Event.RESPONDED)
        assert self._job is not None
        if not self._job.invocation.log_tail:
            # Who asked for the log waits for its end, which the REPORT line is.
            self._respond_early(self._job, now)

    def _respond_early(self, job: Job, now: float) -> None:
        """The client does not wait for extensions: the record that it gets tells of the invocation so far."""
        duration_ms = self._duration_ms(self._outcome, now)
        record = self._record(job.invocation, self._outcome, duration_ms, self.init_ms, now)
        self._respond(job, self._outcome, record)

    def _runtime_done(self, outcome: Outcome, now: float) -> None:
        job = self._job
        assert job is not None
        self._output.drain()
        self._output.flush()
        if self._outflow is not None:
            self._outflow.close()
        self._outcome, self._runtime_done_at = outcome, now
        if self._chronicle.tells_runtime_done:
            self._chronicle.runtime_done(self._clock.now(), self._done(job.invocation, outcome, now))

    def _done(self, invocation: Invocation, outcome: Outcome, now: float) -> RuntimeDone:
        duration_ms = self._duration_ms(outcome, now)
        has_response = outcome.status in (SUCCESS, ERROR)
        latency_ms, produced = duration_ms, len(outcome.payload)
        if self._outflow is not None:
            first_byte_ms, produced = self._outflow.measured(self._started_at)
            latency_ms = duration_ms if first_byte_ms is None else first_byte_ms
        return RuntimeDone(
            invocation,
            self._started_wall,
            duration_ms,
            outcome.status,
            outcome.error_type,
            self._trace_id,
            latency_ms if has_response else None,
            produced if has_response else 0,
            b"" if has_response else outcome.payload,
        )

    def _end_invocation(self, now: float) -> None:
        """Runtime and extensions are done with it and wait for the next."""
        self._move(ANSWERED)
        self._rest(now)
        self._complete(self._outcome, now, self._outcome)

    def _fail(self, outcome: Outcome, reason: str) -> None:
        """The runtime is of no further use. Its sandbox with /tmp is."""
        now = self._clock.monotonic()
        state, extensions = self.state, self._extensions
        assert self._sandbox is not None
        self._stop_runtime(self._sandbox, reason, "timeout" if outcome.status == TIMEOUT else "failure")
        if state in INITIALISING:
            self._output.drain()
            self._output.flush()
            if not self._is_runtime_ready:
                self._tell_runtime_done(outcome)
            self._report_init(now, outcome, extensions, logged=True)
            self._end_telemetry_init()
        if state is State.REINIT:
            # As on AWS, an invocation whose init fails starts after it, only to end.
            assert self._job is not None
            self._write_start(self._job.invocation, self._init_at)
        # Who still waits, for the log of it, gets the runtime's answer where it had given one.
        answer = self._outcome if state is FINISHING else outcome
        if state is FINISHING:
            self._output.drain()
            self._output.flush()
        elif state is not State.INIT:
            self._runtime_done(outcome, now)
        self._move(Event.FAILED)
        self._timers.set(self._timer, min(now + self._services.idle_timeout, self.old_at))
        if state is State.INIT and self._is_restoring:
            failed = SnapStartTimeoutException() if outcome.status == TIMEOUT else SnapStartException()
            self._owner.environment_not_restored(self, failed)
        elif state is State.INIT:
            self._owner.environment_usable(self)
        else:
            self._complete(outcome, now, answer)

    def _duration_ms(self, outcome: Outcome, now: float) -> float:
        # A timer fires a little late; what is billed is the timeout.
        if outcome.status == TIMEOUT:
            return self._timeout_s * 1000
        # Whole microseconds: then REPORT and `platform.report`, of two and three decimals, show the same number.
        return int((now - self._started_at) * 1e6) / 1000

    def _complete(self, outcome: Outcome, now: float, answer: Outcome) -> None:
        """Write what happened and give the answer, unless the client has it; the environment is idle."""
        job = self._job
        assert job is not None
        duration_ms = self._duration_ms(outcome, now)
        init_ms, self.init_ms = self.init_ms, None
        # Of what failed the peak may be the reason, however soon after the last look.
        if duration_ms > 100 or now - self._memory_at > _MEMORY_SAMPLE_S or outcome.status != SUCCESS:
            self._sample_memory(now)
        record = self._record(job.invocation, outcome, duration_ms, init_ms, now)
        self._restored = None
        self.invocations += 1
        self._chronicle.report(self._clock.now(), record)
        self._respond(job, answer, record)
        self._job = None
        self._outflow = None
        self._owner.environment_free(self, job, record, now)

    def _record(
        self, invocation: Invocation, outcome: Outcome, duration_ms: float, init_ms: float | None, now: float
    ) -> InvocationRecord:
        function = self.function
        outflow = self._outflow
        first_byte_ms, streamed_bytes = (None, 0) if outflow is None else outflow.measured(self._started_at)
        restore_ms, billed_restore_ms = self._restored or (None, 0)
        return InvocationRecord(
            function,
            invocation.request_id,
            self._started_wall,
            duration_ms,
            # The init of a provisioned environment was paid for before anybody invoked it.
            billed_ms(duration_ms, billed_restore_ms or (None if self.provisioned else init_ms)),
            init_ms,
            function.memory_mb,
            self.memory_mb,
            outcome.status,
            outcome.error_type,
            self.log_stream,
            invocation.invoked_arn,
            invocation.tenant_id,
            self.provisioned if self.group.target else None,
            self._trace_id,
            (now - self._runtime_done_at) * 1000,
            first_byte_ms,
            streamed_bytes,
            received_trace=invocation.trace_id,
            restore_ms=restore_ms,
            billed_restore_ms=billed_restore_ms,
        )

    def _respond(self, job: Job, outcome: Outcome, record: InvocationRecord) -> None:
        """Give the client its result, once."""
        tail = self._stream.take_tail() if job.invocation.log_tail else None
        if job.done.done():
            return
        if job.invocation.stream is not None:
            outcome = self._streamed(job.invocation.stream, outcome)
        error = None if outcome.status == SUCCESS else "Unhandled"
        content_type = "" if self._outflow is None else self._outflow.content_type
        job.done.set_result(InvokeResult(outcome.payload, error, self.function.version, tail, record, content_type))

    def _streamed(self, stream: ResponseSink, outcome: Outcome) -> Outcome:
        """What is left to tell at the end to somebody who took the response piece by piece."""
        if outcome.status != SUCCESS or self._outflow is not None:
            return outcome
        # It came whole, from a function that does not stream.
        stream.begin("application/json")
        stream.write(outcome.payload)
        return Outcome(b"", SUCCESS)

    def _rest(self, now: float) -> None:
        """Idle from now on: frozen soon."""
        self.idle_since = now
        self._timers.set(self._timer, now + FREEZE_AFTER_S)

    def age(self, seconds: float) -> None:
        """As if it had been idle for so much longer; nothing while it runs or is provisioned."""
        if self.provisioned:
            return
        if self.state is READY:
            self._at_deadline(READY, self._clock.monotonic())
        if self.state in (FROZEN, STOPPED):
            self.idle_since -= seconds
            self._timers.set(self._timer, self._timer.at - seconds)

    def _lose_idle(self, reason: str) -> None:
        """Nobody waits for it; the next invocation starts another runtime."""
        assert self._sandbox is not None
        self._stop_runtime(self._sandbox, reason, "failure")
        self._move(Event.FAILED)
        if self.provisioned or self.is_restored:
            # It is not ready any more, and something that is takes its place.
            self._owner.environment_expired(self, reason)
        else:
            self._timers.set(self._timer, min(self._clock.monotonic() + self._services.idle_timeout, self.old_at))

    def _stop_runtime(self, sandbox: Sandbox, reason: str, word: str) -> None:
        """`word`: what extensions are told."""
        runs = self._close_link(sandbox)
        host, extensions = self._host, self._extensions
        self._host = self._extensions = None
        if host is not None:
            host.retire()
        if host is None or extensions is None:
            sandbox.kill(reason)
        else:
            self._leaving = self._services.loop.create_future()
            if self._telemetry is not None:
                self._telemetry.hurry()
            self._owner.spawn(self._leave(sandbox, host, reason, word, runs), f"leave {self.id[:8]}")

    def _close_link(self, sandbox: Sandbox) -> bool:
        """Returns whether there is a process at its other end, or one that waits to be spoken to."""
        if self._link is None:
            return sandbox.output_fd >= 0
        self._link.close()
        self._link = None
        return True

    async def _leave(self, sandbox: Sandbox, host: ExtensionHost, reason: str, word: str, runtime_runs: bool) -> None:
        """The shutdown phase, after which nothing in the sandbox lives."""
        leaving = self._leaving
        assert leaving is not None
        try:
            await host.shut_down(self._clock, word, runtime_runs=runtime_runs)
        finally:
            sandbox.kill(reason)
            if self._telemetry is not None:
                self._telemetry.freeze()
            leaving.set_result(None)

    def destroy(self, reason: str) -> None:
        """Dead from now on; the sandbox goes in the background. Idempotent."""
        if self.state is State.DEAD:
            return
        self._move(Event.DESTROYED)
        self._timers.forget(self._timer)
        if self._outflow is not None:
            self._outflow.close()
        sandbox, self._sandbox = self._sandbox, None
        if sandbox is None:
            self._release()
        else:
            if self._extensions is not None:
                self._stop_runtime(sandbox, reason, "spindown")
            if self._leaving is None or self._leaving.done():
                self._close_link(sandbox)
                self._release()
            self._owner.spawn(self._destroy_sandbox(sandbox, reason), f"destroy {self.id[:8]}")
        job, self._job = self._job, None
        if job is not None and not job.done.done():
            job.done.set_exception(ServiceException.of(job.invocation.request_id))

    def _release(self) -> None:
        """Let go of what its processes used while they lived."""
        self._output.close()
        if self._telemetry is not None:
            self._telemetry.close()
        if self._api is not None:
            self._api.close()
        if self._daemon is not None:
            self._daemon.close()
        self._stream.close()

    async def _destroy_sandbox(self, sandbox: Sandbox, reason: str) -> None:
        if self._leaving is not None and not self._leaving.done():
            # Extensions still print, and send what they gathered.
            await self._leaving
            self._release()
        if sandbox.endpoint is not None:
            self._services.detach_endpoint(sandbox.id)
        await sandbox.destroy(reason)

    # ---- small parts ----

    def _open_log(self, services: Services, function: FunctionVersion) -> LogWriter:
        group = function.log_group or f"/aws/lambda/{function.name}"
        writer = services.logs.open_stream(function.account, function.region, group, self.log_stream)
        if services.log_access is None:
            return writer
        return services.log_access.guarded(writer, function, self._credentials, group, self.log_stream)

    def _on_timer(self) -> None:
        try:
            self._at_deadline(self.state, self._clock.monotonic())
        except Exception as error:  # our own bug must end this environment, not hang its client
            self.runtime_bug(error)

    def _at_deadline(self, state: State, now: float) -> None:
        if state in (BUSY, FINISHING, State.REINIT):
            assert self._job is not None
            self._fail(faults.timed_out(self._job.invocation.request_id, self._timeout_s), "it ran into its timeout")
        elif state is State.INIT:
            self._fail(Outcome(b"", TIMEOUT, "Sandbox.Timedout"), "its init took too long")
        elif state is READY:
            if self._telemetry is not None:
                if wait_s := self._telemetry.rest(now):
                    self._timers.set(self._timer, now + wait_s)
                    return
                self._telemetry.freeze()
            self._move(Event.FREEZE)
            assert self._sandbox is not None
            self._sandbox.freeze()
            # Frozen it is ready all the same: thawing takes a tenth of a millisecond.
            idle_s = inf if self.provisioned else self._services.idle_timeout - FREEZE_AFTER_S
            self._timers.set(self._timer, min(now + idle_s, self.old_at))
        elif state in (FROZEN, STOPPED):
            reason = "its credentials are about to expire" if now >= self.old_at else "it was idle for too long"
            self._owner.environment_expired(self, reason)

    def _move(self, event: Event) -> None:
        try:
            self.state = TRANSITIONS[self.state, event]
        except KeyError:
            raise IllegalTransition(self.state, event) from None

    def _init_phase(self) -> str:
        return "init" if self.state is State.INIT else "invoke"

    def _report_init(self, now: float, outcome: Outcome, extensions: Extensions | None, *, logged: bool) -> None:
        """Of the init that ends here."""
        wall = self._clock.now()
        for extension in extensions or ():
            self._chronicle.extension(
                wall, extension.name, extension.phase.value, extension.events, extension.error_type
            )
        if self._is_restoring:
            self._chronicle.restore_report(wall, (now - self._launched_at) * 1000, outcome)
            return
        self._chronicle.init_report(wall, self._init_phase(), (now - self._init_at) * 1000, outcome, logged=logged)

    def _tell_runtime_done(self, outcome: Outcome) -> None:
        """With its init or restore."""
        wall = self._clock.now()
        if self._is_restoring:
            self._chronicle.restore_runtime_done(wall, outcome)
        else:
            self._chronicle.init_runtime_done(wall, self._init_phase(), outcome)

    def _sample_memory(self, now: float) -> None:
        if self._sandbox is not None:
            self._memory_at = now
            used = -(-self._sandbox.memory_peak() // (1024 * 1024))
            if used != self.memory_mb:
                self.memory_mb = used
                self._owner.environment_measured(self)
