"""IAM of a region put together: what `app` builds, starts, registers, resets and stops."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Sequence

from lambent.clock import Clock
from lambent.services.iam.accounts import Accounts
from lambent.services.iam.directory import Directory
from lambent.services.iam.entities import Entities
from lambent.services.iam.key_uses import KeyUses
from lambent.services.iam.store import EntityStore
from lambent.storage.database import Database
from lambent.storage.secrets import SecretBox


class IamService:
    def __init__(self, *, database: Database, secrets: SecretBox, clock: Clock) -> None:
        #: Who there is and what they may do: `identity.principals.Principals` and `ports.Roles`.
        self.directory = Directory(secrets)
        store = EntityStore()
        #: What is told of each use of an access key and of a role.
        self.key_uses = KeyUses(database, store, clock)
        #: Those beside the region's first one, with their root keys.
        self.accounts = Accounts(database, secrets, clock)
        self._entities = Entities(database, store, self.directory, self.key_uses, clock)
        self._secrets = secrets
        #: None until the first operation is asked for.
        self._operations: Sequence[object] | None = None

    async def operations(self) -> Sequence[object]:
        """Every operation. Their modules are read at the first need: no start waits for them."""
        if self._operations is None:
            module = await asyncio.to_thread(importlib.import_module, "lambent.services.iam.api")
            self._operations = module.operations(self._entities, self.accounts, self._secrets)
        return self._operations

    async def start(self) -> None:
        """After the database; before the first request."""
        await self.accounts.start()
        await self._entities.start()
        await self.key_uses.start(self.directory.used_ids())

    async def stop(self) -> None:
        """After the last request; before the database."""
        await self.key_uses.stop()

    async def reset(self) -> None:
        """Forget every entity of every account, and the accounts themselves."""
        await self._entities.delete_all()
        await self.accounts.reset()
        self.key_uses.clear()
