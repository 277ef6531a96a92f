"""One TCP connection to a port inside a sandbox, at a time, as bytes.

Whoever listens there is hostile: it may refuse, stall, flood or break off. Nothing here waits for it or keeps what it
sends, and the kernel's buffer is bounded; how long to be patient is the courier's business.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from lambent.clock import Clock
from lambent.invoke.telemetry.subscriptions import Destination
from lambent.invoke.timers import Timers
from lambent.sandbox.spec import SandboxError

log = logging.getLogger(__name__)

#: What the sandbox's name stands for inside, then loopback.
_SANDBOX_ADDRESS, _LOOPBACK = "169.254.100.1", "127.0.0.1"
#: Bytes that the kernel holds of what is sent, and bytes received in one turn of the event loop.
_SEND_BUFFER = 256 * 1024
_RECEIVE = 16 * 1024

#: Makes an unconnected socket that connects to what listens inside the sandbox. Raises SandboxError.
Dial = Callable[[], Awaitable[socket.socket]]


@dataclass(frozen=True, slots=True)
class Lines:
    """What every connection into one sandbox uses."""

    loop: AbstractEventLoop
    timers: Timers
    clock: Clock
    #: Runs a task that somebody waits for.
    spawn: Callable[[Coroutine[Any, Any, None], str], None]
    dial: Dial
    #: False: it shares the host's network, where loopback is all there is to reach.
    own_network: bool = True


class WireEvents(Protocol):
    """Each is called by the event loop."""

    def wire_opened(self) -> None: ...

    def wire_sent(self) -> None:
        """The kernel has all of what `send` was given."""

    def wire_received(self, data: bytes) -> None: ...

    def wire_lost(self, reason: str) -> None:
        """It is closed: refused, broken off, or ended by the other side."""


class Wire:
    def __init__(self, lines: Lines, destination: Destination, events: WireEvents) -> None:
        self._lines = lines
        self._loop = lines.loop
        self._events = events
        by_name = destination.by_name and lines.own_network
        hosts = (_SANDBOX_ADDRESS, _LOOPBACK) if by_name else (_LOOPBACK,)
        self._addresses = [(host, destination.port) for host in hosts]
        #: Counts connections, so that a socket which comes too late is known.
        self._generation = 0
        self._socket: socket.socket | None = None
        self._untried: list[tuple[str, int]] = []
        self._unsent = memoryview(b"")
        #: Bytes of what `send` was given last that the kernel took.
        self.sent = 0
        self.is_open = False

    def open(self) -> None:
        """Connect; `wire_opened` or `wire_lost` follows, unless `close` comes first."""
        self.close()
        self.sent = 0
        self._lines.spawn(self._dial(self._generation), "telemetry socket")

    def send(self, data: bytes | memoryview) -> None:
        """`wire_sent` or `wire_lost` follows, maybe at once."""
        self._unsent = memoryview(data)
        self.sent = 0
        self._push()

    def close(self) -> None:
        """Idempotent."""
        self._generation += 1
        self.is_open = False
        self._unsent = memoryview(b"")
        sock, self._socket = self._socket, None
        if sock is not None:
            self._loop.remove_reader(sock.fileno())
            self._loop.remove_writer(sock.fileno())
            sock.close()

    # ---- connecting ----

    async def _dial(self, generation: int) -> None:
        try:
            sock = await self._lines.dial()
        except (SandboxError, OSError) as error:
            if generation == self._generation:
                self._lose(str(error))
            return
        if generation != self._generation:
            sock.close()
            return
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = sock
        self._untried = list(self._addresses)
        self._connect()

    def _connect(self) -> None:
        """Try the next address: on Linux a socket that was refused can be connected elsewhere."""
        sock = self._socket
        assert sock is not None
        error = errno.ECONNREFUSED
        while self._untried:
            address = self._untried.pop(0)
            error = sock.connect_ex(address)
            if error == errno.ECONNABORTED:
                # That was about the attempt before, which failed while nobody waited in the call.
                error = sock.connect_ex(address)
            if error == errno.EINPROGRESS:
                self._loop.add_writer(sock.fileno(), self._guarded, self._on_connected)
                return
            if error == 0:
                self._opened(sock)
                return
        self._lose(os.strerror(error))

    def _on_connected(self) -> None:
        sock = self._socket
        assert sock is not None
        self._loop.remove_writer(sock.fileno())
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
            self._opened(sock)
        else:
            self._connect()

    def _opened(self, sock: socket.socket) -> None:
        self.is_open = True
        self._loop.add_reader(sock.fileno(), self._guarded, self._on_readable)
        self._events.wire_opened()

    # ---- conversation ----

    def _push(self) -> None:
        """Also when the socket takes more."""
        sock = self._socket
        assert sock is not None
        try:
            while self._unsent:
                taken = sock.send(self._unsent)
                self.sent += taken
                self._unsent = self._unsent[taken:]
        except (BlockingIOError, InterruptedError):
            self._loop.add_writer(sock.fileno(), self._guarded, self._push)
            return
        except OSError as error:
            self._lose(str(error))
            return
        self._unsent = memoryview(b"")
        self._loop.remove_writer(sock.fileno())
        self._events.wire_sent()

    def _on_readable(self) -> None:
        sock = self._socket
        assert sock is not None
        try:
            data = sock.recv(_RECEIVE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lose(str(error))
            return
        if data:
            self._events.wire_received(data)
        else:
            self._lose("it closed the connection")

    def _guarded(self, handle: Callable[[], None]) -> None:
        """Called by the event loop."""
        try:
            handle()
        except Exception:  # our own bug must end this connection, not be called again and again
            log.exception("A connection for telemetry failed")
            self.close()

    def _lose(self, reason: str) -> None:
        self.close()
        self._events.wire_lost(reason)
