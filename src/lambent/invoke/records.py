"""What the platform tells of an environment, as the records of AWS's schema: for the JSON log and the Telemetry API.

The REPORT line and `platform.report` derive from the same InvocationRecord, whose times are whole microseconds: both
show the same number, one with two decimals and one with three.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_lowercase
from typing import Any

from lambent.arn import partition_of
from lambent.invoke.faults import FAILURE, TIMEOUT
from lambent.ports import FunctionVersion, Invocation, InvocationRecord

Record = dict[str, Any]


def runtime_version(runtime: str) -> str:
    """`python:3.12.v1` for `python3.12`: how INIT_START names a runtime."""
    family = runtime[: len(runtime) - len(runtime.lstrip(ascii_lowercase))]
    version = runtime[len(family) :].strip(".").removesuffix(".x")
    return f"{family}:{version}.v1" if version else f"{family}.v1"


def runtime_version_arn(region: str, runtime: str) -> str:
    digest = hashlib.sha256(runtime_version(runtime).encode()).hexdigest()
    return f"arn:{partition_of(region)}:lambda:{region}::runtime:{digest}"


def init_start(function: FunctionVersion, instance_id: str, initialization: str, phase: str) -> Record:
    return {"initializationType": initialization, "phase": phase, **restore_start(function, instance_id)}


def init_runtime_done(initialization: str, phase: str, status: str, error_type: str | None) -> Record:
    return {"initializationType": initialization, "phase": phase, **result(status, error_type)}


def init_report(initialization: str, phase: str, duration_ms: float, status: str, error_type: str | None) -> Record:
    ended = result(status, error_type)
    metrics = {"durationMs": rounded(duration_ms)}
    return {"initializationType": initialization, "phase": phase, "status": ended.pop("status"), "metrics": metrics} | (
        ended
    )


def restore_start(function: FunctionVersion, instance_id: str) -> Record:
    return {
        "runtimeVersion": runtime_version(function.runtime),
        "runtimeVersionArn": runtime_version_arn(function.region, function.runtime),
        "functionName": function.name,
        "functionVersion": function.version,
        "instanceId": instance_id,
        "instanceMaxMemory": function.memory_mb * 1024 * 1024,
    }


def restore_runtime_done(status: str, error_type: str | None) -> Record:
    return result(status, error_type)


def restore_report(duration_ms: float, status: str, error_type: str | None) -> Record:
    return {**result(status, error_type), "metrics": {"durationMs": rounded(duration_ms)}}


def start(version: str, invocation: Invocation) -> Record:
    tracing = _tracing(invocation.trace_id)
    return {"requestId": invocation.request_id, "version": version, **tracing, **_tenant(invocation.tenant_id)}


@dataclass(frozen=True, slots=True)
class RuntimeDone:
    """How the runtime ended an invocation, when extensions may still work on it."""

    invocation: Invocation
    #: Seconds since the epoch.
    started_at: float
    duration_ms: float
    status: str
    error_type: str | None
    #: X-Amzn-Trace-Id as the function got it.
    trace_id: str
    #: Of `duration_ms`, until its response began; None where there was none.
    latency_ms: float | None
    #: Bytes of its response.
    produced: int
    #: What the platform answered in its stead (JSON), b"" where it did not have to.
    fault: bytes = b""
    #: Of `duration_ms`, what the runtime took after its response to ask for the next invocation.
    overhead_ms: float = 0.0


def runtime_done(done: RuntimeDone) -> Record:
    metrics = {"durationMs": rounded(done.duration_ms), "producedBytes": done.produced}
    record = {"requestId": done.invocation.request_id, **result(done.status, done.error_type)}
    if done.latency_ms is not None:
        record["spans"] = _response_spans(done, done.latency_ms)
    return {**record, "metrics": metrics, **_tracing(done.trace_id), **_tenant(done.invocation.tenant_id)}


def fault(done: RuntimeDone) -> str:
    """What went wrong in the words of `platform.fault`; "" where the function answered itself."""
    if not done.fault:
        return ""
    try:
        message = str(json.loads(done.fault)["errorMessage"])
    except (ValueError, KeyError, TypeError, RecursionError):
        message = "The runtime failed"
    beginning = f"RequestId: {done.invocation.request_id} "
    message = message if message.startswith(beginning) else f"{beginning}Error: {message}"
    return f"{message}\n{done.error_type}\n" if done.error_type and done.status != TIMEOUT else f"{message}\n"


def _response_spans(done: RuntimeDone, latency_ms: float) -> list[Record]:
    response_ms = max(0.0, done.duration_ms - latency_ms - done.overhead_ms)
    began_at = done.started_at + latency_ms / 1000
    return [
        span("responseLatency", done.started_at, latency_ms),
        span("responseDuration", began_at, response_ms),
        span("runtimeOverhead", began_at + response_ms / 1000, done.overhead_ms),
    ]


def report(record: InvocationRecord) -> Record:
    metrics: Record = {
        "durationMs": rounded(record.duration_ms),
        "billedDurationMs": record.billed_ms,
        "memorySizeMB": record.memory_mb,
        "maxMemoryUsedMB": record.max_memory_used_mb,
    }
    if record.init_ms is not None:
        metrics["initDurationMs"] = rounded(record.init_ms)
    if record.restore_ms is not None:
        metrics["restoreDurationMs"] = rounded(record.restore_ms)
        metrics["billedRestoreDurationMs"] = record.billed_restore_ms
    told: Record = {"requestId": record.request_id, "metrics": metrics, **result(record.status, record.error_type)}
    if record.extensions_ms > 0:
        began_at = record.started_at + (record.duration_ms - record.extensions_ms) / 1000
        told["spans"] = [span("extensionOverhead", began_at, record.extensions_ms)]
    return {**told, **_tracing(record.trace_id), **_tenant(record.tenant_id)}


def extension(name: str, state: str, events: Sequence[str], error_type: str | None) -> Record:
    record: Record = {"name": name, "state": state, "events": list(events)}
    if error_type:
        record["errorType"] = error_type
    return record


def subscription(name: str, types: Sequence[str]) -> Record:
    return {"name": name, "state": "Subscribed", "types": list(types)}


def logs_dropped(reason: str, records: int, size: int) -> Record:
    return {"droppedBytes": size, "droppedRecords": records, "reason": reason}


def result(status: str, error_type: str | None) -> Record:
    """How something ended. AWS calls what the runtime did wrong an error, and a failure only what its sandbox did."""
    if status == FAILURE and not (error_type or "").startswith("Sandbox."):
        status = "error"
    return {"status": status, "errorType": error_type} if error_type and status != TIMEOUT else {"status": status}


def span(name: str, start: float, duration_ms: float) -> Record:
    """`start` is seconds since the epoch."""
    return {"name": name, "start": iso_time(start), "durationMs": rounded(duration_ms)}


def whole_micros_ms(seconds: float) -> float:
    """Milliseconds of whole microseconds: with two decimals and with three they show the same number."""
    return int(seconds * 1e6) / 1000


def rounded(duration_ms: float) -> float:
    return round(duration_ms, 3)


def iso_time(now: float) -> str:
    """`2026-01-31T12:00:00.123Z`."""
    millis = int(now * 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(millis // 1000))}.{millis % 1000:03d}Z"


def _tracing(header: str) -> Record:
    """Of what belongs to a sampled trace; `header` as the function got it."""
    if "Sampled=1" not in header:
        return {}
    value = ";".join(part for part in header.split(";") if not part.startswith("Lineage="))
    return {"tracing": {"type": "X-Amzn-Trace-Id", "value": value}}


def _tenant(tenant_id: str) -> dict[str, str]:
    """Of a function that tells its tenants apart."""
    return {"tenantId": tenant_id} if tenant_id else {}
