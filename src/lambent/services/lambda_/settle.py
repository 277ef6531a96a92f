"""Brings functions and new versions from Pending to Active and updates from InProgress to Successful.

That is after the caller has its answer: the package is extracted before a create or update is acknowledged, so settling
is one more commit, milliseconds later. Versions with SnapStart take longer: their snapshot comes first. A restart
settles what the last run left unsettled.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from sqlalchemy import Connection

from lambent.services.lambda_.directory import Directory
from lambent.services.lambda_.domain import Function, State
from lambent.services.lambda_.names import LATEST
from lambent.services.lambda_.snap_start.versions import VersionSnapshots
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

    def __init__(
        self, database: Database, store: FunctionStore, directory: Directory, snapshots: VersionSnapshots
    ) -> None:
        self._database = database
        self._store = store
        self._directory = directory
        self._snapshots = snapshots
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

    def is_settling(self, version: Function) -> bool:
        """Whether that is under way already for a published version; $LATEST settles anew after each update."""
        return version.version != LATEST and (version.key, version.version) in self._tasks

    def forget(self, key: Key, version: str | None = None) -> None:
        """The version (None: every one) is gone: nobody waits for it to settle."""
        for name, task in self._tasks.items():
            if name[0] == key and version in (None, name[1]):
                task.cancel()

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
        changes: dict[str, Any] = {}
        if function.has_snap_start:
            changes = await self._snapshots.take(function)
            has_snapshot = changes.get("snapshot_ms") is not None
            self._directory.put_state(function, changes.get("state", State.PENDING), has_snapshot=has_snapshot)

        def settle(tx: Connection) -> Function | None:
            current = self._store.find_version(tx, function.key, function.version)
            if current is None or current.generation != function.generation:
                return None  # deleted, or updated again, which settles by itself
            settled = current.settled(**changes)
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
                self._snapshots.taken(settled)
            return
