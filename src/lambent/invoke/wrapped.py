"""A managed runtime below a wrapper script, which may start anything in its place.

Wrappers mostly start Lambent's own bootstrap, which speaks frames. Some start a program of the customer's and leave the
Runtime API to an extension, as AWS's Lambda Web Adapter does: so both ways are open until the first who is ready.
"""

from __future__ import annotations

import socket
from asyncio import AbstractEventLoop
from collections.abc import Callable

from lambent.invoke.channel import FrameChannel, Header, RuntimeEvents, RuntimeLink
from lambent.invoke.http import SandboxApi
from lambent.invoke.runtime_api import HttpRuntime


class WrappedRuntime:
    """Implements channel.RuntimeLink."""

    def __init__(self, loop: AbstractEventLoop, sock: socket.socket, api: SandboxApi, events: RuntimeEvents) -> None:
        #: Those that the runtime may still turn out to speak to, then the one that it does.
        self._links: list[RuntimeLink] = [
            FrameChannel(loop, sock, _Ears(events, lambda: self._choose(0), lambda: len(self._links) == 1)),
            HttpRuntime(api, _Ears(events, lambda: self._choose(1), lambda: len(self._links) == 1)),
        ]

    def __repr__(self) -> str:
        return f"<WrappedRuntime {' or '.join(type(link).__name__ for link in self._links)}>"

    def _choose(self, index: int) -> None:
        if len(self._links) == 1:
            return
        chosen, other = self._links[index], self._links[1 - index]
        self._links = [chosen]
        other.close()

    def init(self, body: bytes) -> None:
        for link in self._links:
            link.init(body)

    def invoke(self, header: Header, payload: bytes, *, streamed: bool = False) -> None:
        self._links[0].invoke(header, payload, streamed=streamed)

    def pause(self) -> None:
        self._links[0].pause()

    def resume(self) -> None:
        self._links[0].resume()

    def drain(self) -> None:
        for link in self._links:
            link.drain()

    def close(self) -> None:
        for link in self._links:
            link.close()


class _Ears:
    """Passes on what one of the two hears. Implements channel.RuntimeEvents."""

    def __init__(self, events: RuntimeEvents, choose: Callable[[], None], is_chosen: Callable[[], bool]) -> None:
        """`choose` is called when the runtime speaks this way."""
        self._events = events
        self._choose = choose
        self._is_chosen = is_chosen

    def runtime_ready(self) -> None:
        self._choose()
        self._events.runtime_ready()

    def runtime_init_failed(self, error_type: str, payload: bytes) -> None:
        self._events.runtime_init_failed(error_type, payload)

    def runtime_responded(self, payload: bytes) -> None:
        self._events.runtime_responded(payload)

    def runtime_erred(self, error_type: str, payload: bytes) -> None:
        self._events.runtime_erred(error_type, payload)

    def runtime_stream_began(self, content_type: str) -> None:
        self._events.runtime_stream_began(content_type)

    def runtime_stream_piece(self, piece: bytes) -> None:
        self._events.runtime_stream_piece(piece)

    def runtime_stream_whole(self) -> None:
        self._events.runtime_stream_whole()

    def runtime_stream_ended(self, error_type: str, payload: bytes) -> None:
        self._events.runtime_stream_ended(error_type, payload)

    def runtime_crashed(self, payload: bytes) -> None:
        self._events.runtime_crashed(payload)

    def runtime_oversized(self) -> None:
        self._events.runtime_oversized()

    def runtime_lost(self, reason: str) -> None:
        # A program that knows nothing of the channel may close it; its end is seen by its exit.
        if self._is_chosen():
            self._events.runtime_lost(reason)

    def runtime_misbehaved(self, reason: str) -> None:
        self._events.runtime_misbehaved(reason)

    def runtime_bug(self, error: Exception) -> None:
        self._events.runtime_bug(error)
