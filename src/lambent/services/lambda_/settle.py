"""Brings functions from Pending to Active and updates from InProgress to Successful, after the caller has its answer.

The package is extracted before a create or update is acknowledged, so settling is one more commit, milliseconds later.
A restart settles what the last run left unsettled.
"""

from __future__ import annotations

import asyncio
import logging

from sqlalchemy import Connection

from lambent.services.lambda_.directory import Directory
from lambent.services.lambda_.domain import Function
from lambent.services.lambda_.store import FunctionStore, Key
from lambent.storage.database import Database
from lambent.storage.faults import StorageError

log = logging.getLogger(__name__)

#: Seconds until the next try where the store failed, as with a full disk.
RETRY_DELAY = 1.0
#: Seconds that an update waits for the one before it: a caller who updates twice without a waiter finds the first
#: through, since it takes milliseconds; AWS's "update is in progress" is for updates that really hang.
PATIENCE = 0.5


class Settler:
    """Owns one task per function that is settling."""

    def __init__(self, database: Database, store: FunctionStore, directory: Directory) -> None:
        self._database = database
        self._store = store
        self._directory = directory
        self._tasks: dict[Key, asyncio.Task[None]] = {}

    def schedule(self, function: Function) -> None:
        """Settle `function` soon."""
        key = function.key
        task = asyncio.get_running_loop().create_task(
            self._settle(key, function.generation), name=f"settle {function.name}"
        )
        self._tasks[key] = task

        def forget(done: asyncio.Task[None]) -> None:
            if self._tasks.get(key) is done:
                del self._tasks[key]

        task.add_done_callback(forget)

    async def wait_settled(self, key: Key) -> None:
        """Wait, but not long, until nothing is settling for this function."""
        task = self._tasks.get(key)
        if task is not None:
            await asyncio.wait([task], timeout=PATIENCE)

    async def stop(self) -> None:
        """What is not settled now will be by the next start."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _settle(self, key: Key, generation: str) -> None:
        def settle(tx: Connection) -> Function | None:
            return self._store.change(
                tx, key, lambda _tx, function: function.settled() if function.generation == generation else function
            )

        while True:
            try:
                settled = await self._database.write(settle)
            except StorageError as error:
                log.error("Function %s stays unsettled for now: %s", key[2], error)
                await asyncio.sleep(RETRY_DELAY)
                continue
            if settled is not None and settled.generation == generation:
                self._directory.put(settled)
            return
