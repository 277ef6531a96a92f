"""What a segment is and which X-Ray takes: frozen values and rules without I/O.

https://docs.aws.amazon.com/xray/latest/devguide/xray-api-segmentdocuments.html
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

DAY = 86_400
#: Days that traces are kept, as on AWS; segments of older ones are not taken.
RETENTION_DAYS = 30
#: Bytes of one document.
LARGEST_DOCUMENT = 64 * 1024
#: Bytes of the documents of one trace; what comes after them is not taken.
LARGEST_TRACE = 500 * 1024
#: Arrays and objects within one another: what is nested deeper cannot be told within the segments that it belongs to.
_DEEPEST = 600
#: Seconds that a clock which is ahead may be ahead.
_AHEAD_S = 600

_TRACE_ID = re.compile(r"1-([0-9a-fA-F]{8})-[0-9a-fA-F]{24}")
_SEGMENT_ID = re.compile(r"[0-9a-fA-F]{16}")
_NAME = re.compile(r"[\w\s.:/%&#=+\\\-@]{1,200}")

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Segment(msgspec.Struct, frozen=True):
    """One document that was taken."""

    trace_id: str
    id: str
    started_at: float
    #: The same as `started_at` while it is in progress.
    ended_at: float
    #: JSON text as it came.
    document: bytes


class Refused(Exception):
    """Why a document is not taken, as PutTraceSegments tells it."""

    def __init__(self, code: str, segment_id: str = "", kind: str = "segment") -> None:
        super().__init__(f"Invalid {kind}. ErrorCode: {code}")
        self.code = code
        self.segment_id = segment_id


def is_trace_id(text: str) -> bool:
    return _TRACE_ID.fullmatch(text) is not None


def segment_of(document: bytes, now: float) -> Segment:
    """Raises Refused."""
    fields = _fields_of(document)
    found_id = fields.get("id")
    segment_id = found_id if isinstance(found_id, str) and len(found_id) <= 64 else ""
    kind = "subsegment" if fields.get("type") == "subsegment" else "segment"
    code = _fault_of(fields, kind) or _fault_of_times(fields, now)
    if code:
        raise Refused(code, segment_id, kind)
    started_at = float(fields["start_time"])
    ended_at = max(started_at, float(fields.get("end_time") or started_at))
    return Segment(fields["trace_id"].lower(), segment_id.lower(), started_at, ended_at, document)


def _fields_of(document: bytes) -> dict[str, Any]:
    if len(document) > LARGEST_DOCUMENT:
        raise Refused("DocumentTooLarge")
    try:
        fields = _decode(document)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        raise Refused("ParseError") from None
    if document.count(b"[") + document.count(b"{") > _DEEPEST and _is_deep(fields):
        raise Refused("ParseError")
    return fields


def _is_deep(fields: dict[str, Any]) -> bool:
    level: list[Any] = [fields]
    for _ in range(_DEEPEST):
        inside = (each.values() if isinstance(each, dict) else each for each in level)
        level = [value for values in inside for value in values if isinstance(value, (dict, list))]
        if not level:
            return False
    return True


def _fault_of(fields: dict[str, Any], kind: str) -> str:
    """An error code, "" where there is none."""
    for member, pattern, words in (("id", _SEGMENT_ID, "Id"), ("trace_id", _TRACE_ID, "TraceId")):
        value = fields.get(member)
        if value is None:
            return f"Missing{words}"
        if not isinstance(value, str) or not pattern.fullmatch(value):
            return f"Invalid{words}"
    name, parent_id = fields.get("name"), fields.get("parent_id")
    if name is None:
        return "MissingName"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return "InvalidName"
    if parent_id is None:
        return "MissingParentId" if kind == "subsegment" else ""
    return "" if isinstance(parent_id, str) and _SEGMENT_ID.fullmatch(parent_id) else "InvalidParentId"


def _fault_of_times(fields: dict[str, Any], now: float) -> str:
    start, end = fields.get("start_time"), fields.get("end_time")
    if start is None:
        return "MissingStartTime"
    if not _is_time(start):
        return "InvalidStartTime"
    if end is None:
        if fields.get("in_progress") is not True:
            return "MissingEndTime"
    elif not _is_time(end):
        return "InvalidEndTime"
    found = _TRACE_ID.fullmatch(fields["trace_id"])
    assert found is not None
    for time in (float(start), float(int(found[1], 16))):
        if not now - RETENTION_DAYS * DAY <= time <= now + _AHEAD_S:
            return "InvalidTime"
    return ""


def _is_time(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e11
