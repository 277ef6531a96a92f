"""Events as subscribers get them: `{"time", "type", "record"}` in the schema that each asked for.

What a schema lacks is left out of its records here, once, so that whoever tells of an event never asks for whom.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec

from lambent.invoke.records import Record
from lambent.invoke.telemetry.subscriptions import Api, Subscription

_encode = msgspec.json.encode
_decode = msgspec.json.decode

#: The first schema of the Telemetry API; the later ones add to it.
_FIRST = "2022-07-01"
_NEW_SINCE_FIRST = {
    "platform.initStart": ("functionName", "functionVersion", "instanceId", "instanceMaxMemory"),
    "platform.initReport": ("status", "errorType"),
}
#: Of the Logs API: which members each record keeps, None for all. Types that are not here it never had.
_LOGS: dict[str, tuple[str, ...] | None] = {
    "platform.start": ("requestId", "version"),
    "platform.end": None,
    "platform.report": ("requestId", "metrics", "tracing"),
    "platform.fault": None,
    "platform.extension": None,
    "platform.logsSubscription": None,
    "platform.logsDropped": None,
}
#: Types that the Telemetry API does not have.
_LOGS_ALONE = ("platform.end", "platform.fault", "platform.logsSubscription")
_LOGS_WITH_RUNTIME_DONE = "2021-03-18"


class Schema:
    """Makes the events of one schema; all subscribers to it share them."""

    def __init__(self, subscription: Subscription, json_lines: bool) -> None:
        """`json_lines`: the function's log is JSON, and so are lines of it where the schema knows such."""
        self._api = subscription.api
        self._version = subscription.schema
        self._json_lines = json_lines and self._api is Api.TELEMETRY and self._version != _FIRST
        self._second = -1
        self._second_text = b""

    @property
    def key(self) -> str:
        return self._version

    def platform(self, wall: float, kind: str, record: Record | str) -> bytes | None:
        """One event of the platform; None where the schema has no such."""
        kept = self._telemetry(kind, record) if self._api is Api.TELEMETRY else self._logs(kind, record)
        return None if kept is None else self._event(int(wall * 1000), kind.encode(), _encode(kept))

    def line(self, timestamp_ms: int, category: str, message: bytes) -> bytes:
        """A line that the function or an extension printed."""
        record = self._json_record(message) if self._json_lines else None
        if record is None:
            record = _encode(message.decode("utf-8", "replace"))
        return self._event(timestamp_ms, category.encode(), record)

    def _telemetry(self, kind: str, record: Record | str) -> Record | str | None:
        if kind in _LOGS_ALONE:
            return None
        left_out = _NEW_SINCE_FIRST.get(kind) if self._version == _FIRST else None
        if left_out is None or isinstance(record, str):
            return record
        return {name: value for name, value in record.items() if name not in left_out}

    def _logs(self, kind: str, record: Record | str) -> Record | str | None:
        if kind == "platform.runtimeDone" and self._version == _LOGS_WITH_RUNTIME_DONE:
            assert isinstance(record, dict)
            status = "failure" if record["status"] == "error" else record["status"]
            return {"requestId": record["requestId"], "status": status}
        if kind not in _LOGS:
            return None
        members = _LOGS[kind]
        if members is None or isinstance(record, str):
            return record
        return {name: value for name, value in record.items() if name in members}

    @staticmethod
    def _json_record(message: bytes) -> bytes | None:
        """The line as an object, if that is what it is; on one line, however it was printed."""
        if message[:1] != b"{":
            return None
        try:
            value: Any = _decode(message)
            return _encode(value) if isinstance(value, dict) else None
        except (ValueError, RecursionError):
            return None

    def _event(self, timestamp_ms: int, kind: bytes, record: bytes) -> bytes:
        second, millis = divmod(timestamp_ms, 1000)
        if second != self._second:
            self._second = second
            self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
        return b'{"time":"%b.%03dZ","type":"%b","record":%b}' % (self._second_text, millis, kind, record)
