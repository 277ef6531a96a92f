"""From what happened to what is written about it: billed time, and the platform's own log lines as text or JSON.

Every line of a log that the function did not print itself is made here. JSON lines are the records of the Telemetry
API (`records`), each with the level that AWS gives it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from math import ceil

import msgspec

from lambent.invoke import records, tracing
from lambent.invoke.faults import FAILURE, SUCCESS, TIMEOUT
from lambent.invoke.records import Record, iso_time, runtime_version, runtime_version_arn
from lambent.ports import FunctionVersion, Invocation, InvocationRecord

#: System log levels in rising order; an event is written from its level's rank on.
_RANKS = {"DEBUG": 0, "INFO": 1, "WARN": 2}


def billed_ms(duration_ms: float, init_ms: float | None) -> int:
    """Whole milliseconds of duration and init together, at least one."""
    return max(1, ceil(duration_ms + (init_ms or 0.0)))


#: System lines to be written; none where the level hides them.
Lines = Sequence[bytes]


class Reporter:
    """Makes the system lines of one function version as text.

    `of` picks the format once per environment, so that an invocation formats and never asks.
    """

    @staticmethod
    def of(function: FunctionVersion, instance_id: str, initialization: str = "on-demand") -> Reporter:
        if function.log_format == "JSON":
            return JsonReporter(function, instance_id, initialization)
        return Reporter(function)

    def __init__(self, function: FunctionVersion) -> None:
        self._function = function
        self._start_tail = f" Version: {function.version}\n"
        self._memory = f" ms\tMemory Size: {function.memory_mb} MB\tMax Memory Used: "

    # ---- init and restore ----

    def init_start(self, now: float) -> Lines:
        return (f"INIT_START {self._runtime()}".encode(),)

    def init_runtime_done(self, now: float, phase: str, status: str, error_type: str | None) -> Lines:
        """The runtime is initialised; extensions need not be. Text has no line for it."""
        return ()

    def init_report(
        self, now: float, phase: str, duration_ms: float, status: str, error_type: str | None, *, logged: bool = True
    ) -> Lines:
        """`logged`: as text it shows where init failed, and where it was not on demand; else the first REPORT tells."""
        if not logged:
            return ()
        return (
            f"INIT_REPORT Init Duration: {duration_ms:.2f} ms\tPhase: {phase}{_ending(status, error_type)}\n".encode(),
        )

    def restore_start(self, now: float) -> Lines:
        return (f"RESTORE_START {self._runtime()}".encode(),)

    def restore_runtime_done(self, now: float, status: str, error_type: str | None) -> Lines:
        """Text has no line for it."""
        return ()

    def restore_report(self, now: float, duration_ms: float, status: str, error_type: str | None) -> Lines:
        return (f"RESTORE_REPORT Restore Duration: {duration_ms:.2f} ms{_ending(status, error_type)}\n".encode(),)

    # ---- extensions ----

    def extension(self, now: float, name: str, state: str, events: Sequence[str], error_type: str | None) -> Lines:
        kind = f"\tError Type: {error_type}" if error_type else ""
        return (f"EXTENSION\tName: {name}\tState: {state}\tEvents: [{', '.join(events)}]{kind}\n".encode(),)

    def subscription(self, now: float, api: str, name: str, types: Sequence[str]) -> Lines:
        """An extension subscribed to the Telemetry API, or to the Logs API (`Telemetry`, `Logs`)."""
        kinds = ", ".join(kind.capitalize() for kind in types)
        return (f"{api.upper()}\tName: {name}\tState: Subscribed\tTypes: [{kinds}]\n".encode(),)

    # ---- invocations ----

    def start(self, now: float, invocation: Invocation) -> Lines:
        return (f"START RequestId: {invocation.request_id}{self._start_tail}".encode(),)

    #: Whether `runtime_done` makes a line, so that nobody has to make its record where it does not.
    tells_runtime_done = False

    def runtime_done(self, now: float, record: Record) -> Lines:
        """The runtime is done with the invocation; extensions need not be. Text has no line for it."""
        return ()

    def end(self, now: float, record: InvocationRecord) -> Lines:
        """END and REPORT."""
        line = (
            f"REPORT RequestId: {record.request_id}\tDuration: {record.duration_ms:.2f} ms"
            f"\tBilled Duration: {record.billed_ms}{self._memory}{record.max_memory_used_mb} MB\t"
        )
        if record.init_ms is not None:
            line += f"Init Duration: {record.init_ms:.2f} ms\t"
        if record.restore_ms is not None:
            line += (
                f"Restore Duration: {record.restore_ms:.2f} ms\t"
                f"Billed Restore Duration: {record.billed_restore_ms} ms\t"
            )
        if record.status == TIMEOUT:
            line += "Status: timeout"
        elif record.status == FAILURE:
            line += f"Status: error\tError Type: {record.error_type}"
        if tracing.SAMPLED in record.trace_id:
            context = tracing.context_of(record.trace_id)
            line += f"\nXRAY TraceId: {context.root}\tSegmentId: {context.parent}\tSampled: true\t"
        return f"END RequestId: {record.request_id}\n".encode(), (line + "\n").encode()

    def _runtime(self) -> str:
        function = self._function
        return (
            f"Runtime Version: {runtime_version(function.runtime)}\t"
            f"Runtime Version ARN: {runtime_version_arn(function.region, function.runtime)}\n"
        )


class JsonReporter(Reporter):
    """The same events as JSON, with the level that AWS gives each."""

    tells_runtime_done = True

    def __init__(self, function: FunctionVersion, instance_id: str, initialization: str = "on-demand") -> None:
        super().__init__(function)
        self._instance_id = instance_id
        self._initialization = initialization
        self._rank = _RANKS.get(function.system_log_level or "INFO", 1)

    def init_start(self, now: float) -> Lines:
        record = records.init_start(self._function, self._instance_id, self._initialization, "init")
        return self._event("INFO", now, "platform.initStart", record)

    def init_runtime_done(self, now: float, phase: str, status: str, error_type: str | None) -> Lines:
        record = records.init_runtime_done(self._initialization, phase, status, error_type)
        return self._event("DEBUG" if status == SUCCESS else "WARN", now, "platform.initRuntimeDone", record)

    def init_report(
        self, now: float, phase: str, duration_ms: float, status: str, error_type: str | None, *, logged: bool = True
    ) -> Lines:
        level = "INFO" if self._initialization != "on-demand" else "DEBUG"
        record = records.init_report(self._initialization, phase, duration_ms, status, error_type)
        return self._event(level if status == SUCCESS else "WARN", now, "platform.initReport", record)

    def restore_start(self, now: float) -> Lines:
        record = records.restore_start(self._function, self._instance_id)
        return self._event("INFO", now, "platform.restoreStart", record)

    def restore_runtime_done(self, now: float, status: str, error_type: str | None) -> Lines:
        record = records.restore_runtime_done(status, error_type)
        return self._event("DEBUG" if status == SUCCESS else "WARN", now, "platform.restoreRuntimeDone", record)

    def restore_report(self, now: float, duration_ms: float, status: str, error_type: str | None) -> Lines:
        record = records.restore_report(duration_ms, status, error_type)
        return self._event("INFO" if status == SUCCESS else "WARN", now, "platform.restoreReport", record)

    def extension(self, now: float, name: str, state: str, events: Sequence[str], error_type: str | None) -> Lines:
        record = records.extension(name, state, events, error_type)
        return self._event("INFO" if not error_type else "WARN", now, "platform.extension", record)

    def subscription(self, now: float, api: str, name: str, types: Sequence[str]) -> Lines:
        return self._event("INFO", now, f"platform.{api.lower()}Subscription", records.subscription(name, types))

    def start(self, now: float, invocation: Invocation) -> Lines:
        return self._event("INFO", now, "platform.start", records.start(self._function.version, invocation))

    def runtime_done(self, now: float, record: Record) -> Lines:
        return self._event("DEBUG" if record["status"] == SUCCESS else "WARN", now, "platform.runtimeDone", record)

    def end(self, now: float, record: InvocationRecord) -> Lines:
        """platform.report."""
        level = "INFO" if record.status == SUCCESS else "WARN"
        return self._event(level, now, "platform.report", records.report(record))

    def _event(self, level: str, now: float, kind: str, record: Record) -> Lines:
        if _RANKS[level] < self._rank:
            return ()
        return (msgspec.json.encode({"time": iso_time(now), "type": kind, "record": record}),)


def log_stream_name(now: float, version: str, suffix: str) -> str:
    """`2026/01/31/[$LATEST]<32 hex>`."""
    return f"{time.strftime('%Y/%m/%d', time.gmtime(now))}/[{version}]{suffix}"


def _ending(status: str, error_type: str | None) -> str:
    """Of INIT_REPORT and RESTORE_REPORT."""
    if status == SUCCESS:
        return ""
    kind = f"\tError Type: {error_type}" if error_type and status != TIMEOUT else ""
    return f"\tStatus: {'timeout' if status == TIMEOUT else 'error'}{kind}"
