"""Metrics between memory and disk: nothing is counted twice or lost, whatever the order of minutes and failures."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lambent.clock import TestClock
from lambent.services.cloudwatch.aggregation import Metrics
from lambent.services.cloudwatch.distribution import Distribution
from lambent.services.cloudwatch.domain import Cell, Metric
from lambent.services.cloudwatch.store import MetricStore
from lambent.storage.database import Database
from lambent.storage.faults import StorageError

NOW = 1_750_000_000.0
MINUTE = int(NOW) // 60


@asynccontextmanager
async def metrics(folder: Path) -> AsyncIterator[tuple[Metrics, TestClock]]:
    database, clock = Database(folder / "region.db"), TestClock(NOW)
    await database.start()
    try:
        yield Metrics(database, MetricStore(), clock), clock
    finally:
        await database.stop()


def metric(name: str) -> Metric:
    return Metric("0" * 12, "us-east-1", "N", name)


async def sums(of: Metrics, name: str) -> dict[tuple[int, str], float]:
    found = await of.read(lambda tx: MetricStore().minutes_of(tx, metric(name), 0, MINUTE + 100, None, buckets=True))
    return {(minute, unit): values.sum for minute, unit, values in found}


def test_every_value_is_counted_once_through_restarts_and_prunes(tmp_path: Path) -> None:
    draw = random.Random(7)
    expected: dict[tuple[str, int, str], float] = {}

    async def run() -> None:
        for _ in range(3):
            async with metrics(tmp_path) as (counted, clock):
                for _ in range(60):
                    name, unit = draw.choice("abc"), draw.choice(("Count", "None"))
                    minute = int(clock.now()) // 60 - draw.choice((0, 0, 0, 1, 2, 30))
                    counted.add(Cell(metric(name), minute, unit), Distribution.of(2.0))
                    expected[name, minute, unit] = expected.get((name, minute, unit), 0.0) + 2.0
                    action = draw.random()
                    if action < 0.4:
                        await counted.flush()
                    elif action < 0.45:
                        await counted.prune()
                    clock.advance(draw.choice((0, 1, 20)))
                await counted.flush()
        async with metrics(tmp_path) as (counted, _):
            for name in "abc":
                wanted = {(minute, unit): total for (of, minute, unit), total in expected.items() if of == name}
                assert await sums(counted, name) == wanted

    asyncio.run(run())


def test_a_disk_that_refuses_costs_nothing_and_a_caller_who_goes_away_neither(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with metrics(tmp_path) as (counted, _):
            cell = Cell(metric("m"), MINUTE, "Count")
            counted.add(cell, Distribution.of(1.0))

            async def refuse(database: Database, work: object) -> None:
                raise StorageError("The disk is full.")

            with monkeypatch.context() as broken:
                broken.setattr(Database, "write", refuse)
                with pytest.raises(StorageError):
                    await counted.flush()
            counted.add(cell, Distribution.of(2.0))
            impatient = asyncio.create_task(counted.flush())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            impatient.cancel()
            counted.add(cell, Distribution.of(4.0))
            assert await sums(counted, "m") == {(MINUTE, "Count"): 7.0}

    asyncio.run(run())


def test_minutes_go_after_fifteen_days_and_their_metrics_with_them(tmp_path: Path) -> None:
    async def run() -> None:
        async with metrics(tmp_path) as (counted, clock):
            counted.add(Cell(metric("old"), MINUTE, "Count"), Distribution.of(1.0))
            await counted.flush()
            clock.advance(14.9 * 86400)
            counted.add(Cell(metric("new"), int(clock.now()) // 60, "Count"), Distribution.of(1.0))
            await counted.flush()
            await counted.prune()
            assert counted.statistics()["series"] == 2
            clock.advance(0.2 * 86400)
            await counted.prune()
            assert counted.statistics()["series"] == 1
            assert await sums(counted, "old") == {}

    asyncio.run(run())
