"""Everything at once: exits, kills, timeouts, callers that leave, updates, scarce memory; and nothing left behind."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from lambent.invoke.errors import ServiceException
from lambent.ports import FunctionVersion, Invocation
from tests.invoke_support import Bench, bench, do, function

STEPS = [
    *[{"echo": 1}] * 12,
    {"say": "a line\n"},
    {"print": "raw"},
    {"sleep": 0.01},
    {"exit": 0},
    {"signal": 11},
    {"raw": "junk that is no frame"},
    {"error": "no"},
    {"big": 300_000},
    {"sleep": 60},
]


async def traffic(b: Bench, chance: random.Random, functions: list[FunctionVersion], count: int) -> list[str]:
    """One client's calls, one after the other; returns their statuses."""
    outcomes: list[str] = []
    for _ in range(count):
        chosen = chance.choice(functions)
        call = asyncio.ensure_future(b.invoker.invoke(chosen, step(chance)))
        try:
            if chance.random() < 0.1:
                await asyncio.sleep(chance.random() * 0.02)
                call.cancel()
            outcomes.append((await call).record.status)
        except asyncio.CancelledError:
            outcomes.append("left")
        except ServiceException:
            outcomes.append("refused")
    return outcomes


def step(chance: random.Random) -> Invocation:
    chosen = chance.choice(STEPS)
    return do(chosen, log_tail=chance.random() < 0.5)


async def disturb(b: Bench, chance: random.Random, functions: list[FunctionVersion]) -> None:
    """What operators, customers and bad luck do meanwhile."""
    while True:
        await asyncio.sleep(0.01)
        event = chance.random()
        b.launcher.launch_error = OSError("bad luck") if event > 0.9 else None
        if event < 0.3 and b.launcher.alive:
            chance.choice(list(b.launcher.alive.values())).kill("bad luck")
        elif event < 0.4:
            index = chance.randrange(len(functions))
            old = functions[index]
            functions[index] = function(old.name, timeout_s=1, environment_key=str(chance.random()))
            b.invoker.provision(old, 0)
            b.invoker.retire(old.account, old.region, old.name)
        elif event < 0.5:
            b.invoker.provision(chance.choice(functions), chance.choice([0, 1, 2]))
        elif event < 0.55:
            old = chance.choice(functions)
            b.invoker.retire(old.account, old.region, old.name)
            b.invoker.forget(old.account, old.region, old.name)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_lost_or_left_behind(tmp_path: Path, seed: int) -> None:
    async def main() -> None:
        chance = random.Random(seed)
        functions = [function(f"f{index}", timeout_s=1) for index in range(4)]
        # Memory for three environments: the clients compete.
        async with bench(tmp_path, memory_budget_mb=150, idle_timeout=0.2) as b:
            trouble = asyncio.ensure_future(disturb(b, chance, functions))
            async with asyncio.timeout(60):
                clients = [traffic(b, random.Random(seed * 100 + index), functions, 25) for index in range(6)]
                outcomes = [outcome for client in await asyncio.gather(*clients) for outcome in client]
            trouble.cancel()
            b.launcher.launch_error = None
            for each in functions:
                b.invoker.provision(each, 0)
            assert len(outcomes) == 150
            assert "success" in outcomes
            # What ran when the last client left ends by itself, and what is idle is reaped.
            await b.settle(lambda: b.invoker.statistics()["running"] == 0)
            await b.settle(lambda: b.launcher.alive == {})
            left = b.invoker.statistics()
            assert {name: left[name] for name in ("busy", "idle", "starting", "waiting", "groups", "memory_mb")} == {
                "busy": 0, "idle": 0, "starting": 0, "waiting": 0, "groups": 0, "memory_mb": 0,
            }  # fmt: skip
            lines = b.lines()
            starts = sum(line.startswith("START ") for line in lines)
            assert starts == sum(line.startswith("REPORT ") for line in lines) == len(b.records.records)

    asyncio.run(main())
