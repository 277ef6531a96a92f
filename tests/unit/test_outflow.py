"""A streamed response holds its runtime up while its taker is full and when it is too fast, and never for good."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from lambent.clock import TestClock
from lambent.config import Rates
from lambent.invoke.faults import MAX_PAYLOAD
from lambent.invoke.outflow import AWS_LIMITS, Outflow
from lambent.invoke.streams import MOST_WAITING, ResponseStream
from lambent.invoke.timers import Timers
from lambent.ports import FunctionVersion, InvocationRecord
from lambent.services.billing.ledger import Ledger
from lambent.services.billing.prices import Usage, cost_of
from lambent.storage.database import Database

MIB = 1024 * 1024


class Link:
    """The part of a RuntimeLink that an outflow uses."""

    def __init__(self) -> None:
        self._paused = False

    def pause(self) -> None:
        assert not self._paused
        self._paused = True

    def is_held_up(self) -> bool:
        return self._paused

    def resume(self) -> None:
        assert self._paused
        self._paused = False


class World:
    """One response, a clock, and timers that go by it."""

    def __init__(self, *, streamed: bool = True) -> None:
        self.clock = TestClock()
        self.timers = Timers(asyncio.get_running_loop(), self.clock)
        self.link = Link()
        self.stream = ResponseStream()
        self.outflow = Outflow(
            self.stream if streamed else None,
            "text/plain",
            self.link,  # type: ignore[arg-type]
            self.clock,
            self.timers,
        )

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.timers.run_due()

    async def drain(self) -> int:
        return len(await anext(self.stream))


def run(scenario: Callable[[World], object], *, streamed: bool = True) -> None:
    async def main() -> None:
        world = World(streamed=streamed)
        done = scenario(world)
        if asyncio.iscoroutine(done):
            await done
        world.timers.close()

    asyncio.run(main())


def test_a_full_taker_holds_the_runtime_up_until_it_is_empty() -> None:
    async def scenario(world: World) -> None:
        piece = bytes(65536)
        for _ in range(MOST_WAITING // len(piece) - 1):
            assert world.outflow.take(piece)
            assert not world.link.is_held_up()
        assert world.outflow.take(piece)
        assert world.link.is_held_up()
        # What was on its way is taken all the same.
        assert world.outflow.take(piece)
        assert await world.drain() == MOST_WAITING + len(piece)
        assert not world.link.is_held_up()

    run(scenario)


def test_six_megabytes_pass_at_once_and_the_rest_at_two_a_second() -> None:
    async def scenario(world: World) -> None:
        assert world.outflow.take(bytes(6 * MIB))
        await world.drain()
        assert not world.link.is_held_up()
        assert world.outflow.take(bytes(MIB))
        await world.drain()
        world.pass_time(0.4)
        assert world.link.is_held_up()
        world.pass_time(0.11)
        assert not world.link.is_held_up()
        # Who writes slower than that is never held up.
        for _ in range(10):
            world.pass_time(0.6)
            assert world.outflow.take(bytes(MIB))
            await world.drain()
            assert not world.link.is_held_up()

    run(scenario)


def test_nothing_beyond_200_megabytes_is_taken() -> None:
    async def scenario(world: World) -> None:
        for _ in range(200):
            assert world.outflow.take(bytes(MIB))
            await world.drain()
        assert world.outflow.size == AWS_LIMITS.most_bytes
        assert not world.outflow.take(b"x")

    run(scenario)


def test_the_end_lets_the_runtime_go_on_whatever_held_it_up() -> None:
    def scenario(world: World) -> None:
        assert world.outflow.take(bytes(7 * MIB))
        assert world.link.is_held_up()
        world.outflow.close()
        assert not world.link.is_held_up()
        world.pass_time(10)
        assert not world.link.is_held_up()

    run(scenario)


def test_a_reader_that_goes_away_lets_the_function_go_on() -> None:
    def scenario(world: World) -> None:
        assert world.outflow.take(bytes(MOST_WAITING))
        assert world.link.is_held_up()
        world.stream.close()
        assert not world.link.is_held_up()
        assert world.outflow.take(bytes(MOST_WAITING))
        assert not world.link.is_held_up()
        assert repr(world.stream) == "<ResponseStream closed, 0 bytes>"

    run(scenario)


def test_what_is_wanted_whole_has_the_limit_of_whole_responses_and_no_rate() -> None:
    def scenario(world: World) -> None:
        assert world.outflow.take(bytes(MAX_PAYLOAD - 1))
        assert world.outflow.take(b"x")
        assert not world.outflow.take(b"y")
        assert not world.link.is_held_up()
        assert len(world.outflow.body()) == MAX_PAYLOAD
        assert world.outflow.measured(0.0) == (None, 0)

    run(scenario, streamed=False)


def test_the_record_tells_of_the_first_byte_and_of_all_of_them() -> None:
    async def scenario(world: World) -> None:
        began = world.clock.monotonic()
        assert world.outflow.measured(began) == (None, 0)
        world.clock.advance(0.25)
        assert world.outflow.take(b"abc")
        world.clock.advance(1)
        assert world.outflow.take(b"de")
        first_byte_ms, size = world.outflow.measured(began)
        assert first_byte_ms == pytest.approx(250)
        assert size == 5

    run(scenario)


def test_the_ledger_counts_what_is_beyond_six_megabytes_of_each_response(tmp_path: Path) -> None:
    clock = TestClock()
    function = FunctionVersion(
        account="000000000000",
        region="us-east-1",
        name="f",
        version="1",
        arn="arn:aws:lambda:us-east-1:000000000000:function:f",
        runtime="nodejs20.x",
        handler="app.handler",
        role="arn:aws:iam::000000000000:role/worker",
        code_root=Path("/code"),
    )

    async def count() -> list[Usage]:
        database = Database(tmp_path / "region.db")
        await database.start()
        ledger = Ledger(database, clock)
        for size in (0, 6 * MIB, 7 * MIB, 200 * MIB):
            ledger.record(
                InvocationRecord(
                    function, "id", clock.now(), 1.0, 1, None, 128, 30, "success", None, "s", streamed_bytes=size
                )
            )
        lines = await ledger.since(0)
        await ledger.stop()
        await database.stop()
        return [usage for _, usage in lines]

    (usage,) = asyncio.run(count())
    assert usage.streamed_bytes == 195 * MIB
    assert cost_of(usage, "x86_64", Rates()).streamed == pytest.approx(195 / 1024 * 0.008)
