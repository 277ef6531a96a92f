"""Below a wrapper the runtime may speak frames or the Runtime API: whichever is ready first, the other is closed."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Coroutine
from typing import Any

import pytest

from lambent.invoke.channel import Header
from lambent.invoke.http import SandboxApi
from lambent.invoke.wrapped import WrappedRuntime

HEADER: Header = ("request", "0", "arn", "", "", "", "")
NEXT = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n"


class Events:
    """Notes what it is told, by name."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.news = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        def note(*given: Any) -> None:
            self.told.append(name)
            self.news.set()

        return note

    async def wait(self) -> None:
        async with asyncio.timeout(5):
            await self.news.wait()
        self.news.clear()


class World:
    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.tasks: set[asyncio.Task[None]] = set()
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self.events = Events()
        self.api = SandboxApi(loop, listener, self.spawn, lambda error: None)
        self.api.listen()
        self.link = WrappedRuntime(loop, self.api, self.events)
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def ask(self, request: bytes = NEXT) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        return reader, writer

    def say(self, kind: bytes, body: bytes = b"") -> None:
        self.theirs.sendall(struct.pack(">I", 1 + len(body)) + kind + body)

    def close(self) -> None:
        self.link.close()
        self.api.close()
        self.ours.close()
        self.theirs.close()


async def answered(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(5):
        return (await reader.readuntil(b"\r\n\r\n")).lower()


@pytest.mark.parametrize("is_early", [True, False], ids=["before the process is told of", "after"])
def test_who_calls_the_runtime_api_is_the_runtime(is_early: bool) -> None:
    async def scenario() -> list[str]:
        world = World()
        if not is_early:
            world.link.attach(world.ours)
        reader, writer = await world.ask()
        await world.events.wait()
        if is_early:
            world.link.attach(world.ours)
        # The program that the wrapper started knows nothing of the channel.
        world.theirs.shutdown(socket.SHUT_RDWR)
        world.link.invoke(HEADER, b"{}")
        assert b"lambda-runtime-aws-request-id: request" in await answered(reader)
        writer.close()
        world.close()
        return world.events.told

    assert asyncio.run(scenario()) == ["runtime_ready"]


def test_who_speaks_frames_closes_the_runtime_api() -> None:
    async def scenario() -> list[str]:
        world = World()
        world.link.attach(world.ours)
        world.link.init(b'{"an": "init"}')
        assert world.theirs.recv(65536).endswith(b'{"an": "init"}')
        world.say(b"R")
        await world.events.wait()
        reader, writer = await world.ask()
        assert (await answered(reader)).startswith(b"http/1.1 404")
        writer.close()
        world.link.invoke(HEADER, b"{}")
        assert world.theirs.recv(65536).endswith(b"{}")
        world.say(b"S", b"1")
        await world.events.wait()
        world.theirs.close()
        await world.events.wait()
        world.close()
        return world.events.told

    assert asyncio.run(scenario()) == ["runtime_ready", "runtime_responded", "runtime_lost"]
