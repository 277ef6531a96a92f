"""The frames of a runtime that writes thousands of the smallest: all in order, and others in between."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine
from typing import Any

from lambent.invoke.channel import FrameChannel, RuntimeEvents

COUNT = 2_000


class Heard:
    """The pieces of a stream; nothing else is to be told."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.lost = False
        self.on_piece: Callable[[], None] = lambda: None

    def runtime_stream_piece(self, piece: bytes) -> None:
        self.pieces.append(piece)
        self.on_piece()

    def runtime_lost(self, reason: str) -> None:
        self.lost = True

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


def frames(count: int = COUNT) -> bytes:
    return b"".join(struct.pack(">IBH", 3, ord("P"), number) for number in range(count))


def heard_in_order(heard: Heard) -> int:
    assert heard.pieces == [struct.pack(">H", number) for number in range(len(heard.pieces))]
    return len(heard.pieces)


def talk(scenario: Callable[[FrameChannel, Heard, socket.socket], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            heard = Heard()
            events: RuntimeEvents = heard
            channel = FrameChannel(asyncio.get_running_loop(), ours, events)
            await scenario(channel, heard, theirs)
            channel.close()
            await asyncio.sleep(0.03)

    asyncio.run(main())


async def until(condition: Callable[[], bool]) -> None:
    deadline = asyncio.get_running_loop().time() + 5
    while not condition():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0)


def test_thousands_of_frames_come_in_order_with_rests_between() -> None:
    async def scenario(channel: FrameChannel, heard: Heard, runtime: socket.socket) -> None:
        runtime.sendall(frames())
        began, sizes = asyncio.get_running_loop().time(), [0]
        while sizes[-1] < COUNT:
            await asyncio.sleep(0)
            if heard_in_order(heard) != sizes[-1]:
                sizes.append(len(heard.pieces))
        assert sizes == [0, 500, 1000, 1500, 2000]
        assert asyncio.get_running_loop().time() - began > 0.05

    talk(scenario)


def test_a_pause_holds_for_what_was_received_already() -> None:
    async def scenario(channel: FrameChannel, heard: Heard, runtime: socket.socket) -> None:
        heard.on_piece = channel.pause
        runtime.sendall(frames())
        for expected in (500, 1000, 1500, 2000):
            await until(lambda expected=expected: heard_in_order(heard) == expected)  # type: ignore[misc]
            await asyncio.sleep(0.04)
            assert len(heard.pieces) == expected
            channel.resume()

    talk(scenario)


def test_what_a_dead_process_left_is_heard_at_once_and_not_without_end() -> None:
    async def scenario(channel: FrameChannel, heard: Heard, runtime: socket.socket) -> None:
        runtime.sendall(frames())
        await until(lambda: bool(heard.pieces))
        runtime.shutdown(socket.SHUT_RDWR)
        channel.drain()
        assert heard_in_order(heard) == COUNT
        assert heard.lost

    talk(scenario)


def test_a_channel_that_is_closed_at_rest_says_no_more() -> None:
    async def scenario(channel: FrameChannel, heard: Heard, runtime: socket.socket) -> None:
        runtime.sendall(frames())
        await until(lambda: bool(heard.pieces))
        channel.close()
        await asyncio.sleep(0.05)
        assert heard_in_order(heard) == 500

    talk(scenario)
