"""Segments between who reports them and the disk: within budgets, however much is reported and whoever does."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lambent.clock import TestClock
from lambent.invoke import xray_daemon
from lambent.invoke.timers import Timers
from lambent.invoke.xray_daemon import XRayDaemon
from lambent.ports import FunctionVersion, Invocation
from lambent.services.xray import collector
from lambent.services.xray.collector import Report, Traces
from lambent.services.xray.domain import segment_of
from lambent.services.xray.store import TraceStore
from lambent.storage.database import Database
from lambent.storage.faults import StorageError
from tests.invoke_support import function

NOW = 1_750_000_000.0
REGION = "us-east-1"
MINE, OTHERS = "0" * 12, "1" * 12


class FailingDatabase(Database):
    fails = False

    async def write(self, work: Any) -> Any:
        if self.fails:
            raise StorageError("The disk is full.")
        return await super().write(work)


@asynccontextmanager
async def traces(folder: Path, budget: int = 1 << 30) -> AsyncIterator[tuple[Traces, TestClock, FailingDatabase]]:
    database, clock = FailingDatabase(folder / "region.db"), TestClock(NOW)
    await database.start()
    try:
        yield Traces(database, TraceStore(), clock, lambda function: function.name != "denied", budget), clock, database
    finally:
        await database.stop()


def document(number: int, at: float = NOW, size: int = 0) -> bytes:
    fields = {"trace_id": f"1-{int(at):08x}-{number:024x}", "id": f"{number:016x}", "name": "n"}
    return json.dumps({**fields, "start_time": at, "end_time": at + 1, "metadata": "x" * size}).encode()


async def kept(of: Traces, account: str = MINE) -> list[int]:
    span = (0.0, 1e12)
    rows = await of.read(lambda tx: TraceStore().between(tx, account, REGION, span, "started_at", None, 1000))
    return sorted(int(row.trace_id[11:], 16) for row in rows)


def test_beyond_the_budget_the_oldest_of_whoever_has_most_go(tmp_path: Path) -> None:
    async def run() -> None:
        async with traces(tmp_path, budget=100_000) as (taken, _, _):
            await taken.prune()
            for number in range(5):
                taken.add(OTHERS, REGION, segment_of(document(number, NOW - 1000, 1000), NOW))
            for number in range(40):
                taken.add(MINE, REGION, segment_of(document(number, NOW - 900 + number, 4000), NOW))
                await taken.flush()
            assert await kept(taken, OTHERS) == [0, 1, 2, 3, 4]
            mine = await kept(taken)
            assert mine == list(range(mine[0], 40))
            assert 60_000 < taken.statistics()["bytes"] <= 100_000
            # What is counted is what is there.
            counted = taken.statistics()["bytes"]
            await taken.prune()
            assert taken.statistics()["bytes"] == counted

    asyncio.run(run())


def test_traces_go_after_thirty_days(tmp_path: Path) -> None:
    async def run() -> None:
        async with traces(tmp_path) as (taken, clock, _):
            taken.add(MINE, REGION, segment_of(document(1), NOW))
            await taken.flush()
            clock.advance(29 * 86_400)
            taken.add(MINE, REGION, segment_of(document(2, clock.now()), clock.now()))
            await taken.flush()
            clock.advance(2 * 86_400)
            await taken.prune()
            assert await kept(taken) == [2]

    asyncio.run(run())


def test_what_a_disk_refuses_is_written_later_and_counted_once(tmp_path: Path) -> None:
    async def run() -> None:
        async with traces(tmp_path) as (taken, _, database):
            taken.report(Report(MINE, REGION, document(1), function()))
            database.fails = True
            for _ in range(2):
                with pytest.raises(StorageError):
                    await taken.flush()
            assert taken.statistics()["waiting"] == len(document(1))
            database.fails = False
            assert await kept(taken) == [1]
            assert (taken.statistics()["waiting"], taken.statistics()["taken"]) == (0, 1)

    asyncio.run(run())


def test_reports_are_refused_denied_or_lost_and_leave_nothing_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with traces(tmp_path) as (taken, _, _):
            taken.report(Report(MINE, REGION, b"{", function()))
            taken.report(Report(MINE, REGION, document(1), function("denied")))
            taken.report(Report(MINE, REGION, document(2)))
            monkeypatch.setattr(collector, "PENDING_LIMIT", 500)
            taken.report(Report(MINE, REGION, document(3, size=400), function()))
            assert await kept(taken) == [2]
            counts = taken.statistics()
            told = {name: counts[name] for name in ("refused", "denied", "lost", "taken", "waiting")}
            assert told == {"refused": 1, "denied": 1, "lost": 1, "taken": 1, "waiting": 0}

    asyncio.run(run())


class KeptDocuments:
    """A TraceSink."""

    def __init__(self) -> None:
        self.documents: list[bytes] = []

    def put(self, function: FunctionVersion, document: bytes) -> None:
        self.documents.append(document)

    def refused(self, function: FunctionVersion, invocation: Invocation) -> None: ...

    def tell(self, account: str, region: str, document: bytes) -> None: ...


def test_the_daemon_reads_no_faster_than_its_rate_and_goes_on_when_that_allows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(xray_daemon, "BURST", 2_000)
    monkeypatch.setattr(xray_daemon, "RATE", 1_000)

    async def run() -> None:
        loop, clock, kept = asyncio.get_running_loop(), TestClock(NOW), KeptDocuments()
        timers = Timers(loop, clock)
        receiver, sender = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        receiver.setblocking(False)
        daemon = XRayDaemon(loop, timers, clock, receiver, function(), kept)

        async def send(count: int) -> int:
            before = len(kept.documents)
            for _ in range(count):
                sender.send(b'{"format": "json", "version": 1}\n' + b"x" * 967)
            for _ in range(5):
                await asyncio.sleep(0)
                await asyncio.sleep(0.001)
            return len(kept.documents) - before

        assert await send(3) == 3
        # The allowance is used up: nobody reads until it is there again.
        assert await send(3) == 0
        clock.advance(2.5)
        timers.run_due()
        assert await send(0) == 3
        assert await send(2) == 0
        # What came is taken before its environment goes.
        daemon.close()
        daemon.close()
        assert len(kept.documents) == 8
        timers.close()
        receiver.close()
        sender.close()

    asyncio.run(run())
