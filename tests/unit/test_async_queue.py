"""The durable queue of events: what is acknowledged is on disk, in few writes; how lanes find their pace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lambent.clock import TestClock
from lambent.invoke.errors import TooManyRequestsException
from lambent.ports import Event
from lambent.storage.database import Database
from lambent.storage.faults import StorageError, StorageFull
from lambent.triggers.event_queue import EventQueue
from lambent.triggers.pace import FEWEST, MEMORY_S, STEP_S, Window
from lambent.triggers.waiting import Waiting


def event(number: int, payload: bytes = b"{}") -> Event:
    return Event("000000000000", "us-east-1", "hello", "live", f"request-{number}", payload, "{}", "Root=1-2-3")


def with_queue(folder: Path, scenario: Callable[[EventQueue, list[Waiting], Database], Any], **options: int) -> None:
    async def main() -> None:
        database = Database(folder / "region.db")
        await database.start()
        queue = EventQueue(database, TestClock(), **options)
        arrived = await queue.start(lambda more: arrived.extend(more))
        await scenario(queue, arrived, database)
        await queue.stop()
        await database.stop()

    asyncio.run(main())


def test_every_size_of_batch_comes_back_as_it_was(tmp_path: Path) -> None:
    async def fill(queue: EventQueue, arrived: list[Waiting], _database: Database) -> None:
        for size in (1, 2, 3, 127, 128, 129, 700, 1500):
            await asyncio.gather(*(queue.accept(event(number, b"[%d]" % number)) for number in range(size)))
        assert len(arrived) == 2590

    async def look(queue: EventQueue, arrived: list[Waiting], _database: Database) -> None:
        assert [entry.id for entry in arrived] == list(range(1, 2591))
        assert {entry.lane for entry in arrived} == {("000000000000", "us-east-1", "hello", "live")}
        await queue.load(arrived[:3])
        assert [entry.event for entry in arrived[:3]] == [event(0, b"[0]"), event(0, b"[0]"), event(1, b"[1]")]

    with_queue(tmp_path, fill)
    with_queue(tmp_path, look)


def test_more_than_the_budget_waits_nowhere(tmp_path: Path) -> None:
    async def fill(queue: EventQueue, arrived: list[Waiting], _database: Database) -> None:
        for number in range(3):
            await queue.accept(event(number, bytes(1000)))
        with pytest.raises(TooManyRequestsException, match="--event-budget"):
            await queue.accept(event(3, bytes(1000)))
        queue.finish(arrived[0])
        await queue.accept(event(4, bytes(1000)))

    async def refuse(queue: EventQueue, arrived: list[Waiting], _database: Database) -> None:
        assert len(arrived) == 3
        with pytest.raises(TooManyRequestsException):
            await queue.accept(event(5, bytes(2500)))
        for waiting in arrived:
            queue.finish(waiting)
        await queue.accept(event(6, bytes(2500)))

    with_queue(tmp_path, fill, disk_limit=5000)
    # What waits since before counts as well.
    with_queue(tmp_path, refuse, disk_limit=5000)


def test_a_hundred_events_at_once_are_one_or_two_writes(tmp_path: Path) -> None:
    async def scenario(queue: EventQueue, arrived: list[Waiting], database: Database) -> None:
        writes = []
        original = database.write

        async def counted(work: Any) -> Any:
            writes.append(work)
            return await original(work)

        database.write = counted  # type: ignore[method-assign]
        await asyncio.gather(*(queue.accept(event(number)) for number in range(100)))
        assert len(writes) <= 2

    with_queue(tmp_path, scenario)


def test_what_was_tried_is_known_after_a_restart_and_what_is_finished_is_gone(tmp_path: Path) -> None:
    async def change(queue: EventQueue, arrived: list[Waiting], _database: Database) -> None:
        for number in range(4):
            await queue.accept(event(number))
        first, second, third, _fourth = arrived
        first.due_at, first.attempts, first.failures = first.due_at + 60.25, 1, 2
        queue.postpone(first)
        queue.postpone(second)
        queue.finish(second)
        queue.finish(third)

    async def look(queue: EventQueue, arrived: list[Waiting], _database: Database) -> None:
        assert [(entry.id, entry.due_at - entry.accepted_at, entry.attempts, entry.failures) for entry in arrived] == [
            (1, 60.25, 1, 2),
            (4, 0.0, 0, 0),
        ]
        await queue.accept(event(5))
        assert arrived[-1].id == 5

    with_queue(tmp_path, change)
    with_queue(tmp_path, look)


def test_what_the_disk_refuses_is_not_acknowledged(tmp_path: Path) -> None:
    async def scenario(queue: EventQueue, arrived: list[Waiting], database: Database) -> None:
        original = database.write

        async def full(work: Any) -> Any:
            raise StorageFull

        database.write = full  # type: ignore[method-assign]
        with pytest.raises(StorageError):
            await queue.accept(event(1))
        database.write = original  # type: ignore[method-assign]
        assert arrived == []

    with_queue(tmp_path, scenario)


def test_a_stopped_queue_accepts_nothing(tmp_path: Path) -> None:
    async def scenario(queue: EventQueue, arrived: list[Waiting], database: Database) -> None:
        await queue.stop()
        with pytest.raises(StorageError):
            await queue.accept(event(1))

    with_queue(tmp_path, scenario)


# ---- pace ----


def steps(window: Window, took_s: Callable[[int], float], count: int, now: float = 0.0) -> list[int]:
    """The sizes after each step, where runs take `took_s(size)`."""
    sizes = []
    for number in range(count):
        if took_s(window.size) < 1:
            window.finished(took_s(window.size))
        window.step(now + (number + 1) * STEP_S)
        sizes.append(window.size)
    return sizes


def test_a_lane_whose_runs_take_long_doubles() -> None:
    assert steps(Window(1000, 0.0), lambda size: 60, 10)[-1] == 1000


def test_a_lane_whose_runs_wait_grows_and_one_whose_runs_compute_does_not() -> None:
    assert steps(Window(1000, 0.0), lambda size: 0.05, 6)[-1] == FEWEST * 2**6
    computing = steps(Window(1000, 0.0), lambda size: 0.001 * max(1, size / 2), 60)
    assert max(computing) <= 8


def test_a_refusal_holds_a_lane_still_for_a_while() -> None:
    window = Window(1000, 0.0)
    steps(window, lambda size: 0.05, 4)
    window.refused(5, 0.4)
    assert steps(window, lambda size: 0.05, 20, now=0.4)[-1] == 5
    assert steps(window, lambda size: 0.05, 90, now=2.4)[-1] > 5


def test_what_was_measured_long_ago_does_not_count() -> None:
    window = Window(1000, 0.0)
    slow = steps(window, lambda size: 0.001 * max(1, size / 2), int(MEMORY_S / STEP_S))
    assert max(slow) <= 8
    assert max(steps(window, lambda size: 0.2, 50, now=MEMORY_S)) == 1000


def test_time_without_work_is_no_sign_of_long_runs() -> None:
    window = Window(1000, 0.0)
    for minute in range(30):
        window.step(minute * 60.0)
    assert window.size == FEWEST
