"""What functions start from is made ready once for each runtime, ahead of the first invocation."""

from __future__ import annotations

import asyncio

from lambent.invoke.readiness import Readiness
from lambent.sandbox.spec import SandboxError


def test_a_runtime_is_made_ready_once_and_only_if_it_is_here() -> None:
    prepared = []

    async def prepare(runtime: str) -> None:
        prepared.append(runtime)

    async def use() -> None:
        readiness = Readiness(prepare, ["python3.12", "nodejs22.x"])
        for runtime in ("python3.12", "python3.12", "java21"):
            readiness.use(runtime)
        await asyncio.sleep(0)
        await readiness.stop()

    asyncio.run(use())
    assert prepared == ["python3.12"]


def test_a_failure_is_left_to_the_first_invocation(caplog) -> None:
    async def prepare(runtime: str) -> None:
        raise SandboxError("fork", runtime)

    async def use() -> None:
        readiness = Readiness(prepare, ["python3.12"])
        readiness.use("python3.12")
        await asyncio.sleep(0)
        await readiness.stop()

    asyncio.run(use())
    assert "python3.12 functions cannot be started ahead: fork(python3.12) failed." in caplog.text
