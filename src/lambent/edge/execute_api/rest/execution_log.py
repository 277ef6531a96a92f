"""Execution logs: what API Gateway tells of each step of a request, in its words, to a log group or a test."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from lambent.clock import Clock
from lambent.edge.access_log import Lines

#: AWS cuts what it repeats of requests and answers.
MAX_DATA = 1024
CUT = " [TRUNCATED]"


class ExecutionLog:
    """Keeps nothing: what a stage without execution logs has."""

    #: Is anything said worth being worded?
    tells: bool = False
    #: Headers and bodies too?
    tells_data: bool = False

    def info(self, line: str) -> None:
        """A step."""

    def data(self, line: str) -> None:
        """Something of the request or the answer itself."""

    def error(self, line: str) -> None:
        """Why it failed."""


class StreamLog(ExecutionLog):
    """Lines of one request into a log stream, each behind its request id."""

    def __init__(self, writer: Lines, clock: Clock, request_id: str, level: str, *, data: bool) -> None:
        self._writer = writer
        self._clock = clock
        self._prefix = f"({request_id}) "
        self.tells = level == "INFO"
        self.tells_data = data and self.tells

    def info(self, line: str) -> None:
        if self.tells:
            self.error(line)

    def data(self, line: str) -> None:
        if self.tells_data:
            self.error(shortened(line))

    def error(self, line: str) -> None:
        self._writer.write(int(self._clock.now() * 1000), (self._prefix + line).encode("utf-8", "replace"))


class TextLog(ExecutionLog):
    """Everything, as one text: the log of a test."""

    tells = True
    tells_data = True

    def __init__(self, clock: Clock, heading: str) -> None:
        self._clock = clock
        self._lines = [heading]

    def info(self, line: str) -> None:
        stamp = time.strftime("%a %b %d %H:%M:%S UTC %Y", time.gmtime(self._clock.now()))
        self._lines.append(f"{stamp} : {line}")

    data = error = info

    def text(self) -> str:
        return "".join(f"{line}\n" for line in self._lines)


def shortened(line: str) -> str:
    return line if len(line) <= MAX_DATA else line[:MAX_DATA] + CUT


def shown(pairs: Iterable[tuple[str, str]] | Mapping[str, str]) -> str:
    """`{a=1, b=2}`, as AWS prints maps."""
    items = pairs.items() if isinstance(pairs, Mapping) else pairs
    return "{" + ", ".join(f"{name}={_masked(name, value)}" for name, value in items) + "}"


def _masked(name: str, value: str) -> str:
    """AWS hides what lets somebody in but for its end."""
    if name.lower() not in ("authorization", "x-api-key", "x-amz-security-token"):
        return value
    return "*" * max(len(value) - 6, 0) + value[-6:] if len(value) > 6 else "*" * len(value)
