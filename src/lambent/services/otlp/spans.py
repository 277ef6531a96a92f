"""What an invocation is as a span of OTLP's JSON encoding: pure, from its record.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding, with the semantic conventions `faas.*` and `cloud.*`.
The span bears the id that the function got as its parent, so that spans of its code hang below it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from random import randbytes
from typing import Any

import msgspec

import lambent
from lambent.arn import partition_of
from lambent.invoke import tracing
from lambent.ports import FunctionVersion, InvocationRecord

_INTERNAL, _SERVER = 1, 2
_ERROR = 2
_SCOPE = {"name": "lambent", "version": lambent.__version__}
_MB = 1024 * 1024

_encode = msgspec.json.Encoder().encode

Value = str | bool | int | float


def request_of(records: Sequence[InvocationRecord]) -> bytes:
    """An ExportTraceServiceRequest."""
    # The id of a function stays its own while a record refers to it.
    spans: dict[tuple[int, str], list[dict[str, Any]]] = {}
    functions: dict[tuple[int, str], FunctionVersion] = {}
    for record in records:
        key = id(record.function), record.log_stream
        functions[key] = record.function
        spans.setdefault(key, []).extend(spans_of(record))
    return _encode(
        {
            "resourceSpans": [
                {
                    "resource": {"attributes": attributes(resource_of(functions[key], key[1]))},
                    "scopeSpans": [{"scope": _SCOPE, "spans": found}],
                }
                for key, found in spans.items()
            ]
        }
    )


def resource_of(function: FunctionVersion, log_stream: str) -> Mapping[str, Value]:
    """Of one execution environment."""
    return {
        "service.name": function.name,
        "cloud.provider": "aws",
        "cloud.platform": "aws_lambda",
        "cloud.region": function.region,
        "cloud.account.id": function.account,
        "cloud.partition": partition_of(function.region),
        "faas.name": function.name,
        "faas.version": function.version,
        "faas.instance": log_stream,
        "faas.max_memory": function.memory_mb * _MB,
        "aws.log.group.names": function.log_group or f"/aws/lambda/{function.name}",
    }


def spans_of(record: InvocationRecord) -> Iterator[dict[str, Any]]:
    """The invocation's, and that of the init or the restore before it."""
    context = tracing.context_of(record.trace_id)
    trace_id = context.root.replace("-", "")[1:] or _random_id(16)
    span_id = context.parent or _random_id(8)
    flags = 1 if context.sampled else 0
    before_ms = (0.0 if record.provisioned else record.init_ms or 0.0) + (record.restore_ms or 0.0)
    started_at = record.started_at - before_ms / 1000
    span: dict[str, Any] = {
        "traceId": trace_id,
        "spanId": span_id,
        "flags": flags,
        "name": record.function.name,
        "kind": _SERVER,
        "startTimeUnixNano": _nanoseconds(started_at),
        "endTimeUnixNano": _nanoseconds(record.started_at + record.duration_ms / 1000),
        "attributes": attributes(_facts_of(record)),
    }
    caller = tracing.context_of(record.received_trace).parent
    if caller:
        span["parentSpanId"] = caller
    if record.status != "success":
        span["status"] = {"code": _ERROR, "message": record.error_type or record.status}
    yield span
    if before_ms:
        yield {
            "traceId": trace_id,
            "spanId": _random_id(8),
            "parentSpanId": span_id,
            "flags": flags,
            "name": "init" if record.restore_ms is None else "restore",
            "kind": _INTERNAL,
            "startTimeUnixNano": _nanoseconds(started_at),
            "endTimeUnixNano": _nanoseconds(record.started_at),
        }


def _facts_of(record: InvocationRecord) -> Mapping[str, Value]:
    facts: dict[str, Value] = {
        "faas.invocation_id": record.request_id,
        "faas.coldstart": record.init_ms is not None or record.restore_ms is not None,
        "cloud.resource_id": record.invoked_arn or record.function.arn,
        "aws.lambda.invoked_arn": record.invoked_arn or record.function.arn,
        "lambent.billed_duration_ms": record.billed_ms,
        "lambent.max_memory_used_mb": record.max_memory_used_mb,
    }
    if record.status != "success":
        facts["error.type"] = record.error_type or record.status
    if record.tenant_id:
        facts["lambent.tenant_id"] = record.tenant_id
    return facts


def attributes(values: Mapping[str, Value]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value_of(value)} for key, value in values.items()]


def _value_of(value: Value) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        # 64 bits do not fit a number of JSON.
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}


def _nanoseconds(at: float) -> str:
    return str(int(at * 1_000_000) * 1000)


def _random_id(size: int) -> str:
    return randbytes(size).hex()  # noqa: S311 - it keeps nothing secret
