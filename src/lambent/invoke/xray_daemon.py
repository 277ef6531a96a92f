"""The X-Ray daemon of an environment: a socket that takes datagrams with segments, where SDKs send them.

What comes is passed on unchecked and without an answer, and never faster than a bound: function code is hostile. While
it sends more than that nobody reads, so the kernel drops what its buffer has no room for, as it would with any daemon.
"""

from __future__ import annotations

import socket
from asyncio import AbstractEventLoop

from lambent.clock import Clock
from lambent.invoke.timers import Timer, Timers
from lambent.ports import FunctionVersion, TraceSink

#: Bytes a second that one environment may send, and how many at once after a while of rest.
RATE = 1024 * 1024
BURST = 4 * 1024 * 1024
#: The largest datagram that there is.
_DATAGRAM = 65_535
#: Read in one turn of the event loop.
_TURN = 16
#: What a datagram without a segment counts for: reading it costs as much as one with.
_LEAST = 200
_HEADER = b'{"format":"json","version":1}'


class XRayDaemon:
    """Reads from `sock`, which stays whose it is."""

    def __init__(
        self,
        loop: AbstractEventLoop,
        timers: Timers,
        clock: Clock,
        sock: socket.socket,
        function: FunctionVersion,
        sink: TraceSink,
    ) -> None:
        self._loop = loop
        self._timers = timers
        self._clock = clock
        self._socket = sock
        self._function = function
        self._sink = sink
        self._allowance = float(BURST)
        self._counted_at = clock.monotonic()
        self._timer = Timer(self._resume)
        self._open = True
        loop.add_reader(sock.fileno(), self._on_readable)

    def close(self) -> None:
        """Before the socket is closed; takes what has come already. Idempotent."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._socket.fileno())
            self._timers.forget(self._timer)
            self._read()

    def _on_readable(self) -> None:
        self._read()
        now = self._clock.monotonic()
        self._allowance = min(BURST, self._allowance + (now - self._counted_at) * RATE)
        self._counted_at = now
        if self._allowance < 0:
            self._loop.remove_reader(self._socket.fileno())
            self._timers.set(self._timer, now + 0.1 - self._allowance / RATE)

    def _resume(self) -> None:
        if self._open:
            self._loop.add_reader(self._socket.fileno(), self._on_readable)

    def _read(self) -> None:
        for _ in range(_TURN):
            try:
                datagram = self._socket.recv(_DATAGRAM)
            except OSError:  # no more, or nobody is there any more
                return
            self._allowance -= max(_LEAST, len(datagram))
            header, _, document = datagram.partition(b"\n")
            # SDKs differ in the spaces.
            if document and len(header) < 100 and header.replace(b" ", b"").strip() == _HEADER:
                self._sink.put(self._function, document.strip())
