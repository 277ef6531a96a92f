"""What a function prints and logs, framed for the telemetry pipe: one frame is one log event.

Frames are AWS's: type, length, time in microseconds, message. Printing goes line by line, logging message by message,
through the same descriptor, so that their order is kept. Speaks Python 3.8; the standard library alone.
"""

import io
import os
import sys
import threading
import time
from struct import Struct
from typing import Any, List, Optional, Sequence

_FRAME = Struct(">4sIQ")
_UNTYPED = (0xA55A0003).to_bytes(4, "big")
_TYPED_ERROR = (0xA55A0017).to_bytes(4, "big")


class Telemetry:
    """The pipe; also the log sink that awslambdaric's logging handlers write to."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._renew_lock()
        # A thread of the parent may hold the lock while a handler forks.
        os.register_at_fork(after_in_child=self._renew_lock)

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()

    def emit(self, messages: Sequence[bytes], frame_type: bytes = _UNTYPED) -> None:
        now = time.time_ns() // 1000
        if len(messages) == 1:
            message = messages[0]
            data = _FRAME.pack(frame_type, len(message), now) + message
        else:
            data = b"".join([_FRAME.pack(frame_type, len(message), now) + message for message in messages])
        # Beyond PIPE_BUF a write is not atomic, and frames of two threads would mingle.
        with self._lock:
            written = os.write(self._fd, data)
            while written < len(data):
                data = data[written:]
                written = os.write(self._fd, data)

    def log(self, message: str, frame_type: Optional[bytes] = None) -> None:
        self.emit((message.encode("utf-8", "backslashreplace"),), frame_type or _UNTYPED)

    def log_error(self, message_lines: List[str]) -> None:
        self.log("\n".join(message_lines), _TYPED_ERROR)


class LineWriter(io.RawIOBase):
    """The binary half of `sys.stdout`: whole lines leave at once, the rest waits for its end or for `finish`."""

    def __init__(self, telemetry: Telemetry, fd: int, name: str) -> None:
        super().__init__()
        self._telemetry = telemetry
        self._fd = fd
        self.name = name
        self.mode = "wb"
        self.rest = b""

    def write(self, data: Any) -> int:
        text = bytes(data)
        if self.rest:
            text, self.rest = self.rest + text, b""
        end = text.rfind(b"\n") + 1
        if end != len(text):
            self.rest = text[end:]
            text = text[:end]
        if text:
            self._telemetry.emit(
                (text,) if text.find(b"\n") == end - 1 else [line + b"\n" for line in text[:-1].split(b"\n")]
            )
        return len(data)

    def finish(self) -> None:
        """Send an unfinished line as it is."""
        if self.rest:
            rest, self.rest = self.rest, b""
            self._telemetry.emit((rest,))

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def isatty(self) -> bool:
        return False


class StandardStreams:
    """`sys.stdout` and `sys.stderr` of a function."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._writers = (LineWriter(telemetry, 1, "<stdout>"), LineWriter(telemetry, 2, "<stderr>"))
        self._stdout, self._stderr = [
            io.TextIOWrapper(writer, "utf-8", "backslashreplace", newline="\n", line_buffering=True)
            for writer in self._writers
        ]

    def install(self) -> None:
        sys.stdout = sys.__stdout__ = self._stdout  # type: ignore[misc]
        sys.stderr = sys.__stderr__ = self._stderr  # type: ignore[misc]

    def finish(self) -> None:
        """The invocation ends: what was printed without a line end is an event too."""
        self._stdout.flush()
        self._stderr.flush()
        for writer in self._writers:
            if writer.rest:
                writer.finish()
