"""What authorizers said is kept for its time, asked for once, and never where it failed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from lambent.clock import TestClock
from lambent.edge.authorizer_cache import AuthorizerCache, identity_key

KEY = identity_key(("token",))


class Loader:
    def __init__(self) -> None:
        self.calls = 0
        self.release = asyncio.Event()
        self.release.set()
        self.error: Exception | None = None

    async def __call__(self) -> str:
        self.calls += 1
        number = self.calls
        await self.release.wait()
        if self.error is not None:
            raise self.error
        return f"answer {number}"


def run(claim: Callable[[AuthorizerCache[str], Loader, TestClock], Awaitable[None]]) -> None:
    async def body() -> None:
        clock = TestClock()
        await claim(AuthorizerCache(clock, max_results=3), Loader(), clock)

    asyncio.run(body())


def test_a_result_is_kept_for_its_time() -> None:
    async def claim(cache: AuthorizerCache[str], load: Loader, clock: TestClock) -> None:
        assert await cache.get("a", KEY, 60, load) == "answer 1"
        clock.advance(59)
        assert await cache.get("a", KEY, 60, load) == "answer 1"
        clock.advance(1)
        assert await cache.get("a", KEY, 60, load) == "answer 2"

    run(claim)


def test_scopes_and_identities_are_kept_apart() -> None:
    async def claim(cache: AuthorizerCache[str], load: Loader, clock: TestClock) -> None:
        assert await cache.get("a", KEY, 60, load) == "answer 1"
        assert await cache.get("b", KEY, 60, load) == "answer 2"
        assert await cache.get("a", identity_key(("tok", "en")), 60, load) == "answer 3"
        assert identity_key(("ab", "c")) != identity_key(("a", "bc"))

    run(claim)


def test_a_time_of_zero_keeps_nothing() -> None:
    async def claim(cache: AuthorizerCache[str], load: Loader, clock: TestClock) -> None:
        assert [await cache.get("a", KEY, 0, load) for _ in range(2)] == ["answer 1", "answer 2"]

    run(claim)


def test_many_who_ask_at_once_ask_once() -> None:
    async def claim(cache: AuthorizerCache[str], load: Loader, clock: TestClock) -> None:
        load.release.clear()
        waiting = [asyncio.create_task(cache.get("a", KEY, 60, load)) for _ in range(5)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
        load.release.set()
        assert await asyncio.gather(*waiting[1:]) == ["answer 1"] * 4
        assert repr(cache) == "<AuthorizerCache: 1 results, 0 being asked for>"

    run(claim)


def test_a_failure_reaches_everybody_who_waits_and_is_not_kept() -> None:
    async def claim(cache: AuthorizerCache[str], load: Loader, clock: TestClock) -> None:
        load.error = ValueError("no")
        found = await asyncio.gather(*(cache.get("a", KEY, 60, load) for _ in range(2)), return_exceptions=True)
        assert [str(error) for error in found] == ["no", "no"]
        load.error = None
        assert await cache.get("a", KEY, 60, load) == "answer 2"

    run(claim)


def test_what_is_forgotten_is_asked_for_anew_even_while_it_is_being_asked_for() -> None:
    async def claim(cache: AuthorizerCache[str], load: Loader, clock: TestClock) -> None:
        load.release.clear()
        old = asyncio.create_task(cache.get("a", KEY, 60, load))
        await asyncio.sleep(0.001)
        cache.forget("a")
        load.release.set()
        assert await old == "answer 1"
        assert await cache.get("a", KEY, 60, load) == "answer 2"
        assert await cache.get("a", KEY, 60, load) == "answer 2"

    run(claim)


def test_only_so_many_are_kept() -> None:
    async def claim(cache: AuthorizerCache[str], load: Loader, clock: TestClock) -> None:
        for number in range(5):
            await cache.get("a", identity_key((str(number),)), 60, load)
        assert repr(cache) == "<AuthorizerCache: 3 results, 0 being asked for>"
        cache.clear()
        with pytest.raises(RuntimeError):
            await cache.get("a", KEY, 60, _failing)

    run(claim)


async def _failing() -> str:
    raise RuntimeError
