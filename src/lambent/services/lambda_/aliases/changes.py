"""The one way to change an alias: commit first, then the directory. Environments stay: versions keep what is warm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from sqlalchemy import Connection

from lambent.services.lambda_.aliases.domain import Alias
from lambent.services.lambda_.aliases.store import AliasStore
from lambent.services.lambda_.changes import Attachment
from lambent.services.lambda_.directory import Directory
from lambent.services.lambda_.domain import Function, State
from lambent.services.lambda_.errors import (
    InvalidParameterValueException,
    PreconditionFailedException,
    ResourceNotFoundException,
)
from lambent.services.lambda_.names import FunctionName
from lambent.services.lambda_.snap_start.domain import version_failed
from lambent.services.lambda_.store import FunctionStore
from lambent.storage.database import Database


class AliasWatch(Protocol):
    """What depends on where aliases lead: provisioned concurrency."""

    def check(self, tx: Connection, alias: Alias) -> None:
        """In the transaction that makes it lead there; raises where it may not."""

    def moved(self, key: tuple[str, str, str]) -> None:
        """An alias of the function leads elsewhere, once that is on disk."""


class Aliases:
    """The region's aliases, of all functions."""

    def __init__(
        self,
        database: Database,
        store: AliasStore,
        functions: FunctionStore,
        directory: Directory,
        attachments: Sequence[Attachment] = (),
        watches: Sequence[AliasWatch] = (),
    ) -> None:
        self._database = database
        self._store = store
        self._functions = functions
        self._directory = directory
        self._attachments = tuple(attachments)
        self._watches = tuple(watches)

    async def find(self, function: FunctionName, name: str) -> Alias:
        """Raises ResourceNotFoundException."""

        def find(tx: Connection) -> Alias | None:
            self._check_function(tx, function)
            return self._store.find(tx, function.key, name)

        alias = await self._database.read(find)
        if alias is None:
            raise ResourceNotFoundException(f"Cannot find alias arn: {_named(function, name).arn}")
        return alias

    async def of_function(self, function: FunctionName) -> list[Alias]:
        """In the order of their names. Raises ResourceNotFoundException."""

        def find(tx: Connection) -> list[Alias]:
            self._check_function(tx, function)
            return self._store.of_function(tx, function.key)

        return await self._database.read(find)

    async def create(self, alias: Alias) -> None:
        """Raises for a version that is not there, a name that is taken, and weights that cannot be."""

        def insert(tx: Connection) -> None:
            self._check_versions(tx, alias)
            self._store.insert(tx, alias)

        await self._database.write(insert)
        self._directory.put_alias(alias)

    async def update(
        self, function: FunctionName, name: str, revision_id: str | None, change: Callable[[Alias], Alias]
    ) -> Alias:
        """The calls that come next go where the alias leads then; those under way end where they are.

        Raises as `create` does, for an alias that is not there and for a wrong RevisionId.
        """

        def update(tx: Connection) -> Alias:
            self._check_function(tx, function)
            current = self._store.find(tx, function.key, name)
            if current is None:
                raise ResourceNotFoundException(f"Alias not found: {_named(function, name).arn}")
            if revision_id is not None and revision_id != current.revision_id:
                raise PreconditionFailedException
            changed = change(current)
            self._check_versions(tx, changed)
            for watch in self._watches:
                watch.check(tx, changed)
            self._store.replace(tx, changed)
            return changed

        changed = await self._database.write(update)
        self._directory.put_alias(changed)
        for watch in self._watches:
            watch.moved(function.key)
        return changed

    async def delete(self, function: FunctionName, name: str) -> None:
        """One that is not there is gone, as on AWS. Raises ResourceNotFoundException for the function."""

        def remove(tx: Connection) -> None:
            self._check_function(tx, function)
            for attachment in self._attachments:
                attachment.delete(tx, function.key, name)
            self._store.delete(tx, function.key, name)

        await self._database.write(remove)
        self._directory.remove_qualifier(function.key, name)
        for attachment in self._attachments:
            attachment.forget(function.key, name)

    def _check_function(self, tx: Connection, function: FunctionName) -> None:
        if not self._functions.exists(tx, function.key):
            raise function.not_found()

    def _check_versions(self, tx: Connection, alias: Alias) -> None:
        """Both versions exist, and may share the alias."""
        first = self._version(tx, alias, alias.version)
        alias.check_routing()
        for number in alias.weights:
            if self._version(tx, alias, number).settings.role != first.settings.role:
                raise InvalidParameterValueException(
                    "Specified versions must be associated with the same execution role"
                )

    def _version(self, tx: Connection, alias: Alias, number: str) -> Function:
        version = self._functions.find_version(tx, alias.function_key, number)
        if version is None:
            raise FunctionName(*alias.function_key, number).not_found()
        if version.state is State.FAILED:
            raise version_failed(version.state_reason_code or "")
        return version


def _named(function: FunctionName, alias: str) -> FunctionName:
    return FunctionName(*function.key, alias)
