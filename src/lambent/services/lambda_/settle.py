"""Brings functions and new versions from Pending to Active and updates from InProgress to Successful.

That is after the caller has its answer: the package is extracted before a create or update is acknowledged, so settling
is one more commit, milliseconds later. A restart settles what the last run left unsettled.
"""

from __future__ import annotations

import asyncio
import logging

from sqlalchemy import Connection

from lambent.services.lambda_.directory import Directory
from lambent.services.lambda_.domain import Function
from lambent.services.lambda_.names import LATEST
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
    """Owns one task per function or published version that is settling."""

    def __init__(self, database: Database, store: FunctionStore, directory: Directory) -> None:
        self._database = database
        self._store = store
        self._directory = directory
        #: By function and version.
        self._tasks: dict[tuple[Key, str], asyncio.Task[None]] = {}

    def schedule(self, function: Function) -> None:
        """Settle `function` soon."""
        key = function.key, function.version
        task = asyncio.get_running_loop().create_task(
            self._settle(function), name=f"settle {function.name}:{function.version}"
        )
        self._tasks[key] = task

        def forget(done: asyncio.Task[None]) -> None:
            if self._tasks.get(key) is done:
                del self._tasks[key]

        task.add_done_callback(forget)

    async def wait_settled(self, key: Key) -> None:
        """Wait, but not long, until $LATEST of this function has settled."""
        task = self._tasks.get((key, LATEST))
        if task is not None:
            await asyncio.wait([task], timeout=PATIENCE)

    async def stop(self) -> None:
        """What is not settled now will be by the next start."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _settle(self, function: Function) -> None:
        def settle(tx: Connection) -> Function | None:
            current = self._store.find_version(tx, function.key, function.version)
            if current is None or current.generation != function.generation:
                return None  # deleted, or updated again, which settles by itself
            settled = current.settled()
            self._store.write_state(tx, settled)
            return settled

        while True:
            try:
                settled = await self._database.write(settle)
            except StorageError as error:
                log.error("Function %s stays unsettled for now: %s", function.name, error)
                await asyncio.sleep(RETRY_DELAY)
                continue
            if settled is not None:
                self._directory.put(settled)
            return
