"""One execution environment: a sandbox, the runtime in it, and the invocation that it runs.

It drives the state machine of `states` from what the runtime, the timers and the sandbox tell it. Which environment
runs which request is the pool's matter; this one is told with `run` and tells its owner when it is free again.
"""

from __future__ import annotations

import logging
from math import ceil, inf
from typing import Any

from msgspec import structs

from lambent.ids import hex_id
from lambent.invoke import faults, tracing
from lambent.invoke.errors import SnapStartException, SnapStartTimeoutException
from lambent.invoke.extensions import Extensions, invoke_event
from lambent.invoke.faults import FAILURE, SUCCESS, TIMEOUT, Outcome
from lambent.invoke.host import Sandbox
from lambent.invoke.job import Job
from lambent.invoke.launch import CREDENTIALS_S, Blueprint, entrypoint_fault
from lambent.invoke.outflow import Outflow
from lambent.invoke.quarters import Quarters
from lambent.invoke.records import whole_micros_ms
from lambent.invoke.report import billed_ms
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
from lambent.invoke.surroundings import Services
from lambent.invoke.timers import Timer
from lambent.ports import FunctionVersion, InvocationRecord
from lambent.sandbox.spec import ExitStatus

log = logging.getLogger(__name__)

#: An overrun of init is a failed init; it is done again in the first invocation, under the function's timeout.
INIT_LIMIT_S = 10.0
#: Nobody waits for a provisioned one: its init may take this long, or as long as the function's timeout.
PROVISIONED_INIT_LIMIT_S = 130.0
#: A runtime that comes out of a snapshot has this long, hooks included.
RESTORE_LIMIT_S = 10.0
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


class Environment:
    """Implements quarters.QuartersEvents; everything runs on the event loop."""

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
        self._initialization = (
            "provisioned-concurrency" if provisioned else "snap-start" if function.snap_start else "on-demand"
        )
        self._quarters = Quarters(services, function, self.id, self._initialization, self)
        self.log_stream = self._quarters.log_stream
        self._stream = self._quarters.stream
        self._output = self._quarters.output
        self._chronicle = self._quarters.chronicle
        self._mark = tracing.mark(function.arn)
        self._sampler = services.sampler if function.tracing_mode == "Active" else None
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

        # One runtime process
        self._init_at = 0.0
        self._is_runtime_ready = False

        # One invocation. Invariant: `_job` is set iff the state is BUSY, FINISHING, RESETTING or REINIT.
        self._job: Job | None = None

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
        self._launched_at = self._clock.monotonic()
        self.is_restored = self._is_restoring = bool(restores)
        if not await self._quarters.move_in(blueprint, restores):
            return
        self._move(Event.LAUNCHED)
        self._quarters.begin_telemetry()
        if self._is_restoring:
            # It may have waited for its function, frozen.
            self._sandbox.thaw()
            self._chronicle.restore_start(self._clock.now())
            self._begin_init(RESTORE_LIMIT_S)
            return
        self._chronicle.init_start(self._clock.now(), "init")
        is_awaited = self._initialization == "on-demand"
        self._begin_init(INIT_LIMIT_S if is_awaited else max(PROVISIONED_INIT_LIMIT_S, self._timeout_s))

    def _begin_init(self, limit_s: float) -> None:
        self._init_at = self._clock.monotonic()
        self._timers.set(self._timer, self._init_at + limit_s)
        self._is_runtime_ready = False
        self._quarters.begin(restoring=self._is_restoring)

    @property
    def _sandbox(self) -> Sandbox:
        """There is one from its launch until it is destroyed."""
        sandbox = self._quarters.sandbox
        assert sandbox is not None
        return sandbox

    # ---- what extensions tell ----

    def telemetry_settled(self) -> None:
        if self.state is READY:
            self._timers.set(self._timer, self._clock.monotonic())

    def extensions_at_rest(self) -> None:
        if self._is_runtime_ready and self.state in INITIALISING:
            self._initialised(self._clock.monotonic())
        elif self.state is FINISHING:
            assert self._job is not None
            self._output.drain()
            self._output.flush()
            self._end_invocation(self._job, self._clock.monotonic())

    def extension_failed(self, error_type: str, words: str) -> None:
        if self.state in AT_WORK:
            request_id = self._job.invocation.request_id if self._job else ""
            self._fail(faults.extension_failed(request_id, error_type, words), f"an extension failed: {words}")
        elif self.state in (READY, FROZEN):
            self._lose_idle(f"an extension failed while idle: {words}")

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
            self._sandbox.thaw()
        if self._quarters.telemetry is not None:
            self._quarters.telemetry.wake()
        now = self._clock.monotonic()
        self._timers.set(self._timer, now + self._timeout_s)
        self._begin(job, now)

    async def _reset(self) -> None:
        """A new runtime process in the same sandbox, then init as part of the invocation."""
        try:
            await self._quarters.restart()
            if self.state is not State.DEAD:
                self._move(Event.RESTARTED)
                self._quarters.begin_telemetry()
                self._chronicle.init_start(self._clock.now(), "invoke")
                self._begin_init(self._timeout_s)
        except Exception as error:  # whatever keeps a runtime from starting is the platform's failure
            if self.state is not State.DEAD:
                self.runtime_bug(error)

    def _begin(self, job: Job, started_at: float, spent_s: float = 0.0) -> None:
        """Hand the invocation to the runtime. `spent_s` of its time went into an init."""
        invocation = job.invocation
        wall = self._write_start(job, started_at)
        deadline_ms = int((wall + self._timeout_s - spent_s) * 1000)
        quarters = self._quarters
        if quarters.extensions is not None:
            event = invoke_event(deadline_ms, invocation.request_id, invocation.invoked_arn, job.trace_id)
            quarters.extensions.begin(event)
        assert quarters.link is not None
        quarters.link.invoke(
            (
                invocation.request_id,
                str(deadline_ms),
                invocation.invoked_arn,
                job.trace_id,
                invocation.client_context,
                "",
                invocation.tenant_id,
            ),
            invocation.payload,
            streamed=invocation.stream is not None,
        )

    def _write_start(self, job: Job, started_at: float) -> float:
        invocation, wall = job.invocation, self._clock.now()
        job.started_at, job.started_wall = started_at, wall
        received, sampler = invocation.trace_id, self._sampler
        job.trace_id = header = tracing.header(received, sampler, self.function.arn, wall, self._mark)
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
        quarters = self._quarters
        if quarters.host is not None:
            quarters.host.extensions.close_registration()
        if quarters.extensions is None or quarters.extensions.are_at_rest:
            self._initialised(self._clock.monotonic())

    def _initialised(self, now: float) -> None:
        """The runtime and every extension wait for an invocation."""
        state = self.state
        self._sandbox.limit_cpu()
        self._report_init(
            now, _NONE, self._quarters.extensions, logged=state is State.INIT and self._initialization != "on-demand"
        )
        self._quarters.end_telemetry_init()
        self._move(Event.INITIALISED)
        if state is State.INIT:
            if self._is_restoring:
                self._is_restoring = False
                self._restored = whole_micros_ms(now - self._launched_at), ceil((now - self._init_at) * 1000)
            else:
                self.init_ms = whole_micros_ms(now - self._init_at)
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
        job, link = self._job, self._quarters.link
        if self.state is BUSY and job is not None and link is not None and job.outflow is None:
            job.outflow = Outflow(job.invocation.stream, content_type, link, self._clock, self._timers)
        else:
            self.runtime_misbehaved("it began to answer out of turn")

    def runtime_stream_piece(self, piece: bytes) -> None:
        outflow = self._outflow()
        if outflow is None:
            self.runtime_misbehaved("it went on with an answer that it had not begun")
        elif not outflow.take(piece):
            self._fail(faults.response_too_large(outflow.most_bytes), "its response was too large")

    def runtime_stream_whole(self) -> None:
        outflow = self._outflow()
        if outflow is None:
            self.runtime_misbehaved("it finished an answer that it had not begun")
        else:
            outflow.finish()

    def runtime_stream_ended(self, error_type: str, payload: bytes) -> None:
        outflow = self._outflow()
        if outflow is None:
            self.runtime_misbehaved("it ended an answer that it had not begun")
        elif error_type:
            self._answer(faults.function_error(error_type, payload))
        else:
            self._answer(Outcome(outflow.body(), SUCCESS))

    def _outflow(self) -> Outflow | None:
        """Of the response that is being streamed."""
        return self._job.outflow if self.state is BUSY and self._job is not None else None

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
        if self.state in (READY, FROZEN):
            self._lose_idle(reason)
        elif self.state in AT_WORK and not self._sandbox.exited.done():
            generation = self._quarters.generation
            self._services.loop.call_later(_EXIT_STATUS_S, self._no_exit_status, generation, reason)

    def runtime_bug(self, error: Exception) -> None:
        """Our own code failed: a clear error for the client, and nothing of this environment is used again."""
        job, self._job = self._job, None
        request_id = job.invocation.request_id if job else "-"
        log.error("%r failed, request %s", self, request_id, exc_info=error)
        self.destroy("an internal error")
        if job is not None:
            job.break_off()
        self._owner.environment_broke(self, job)

    def _no_exit_status(self, generation: int, reason: str) -> None:
        if generation == self._quarters.generation and self.state in AT_WORK:
            self._fail(self._exit_outcome(None), reason)

    def runtime_exited(self, status: ExitStatus | None) -> None:
        if self._quarters.link is not None and self.state in AT_WORK:
            self._quarters.link.drain()
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
        if status is not None and status.code in (126, 127):
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
        quarters = self._quarters
        sandbox = quarters.sandbox
        assert sandbox is not None
        if sandbox.exited.done():
            # Its last words, read after its end: whoever waits for an environment must not be given to it.
            self._fail(outcome, "its runtime exited after its answer")
            return
        now = self._clock.monotonic()
        job = self._job
        assert job is not None
        self._runtime_done(job, outcome, now)
        if quarters.extensions is None or quarters.extensions.are_at_rest:
            self._end_invocation(job, now)
            return
        self._move(Event.RESPONDED)
        if not job.invocation.log_tail:
            # Who asked for the log waits for its end, which the REPORT line is. Others do not wait for extensions, and
            # get a record of the invocation so far.
            job.respond(outcome, self._record(job, outcome, self.init_ms, now), None)

    def _runtime_done(self, job: Job, outcome: Outcome, now: float) -> None:
        self._output.drain()
        self._output.flush()
        if job.outflow is not None:
            job.outflow.close()
        job.outcome, job.runtime_done_at = outcome, now
        if self._chronicle.logs_runtime_done or self._chronicle.telemetry is not None:
            link = self._quarters.link
            overhead_s = link.overhead_s() if link is not None else 0.0
            self._chronicle.runtime_done(self._clock.now(), job.runtime_done(overhead_s))

    def _end_invocation(self, job: Job, now: float) -> None:
        """Runtime and extensions are done with it and wait for the next."""
        self._move(ANSWERED)
        self._rest(now)
        self._complete(job, job.outcome, now, job.outcome)

    def _fail(self, outcome: Outcome, reason: str) -> None:
        """The runtime is of no further use. Its sandbox with /tmp is."""
        now = self._clock.monotonic()
        state, job, extensions = self.state, self._job, self._quarters.extensions
        self._quarters.stop(reason, "timeout" if outcome.status == TIMEOUT else "failure")
        if state in INITIALISING:
            self._output.drain()
            self._output.flush()
            if not self._is_runtime_ready:
                self._tell_runtime_done(outcome)
            self._report_init(now, outcome, extensions, logged=True)
            self._quarters.end_telemetry_init()
        answer = outcome
        if job is not None:
            if state is State.REINIT:
                # As on AWS, an invocation whose init fails starts after it, only to end.
                self._write_start(job, self._init_at)
            if state is FINISHING:
                # Who still waits, for the log of it, gets the answer that the runtime had given.
                answer = job.outcome
                self._output.drain()
                self._output.flush()
            else:
                self._runtime_done(job, outcome, now)
        self._move(Event.FAILED)
        self._timers.set(self._timer, min(now + self._services.idle_timeout, self.old_at))
        if state is State.INIT and self._is_restoring:
            failed = SnapStartTimeoutException() if outcome.status == TIMEOUT else SnapStartException()
            self._owner.environment_not_restored(self, failed)
        elif job is None:
            self._owner.environment_usable(self)
        else:
            self._complete(job, outcome, now, answer)

    def _complete(self, job: Job, outcome: Outcome, now: float, answer: Outcome) -> None:
        """Write what happened and give the answer, unless the client has it; the environment is idle."""
        # Of what failed the peak may be the reason, however soon after the last look.
        if now - self._memory_at > _MEMORY_SAMPLE_S or now - job.started_at > 0.1 or outcome.status != SUCCESS:
            self._sample_memory(now)
        record = self._record(job, outcome, self.init_ms, now)
        self.init_ms = self._restored = None
        self.invocations += 1
        self._chronicle.report(self._clock.now(), record)
        job.respond(answer, record, self._stream.take_tail() if job.invocation.log_tail else None)
        self._job = None
        self._owner.environment_free(self, job, record, now)

    def _record(self, job: Job, outcome: Outcome, init_ms: float | None, now: float) -> InvocationRecord:
        invocation, function, outflow = job.invocation, self.function, job.outflow
        duration_ms = job.duration_ms(outcome, now)
        first_byte_ms, streamed_bytes = (None, 0) if outflow is None else outflow.measured(job.started_at)
        restore_ms, billed_restore_ms = self._restored or (None, 0)
        return InvocationRecord(
            function,
            invocation.request_id,
            job.started_wall,
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
            job.trace_id,
            (now - job.runtime_done_at) * 1000,
            first_byte_ms,
            streamed_bytes,
            restore_ms,
            billed_restore_ms,
            invocation.trace_id,
        )

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
        self._quarters.stop(reason, "failure")
        self._move(Event.FAILED)
        if self.provisioned or self.is_restored:
            # It is not ready any more, and something that is takes its place.
            self._owner.environment_expired(self, reason)
        else:
            self._timers.set(self._timer, min(self._clock.monotonic() + self._services.idle_timeout, self.old_at))

    def destroy(self, reason: str) -> None:
        """Dead from now on; the sandbox goes in the background. Idempotent."""
        if self.state is State.DEAD:
            return
        self._move(Event.DESTROYED)
        self._timers.forget(self._timer)
        self._quarters.give_up(reason)
        job, self._job = self._job, None
        if job is not None:
            job.break_off()

    # ---- small parts ----

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
            telemetry = self._quarters.telemetry
            if telemetry is not None:
                if wait_s := telemetry.rest(now):
                    self._timers.set(self._timer, now + wait_s)
                    return
                telemetry.freeze()
            self._move(Event.FREEZE)
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
            self._chronicle.restore_report(wall, whole_micros_ms(now - self._launched_at), outcome)
            return
        duration_ms = whole_micros_ms(now - self._init_at)
        self._chronicle.init_report(wall, self._init_phase(), duration_ms, outcome, logged=logged)

    def _tell_runtime_done(self, outcome: Outcome) -> None:
        """With its init or restore."""
        wall = self._clock.now()
        if self._is_restoring:
            self._chronicle.restore_runtime_done(wall, outcome)
        else:
            self._chronicle.init_runtime_done(wall, self._init_phase(), outcome)

    def _sample_memory(self, now: float) -> None:
        sandbox = self._quarters.sandbox
        if sandbox is not None:
            self._memory_at = now
            used = -(-sandbox.memory_peak() // (1024 * 1024))
            if used != self.memory_mb:
                self.memory_mb = used
                self._owner.environment_measured(self)
