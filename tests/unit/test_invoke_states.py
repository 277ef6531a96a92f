"""The transition table, pair by pair, and the timers beneath it."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from lambent.clock import TestClock
from lambent.invoke.states import Event, IllegalTransition, State, advance
from lambent.invoke.timers import Timer, Timers

LEGAL = {
    State.STARTING: {Event.LAUNCHED: State.INIT},
    State.INIT: {Event.INITIALISED: State.READY, Event.FAILED: State.STOPPED},
    State.READY: {Event.INVOKED: State.BUSY, Event.FREEZE: State.FROZEN, Event.FAILED: State.STOPPED},
    State.BUSY: {Event.ANSWERED: State.READY, Event.FAILED: State.STOPPED, Event.RESPONDED: State.FINISHING},
    State.FINISHING: {Event.ANSWERED: State.READY, Event.FAILED: State.STOPPED},
    State.FROZEN: {Event.INVOKED: State.BUSY, Event.FAILED: State.STOPPED},
    State.STOPPED: {Event.INVOKED: State.RESETTING},
    State.RESETTING: {Event.RESTARTED: State.REINIT},
    State.REINIT: {Event.INITIALISED: State.BUSY, Event.FAILED: State.STOPPED},
    State.DEAD: {},
}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_every_pair_leads_where_the_life_of_an_environment_says_or_is_refused(state: State, event: Event) -> None:
    expected = State.DEAD if event is Event.DESTROYED else LEGAL[state].get(event)
    if expected is None:
        with pytest.raises(IllegalTransition, match=f"{state.name} cannot take {event.name}"):
            advance(state, event)
    else:
        assert advance(state, event) is expected


class Bench:
    """Timers whose clock is moved by hand."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.clock = TestClock(1000.0)
        self.timers = Timers(self.loop, self.clock)
        self.fired: list[str] = []

    def timer(self, name: str) -> Timer:
        return Timer(lambda: self.fired.append(name))

    def pass_time(self, seconds: float) -> list[str]:
        self.clock.advance(seconds)
        self.timers.run_due()
        fired, self.fired = self.fired, []
        return fired


@pytest.fixture
def bench():  # type: ignore[no-untyped-def]
    bench = Bench()
    yield bench
    bench.timers.close()
    bench.loop.close()


def test_timers_fire_in_order_once(bench: Bench) -> None:
    for name, at in (("late", 1003.0), ("early", 1001.0), ("middle", 1002.0)):
        bench.timers.set(bench.timer(name), at)
    assert bench.pass_time(2.5) == ["early", "middle"]
    assert bench.pass_time(10) == ["late"]
    assert bench.pass_time(10) == []


def test_a_deadline_that_moves_later_costs_no_entry_and_fires_then(bench: Bench) -> None:
    timer = bench.timer("moved")
    for step in range(1000):
        bench.timers.set(timer, 1001.0 + step)
    assert len(bench.timers) == 1
    assert bench.pass_time(999.5) == []
    assert bench.pass_time(1000) == ["moved"]


def test_a_deadline_that_moves_earlier_fires_earlier_and_not_again(bench: Bench) -> None:
    timer = bench.timer("moved")
    bench.timers.set(timer, 1100.0)
    bench.timers.set(timer, 1001.0)
    assert bench.pass_time(2) == ["moved"]
    assert bench.pass_time(200) == []


def test_a_cleared_timer_is_silent_until_set_again(bench: Bench) -> None:
    timer = bench.timer("again")
    bench.timers.set(timer, 1001.0)
    bench.timers.clear(timer)
    assert bench.pass_time(5) == []
    bench.timers.set(timer, 1010.0)
    assert bench.pass_time(10) == ["again"]


def test_a_forgotten_timer_lets_go_of_what_it_would_call(bench: Bench) -> None:
    timer = bench.timer("forgotten")
    bench.timers.set(timer, 1001.0)
    bench.timers.forget(timer)
    assert "lambda" not in repr(timer.callback)
    assert bench.pass_time(5) == []


def test_a_callback_that_fails_does_not_stop_the_others(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.timers.set(Timer(lambda: 1 // 0), 1001.0)  # type: ignore[arg-type, return-value]
    bench.timers.set(bench.timer("after"), 1002.0)
    assert bench.pass_time(5) == ["after"]
    assert "ZeroDivisionError" in caplog.text


def test_the_event_loop_fires_timers_by_itself() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()

        class LoopClock(TestClock):
            def monotonic(self) -> float:
                return loop.time()

        timers = Timers(loop, LoopClock())
        done = loop.create_future()
        timers.set(Timer(lambda: done.set_result(None)), loop.time() + 0.02)
        await asyncio.wait_for(done, 2)
        timers.close()
        assert done.done()

    asyncio.run(main())
