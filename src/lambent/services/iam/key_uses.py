"""When access keys and roles were last used: noted in memory with each request, written behind it.

What a crash loses is the uses of the last minute, which AWS does not promise to show either.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Container

from lambent.clock import Clock
from lambent.services.iam.domain import KeyUse
from lambent.services.iam.store import EntityStore
from lambent.storage.database import Database
from lambent.storage.faults import StorageError

log = logging.getLogger(__name__)

#: Seconds between writes, and how long a use stands before a like one replaces it.
INTERVAL = 60.0


class KeyUses:
    """Implements ports.KeyUseSink. `note` may be called on any thread."""

    def __init__(self, database: Database, store: EntityStore, clock: Clock) -> None:
        self._database = database
        self._store = store
        self._clock = clock
        self._uses: dict[str, KeyUse] = {}
        #: Those since the last write.
        self._unwritten: dict[str, KeyUse] = {}
        # Set by start.
        self._writing: asyncio.Task[None] | None = None

    def note(self, used_id: str, service: str, region: str) -> None:
        """Of a request that was signed with the key, or in a session of the role. Neither waits nor writes."""
        now = int(self._clock.now())
        last = self._uses.get(used_id)
        if last is None or now - last.at >= INTERVAL or last.service != service or last.region != region:
            self._uses[used_id] = self._unwritten[used_id] = KeyUse(now, service, region)

    def find(self, used_id: str) -> KeyUse | None:
        """By the id of an access key or a role."""
        return self._uses.get(used_id)

    async def start(self, known: Container[str]) -> None:
        """`known`: ids of the keys and roles that there are; what is on record of others is deleted."""
        found = await self._database.read(self._store.key_uses)
        gone = [used_id for used_id in found if used_id not in known]
        if gone:
            await self._database.write(lambda tx: self._store.delete_key_uses(tx, gone))
        self._uses = {used_id: use for used_id, use in found.items() if used_id in known}
        self._writing = asyncio.create_task(self._write_now_and_then(), name="write uses of access keys")

    async def stop(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._writing
            await self._write()

    def clear(self) -> None:
        self._uses.clear()
        self._unwritten.clear()

    async def _write_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            await self._write()

    async def _write(self) -> None:
        uses, self._unwritten = self._unwritten, {}
        if not uses:
            return
        try:
            await self._database.write(lambda tx: self._store.write_key_uses(tx, uses))
        except StorageError as error:
            # Nobody waits for it; the next use of each key is written as usual.
            log.warning("The last uses of access keys and roles were not written: %s", error)
