"""Environments that begin with a restore: their lines and records, and what becomes of those that do not come up.

The processes are those of `tests.invoke_support`; one that is restored is told so by what its INIT frame lacks.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lambent.errors import AwsError
from lambent.invoke import environment
from lambent.ports import FunctionVersion
from lambent.sandbox.spec import RuntimeSpec
from tests.invoke_support import RUNTIME, Bench, bench, function, invocation

HELLO = function(version="1", snap_start=True, snapshot_hooks=True, memory_mb=256, environment={"KEY": "value"})
Scenario = Callable[[Bench], Awaitable[None]]


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., None]:
    def run(scenario: Scenario, restored: str = "") -> None:
        """`restored`: what a restored process does before it says that it is ready."""

        async def one() -> None:
            async with bench(tmp_path) as world:
                head, tail = RUNTIME.split("init = json.loads(body)\n")
                doing = f'if "KEY" not in init["environment"]:\n    {restored or "pass"}\n'
                program = f"{head}init = json.loads(body)\n{doing}{tail}"
                command = (sys.executable, "-I", "-S", "-c", program)
                world.launcher.runtimes["python3.12"] = RuntimeSpec("python3.12", "fork", True, command)
                await scenario(world)

        asyncio.run(one())

    return run


async def refused(world: Bench, of: FunctionVersion = HELLO) -> tuple[int, str]:
    with pytest.raises(AwsError) as refusal:
        await world.invoker.invoke(of, invocation({}))
    return refusal.value.status, refusal.value.wire_code


def restore_lines(world: Bench) -> list[str]:
    return [line.strip() for line in world.lines() if line.startswith("RESTORE_REPORT")]


def test_the_first_invocation_after_a_restore_tells_of_it_and_the_next_does_not(play: Callable[..., None]) -> None:
    async def scenario(world: Bench) -> None:
        assert (await world.invoker.snapshots.prepare(HELLO)).ok
        for _ in range(2):
            await world.invoker.invoke(HELLO, invocation({}))
        first, second = world.records.records
        assert first.restore_ms is not None
        assert first.init_ms is None
        assert 0 < first.billed_restore_ms <= first.restore_ms + 1
        assert first.billed_ms - first.billed_restore_ms in (int(first.duration_ms), int(first.duration_ms) + 1)
        assert (second.restore_ms, second.billed_restore_ms) == (None, 0)
        (_, *lines) = [line for line in world.lines() if line.startswith(("INIT_", "RESTORE_", "REPORT"))]
        assert [line.split(" ", 1)[0] for line in lines] == [
            "INIT_REPORT",
            "RESTORE_START",
            "RESTORE_REPORT",
            "REPORT",
            "REPORT",
        ]
        assert f"Restore Duration: {first.restore_ms:.2f} ms\tBilled Restore Duration: " in lines[3]

    play(scenario)


def test_a_restore_that_takes_too_long_is_awss_timeout_and_the_next_is_another_attempt(
    play: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "RESTORE_LIMIT_S", 0.1)

    async def scenario(world: Bench) -> None:
        for _ in range(2):
            assert await refused(world) == (408, "SnapStartTimeoutException")
        reports = restore_lines(world)
        assert len(reports) == 2
        assert all(
            re.fullmatch(r"RESTORE_REPORT Restore Duration: [\d.]+ ms\tStatus: timeout", line) for line in reports
        )
        assert world.records.records == []
        await world.settle(lambda: len(world.launcher.alive) == 1)

    play(scenario, "time.sleep(60)")


@pytest.mark.parametrize(
    ("doing", "error_type"),
    [
        ("os._exit(3)", "Runtime.ExitError"),
        ('send("X", b"Runtime.AfterRestoreError\\0{}"); sys.exit(65)', "Runtime.AfterRestoreError"),
    ],
    ids=["exit", "hook"],
)
def test_a_restore_that_fails_is_awss_error(play: Callable[..., None], doing: str, error_type: str) -> None:
    async def scenario(world: Bench) -> None:
        assert await refused(world) == (400, "SnapStartException")
        (report,) = restore_lines(world)
        assert report.endswith(f" ms\tStatus: error\tError Type: {error_type}")
        assert world.invoker.statistics()["running"] == 0

    play(scenario, doing)


@pytest.mark.parametrize(
    ("state", "expected"),
    [("Pending", (409, "SnapStartNotReadyException")), ("Failed", (409, "ResourceConflictException"))],
)
def test_what_is_not_active_is_not_invoked(play: Callable[..., None], state: str, expected: Any) -> None:
    async def scenario(world: Bench) -> None:
        assert await refused(world, replace(HELLO, state=state)) == expected
        assert world.launcher.launched == []

    play(scenario)
