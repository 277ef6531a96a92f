"""The one way to change a resource policy: commit first, with a new RevisionId of what it is on, then the decisions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from lambent.services.lambda_.errors import PreconditionFailedException
from lambent.services.lambda_.names import LATEST, FunctionName
from lambent.services.lambda_.permissions.decisions import Decisions
from lambent.services.lambda_.permissions.domain import ResourcePolicy
from lambent.services.lambda_.permissions.store import Key, PolicyStore
from lambent.services.lambda_.qualified import Qualified
from lambent.storage.database import Database

Change = Callable[[ResourcePolicy | None], ResourcePolicy | None]


@dataclass(frozen=True, slots=True)
class Wording:
    """In what AWS's operations differ."""

    #: What it says before the ARN of a function that does not exist.
    missing: str
    #: The operation that it names for the latest RevisionId.
    latest: str


class Permissions:
    """The policies of all functions. Implements changes.Attachment."""

    def __init__(self, database: Database, store: PolicyStore, decisions: Decisions, qualified: Qualified) -> None:
        self._database = database
        self._store = store
        self._decisions = decisions
        self._qualified = qualified

    async def start(self) -> None:
        for key, qualifier, policy in await self._database.read(self._store.all):
            self._decisions.put(key, qualifier, policy)

    async def find(self, name: FunctionName) -> tuple[ResourcePolicy, str] | None:
        """The policy, and the RevisionId of what it is on. Raises where the function does not exist."""

        def look(tx: Connection) -> tuple[ResourcePolicy, str] | None:
            self._qualified.find_function(tx, name)
            policy = self._store.find(tx, name.key, name.qualifier or LATEST)
            return None if policy is None else (policy, self._qualified.find(tx, name).revision_id)

        return await self._database.read(look)

    async def change(self, name: FunctionName, revision_id: str | None, wording: Wording, change: Change) -> None:
        """`change` the policy on what `name` means, if that has this RevisionId."""
        qualifier = name.qualifier or LATEST

        def write(tx: Connection) -> ResourcePolicy | None:
            target = self._qualified.find(tx, name, wording.missing)
            if revision_id is not None and revision_id != target.revision_id:
                raise PreconditionFailedException(
                    "The Revision Id provided does not match the latest Revision Id. "
                    f"Call the {wording.latest} API to retrieve the latest Revision Id"
                )
            changed = change(self._store.find(tx, name.key, qualifier))
            if changed is not None:
                # Nothing is kept that could not be decided by.
                changed.compiled()
            self._store.put(tx, name.key, qualifier, changed)
            self._qualified.touch(tx, target)
            return changed

        policy = await self._database.write(write)
        if policy is None:
            self._decisions.remove(name.key, qualifier)
        else:
            self._decisions.put(name.key, qualifier, policy)

    # ---- as an Attachment ----

    def delete(self, tx: Connection, key: Key, qualifier: str | None) -> None:
        self._store.delete(tx, key, qualifier)

    def forget(self, key: Key, qualifier: str | None) -> None:
        self._decisions.remove(key, qualifier)

    def delete_all(self, tx: Connection) -> None:
        self._store.delete_all(tx)

    def forget_all(self) -> None:
        self._decisions.clear()
