"""One request for an execution: what is asked for, and what becomes of it in the environment that runs it."""

from __future__ import annotations

from asyncio import Future

from lambent.invoke.errors import ServiceException
from lambent.invoke.faults import ERROR, SUCCESS, TIMEOUT, Outcome
from lambent.invoke.outflow import Outflow
from lambent.invoke.records import RuntimeDone, whole_micros_ms
from lambent.ports import FunctionVersion, Invocation, InvocationRecord, InvokeResult, ResponseSink


class Job:
    __slots__ = (
        "done",
        "function",
        "invocation",
        "outcome",
        "outflow",
        "runtime_done_at",
        "since",
        "started_at",
        "started_wall",
        "trace_id",
    )

    #: From when it runs: monotonic, and seconds since the epoch.
    started_at: float
    started_wall: float
    trace_id: str
    #: From when the runtime is done with it, how and when; extensions may go on.
    outcome: Outcome
    runtime_done_at: float

    def __init__(self, function: FunctionVersion, invocation: Invocation, done: Future[InvokeResult], since: float):
        self.function = function
        self.invocation = invocation
        self.done = done
        #: When it began to wait, monotonic.
        self.since = since
        #: Its response, where the runtime streams it.
        self.outflow: Outflow | None = None

    def duration_ms(self, outcome: Outcome, now: float) -> float:
        # A timer fires a little late; what is billed is the timeout.
        if outcome.status == TIMEOUT:
            return self.function.timeout_s * 1000.0
        return whole_micros_ms(now - self.started_at)

    def runtime_done(self, overhead_s: float) -> RuntimeDone:
        """What is told when the runtime is done. `overhead_s`: since its response was whole."""
        outcome = self.outcome
        duration_ms = self.duration_ms(outcome, self.runtime_done_at)
        has_response = outcome.status in (SUCCESS, ERROR)
        overhead_ms = min(duration_ms, overhead_s * 1000)
        first_byte_ms, streamed = (None, 0) if self.outflow is None else self.outflow.measured(self.started_at)
        latency_ms = duration_ms - overhead_ms if first_byte_ms is None else first_byte_ms
        produced = streamed or len(outcome.payload)
        return RuntimeDone(
            self.invocation,
            self.started_wall,
            duration_ms,
            outcome.status,
            outcome.error_type,
            self.trace_id,
            latency_ms if has_response else None,
            produced if has_response else 0,
            b"" if has_response else outcome.payload,
            overhead_ms,
        )

    def respond(self, answer: Outcome, record: InvocationRecord, tail: bytes | None) -> None:
        """Give the client its result, once."""
        if self.done.done():
            return
        if self.invocation.stream is not None:
            answer = self._streamed(self.invocation.stream, answer)
        error = None if answer.status == SUCCESS else "Unhandled"
        content_type = "" if self.outflow is None else self.outflow.content_type
        self.done.set_result(InvokeResult(answer.payload, error, self.function.version, tail, record, content_type))

    def break_off(self) -> None:
        """The platform failed, or its environment is taken away: an error for the client, unless it has its result."""
        if self.outflow is not None:
            self.outflow.close()
        if not self.done.done():
            self.done.set_exception(ServiceException.of(self.invocation.request_id))

    def _streamed(self, stream: ResponseSink, answer: Outcome) -> Outcome:
        """What is left to tell at the end to somebody who took the response piece by piece."""
        if answer.status != SUCCESS or self.outflow is not None:
            return answer
        # It came whole, from a function that does not stream.
        stream.begin("application/json")
        stream.write(answer.payload)
        return Outcome(b"", SUCCESS)
