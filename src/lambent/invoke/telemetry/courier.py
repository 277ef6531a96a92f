"""Brings one delivery after another to a subscriber, by HTTP or TCP, until each has arrived.

A delivery that fails is tried again, ever more rarely: an extension may start to listen late, or restart. None is given
up before the environment is; what comes meanwhile waits in the outbox, or is dropped there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import httptools

from lambent.invoke.logs import Share
from lambent.invoke.telemetry.subscriptions import Destination
from lambent.invoke.telemetry.wire import Lines, Wire
from lambent.invoke.timers import Timer

#: For a connection, and for the answer to a request.
_CONNECT_S = 2.0
_ANSWER_S = 10.0
#: The first and the longest pause between attempts.
_PAUSE_S = (0.02, 2.0)
#: Of an answer; nobody reads it.
_MAX_ANSWER = 64 * 1024


class Courier(ABC):
    """Implements wire.WireEvents. It has one delivery under way at a time."""

    def __init__(
        self, lines: Lines, destination: Destination, paces: Sequence[Share], on_delivered: Callable[[], None]
    ) -> None:
        """`paces`: how often connections may be made."""
        self._paces = paces
        self._timers = lines.timers
        self._clock = lines.clock
        self._wire = Wire(lines, destination, self)
        self._on_delivered = on_delivered
        #: Ends a wait for the other side, or the pause between two attempts.
        self._timer = Timer(self._on_timer)
        self._left_s: float | None = None
        self._pauses = 0
        #: A pause is under way, not an attempt.
        self._is_pausing = False
        self.is_busy = False
        #: The delivery under way.
        self._events: Sequence[bytes] = ()

    def deliver(self, events: Sequence[bytes]) -> None:
        """`on_delivered` follows."""
        self.is_busy = True
        self._events = events
        self._pauses = 0
        self._attempt()

    def freeze(self) -> None:
        """The other side stands still, so its time does."""
        if self._left_s is None and self._timer.at < float("inf"):
            self._left_s = max(0.0, self._timer.at - self._clock.monotonic())
            self._timers.clear(self._timer)

    def thaw(self) -> None:
        if self._left_s is not None:
            left_s, self._left_s = self._left_s, None
            self._wait(left_s)

    def close(self) -> Sequence[bytes]:
        """Returns the events of a delivery that has not arrived."""
        self._wire.close()
        self._timers.forget(self._timer)
        return self._events

    # ---- attempts ----

    def _attempt(self) -> None:
        if self._wire.is_open:
            self._transmit()
        elif wait_s := max(pace.wait_s() for pace in self._paces):
            self._is_pausing = True
            self._wait(wait_s)
        else:
            for pace in self._paces:
                pace.spend(1)
            self._wait(_CONNECT_S)
            self._wire.open()

    def _fail(self) -> None:
        """Try again later."""
        shortest, longest = _PAUSE_S
        self._is_pausing = True
        self._wait(min(shortest * 2**self._pauses, longest))
        self._pauses = min(self._pauses + 1, 16)

    def _arrived(self) -> None:
        self.is_busy = False
        self._events = ()
        self._timers.clear(self._timer)
        self._on_delivered()

    def _wait(self, seconds: float) -> None:
        self._timers.set(self._timer, self._clock.monotonic() + seconds)

    def _on_timer(self) -> None:
        if self._is_pausing:
            self._is_pausing = False
            self._attempt()
        else:
            self._wire.close()
            self._on_impatient()

    def _on_impatient(self) -> None:
        """The other side took too long."""
        self._fail()

    @abstractmethod
    def _transmit(self) -> None:
        """Send `_events` on the open wire."""

    # ---- wire.WireEvents ----

    def wire_opened(self) -> None:
        if self.is_busy:
            self._transmit()

    @abstractmethod
    def wire_sent(self) -> None: ...

    @abstractmethod
    def wire_received(self, data: bytes) -> None: ...

    def wire_lost(self, reason: str) -> None:
        # Between two deliveries it may end its connection as it likes; the next one opens another.
        if self.is_busy:
            self._fail()


class TcpCourier(Courier):
    """Events a line each. There is no answer: what the kernel took has arrived."""

    _received = 0

    def _transmit(self) -> None:
        # For as long as it likes: a slow reader loses events, not its connection.
        self._timers.clear(self._timer)
        self._wire.send(b"\n".join([*self._events, b""]))

    def wire_sent(self) -> None:
        self._arrived()

    def wire_received(self, data: bytes) -> None:
        self._received += len(data)
        if self._received > _MAX_ANSWER:
            self._received = 0
            self._wire.close()
            self.wire_lost("it sends what nobody asked for")

    def wire_lost(self, reason: str) -> None:
        # An event of which a part was sent goes out again, whole.
        sent, whole = self._wire.sent, 0
        for event in self._events:
            sent -= len(event) + 1
            if sent < 0:
                break
            whole += 1
        self._events = self._events[whole:]
        super().wire_lost(reason)


class HttpCourier(Courier):
    """Events as an array, in a request each of which is answered before the next."""

    def __init__(
        self, lines: Lines, destination: Destination, paces: Sequence[Share], on_delivered: Callable[[], None]
    ) -> None:
        super().__init__(lines, destination, paces, on_delivered)
        self._head = (
            f"{destination.method} {destination.path} HTTP/1.1\r\nHost: {destination.host}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        ).encode()
        self._parser: httptools.HttpResponseParser | None = None
        #: Of the answer under way; 0 until it is known.
        self._status = 0
        self._received = 0
        self._is_whole = self._keeps_alive = False

    def _transmit(self) -> None:
        body = b",".join(self._events)
        self._parser = httptools.HttpResponseParser(self)
        self._status = self._received = 0
        self._is_whole = False
        self._wait(_ANSWER_S)
        self._wire.send(b"%b%d\r\n\r\n[%b]" % (self._head, len(body) + 2, body))

    def wire_sent(self) -> None:
        """Its answer comes, or the time for it ends."""

    def wire_received(self, data: bytes) -> None:
        parser = self._parser
        if parser is None:
            # Nobody asked: this is no conversation.
            self._wire.close()
            return
        self._received += len(data)
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._end(keep=False)
            return
        if self._is_whole:
            self._end(keep=self._keeps_alive)
        elif self._received > _MAX_ANSWER:
            self._end(keep=False)

    def wire_lost(self, reason: str) -> None:
        if self.is_busy and self._status:
            self._end(keep=False)  # HTTP/1.0 tells the end of an answer so
        else:
            self._parser = None
            super().wire_lost(reason)

    def _on_impatient(self) -> None:
        self._end(keep=False)

    def _end(self, *, keep: bool) -> None:
        """The answer is here, or as much of it as there will be."""
        self._parser = None
        if not keep:
            self._wire.close()
        if 200 <= self._status < 300:
            self._arrived()
        else:
            self._fail()

    # ---- httptools ----

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        status = self._parser.get_status_code()
        self._status = 0 if status < 200 else status

    def on_message_complete(self) -> None:
        assert self._parser is not None
        # What came before it was an interim answer (100).
        self._is_whole = self._status != 0
        self._keeps_alive = self._parser.should_keep_alive()
