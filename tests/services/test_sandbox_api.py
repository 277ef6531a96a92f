"""The server that sandboxes talk to, over real sockets: several APIs on one listener, and everything bounded."""

from __future__ import annotations

import asyncio
import socket
import tracemalloc
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from lambent.invoke.http import Answer, Connection, Message, Receiver, SandboxApi, Service, answer

MIB = 1024 * 1024


class Echo(Service):
    """Answers with what it was asked; pieces of bodies below `/…/stream` are kept apart."""

    max_body = 6 * MIB

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.pieces: list[bytes] = []
        self.lost: list[Message | None] = []
        self.waiting: list[Connection] = []

    def begin(self, connection: Connection, message: Message) -> Receiver | None:
        return self.pieces.append if message.path.endswith(b"/stream") else None

    def handle(self, connection: Connection, message: Message) -> Answer | None:
        if message.path.endswith(b"/wait"):
            self.waiting.append(connection)
            return None
        body = b"%s %s %d" % (self.name, b"oversized" if message.oversized else b"whole", message.size)
        return answer(200, body, b"text/plain")

    def connection_lost(self, connection: Connection, unfinished: Message | None) -> None:
        self.lost.append(unfinished)


@dataclass
class World:
    api: SandboxApi
    port: int
    bugs: list[Exception] = field(default_factory=list)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(self, request: bytes) -> bytes:
        """Everything that comes until the server closes; `request` asks it to."""
        reader, writer = await self.connect()
        writer.write(request)
        try:
            return await asyncio.wait_for(reader.read(), 10)
        except ConnectionResetError:
            # Closed with more on its way.
            return b"HTTP/1.1 400"
        finally:
            writer.close()

    async def get(self, path: bytes) -> tuple[bytes, bytes]:
        head, _, body = (await self.ask(b"GET %s HTTP/1.1\r\nConnection: close\r\n\r\n" % path)).partition(b"\r\n\r\n")
        return head.split()[1], body


def serve(scenario: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        tasks: list[asyncio.Task[None]] = []
        bugs: list[Exception] = []
        with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
            api = SandboxApi(
                asyncio.get_running_loop(),
                listener,
                lambda work, name: tasks.append(asyncio.ensure_future(work)),
                bugs.append,
            )
            try:
                await scenario(World(api, listener.getsockname()[1], bugs))
                assert bugs == []
            finally:
                api.close()
                await asyncio.gather(*tasks)

    asyncio.run(main())


async def turns(count: int) -> None:
    """Let the event loop do what there is to do, so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    deadline = asyncio.get_running_loop().time() + 5
    while not condition():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.001)


def test_each_api_answers_below_its_path_and_the_longest_path_counts() -> None:
    async def scenario(world: World) -> None:
        world.api.mount(b"/2018-06-01", Echo(b"runtime"))
        world.api.mount(b"/2018-06-01/runtime/restore", Echo(b"restore"))
        extensions = Echo(b"extensions")
        world.api.mount(b"/2020-01-01/extension", extensions)
        world.api.listen()
        assert await world.get(b"/2018-06-01/runtime/invocation/next?x=1") == (b"200", b"runtime whole 0")
        assert await world.get(b"/2018-06-01/runtime/restore/next") == (b"200", b"restore whole 0")
        assert await world.get(b"/2020-01-01/extension/register") == (b"200", b"extensions whole 0")
        assert (await world.get(b"/elsewhere"))[0] == b"404"
        world.api.unmount(extensions)
        assert (await world.get(b"/2020-01-01/extension/register"))[0] == b"404"

    serve(scenario)


def test_who_connects_before_anybody_listens_waits() -> None:
    async def scenario(world: World) -> None:
        asking = asyncio.ensure_future(world.get(b"/a"))
        await turns(50)
        assert not asking.done()
        world.api.mount(b"/a", Echo(b"a"))
        world.api.listen()
        assert await asking == (b"200", b"a whole 0")

    serve(scenario)


def test_what_the_dead_had_asked_is_asked_of_nobody() -> None:
    async def scenario(world: World) -> None:
        service = Echo(b"a")
        world.api.mount(b"/a", service)
        world.api.listen()
        reader, writer = await world.connect()
        writer.write(b"GET /a/wait HTTP/1.1\r\n\r\n")
        await until(lambda: len(service.waiting) == 1)
        # Two more that nobody has accepted yet when the sandbox's processes are ended.
        others = [socket.create_connection(("127.0.0.1", world.port)) for _ in range(2)]
        for other in others:
            other.sendall(b"GET /a/wait HTTP/1.1\r\n\r\n")
        world.api.suspend()
        assert await reader.read() == b""
        writer.close()
        world.api.listen()
        assert await world.get(b"/a") == (b"200", b"a whole 0")
        assert (len(service.waiting), service.lost) == (1, [None])
        for other in others:
            other.close()

    serve(scenario)


def test_a_service_that_goes_takes_its_connections_along_and_no_others() -> None:
    async def scenario(world: World) -> None:
        runtime, extension = Echo(b"runtime"), Echo(b"extension")
        world.api.mount(b"/runtime", runtime)
        world.api.mount(b"/extension", extension)
        world.api.listen()
        first, second = await world.connect(), await world.connect()
        first[1].write(b"GET /runtime/wait HTTP/1.1\r\n\r\n")
        second[1].write(b"GET /extension/wait HTTP/1.1\r\n\r\n")
        await until(lambda: bool(runtime.waiting and extension.waiting))
        world.api.unmount(runtime)
        assert await first[0].read() == b""
        extension.waiting[0].send(answer(200, b"shutdown", b"text/plain"))
        assert (await second[0].readuntil(b"shutdown")).startswith(b"HTTP/1.1 200")
        for _, writer in (first, second):
            writer.close()

    serve(scenario)


def test_a_body_can_be_taken_as_it_comes_and_be_as_long_as_it_likes() -> None:
    async def scenario(world: World) -> None:
        service = Echo(b"a")
        world.api.mount(b"/a", service)
        world.api.listen()
        reader, writer = await world.connect()
        writer.write(b"POST /a/stream HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await until(lambda: service.pieces == [b"one"])
        piece = bytes(MIB)
        for _ in range(20):
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        assert (await reader.readuntil(b"whole 20971523")).startswith(b"HTTP/1.1 200")
        assert sum(map(len, service.pieces)) == 20 * MIB + 3
        writer.close()

    serve(scenario)


def test_a_paused_connection_is_read_no_further() -> None:
    async def scenario(world: World) -> None:
        connections: list[Connection] = []

        class Pausing(Echo):
            def begin(self, connection: Connection, message: Message) -> Receiver | None:
                connections.append(connection)
                return super().begin(connection, message)

        service = Pausing(b"a")
        world.api.mount(b"/a", service)
        world.api.listen()
        _, writer = await world.connect()
        writer.write(b"POST /a/stream HTTP/1.1\r\nContent-Length: 20971520\r\n\r\n")
        await until(lambda: bool(connections))
        connections[0].pause()
        writer.write(bytes(20 * MIB))
        await turns(500)
        assert service.pieces == []
        connections[0].resume()
        await until(lambda: sum(map(len, service.pieces)) == 20 * MIB)
        writer.close()

    serve(scenario)


def test_no_more_than_64_connections_are_kept() -> None:
    async def scenario(world: World) -> None:
        world.api.mount(b"/a", Echo(b"a"))
        world.api.listen()
        clients = [await world.connect() for _ in range(70)]
        ends = [asyncio.ensure_future(reader.read()) for reader, _ in clients]
        await until(lambda: sum(end.done() for end in ends) == 6)
        assert repr(world.api) == "<SandboxApi 64 connections>"
        for _, writer in clients:
            writer.close()
        await asyncio.gather(*ends)
        await until(lambda: repr(world.api) == "<SandboxApi 0 connections>")
        assert await world.get(b"/a") == (b"200", b"a whole 0")

    serve(scenario)


def test_unfinished_bodies_of_one_sandbox_hold_no_more_than_16_megabytes() -> None:
    async def scenario(world: World) -> None:
        world.api.mount(b"/a", Echo(b"a"))
        world.api.listen()
        clients = [await world.connect() for _ in range(4)]
        for _, writer in clients:
            writer.write(b"POST /a HTTP/1.1\r\nContent-Length: 6000000\r\n\r\n" + bytes(5_900_000))
        answers = [asyncio.ensure_future(reader.read()) for reader, _ in clients]
        done, waiting = await asyncio.wait(answers, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        assert (len(done), len(waiting)) == (1, 3)
        # What was held is free again once its sender is gone.
        for _, writer in clients:
            writer.close()
        await asyncio.gather(*answers, return_exceptions=True)
        body = b"POST /a HTTP/1.1\r\nConnection: close\r\nContent-Length: 6000000\r\n\r\n" + bytes(6_000_000)
        assert (await world.ask(body)).endswith(b"a whole 6000000")

    serve(scenario)


@pytest.mark.slow
@pytest.mark.parametrize("path", [b"/a", b"/a/stream"])
def test_a_body_in_the_smallest_of_pieces_leaves_the_event_loop_to_others(path: bytes) -> None:
    async def scenario(world: World) -> None:
        world.api.mount(b"/a", Echo(b"a"))
        world.api.listen()
        reader, writer = await world.connect()
        began = asyncio.get_running_loop().time()
        writer.write(b"POST %s HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" % path)
        writer.write(b"1\r\nx\r\n" * 25_000 + b"0\r\n\r\n")
        await reader.readuntil(b"whole 25000")
        # Longer than a region that reads as fast as it can, which does nothing else meanwhile.
        assert 0.6 < asyncio.get_running_loop().time() - began < 5
        writer.close()

    serve(scenario)


@pytest.mark.slow
def test_who_is_refused_over_and_over_is_read_more_slowly() -> None:
    async def scenario(world: World) -> None:
        world.api.listen()
        reader, writer = await world.connect()
        began = asyncio.get_running_loop().time()
        for _ in range(300):
            writer.write(b"GET /nothing HTTP/1.1\r\n\r\n")
            await reader.readuntil(b"}")
        assert asyncio.get_running_loop().time() - began > 0.3
        writer.close()

    serve(scenario)


def test_a_body_in_a_million_pieces_takes_no_more_than_its_size() -> None:
    async def scenario(world: World) -> None:
        bodies: list[bytes] = []

        class Keeping(Echo):
            def handle(self, connection: Connection, message: Message) -> Answer | None:
                bodies.append(message.body())
                return super().handle(connection, message)

        world.api.mount(b"/a", Keeping(b"a"))
        world.api.listen()
        tracemalloc.start()
        try:
            reader, writer = await world.connect()
            writer.write(b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(10):
                writer.write(b"2\r\nxy\r\n" * 2_000)
                await writer.drain()
            writer.write(b"0\r\n\r\n")
            await reader.readuntil(b"whole 40000")
            writer.close()
            assert tracemalloc.get_traced_memory()[1] < MIB
        finally:
            tracemalloc.stop()
        assert bodies == [b"xy" * 20_000]

    serve(scenario)


def test_who_asks_on_without_reading_is_cut_off() -> None:
    async def scenario(world: World) -> None:
        asked = 0

        class Large(Echo):
            def handle(self, connection: Connection, message: Message) -> Answer | None:
                nonlocal asked
                asked += 1
                return answer(200, bytes(6 * MIB), b"text/plain")

        world.api.mount(b"/a", Large(b"a"))
        world.api.listen()
        reply = await world.ask(b"GET /a HTTP/1.1\r\n\r\n" * 1000)
        assert asked == 1
        assert len(reply) < 7 * MIB

    serve(scenario)


def test_thousands_of_short_headers_are_refused_before_they_take_many_times_their_size() -> None:
    async def scenario(world: World) -> None:
        world.api.mount(b"/a", Echo(b"a"))
        world.api.listen()
        many = b"".join(b"%x:\r\n" % number for number in range(7000))
        assert len(many) < 64 * 1024
        for request in (
            b"GET /a HTTP/1.1\r\n" + many,
            b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + many,
        ):
            assert (await world.ask(request)).split()[1] == b"431"
        few = b"".join(b"%x: x\r\n" % number for number in range(200))
        assert (await world.ask(b"GET /a HTTP/1.1\r\nConnection: close\r\n" + few + b"\r\n")).endswith(b"a whole 0")

    serve(scenario)


def test_a_body_over_the_limit_of_its_api_is_thrown_away() -> None:
    async def scenario(world: World) -> None:
        world.api.mount(b"/a", Echo(b"a"))
        world.api.listen()
        request = b"POST /a HTTP/1.1\r\nConnection: close\r\nContent-Length: 20000000\r\n\r\n" + bytes(20_000_000)
        assert (await world.ask(request)).endswith(b"a oversized 20000000")

    serve(scenario)


def test_heads_trailers_and_whatever_stands_between_chunks_are_bounded() -> None:
    async def scenario(world: World) -> None:
        world.api.mount(b"/a", Echo(b"a"))
        world.api.listen()
        chunked = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"
        endless = b"x" * 300_000
        for request in (
            b"GET /a HTTP/1.1\r\nA: " + endless,
            b"GET /a HTTP/1.1\r\n" + b"".join(b"A%d: %d\r\n" % (i, i) for i in range(20_000)),
            chunked + b"0\r\nTrailer: " + endless,
            chunked + b"0\r\n" + b"".join(b"A%d: %d\r\n" % (i, i) for i in range(20_000)),
            chunked + b"1;" + endless,
        ):
            assert (await world.ask(request)).split()[1] in (b"431", b"400"), request[:80]
        # A large body in one piece with its head is no large head.
        body = b"POST /a HTTP/1.1\r\nConnection: close\r\nContent-Length: 250000\r\n\r\n" + bytes(250_000)
        assert (await world.ask(body)).endswith(b"a whole 250000")

    serve(scenario)
