"""What SnapStart costs in the ledger: the init at publication, memory while the snapshot is kept, and each restore."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lambent.clock import TestClock
from lambent.config import Rates
from lambent.ports import FunctionVersion, InvocationRecord
from lambent.services.billing.ledger import Ledger
from lambent.services.billing.prices import Usage, cost_of
from lambent.storage.database import Database

FUNCTION = FunctionVersion(
    account="000000000000",
    region="us-east-1",
    name="hello",
    version="1",
    arn="arn:aws:lambda:us-east-1:000000000000:function:hello",
    runtime="python3.12",
    handler="app.handler",
    role="arn:aws:iam::000000000000:role/worker",
    code_root=Path("/code"),
    memory_mb=2048,
    snap_start=True,
)


def record(clock: TestClock, billed_ms: int, restore_ms: float | None = None) -> InvocationRecord:
    return InvocationRecord(
        FUNCTION, "id", clock.now(), 1.0, billed_ms, None, 2048, 30, "success", None, "stream", restore_ms=restore_ms
    )


def test_the_ledger_counts_inits_snapshots_and_restores(tmp_path: Path) -> None:
    clock = TestClock()

    async def run() -> list[Usage]:
        database = Database(tmp_path / "region.db")
        await database.start()
        ledger = Ledger(database, clock)
        ledger.initialised(FUNCTION, 812.5)
        ledger.cached(FUNCTION, 3 * 3600)
        ledger.record(record(clock, 20, restore_ms=12.0))
        ledger.record(record(clock, 5))
        await ledger.flush()
        ledger.cached(FUNCTION, 60)
        ledger.record(record(clock, 7, restore_ms=0.0))
        lines = await ledger.since(0)
        await ledger.stop()
        await database.stop()
        return [usage for _, usage in lines]

    (usage,) = asyncio.run(run())
    assert usage == Usage(
        requests=3,
        billed_ms=813 + 32,
        mb_ms=2048 * (813 + 32),
        cached_mb_ms=2048 * (3 * 3600 + 60) * 1000,
        restored_mb=2 * 2048,
    )


def test_a_month_of_a_snapshot_costs_what_aws_asks() -> None:
    kept = Usage(cached_mb_ms=1024 * 30 * 86_400 * 1000, restored_mb=1024 * 1000)
    cost = cost_of(kept, "x86_64", Rates())
    assert cost.snap_start == pytest.approx(30 * 86_400 * 0.0000015046 + 1000 * 0.0001397998)
    assert cost.total == cost.snap_start
