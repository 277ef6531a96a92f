"""What the platform did in one environment, told in one place: as lines of its log, and to who subscribed to telemetry.

The environment says what happened and when; how it reads is `report`'s business, who hears of it telemetry's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from lambent.invoke import records
from lambent.invoke.faults import Outcome
from lambent.invoke.records import Record, RuntimeDone
from lambent.invoke.report import Lines, Reporter
from lambent.ports import Invocation, InvocationRecord


class Telemetry(Protocol):
    """Hears of all that happens in an environment; `wall` is seconds since the epoch. Nothing waits or raises."""

    def init_start(self, wall: float, phase: str) -> None: ...

    def init_runtime_done(self, wall: float, phase: str, outcome: Outcome) -> None: ...

    def init_report(self, wall: float, phase: str, duration_ms: float, outcome: Outcome) -> None: ...

    def restore_start(self, wall: float) -> None: ...

    def restore_runtime_done(self, wall: float, outcome: Outcome) -> None: ...

    def restore_report(self, wall: float, duration_ms: float, outcome: Outcome) -> None: ...

    def start(self, wall: float, invocation: Invocation) -> None: ...

    def runtime_done(self, wall: float, record: Record, fault: str) -> None:
        """`fault`: what the platform says in place of the function's answer, "" where there is one."""

    def report(self, wall: float, record: InvocationRecord) -> None: ...

    def extension(self, wall: float, name: str, state: str, events: Sequence[str], error_type: str | None) -> None:
        """An extension registered (`Registered`), became `Ready`, or failed (with its error type)."""


class Chronicle:
    """`phase` is `init`, or `invoke` for an init within an invocation."""

    def __init__(self, reporter: Reporter, write: Callable[[int, bytes], None]) -> None:
        self._reporter = reporter
        self._append = write
        #: The log shows what `runtime_done` tells; otherwise it is for telemetry alone.
        self.logs_runtime_done = reporter.tells_runtime_done
        #: None: nobody subscribed, and nothing but the log is told.
        self.telemetry: Telemetry | None = None

    def init_start(self, wall: float, phase: str) -> None:
        if phase == "init":
            self._write(self._reporter.init_start(wall), wall)
        if self.telemetry is not None:
            self.telemetry.init_start(wall, phase)

    def init_runtime_done(self, wall: float, phase: str, outcome: Outcome) -> None:
        self._write(self._reporter.init_runtime_done(wall, phase, outcome.status, outcome.error_type), wall)
        if self.telemetry is not None:
            self.telemetry.init_runtime_done(wall, phase, outcome)

    def init_report(self, wall: float, phase: str, duration_ms: float, outcome: Outcome, *, logged: bool) -> None:
        """`logged`: its log shows it as text too, as it does where init failed or was provisioned."""
        status, kind = outcome.status, outcome.error_type
        self._write(self._reporter.init_report(wall, phase, duration_ms, status, kind, logged=logged), wall)
        if self.telemetry is not None:
            self.telemetry.init_report(wall, phase, duration_ms, outcome)

    def restore_start(self, wall: float) -> None:
        self._write(self._reporter.restore_start(wall), wall)
        if self.telemetry is not None:
            self.telemetry.restore_start(wall)

    def restore_runtime_done(self, wall: float, outcome: Outcome) -> None:
        self._write(self._reporter.restore_runtime_done(wall, outcome.status, outcome.error_type), wall)
        if self.telemetry is not None:
            self.telemetry.restore_runtime_done(wall, outcome)

    def restore_report(self, wall: float, duration_ms: float, outcome: Outcome) -> None:
        self._write(self._reporter.restore_report(wall, duration_ms, outcome.status, outcome.error_type), wall)
        if self.telemetry is not None:
            self.telemetry.restore_report(wall, duration_ms, outcome)

    def start(self, wall: float, invocation: Invocation) -> None:
        # Written here, not by `_write`: every invocation passes.
        timestamp_ms = int(wall * 1000)
        for line in self._reporter.start(wall, invocation):
            self._append(timestamp_ms, line)
        if self.telemetry is not None:
            self.telemetry.start(wall, invocation)

    def runtime_done(self, wall: float, done: RuntimeDone) -> None:
        """The runtime is done with the invocation; extensions need not be."""
        record = records.runtime_done(done)
        self._write(self._reporter.runtime_done(wall, record), wall)
        if self.telemetry is not None:
            self.telemetry.runtime_done(wall, record, records.fault(done))

    def report(self, wall: float, record: InvocationRecord) -> None:
        timestamp_ms = int(wall * 1000)
        for line in self._reporter.end(wall, record):
            self._append(timestamp_ms, line)
        if self.telemetry is not None:
            self.telemetry.report(wall, record)

    def subscription(self, wall: float, api: str, name: str, types: Sequence[str]) -> None:
        """An extension subscribed to an API (`Telemetry`, `Logs`)."""
        self._write(self._reporter.subscription(wall, api, name, types), wall)

    def extension(self, wall: float, name: str, state: str, events: Sequence[str], error_type: str | None) -> None:
        self._write(self._reporter.extension(wall, name, state, events, error_type), wall)
        if self.telemetry is not None:
            self.telemetry.extension(wall, name, state, events, error_type)

    def _write(self, lines: Lines, wall: float) -> None:
        timestamp_ms = int(wall * 1000)
        for line in lines:
            self._append(timestamp_ms, line)
