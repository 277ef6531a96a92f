"""Lambda's own segments: what traced invocations tell, as the segments that AWS records of them.

`record` stands on the path of every invocation: of one that is not traced it asks one question. Documents are made
when traces are written.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import randbytes
from typing import Any

import msgspec

from lambent.invoke import tracing
from lambent.ports import FunctionVersion, InvocationRecord
from lambent.services.xray.collector import Report
from lambent.services.xray.tree import FUNCTION, LAMBDA

#: Invocations that wait to be made segments of; those beyond them are not told of.
_MOST = 10_000

_encode = msgspec.json.Encoder().encode


class _Refusal(msgspec.Struct, frozen=True):
    """A request that was refused for too many."""

    function: FunctionVersion
    request_id: str
    trace_id: str
    at: float


class LambdaSegments:
    """Implements ports.RecordSink and ports.TraceSink's throttles."""

    def __init__(self) -> None:
        self._records: list[InvocationRecord] = []
        self._refusals: list[_Refusal] = []
        self.lost = 0

    def record(self, record: InvocationRecord) -> None:
        if tracing.SAMPLED in record.trace_id:
            if len(self._records) < _MOST:
                self._records.append(record)
            else:
                self.lost += 1

    def throttled(self, function: FunctionVersion, invoked_arn: str) -> None:
        """`refused` tells more of it."""

    def refused(self, function: FunctionVersion, request_id: str, trace_id: str, at: float) -> None:
        if tracing.SAMPLED in trace_id and len(self._refusals) < _MOST:
            self._refusals.append(_Refusal(function, request_id, trace_id, at))

    def collect(self) -> Iterator[Report]:
        """A collector.Source."""
        records, self._records = self._records, []
        refusals, self._refusals = self._refusals, []
        for record in records:
            for document in documents_of(record):
                yield _report(record.function, document)
        for refusal in refusals:
            yield _report(refusal.function, _refused(refusal))


def _report(function: FunctionVersion, document: dict[str, Any]) -> Report:
    return Report(function.account, function.region, _encode(document), function)


def documents_of(record: InvocationRecord) -> tuple[dict[str, Any], dict[str, Any]]:
    """AWS::Lambda, the service that took the request, and AWS::Lambda::Function, the function that ran."""
    function = record.function
    context = tracing.context_of(record.trace_id)
    before_ms = (0.0 if record.provisioned else record.init_ms or 0.0) + (record.restore_ms or 0.0)
    started_at = record.started_at - before_ms / 1000
    ended_at = record.started_at + record.duration_ms / 1000
    flags: dict[str, Any] = {} if record.status == "success" else {"fault": True}
    service: dict[str, Any] = {
        "id": segment_id(),
        "name": function.name,
        "trace_id": context.root,
        "start_time": started_at,
        "end_time": ended_at,
        "http": {"response": {"status": 200}},
        "aws": {"request_id": record.request_id, "account_id": function.account},
        "origin": LAMBDA,
        "resource_arn": record.invoked_arn or function.arn,
        **flags,
    }
    caller = tracing.context_of(record.received_trace).parent
    if caller:
        service["parent_id"] = caller
    return service, {
        "id": context.parent,
        "name": function.name,
        "trace_id": context.root,
        "parent_id": service["id"],
        "start_time": started_at,
        "end_time": ended_at,
        "aws": {
            "account_id": function.account,
            "function_arn": function.arn,
            "resource_names": [function.name],
            "request_id": record.request_id,
        },
        "origin": FUNCTION,
        "resource_arn": function.arn,
        **flags,
        **_cause(record),
        "subsegments": list(_phases(record, started_at, ended_at)),
    }


def _phases(record: InvocationRecord, started_at: float, ended_at: float) -> Iterator[dict[str, Any]]:
    aws = {"function_arn": record.function.arn}
    if record.restore_ms is not None:
        yield _phase("Restore", started_at, started_at + record.restore_ms / 1000, aws)
    elif record.init_ms is not None and not record.provisioned:
        yield _phase("Initialization", started_at, record.started_at, aws)
    done_at = max(record.started_at, ended_at - record.extensions_ms / 1000)
    invocation = _phase("Invocation", record.started_at, done_at, aws)
    if record.status != "success":
        invocation["fault"] = True
    yield invocation
    yield _phase("Overhead", done_at, ended_at, aws)


def _phase(name: str, started_at: float, ended_at: float, aws: dict[str, str]) -> dict[str, Any]:
    return {"id": segment_id(), "name": name, "start_time": started_at, "end_time": ended_at, "aws": aws}


def _cause(record: InvocationRecord) -> dict[str, Any]:
    if record.status == "success" or not record.error_type:
        return {}
    cause = {"id": segment_id(), "type": record.error_type, "message": record.error_type}
    return {"cause": {"working_directory": "/var/task", "exceptions": [cause]}}


def _refused(refusal: _Refusal) -> dict[str, Any]:
    context = tracing.context_of(refusal.trace_id)
    document = {
        "id": segment_id(),
        "name": refusal.function.name,
        "trace_id": context.root,
        "start_time": refusal.at,
        "end_time": refusal.at,
        "http": {"response": {"status": 429}},
        "aws": {"request_id": refusal.request_id, "account_id": refusal.function.account},
        "origin": LAMBDA,
        "resource_arn": refusal.function.arn,
        "error": True,
        "throttle": True,
    }
    return {**document, "parent_id": context.parent} if context.parent else document


def segment_id() -> str:
    return randbytes(8).hex()  # noqa: S311 - it keeps nothing secret
