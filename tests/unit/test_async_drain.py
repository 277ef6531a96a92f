"""Every rule of retries, ages and ends of asynchronous events, by a clock that the test moves."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from async_support import HELLO, TARGET, Bench, opened, run

from lambent.clock import TestClock
from lambent.invoke.errors import (
    RecursiveInvocationException,
    ServiceException,
    ThrottleReason,
    TooManyRequestsException,
)
from lambent.ports import EventRules, Invocation
from lambent.storage.faults import StorageFull
from lambent.triggers.destinations import DeliveryRefused

FAILS = ValueError("no")


def conditions(b: Bench) -> list[tuple[str, int]]:
    contexts = [json.loads(delivery.body)["requestContext"] for delivery in b.delivered]
    return [(context["condition"], context["approximateInvokeCount"]) for context in contexts]


@pytest.mark.parametrize(("retries", "times"), [(2, [0, 60, 180]), (1, [0, 60]), (0, [0])])
def test_a_function_error_is_tried_again_after_one_and_two_minutes(
    tmp_path: Path, retries: int, times: list[float]
) -> None:
    async def scenario(b: Bench) -> None:
        b.rules = EventRules(retries=retries, on_failure=TARGET)
        b.behaviour = lambda invocation: FAILS
        await b.send()
        await b.settle()
        for _ in range(30):
            await b.advance(10)
        assert b.times() == times
        assert len({request_id for _, request_id, _ in b.runs}) == 1
        assert conditions(b) == [("RetriesExhausted", retries + 1)]
        assert b.waiting == 0
        assert (len(b.counts["AsyncEventsReceived"]), len(b.counts["AsyncEventsDropped"])) == (1, 1)
        assert b.counts["AsyncEventAge"] == [at * 1000 for at in times]

    run(tmp_path, scenario)


def test_a_success_after_a_retry_ends_it(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        b.behaviour = lambda invocation: b'"done"' if len(b.runs) > 1 else FAILS
        await b.send(b'{"n": 1}')
        await b.settle()
        await b.advance(60)
        assert conditions(b) == [("Success", 2)]
        delivery = b.delivered[0]
        record = json.loads(delivery.body)
        assert (record["requestPayload"], record["responsePayload"]) == ({"n": 1}, "done")
        assert (delivery.function, delivery.success, delivery.target) == (HELLO, True, TARGET)
        assert "AsyncEventsDropped" not in b.counts

    run(tmp_path, scenario)


def test_a_throttled_event_is_tried_after_one_second_to_five_minutes_until_it_is_too_old(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        b.rules = EventRules(max_age_s=1500, on_failure=TARGET)
        b.behaviour = lambda invocation: TooManyRequestsException(ThrottleReason.ACCOUNT_CONCURRENCY)
        await b.send()
        await b.settle()
        for _ in range(2000):
            await b.advance(1)
        assert b.times() == [0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 811, 1111, 1411]
        assert conditions(b) == [("EventAgeExceeded", 0)]

    run(tmp_path, scenario)


def test_a_failure_of_lambdas_own_backs_off_and_counts_for_no_attempt(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        b.behaviour = lambda invocation: ServiceException() if len(b.runs) < 4 else b"null"
        await b.send()
        await b.settle()
        for _ in range(20):
            await b.advance(1)
        assert b.times() == [0, 1, 3, 7]
        assert conditions(b) == [("Success", 1)]

    run(tmp_path, scenario)


def test_after_a_success_back_off_begins_anew(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        throttle = TooManyRequestsException(ThrottleReason.RESERVED_CONCURRENCY)
        b.behaviour = lambda invocation: throttle if len(b.runs) in (1, 2, 4) else b"null"
        await b.send()
        await b.settle()
        for _ in range(3):
            await b.advance(1)
        await b.send()
        await b.settle()
        await b.advance(1)
        assert b.times() == [0, 1, 3, 3, 4]

    run(tmp_path, scenario)


def test_no_reserved_concurrency_ends_it_without_a_run(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        b.functions["hello"] = dataclasses.replace(HELLO, reserved_concurrency=0)
        await b.send()
        await b.settle()
        assert (conditions(b), b.runs) == ([("ZeroReservedConcurrency", 0)], [])
        assert "responseContext" not in json.loads(b.delivered[0].body)

    run(tmp_path, scenario)


def test_an_event_ends_at_its_age_whatever_waits(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        b.rules = EventRules(max_age_s=90, on_failure=TARGET)
        b.behaviour = lambda invocation: FAILS
        await b.send()
        await b.settle()
        for _ in range(9):
            await b.advance(10)
        assert b.times() == [0, 60]
        assert conditions(b) == [("EventAgeExceeded", 2)]

    run(tmp_path, scenario)


def test_without_a_function_nobody_is_told(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        await b.send(name="absent")
        await b.settle()
        assert (b.delivered, b.runs, b.waiting) == ([], [], 0)
        assert b.counts["AsyncEventsDropped"] == [1]

    run(tmp_path, scenario)


def test_a_forgotten_function_takes_its_events_along(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        release = asyncio.Event()

        async def fail_later(invocation: Invocation) -> Any:
            await release.wait()
            return FAILS

        b.behaviour = lambda invocation: fail_later(invocation) if len(b.runs) == 2 else FAILS
        await b.send()
        await b.settle()
        await b.send()
        await asyncio.sleep(0.01)
        b.drain.forget("000000000000", "us-east-1", "hello")
        release.set()
        await b.settle()
        assert b.waiting == 0
        await b.advance(3600)
        assert len(b.runs) == 2

    async def nothing_left(b: Bench) -> None:
        assert b.waiting == 0

    run(tmp_path, scenario)
    run(tmp_path, nothing_left)


def test_a_target_that_refuses_is_counted_and_a_full_disk_is_waited_for(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        b.refusal = DeliveryRefused()
        await b.send()
        await b.settle()
        assert (b.counts["DestinationDeliveryFailures"], b.waiting) == ([1], 0)
        b.refusal = StorageFull()
        await b.send()
        await b.settle()
        assert b.waiting == 1
        b.refusal = None
        await b.advance(1)
        assert (len(b.delivered), b.waiting) == (1, 0)

    run(tmp_path, scenario)


def test_a_slow_function_does_not_delay_others(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        b.functions["slow"] = dataclasses.replace(HELLO, name="slow")
        release, quick_ones_done = asyncio.Event(), asyncio.Event()

        async def wait(invocation: Invocation) -> bytes:
            if invocation.payload == b'"slow"':
                await release.wait()
            elif sum(name == "hello" for name, _, _ in b.runs) == 20:
                quick_ones_done.set()
            return b"null"

        b.behaviour = wait
        for _ in range(100):
            await b.send(b'"slow"', name="slow")
        for _ in range(20):
            await b.send()
        async with asyncio.timeout(5):
            await quick_ones_done.wait()
        assert all(name == "hello" for name, _, _ in b.runs[2:])
        release.set()
        await b.settle()
        assert len(b.delivered) == 120

    run(tmp_path, scenario)


def test_a_function_with_room_for_one_runs_one_after_another_without_waiting(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        running = 0

        async def alone(invocation: Invocation) -> Any:
            nonlocal running
            if running:
                return TooManyRequestsException(ThrottleReason.RESERVED_CONCURRENCY)
            running += 1
            await asyncio.sleep(0.001)
            running -= 1
            return b"null"

        b.behaviour = alone
        await asyncio.gather(*(b.send() for _ in range(50)))
        async with asyncio.timeout(5):
            await b.settle()
        assert (len(b.delivered), b.times()[-1]) == (50, 0)

    run(tmp_path, scenario)


def test_what_can_never_run_is_given_up_at_once(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        b.behaviour = lambda invocation: RecursiveInvocationException()
        await b.send()
        await b.settle()
        assert (conditions(b), b.waiting) == ([("RetriesExhausted", 0)], 0)
        # The record goes on in the chain of calls, which so is known to have led through the function.
        assert "Lineage=" in b.delivered[0].trace_id

    run(tmp_path, scenario)


def test_a_bug_postpones_the_event(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        def wrong(invocation: Invocation) -> bytes:
            if len(b.runs) == 1:
                raise ZeroDivisionError
            return b"null"

        b.behaviour = wrong
        await b.send()
        await b.settle()
        await b.advance(1)
        assert conditions(b) == [("Success", 1)]

    run(tmp_path, scenario)


def test_a_new_start_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    clock = TestClock()

    async def main() -> None:
        async with opened(tmp_path, clock) as first:
            first.behaviour = lambda invocation: FAILS
            ids = [await first.send(b'{"n": %d}' % number) for number in range(150)]
            await first.settle()
        async with opened(tmp_path, clock) as second:
            assert second.waiting == 150
            await second.advance(59)
            assert second.runs == []
            await second.advance(1)
            assert sorted(request_id for _, request_id, _ in second.runs) == sorted(ids)
            assert set(conditions(second)) == {("Success", 2)}
            assert {json.loads(delivery.body)["requestPayload"]["n"] for delivery in second.delivered} == {*range(150)}
        async with opened(tmp_path, clock) as third:
            assert third.waiting == 0

    asyncio.run(main())


def test_what_does_not_fit_into_memory_waits_on_disk(tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        payload = json.dumps("x" * 10_000).encode()
        await asyncio.gather(*(b.send(payload) for _ in range(200)))
        await b.settle()
        assert [json.loads(delivery.body)["requestPayload"] for delivery in b.delivered] == ["x" * 10_000] * 200

    run(tmp_path, scenario, memory_limit=50_000)
