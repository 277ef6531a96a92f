"""What the tests of the log store share."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from lambent.clock import TestClock
from lambent.services.logs.catalogue import Group, Stream
from lambent.services.logs.domain import Event, Position
from lambent.services.logs.reader import Query
from lambent.services.logs.store import LogStore

WHO = ("000000000000", "us-east-1")
NOW = 1_750_000_000_000
MIB = 1024 * 1024


@asynccontextmanager
async def opened(directory: Path, budget: int = 64 * MIB, clock: TestClock | None = None) -> AsyncIterator[LogStore]:
    store = LogStore(directory / "logs", clock or TestClock(), budget)
    await store.start()
    try:
        yield store
    finally:
        await store.stop()


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Fails where the condition does not come true in time."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 (a file or a counter sets no event)
            await asyncio.sleep(0.005)


def files(directory: Path, suffix: str = "") -> list[Path]:
    """The store's files, oldest first."""
    return sorted((directory / "logs").glob(f"*{suffix}"))


def disk_bytes(directory: Path) -> int:
    total = 0
    for path in files(directory):
        # One may be replaced meanwhile.
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def group(store: LogStore, name: str) -> Group:
    found = store.find_group(*WHO, name)
    assert found is not None
    return found


def stream(store: LogStore, of: str, name: str = "s") -> Stream:
    return group(store, of).streams[name]


async def seal(store: LogStore) -> None:
    """What is in the journal goes into a chunk."""
    await store.flush()
    await store._roll()
    await store.upkeep()


async def pages(store: LogStore, *streams: Stream, **options: Any) -> list[list[Event]]:
    """All pages of a query, one after the other."""
    await store.flush()
    found: list[list[Event]] = []
    position: Position | None = None
    while True:
        page = await store.read(Query(streams, position=position, **options))
        found.append(page.events)
        if page.next_position is None:
            return found
        assert page.next_position != position, "no progress"
        position = page.next_position


async def messages(store: LogStore, *streams: Stream) -> list[bytes]:
    return [event.message for page in await pages(store, *streams) for event in page]


async def numbers(store: LogStore, *streams: Stream) -> list[int]:
    """The number that each kept message begins with."""
    return [int(message.split()[0]) for message in await messages(store, *streams)]
