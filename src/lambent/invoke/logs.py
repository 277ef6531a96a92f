"""What one environment writes to its log stream: the function's two pipes, and the platform's lines between.

The function is hostile here: it may print for ever, print lines without end, or frame its log wrongly. So a turn of the
event loop reads a bounded piece, an environment over its share is left alone for a while (its own writes then block),
and no line is kept longer than one event may be.
"""

from __future__ import annotations

import logging
import os
import select
import struct
from asyncio import AbstractEventLoop
from collections.abc import Callable

from lambent.clock import Clock
from lambent.invoke.log_levels import LEVEL_BITS, Shows
from lambent.invoke.timers import Timer, Timers
from lambent.ports import LogWriter

log = logging.getLogger(__name__)

#: CloudWatch's largest event, 256 KiB less the 26 bytes that it counts for each.
MAX_EVENT = 256 * 1024 - 26
#: What LogType Tail returns.
TAIL_BYTES = 4096
#: Bytes read from one pipe in one turn of the event loop, so many that lines of a few bytes take milliseconds.
_CHUNK = 16 * 1024
_LEAST_CHUNK = 512
#: Chunks that a drain may read, so that a child that prints for ever cannot hold back an answer.
_DRAIN_CHUNKS = 64

_MIB = 1024 * 1024
#: An event weighs its bytes and this, since short lines cost by the line: an environment's share comes to about 40,000
#: short lines or 10 MB of long ones a second.
_EVENT_WEIGHT = 200
#: A drain reads even from an environment over its share, since its answer waits, but not without end.
_MAX_DEBT = 4 * _MIB
#: Longest and shortest time for which an environment over its share is left alone.
_PAUSE_S = (0.01, 1.0)

_FRAME = struct.Struct(">IIQ")
#: The upper half of a frame's type; the lower carries format and level.
_FRAME_MAGIC = 0xA55A
_DAY_MS = 86_400_000


class LogStream:
    """Appends events, and keeps the end of the log while an invocation asks for it."""

    def __init__(self, writer: LogWriter, clock: Clock) -> None:
        self._writer = writer
        self._write = writer.write
        self._now = clock.now
        #: True between a refused write and the store's `on_drain`.
        self.congested = False
        self._on_drained: Callable[[], None] | None = None
        #: The tail being collected, None where nobody asked.
        self._tail: bytearray | None = None

    def write(self, timestamp_ms: int, message: bytes) -> None:
        if not self._writer.write(timestamp_ms, message) and not self.congested:
            self.congested = True
            self._writer.on_drain(self._drained)
        if self._tail is not None:
            self._keep(message)

    def write_now(self, message: bytes) -> None:
        self.write(int(self._now() * 1000), message)

    def now_ms(self) -> int:
        return int(self._now() * 1000)

    def begin_tail(self) -> None:
        """Keep the end of what is written from here on."""
        self._tail = bytearray()

    def take_tail(self) -> bytes | None:
        """The last 4 KB since `begin_tail`, or None without one."""
        tail, self._tail = self._tail, None
        return None if tail is None else bytes(tail[-TAIL_BYTES:])

    def notify_drained(self, callback: Callable[[], None]) -> None:
        self._on_drained = callback

    def close(self) -> None:
        self._on_drained = None
        self._writer.close()

    def _keep(self, message: bytes) -> None:
        tail = self._tail
        assert tail is not None
        tail += message
        if not message.endswith(b"\n"):
            tail += b"\n"  # events of their own in the log, lines in its tail
        if len(tail) > 4 * TAIL_BYTES:
            del tail[:-TAIL_BYTES]

    def _drained(self) -> None:
        self.congested = False
        if self._on_drained is not None:
            self._on_drained()


#: Hears a line with its time in milliseconds.
Listener = Callable[[int, bytes], None]


class Voice:
    """Who prints: its lines go to the log, unless their level hides them, and to whoever listens to it.

    Where neither is the case `write` and `write_now` are the log's own: most functions pay nothing for those that are.
    """

    def __init__(self, stream: LogStream, shows: Shows | None = None) -> None:
        self._stream = stream
        self._shows = shows
        self._listener: Listener | None = None
        #: Of the line that is written next, as its frame says; 0 where it says nothing.
        self.level = 0
        self.write: Listener = stream.write
        self.write_now: Callable[[bytes], None] = stream.write_now
        self._route()

    def listen(self, listener: Listener | None) -> None:
        """Tell `listener` every line from here on, whatever its level; None: nobody."""
        self._listener = listener
        self._route()

    def _route(self) -> None:
        if self._shows is None and self._listener is None:
            self.write, self.write_now = self._stream.write, self._stream.write_now
        else:
            self.write, self.write_now = self._tell, self._tell_now

    def _tell(self, timestamp_ms: int, message: bytes) -> None:
        if self._listener is not None:
            self._listener(timestamp_ms, message)
        if self._shows is None or self._shows(self.level, message):
            self._stream.write(timestamp_ms, message)

    def _tell_now(self, message: bytes) -> None:
        self._tell(self._stream.now_ms(), message)


class Share:
    """How much may be printed: weight per second, saved up to a burst. Below zero it is in debt."""

    def __init__(self, clock: Clock, per_s: float, burst: float) -> None:
        self._clock = clock
        self._per_s = per_s
        self._burst = burst
        self._left = burst
        self._at = clock.monotonic()

    def spend(self, weight: float) -> None:
        self._left -= weight

    def left(self) -> float:
        now = self._clock.monotonic()
        self._left = min(self._burst, self._left + (now - self._at) * self._per_s)
        self._at = now
        return self._left

    def wait_s(self) -> float:
        """Seconds until it is out of debt, 0 if it is now."""
        return max(0.0, -self.left() / self._per_s)


def environment_share(clock: Clock) -> Share:
    return Share(clock, 10 * _MIB, 4 * _MIB)


def node_share(clock: Clock) -> Share:
    """Of all environments together: however many print, the event loop has most of its time for invocations."""
    return Share(clock, 40 * _MIB, 8 * _MIB)


class RawLines:
    """Bytes of stdout and stderr as events: one a line, its newline kept, invalid UTF-8 as it is."""

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self._partial = b""

    def feed(self, data: bytes) -> int:
        """Returns the number of events written."""
        lines = (self._partial + data).split(b"\n") if self._partial else data.split(b"\n")
        rest = lines.pop()
        write, events = self._voice.write_now, len(lines)
        for line in lines:
            if len(line) < MAX_EVENT:
                write(line + b"\n")
            else:
                events += self._write_long(line + b"\n")
        while len(rest) > MAX_EVENT:
            write(rest[:MAX_EVENT])
            rest = rest[MAX_EVENT:]
            events += 1
        self._partial = rest
        return events

    def flush(self) -> None:
        """The invocation ended: what stands without a newline is a line of its own."""
        if self._partial:
            self._voice.write_now(self._partial)
            self._partial = b""

    def _write_long(self, line: bytes) -> int:
        pieces = range(0, len(line), MAX_EVENT)
        for start in pieces:
            self._voice.write_now(line[start : start + MAX_EVENT])
        return len(pieces)


class TelemetryFrames:
    """AWS's framed log: type, length, microseconds, message. What is no frame is taken as raw lines from there on."""

    def __init__(self, voice: Voice, clock: Clock) -> None:
        self._voice = voice
        self._clock = clock
        self._buffer = b""
        #: Bytes of the current message still to come, and its time.
        self._missing = 0
        self._timestamp = 0
        self._raw: RawLines | None = None

    def feed(self, data: bytes) -> int:
        """Returns the number of events written."""
        if self._raw is not None:
            return self._raw.feed(data)
        if self._buffer:
            data = self._buffer + data
        now_ms = int(self._clock.now() * 1000)
        write = self._voice.write
        at, size, events = 0, len(data), 0
        while True:
            if not self._missing:
                if size - at < 16:
                    break
                kind, length, micros = _FRAME.unpack_from(data, at)
                if kind >> 16 != _FRAME_MAGIC:
                    self._raw, self._buffer = RawLines(self._voice), b""
                    return events + self._raw.feed(data[at:])
                at += 16
                self._voice.level = kind & LEVEL_BITS
                self._missing, self._timestamp = length, _believable(micros // 1000, now_ms)
                if not length:
                    continue
            piece = min(self._missing, MAX_EVENT)
            if size - at < piece:
                break
            write(self._timestamp, data[at : at + piece])
            events += 1
            at += piece
            self._missing -= piece
        self._buffer = data[at:]
        return events

    def flush(self) -> None:
        """A frame cut short stays for its rest; raw lines do not."""
        if self._raw is not None:
            self._raw.flush()


def _believable(timestamp_ms: int, now_ms: int) -> int:
    """The function's own time, unless it is off by more than a day or lies ahead."""
    return timestamp_ms if now_ms - _DAY_MS < timestamp_ms <= now_ms else now_ms


class OutputReader:
    """Reads the pipes of one runtime process and its extensions into their log stream, within the shares of
    environment and node."""

    def __init__(
        self,
        loop: AbstractEventLoop,
        timers: Timers,
        clock: Clock,
        stream: LogStream,
        node_share: Share,
        shows: Shows | None = None,
    ) -> None:
        """`shows`: which of the function's lines the log shows; None: all."""
        self._loop = loop
        self._timers = timers
        self._clock = clock
        self._stream = stream
        stream.notify_drained(self._resume)
        self._resume_timer = Timer(self._resume)
        self._share = environment_share(clock)
        self._node_share = node_share
        #: By what it prints to: frames, its standard streams; those of its extensions.
        self._framed, self._raw = Voice(stream, shows), Voice(stream, shows)
        self._extensions = Voice(stream)
        # Per runtime process
        self._sources: dict[int, RawLines | TelemetryFrames] = {}
        self._poll = select.poll()
        #: What a line costs, in times of what it costs where nobody but the log hears it; None: just that.
        self._cost_of: Callable[[], int] | None = None
        #: Whether anything was read since the last flush.
        self._unflushed = False
        #: Invariant: the event loop watches the sources iff this is True.
        self._reading = False

    def listen(
        self, function: Listener | None, extension: Listener | None, cost: Callable[[], int] | None = None
    ) -> None:
        """Tell each line to one of these too, by who printed it.

        `cost`: of that and of the log, in times of what the log alone takes; so much less is read.
        """
        self._framed.listen(function)
        self._raw.listen(function)
        self._extensions.listen(extension)
        self._cost_of = cost

    def attach(self, log_fd: int, output_fd: int) -> None:
        """Read a new runtime process; -1 where it has no such pipe."""
        self.detach()
        self._poll = select.poll()
        if log_fd >= 0:
            self._sources[log_fd] = TelemetryFrames(self._framed, self._clock)
        if output_fd >= 0:
            self._sources[output_fd] = RawLines(self._raw)
        for fd in self._sources:
            self._poll.register(fd, select.POLLIN)
        self._resume()

    def attach_extension(self, output_fd: int) -> None:
        """Read what an extension of the attached process prints as well, until `detach` or its end."""
        self._sources[output_fd] = RawLines(self._extensions)
        self._poll.register(output_fd, select.POLLIN)
        if self._reading:
            self._loop.add_reader(output_fd, self._on_readable, output_fd)
        else:
            self._resume()

    def detach(self) -> None:
        """Stop reading; the descriptors may be closed after this."""
        self._pause()
        for source in self._sources.values():
            source.flush()
        self._sources.clear()

    def close(self) -> None:
        self.detach()
        self._timers.forget(self._resume_timer)

    def drain(self) -> None:
        """Read what the function wrote before it answered, without waiting for more."""
        ready = self._poll.poll(0)
        if not ready:
            return
        chunks = 0
        most = _DRAIN_CHUNKS * self._cost()
        while ready and chunks < most and not self._stream.congested and self._share.left() > -_MAX_DEBT:
            for fd, _ in ready:
                self._read(fd)
                chunks += 1
            ready = self._poll.poll(0)

    def flush(self) -> None:
        """The invocation is over: lines without an end are written as they are."""
        if self._unflushed:
            self._unflushed = False
            for source in self._sources.values():
                source.flush()

    def _on_readable(self, fd: int) -> None:
        """Called by the event loop."""
        self._read(fd)
        if self._reading and (self._stream.congested or self._wait_s()):
            self._pause()
            self._resume()

    def _wait_s(self) -> float:
        return max(self._share.wait_s(), self._node_share.wait_s())

    def _cost(self) -> int:
        return 1 if self._cost_of is None else self._cost_of()

    def _read(self, fd: int) -> None:
        cost = self._cost()
        try:
            data = os.read(fd, max(_LEAST_CHUNK, _CHUNK // cost))
        except BlockingIOError:
            return
        except OSError as error:
            log.warning("Reading a function's output failed: %s", error)
            data = b""
        source = self._sources.get(fd)
        if not data or source is None:
            self._drop(fd)
            return
        events = source.feed(data)
        self._unflushed = True
        weight = (len(data) + _EVENT_WEIGHT * events) * cost
        self._share.spend(weight)
        self._node_share.spend(weight)

    def _drop(self, fd: int) -> None:
        """Its writers are gone."""
        if self._reading:
            self._loop.remove_reader(fd)
        source = self._sources.pop(fd, None)
        if source is not None:
            source.flush()
            self._poll.unregister(fd)

    def _pause(self) -> None:
        if self._reading:
            self._reading = False
            for fd in self._sources:
                self._loop.remove_reader(fd)

    def _resume(self) -> None:
        """Read on, now or when the debt is paid; a congested store says itself when."""
        if self._stream.congested or self._reading or not self._sources:
            return
        if wait_s := self._wait_s():
            shortest, longest = _PAUSE_S
            self._timers.set(self._resume_timer, self._clock.monotonic() + min(max(wait_s, shortest), longest))
        else:
            self._reading = True
            for fd in self._sources:
                self._loop.add_reader(fd, self._on_readable, fd)
