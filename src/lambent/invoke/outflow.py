"""A streamed response between the runtime that writes it and who takes it: the writing side.

It holds the runtime up while its taker is full, and once the first megabytes are out, to AWS's rate. A caller that
wants the response whole gets it collected, with the limit of every whole response.
"""

from __future__ import annotations

from dataclasses import dataclass

from lambent.clock import Clock
from lambent.invoke.channel import RuntimeLink
from lambent.invoke.faults import MAX_PAYLOAD
from lambent.invoke.timers import Timer, Timers
from lambent.ports import ResponseSink

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """What AWS lets one response stream."""

    #: Of one response.
    most_bytes: int = 200 * _MIB
    #: So much passes as fast as it can; what has been used of it comes back at the rate.
    burst_bytes: int = 6 * _MIB
    bytes_per_s: int = 2 * _MIB


AWS_LIMITS = StreamLimits()


class Outflow:
    """One response. Everything runs on the event loop."""

    def __init__(
        self,
        sink: ResponseSink | None,
        content_type: str,
        link: RuntimeLink,
        clock: Clock,
        timers: Timers,
        limits: StreamLimits = AWS_LIMITS,
    ) -> None:
        """`sink` None: the response is wanted whole, as `body`."""
        self.content_type = content_type
        self._sink = sink
        self._link = link
        self._clock = clock
        self._timers = timers
        self._limits = limits
        self._is_collected = sink is None
        self.most_bytes = MAX_PAYLOAD if sink is None else limits.most_bytes
        # One buffer: a million pieces of two bytes would take thirty times their size.
        self._collected = bytearray()
        self.size = 0
        #: Monotonic; None before the first byte.
        self.first_byte_at: float | None = None
        # What may pass now, and as of when. Below zero: so much too much has passed.
        self._credit = float(limits.burst_bytes)
        self._counted_at = clock.monotonic()
        self._timer: Timer | None = None
        # Why the runtime is held up. Invariant: the link is paused iff either is set.
        self._is_full = False
        self._is_early = False
        if sink is not None:
            sink.begin(content_type)

    def __repr__(self) -> str:
        held = "held up" if self._is_full or self._is_early else "flowing"
        return f"<Outflow {self.size} bytes, {held}>"

    def take(self, piece: bytes) -> bool:
        """Pass on what the runtime wrote. False: that is more than a response may have, and it was not."""
        if not piece:
            return True
        now = self._clock.monotonic()
        if self.first_byte_at is None:
            self.first_byte_at = now
        if self.size + len(piece) > self.most_bytes:
            return False
        self.size += len(piece)
        if self._sink is not None:
            self._pass_on(self._sink, piece, now)
        else:
            self._collected += piece
        return True

    def body(self) -> bytes:
        """What was collected."""
        return bytes(self._collected)

    def finish(self) -> None:
        """Nothing more comes, and what came is all: whoever takes it need not wait for the end of the invocation."""
        if self._sink is not None:
            self._sink.finish()

    def measured(self, started_at: float) -> tuple[float | None, int]:
        """For the record: milliseconds until the first byte, and bytes streamed; nothing where it was collected."""
        if self._is_collected or self.first_byte_at is None:
            return None, 0
        return (self.first_byte_at - started_at) * 1000, self.size

    def close(self) -> None:
        """The response is over: the runtime's next one, if there is one, is not held up by it. Idempotent."""
        self._sink = None
        if self._timer is not None:
            self._timers.forget(self._timer)
        self._hold(full=False, early=False)

    def _pass_on(self, sink: ResponseSink, piece: bytes, now: float) -> None:
        limits = self._limits
        if not sink.write(piece):
            self._hold(full=True, early=self._is_early)
            sink.on_drain(self._on_drain)
        earned = (now - self._counted_at) * limits.bytes_per_s
        self._credit = min(self._credit + earned, limits.burst_bytes) - len(piece)
        self._counted_at = now
        if self._credit < 0:
            if self._timer is None:
                self._timer = Timer(self._on_time)
            self._hold(full=self._is_full, early=True)
            self._timers.set(self._timer, now - self._credit / limits.bytes_per_s)

    def _on_drain(self) -> None:
        self._hold(full=False, early=self._is_early)

    def _on_time(self) -> None:
        self._hold(full=self._is_full, early=False)

    def _hold(self, *, full: bool, early: bool) -> None:
        was, self._is_full, self._is_early = self._is_full or self._is_early, full, early
        if was and not (full or early):
            self._link.resume()
        elif not was and (full or early):
            self._link.pause()
