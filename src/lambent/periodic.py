"""Work beside requests: done again and again, or to its end whoever waits for it. What is counted in memory reaches the
disk that way."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

log = logging.getLogger(__name__)


class Periodic:
    """Does `work` every `seconds` on the event loop, from `start` to `stop`."""

    def __init__(self, name: str, work: Callable[[], Awaitable[float | None]], seconds: float) -> None:
        """`work` may say in how many seconds it wants to be done next; what it raises is logged, and it goes on."""
        self._name = name
        self._work = work
        self._seconds = seconds
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Periodic {self._name} every {self._seconds:g} s{'' if self._task else ', stopped'}>"

    def start(self) -> None:
        """The first time is at once."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """Returns when work under way is done; it is not begun again. Idempotent."""
        self._stopping.set()
        if self._task is not None:
            await asyncio.wait([self._task])
            self._task = None

    async def _run(self) -> None:
        while not self._stopping.is_set():
            pause = self._seconds
            try:
                pause = await self._work() or pause
            except Exception:  # whatever it is, the work goes on: memory would fill if nothing were taken from it
                log.exception("The task %r failed; it is tried again.", self._name)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()


class Unbroken:
    """Runs work in tasks of its own: were it cancelled with its caller, what it had taken would be lost."""

    def __init__(self, name: str) -> None:
        self._name = name
        # The loop itself holds tasks weakly.
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Returns, or raises, with `work`."""
        task = asyncio.get_running_loop().create_task(work, name=self._name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.shield(task)
