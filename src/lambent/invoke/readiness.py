"""Makes ready what functions of a runtime start from, as soon as one of them exists: not when it is first invoked."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection

from lambent.sandbox.spec import SandboxError

log = logging.getLogger(__name__)


class Readiness:
    def __init__(self, prepare: Callable[[str], Awaitable[None]], available: Collection[str]) -> None:
        self._prepare = prepare
        #: Runtimes that were not asked for yet.
        self._pending = set(available)
        self._tasks: set[asyncio.Task[None]] = set()

    def use(self, runtime: str) -> None:
        """A function of `runtime` exists. Returns at once; of a runtime that is not here nothing is made."""
        if runtime not in self._pending:
            return
        self._pending.remove(runtime)
        task = asyncio.get_running_loop().create_task(self._make_ready(runtime), name=f"make {runtime} ready")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _make_ready(self, runtime: str) -> None:
        try:
            await self._prepare(runtime)
        except SandboxError as error:
            # The first invocation will meet the same and tell its caller.
            log.warning("%s functions cannot be started ahead: %s", runtime, error)
