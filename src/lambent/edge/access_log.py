"""Access logs of deployed APIs: `$context.…` templates, compiled once, and the log streams their lines go to."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable

from lambent.arn import Arn
from lambent.clock import Clock
from lambent.ports import LogSink, LogWriter

#: What AWS writes for a variable that has no value.
NOTHING = "-"
#: Streams kept open; one or two for each stage with logs.
MAX_STREAMS = 1024

_VARIABLE = re.compile(r"\$context\.([A-Za-z0-9_]+(?:[.-][A-Za-z0-9_]+)*)")
#: Values that are JSON already.
_QUOTED = frozenset(("error.messageString",))

#: The value of a variable (`identity.sourceIp`, without `$context.`), or None.
Lookup = Callable[[str], str | None]


class AccessLogTemplate:
    """The format of one stage's lines: text with variables."""

    def __init__(self, text: str) -> None:
        #: Literal, name, literal, name … literal.
        self._parts = _VARIABLE.split(text)
        self._is_json = text.lstrip().startswith("{")

    @property
    def variables(self) -> frozenset[str]:
        return frozenset(self._parts[1::2])

    def render(self, lookup: Lookup) -> str:
        parts = list(self._parts)
        for index in range(1, len(parts), 2):
            name = parts[index]
            value = lookup(name)
            parts[index] = NOTHING if value is None else self._shown(name, value)
        return "".join(parts)

    def _shown(self, name: str, value: str) -> str:
        if self._is_json and name not in _QUOTED:
            # A client's user agent must not end the string that it stands in.
            return json.dumps(value, ensure_ascii=False)[1:-1]
        return value.replace("\n", "\\n").replace("\r", "\\r")


class Lines:
    """One log stream that loses lines while the store is congested: requests are neither slowed nor kept in memory."""

    def __init__(self, writer: LogWriter) -> None:
        self._writer = writer
        self._congested = False

    def write(self, timestamp_ms: int, message: bytes) -> None:
        if not self._congested and not self._writer.write(timestamp_ms, message):
            self._congested = True
            self._writer.on_drain(self._drained)

    def _drained(self) -> None:
        self._congested = False


class AccessLogs:
    """Writes lines to the log groups that stages name. Used on the event loop only."""

    def __init__(self, logs: LogSink, clock: Clock) -> None:
        self._logs = logs
        self._clock = clock
        self._streams: dict[tuple[str, str, str, str], Lines] = {}
        #: What destinations name, by their ARN.
        self._groups: dict[str, tuple[str, str, str]] = {}

    def write(self, account: str, destination_arn: str, origin: str, line: str) -> None:
        """One line for the log group at `destination_arn`; `origin` (api and stage) decides its stream. Never waits.

        `account`: the API's. Nothing is written to another one's group, whatever a stage says.
        """
        group = self._groups.get(destination_arn)
        if group is None:
            group = log_group(destination_arn)
            if group is None:
                return
            self._groups[destination_arn] = group
        if group[0] != account:
            return
        self.stream(*group, origin).write(int(self._clock.now() * 1000), line.encode("utf-8", "replace"))

    def stream(self, account: str, region: str, group: str, origin: str) -> Lines:
        """The stream of `origin` in a log group."""
        key = (account, region, group, origin)
        lines = self._streams.get(key)
        if lines is None:
            if len(self._streams) >= MAX_STREAMS:
                self._streams.clear()
                self._groups.clear()
            stream = hashlib.md5(origin.encode(), usedforsecurity=False).hexdigest()
            lines = self._streams[key] = Lines(self._logs.open_stream(account, region, group, stream))
        return lines


def log_group(arn: str) -> tuple[str, str, str] | None:
    """(account, region, name) of the log group that `arn` names, with or without `:*` behind it."""
    parts = Arn.parse(arn)
    if parts is None or parts.service != "logs":
        return None
    kind, _, rest = parts.resource.partition(":")
    name = rest.removesuffix(":*")
    if kind != "log-group" or not name:
        return None
    return parts.account, parts.region, name
