"""The one way to change a function: commit first, then the directory, then the environments, then settling.

Operations decide what changes; this module keeps the order, so that nothing runs that is not on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from sqlalchemy import Connection

from lambent.ports import Invoker
from lambent.services.lambda_.directory import Directory
from lambent.services.lambda_.domain import Function, State
from lambent.services.lambda_.errors import PreconditionFailedException, ResourceConflictException
from lambent.services.lambda_.names import FunctionName
from lambent.services.lambda_.settle import Settler
from lambent.services.lambda_.store import FunctionStore, Key
from lambent.storage.database import Database


class Attachment(Protocol):
    """What hangs on functions, versions and aliases and goes with them: policies, URLs."""

    def delete(self, tx: Connection, key: Key, qualifier: str | None) -> None:
        """In the transaction that deletes version or alias `qualifier`; None: the function with all of them."""

    def forget(self, key: Key, qualifier: str | None) -> None:
        """The same in memory, once that is on disk."""


class Functions:
    """The region's functions, of all accounts."""

    def __init__(
        self,
        database: Database,
        store: FunctionStore,
        directory: Directory,
        invoker: Invoker,
        attachments: Sequence[Attachment] = (),
    ) -> None:
        self._database = database
        self._store = store
        self._directory = directory
        self._invoker = invoker
        self._attachments = tuple(attachments)
        self._settler = Settler(database, store, directory)

    async def start(self) -> set[str]:
        """Fill the directory and go on settling; returns the packages that functions use."""
        functions = await self._database.read(self._store.all)
        for function in functions:
            self._directory.put(function)
            if not function.is_settled:
                self._settler.schedule(function)
        return {function.package.sha256 for function in functions}

    async def stop(self) -> None:
        await self._settler.stop()

    async def find(self, name: FunctionName) -> Function:
        """Raises ResourceNotFoundException."""
        function = await self._database.read(lambda tx: self._store.find(tx, name.key))
        if function is None:
            raise name.not_found()
        return function

    async def create(self, function: Function, check: Callable[[Connection], None]) -> None:
        """`check` may refuse inside the transaction. Raises ResourceConflictException where the name is taken."""

        def insert(tx: Connection) -> None:
            check(tx)
            self._store.insert(tx, function)

        await self._database.write(insert)
        self._directory.put(function)
        self._settler.schedule(function)

    async def update(
        self, name: FunctionName, revision_id: str | None, change: Callable[[Function], Function]
    ) -> Function:
        """Change code or configuration. Raises for a wrong RevisionId and while another update is in progress."""
        await self._settler.wait_settled(name.key)

        def checked(_tx: Connection, function: Function) -> Function:
            _check_settled(function)
            check_revision(function, revision_id)
            return change(function)

        updated = await self.amend(name, checked)
        self._invoker.retire(*name.key)
        self._settler.schedule(updated)
        return updated

    async def amend(self, name: FunctionName, change: Callable[[Connection, Function], Function]) -> Function:
        """Change what environments do not depend on (tags, concurrency), at once."""
        changed = await self._database.write(lambda tx: self._store.change(tx, name.key, change))
        if changed is None:
            raise name.not_found()
        self._directory.put(changed)
        return changed

    async def delete(self, name: FunctionName) -> None:
        def remove(tx: Connection) -> bool:
            for attachment in self._attachments:
                attachment.delete(tx, name.key, None)
            return self._store.delete(tx, name.key)

        if not await self._database.write(remove):
            raise name.not_found()
        self._directory.remove(name.key)
        for attachment in self._attachments:
            attachment.forget(name.key, None)
        self._invoker.retire(*name.key)

    async def delete_all(self) -> None:
        await self._database.write(self._store.delete_all)
        for key in self._directory.clear():
            self._invoker.retire(*key)


def check_revision(function: Function, revision_id: str | None) -> None:
    if revision_id is not None and revision_id != function.revision_id:
        raise PreconditionFailedException


def _check_settled(function: Function) -> None:
    if function.state is not State.ACTIVE:
        raise ResourceConflictException(
            "The operation cannot be performed at this time. "
            f"The function is currently in the following state: {function.state}"
        )
    if not function.is_settled:
        raise ResourceConflictException(
            f"The operation cannot be performed at this time. An update is in progress for resource: {function.arn}"
        )
