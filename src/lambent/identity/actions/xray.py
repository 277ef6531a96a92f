"""X-Ray: segments and traces are no resources, groups and sampling rules are."""

from __future__ import annotations

from collections.abc import Mapping

from lambent.identity.actions.table import Call, Row, same_arn


def _group(call: Call) -> str:
    given = call.params.get("GroupARN")
    # Of a group's ARN the last part is an id; the default one has none.
    return same_arn(given) if given else call.arn("xray", f"group/{call.params.get('GroupName') or 'Default'}/*")


_ANY = Row()

ROWS: Mapping[str, Row | None] = {
    "BatchGetTraces": _ANY,
    "GetEncryptionConfig": _ANY,
    "GetGroup": Row(_group),
    "GetGroups": _ANY,
    "GetSamplingRules": _ANY,
    "GetSamplingStatisticSummaries": _ANY,
    "GetSamplingTargets": _ANY,
    "GetServiceGraph": _ANY,
    "GetTraceGraph": _ANY,
    "GetTraceSegmentDestination": _ANY,
    "GetTraceSummaries": _ANY,
    "PutTelemetryRecords": _ANY,
    "PutTraceSegments": _ANY,
}
