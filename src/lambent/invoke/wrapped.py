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
    """Implements channel.RuntimeLink. Its Runtime API answers from now on, the channel once it is attached."""

    def __init__(self, loop: AbstractEventLoop, api: SandboxApi, events: RuntimeEvents) -> None:
        self._loop = loop
        self._events = events
        #: The one that the runtime has turned out to speak to.
        self._chosen: RuntimeLink | None = None
        self._http = HttpRuntime(api, _Ears(events, lambda: self._choose(self._http), lambda: True))
        #: All that are open. Invariant: `_chosen` alone, once there is one.
        self._links: list[RuntimeLink] = [self._http]
        self._http.init(b"")

    def __repr__(self) -> str:
        return f"<WrappedRuntime {' or '.join(type(link).__name__ for link in self._links)}>"

    def attach(self, sock: socket.socket) -> None:
        """The process is there, with the other end of `sock`; it may have called the Runtime API already."""
        if self._chosen is None:
            ears = _Ears(self._events, lambda: self._choose(frames), lambda: self._chosen is frames)
            frames = FrameChannel(self._loop, sock, ears)
            self._links.append(frames)

    def _choose(self, chosen: RuntimeLink) -> None:
        self._chosen = chosen
        for link in self._links:
            if link is not chosen:
                link.close()
        self._links = [chosen]

    def init(self, body: bytes) -> None:
        for link in self._links:
            if link is not self._http:
                link.init(body)

    def invoke(self, header: Header, payload: bytes, *, streamed: bool = False) -> None:
        assert self._chosen is not None
        self._chosen.invoke(header, payload, streamed=streamed)

    def pause(self) -> None:
        assert self._chosen is not None
        self._chosen.pause()

    def resume(self) -> None:
        assert self._chosen is not None
        self._chosen.resume()

    def drain(self) -> None:
        for link in self._links:
            link.drain()

    def overhead_s(self) -> float:
        return 0.0 if self._chosen is None else self._chosen.overhead_s()

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
