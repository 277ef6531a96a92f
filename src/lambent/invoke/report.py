"""From what happened to what is written about it: billed time, and the platform's own log lines as text or JSON.

Every line of a log that the function did not print itself is made here.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from math import ceil
from string import ascii_lowercase
from typing import Any

from lambent.arn import partition_of
from lambent.invoke.faults import FAILURE, SUCCESS, TIMEOUT
from lambent.ports import FunctionVersion, Invocation, InvocationRecord

#: System log levels in rising order; an event is written from its level's rank on.
_RANKS = {"DEBUG": 0, "INFO": 1, "WARN": 2}


def billed_ms(duration_ms: float, init_ms: float | None) -> int:
    """Whole milliseconds of duration and init together, at least one."""
    return max(1, ceil(duration_ms + (init_ms or 0.0)))


def runtime_version(runtime: str) -> str:
    """`python:3.12.v1` for `python3.12`: how INIT_START names a runtime."""
    family = runtime[: len(runtime) - len(runtime.lstrip(ascii_lowercase))]
    version = runtime[len(family) :].strip(".").removesuffix(".x")
    return f"{family}:{version}.v1" if version else f"{family}.v1"


def runtime_version_arn(region: str, runtime: str) -> str:
    digest = hashlib.sha256(runtime_version(runtime).encode()).hexdigest()
    return f"arn:{partition_of(region)}:lambda:{region}::runtime:{digest}"


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

    def init_start(self, now: float) -> Lines:
        function = self._function
        return (
            f"INIT_START Runtime Version: {runtime_version(function.runtime)}\t"
            f"Runtime Version ARN: {runtime_version_arn(function.region, function.runtime)}\n".encode(),
        )

    def init_report(self, now: float, phase: str, duration_ms: float, status: str, error_type: str | None) -> Lines:
        """Of an init that went wrong, and of every provisioned one; any other shows in the first REPORT."""
        line = f"INIT_REPORT Init Duration: {duration_ms:.2f} ms\tPhase: {phase}"
        if status != SUCCESS:
            kind = f"\tError Type: {error_type}" if error_type and status != TIMEOUT else ""
            line += f"\tStatus: {'timeout' if status == TIMEOUT else 'error'}{kind}"
        return (f"{line}\n".encode(),)

    def extension(self, now: float, name: str, state: str, events: Sequence[str], error_type: str | None) -> Lines:
        kind = f"\tError Type: {error_type}" if error_type else ""
        return (f"EXTENSION\tName: {name}\tState: {state}\tEvents: [{', '.join(events)}]{kind}\n".encode(),)

    def start(self, now: float, invocation: Invocation) -> Lines:
        return (f"START RequestId: {invocation.request_id}{self._start_tail}".encode(),)

    def runtime_done(
        self, now: float, request_id: str, duration_ms: float, status: str, error_type: str | None
    ) -> Lines:
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
        if record.status == TIMEOUT:
            line += "Status: timeout"
        elif record.status == FAILURE:
            line += f"Status: error\tError Type: {record.error_type}"
        return f"END RequestId: {record.request_id}\n".encode(), (line + "\n").encode()


class JsonReporter(Reporter):
    """The same events as JSON, with the level that AWS gives each."""

    def __init__(self, function: FunctionVersion, instance_id: str, initialization: str = "on-demand") -> None:
        super().__init__(function)
        self._instance_id = instance_id
        self._initialization = initialization
        self._rank = _RANKS.get(function.system_log_level or "INFO", 1)

    def init_start(self, now: float) -> Lines:
        function = self._function
        record = {
            "initializationType": self._initialization,
            "phase": "init",
            "runtimeVersion": runtime_version(function.runtime),
            "runtimeVersionArn": runtime_version_arn(function.region, function.runtime),
            "functionName": function.name,
            "functionVersion": function.version,
            "instanceId": self._instance_id,
            "instanceMaxMemory": function.memory_mb * 1024 * 1024,
        }
        return self._event("INFO", now, "platform.initStart", record)

    def init_report(self, now: float, phase: str, duration_ms: float, status: str, error_type: str | None) -> Lines:
        record: dict[str, Any] = {
            "initializationType": self._initialization,
            "phase": phase,
            "status": _json_status(status, error_type),
            "metrics": {"durationMs": round(duration_ms, 3)},
        }
        if error_type and status != TIMEOUT:
            record["errorType"] = error_type
        return self._event("INFO" if status == SUCCESS else "WARN", now, "platform.initReport", record)

    def extension(self, now: float, name: str, state: str, events: Sequence[str], error_type: str | None) -> Lines:
        record: dict[str, Any] = {"name": name, "state": state, "events": list(events)}
        if error_type:
            record["errorType"] = error_type
        return self._event("INFO" if not error_type else "WARN", now, "platform.extension", record)

    def start(self, now: float, invocation: Invocation) -> Lines:
        record = {"requestId": invocation.request_id, "version": self._function.version}
        return self._event("INFO", now, "platform.start", record | _tenant(invocation.tenant_id))

    def runtime_done(
        self, now: float, request_id: str, duration_ms: float, status: str, error_type: str | None
    ) -> Lines:
        result = _json_result(status, error_type)
        done = {"requestId": request_id, **result, "metrics": {"durationMs": round(duration_ms, 3)}}
        return self._event("DEBUG" if status == SUCCESS else "WARN", now, "platform.runtimeDone", done)

    def end(self, now: float, record: InvocationRecord) -> Lines:
        """platform.report."""
        metrics = {
            "durationMs": round(record.duration_ms, 3),
            "billedDurationMs": record.billed_ms,
            "memorySizeMB": record.memory_mb,
            "maxMemoryUsedMB": record.max_memory_used_mb,
        }
        if record.init_ms is not None:
            metrics["initDurationMs"] = round(record.init_ms, 3)
        result = _json_result(record.status, record.error_type)
        report = {"requestId": record.request_id, "metrics": metrics, **result, **_tenant(record.tenant_id)}
        return self._event("INFO" if record.status == SUCCESS else "WARN", now, "platform.report", report)

    def _event(self, level: str, now: float, kind: str, record: dict[str, Any]) -> Lines:
        if _RANKS[level] < self._rank:
            return ()
        event = {"time": iso_time(now), "type": kind, "record": record}
        return (json.dumps(event, separators=(",", ":")).encode(),)


def iso_time(now: float) -> str:
    """`2026-01-31T12:00:00.123Z`."""
    millis = int(now * 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(millis // 1000))}.{millis % 1000:03d}Z"


def log_stream_name(now: float, version: str, suffix: str) -> str:
    """`2026/01/31/[$LATEST]<32 hex>`."""
    return f"{time.strftime('%Y/%m/%d', time.gmtime(now))}/[{version}]{suffix}"


def _tenant(tenant_id: str) -> dict[str, str]:
    """Of a function that tells its tenants apart."""
    return {"tenantId": tenant_id} if tenant_id else {}


def _json_result(status: str, error_type: str | None) -> dict[str, str]:
    result = {"status": _json_status(status, error_type)}
    if error_type and status != TIMEOUT:
        result["errorType"] = error_type
    return result


def _json_status(status: str, error_type: str | None) -> str:
    """AWS calls what the runtime did wrong an error, and a failure only what its sandbox did."""
    if status == FAILURE and not (error_type or "").startswith("Sandbox."):
        return "error"
    return status
