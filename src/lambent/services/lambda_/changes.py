"""The one way to change a function or publish it: commit first, then the directory, the environments, settling.

Operations decide what changes; this module keeps the order, so that nothing runs that is not on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from sqlalchemy import Connection

from lambent.ids import revision_id as new_revision_id
from lambent.ports import Invoker
from lambent.services.lambda_.aliases.store import AliasStore
from lambent.services.lambda_.directory import Directory
from lambent.services.lambda_.domain import Function, State
from lambent.services.lambda_.errors import PreconditionFailedException, ResourceConflictException
from lambent.services.lambda_.names import LATEST, FunctionName, is_alias
from lambent.services.lambda_.settle import Settler
from lambent.services.lambda_.snap_start.versions import VersionSnapshots
from lambent.services.lambda_.store import FunctionStore, Key
from lambent.storage.database import Database

#: (transaction, account, region, bytes more): raises CodeStorageExceededException where they are too many.
StorageCheck = Callable[[Connection, str, str, int], None]


class Attachment(Protocol):
    """What hangs on functions, versions and aliases and goes with them: policies, URLs."""

    def delete(self, tx: Connection, key: Key, qualifier: str | None) -> None:
        """In the transaction that deletes version or alias `qualifier`; None: the function with all of them."""

    def forget(self, key: Key, qualifier: str | None) -> None:
        """The same in memory, once that is on disk."""

    def delete_all(self, tx: Connection) -> None:
        """In the transaction that deletes every function."""

    def forget_all(self) -> None:
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
        *,
        aliases: AliasStore,
        check_storage: StorageCheck,
        snapshots: VersionSnapshots,
    ) -> None:
        self._database = database
        self._store = store
        self._aliases = aliases
        self._directory = directory
        self._invoker = invoker
        self._attachments = tuple(attachments)
        self._check_storage = check_storage
        self._snapshots = snapshots
        self._settler = Settler(database, store, directory, snapshots)

    async def start(self) -> None:
        """Fill the directory and go on settling."""
        functions, aliases = await self._database.read(lambda tx: (self._store.all(tx), self._aliases.all(tx)))
        for function in functions:
            self._show(function)
            if function.version == LATEST and function.reserved_concurrency is not None:
                self._invoker.reserve(*function.key, function.reserved_concurrency)
        for alias in aliases:
            self._directory.put_alias(alias)
        self._snapshots.start(functions)

    async def stop(self) -> None:
        await self._settler.stop()
        await self._snapshots.stop()

    async def find(self, name: FunctionName) -> Function:
        """$LATEST, whatever the qualifier of `name`. Raises ResourceNotFoundException."""
        function = await self._database.read(lambda tx: self._store.find(tx, name.key))
        if function is None:
            raise name.not_found()
        return function

    async def resolve(self, name: FunctionName) -> Function:
        """The version that `name` means, of an alias the one that most calls go to; $LATEST without a qualifier.

        Raises ResourceNotFoundException.
        """

        def find(tx: Connection) -> Function | None:
            qualifier = name.qualifier or LATEST
            alias = self._aliases.find(tx, name.key, qualifier) if is_alias(qualifier) else None
            return self._store.find_version(tx, name.key, qualifier if alias is None else alias.version)

        function = await self._database.read(find)
        if function is None:
            raise name.not_found()
        return function

    async def versions(self, name: FunctionName, after: int, limit: int) -> list[Function]:
        """Up to `limit` versions in order, $LATEST (0) first, those behind number `after`."""

        def find(tx: Connection) -> list[Function]:
            latest = self._store.find(tx, name.key)
            if latest is None:
                raise name.not_found()
            published = self._store.versions_page(tx, name.key, after, limit)
            return [latest, *published][:limit] if after < 0 else published

        return await self._database.read(find)

    async def create(
        self, function: Function, *, publish: bool = False, also: Callable[[Connection], None] = lambda tx: None
    ) -> Function:
        """The function, or its first version where it is to `publish`. `also` is written with it.

        Raises ResourceConflictException where the name is taken, and for too much code.
        """

        def insert(tx: Connection) -> Function:
            self._check_storage(tx, function.account, function.region, function.package.size)
            self._store.insert(tx, function)
            if also is not None:
                also(tx)
            return self._publish(tx, function) if publish else function

        created = await self._database.write(insert)
        self._show(function)
        if publish:
            self._show(created)
        return created

    async def update(
        self,
        name: FunctionName,
        revision_id: str | None,
        change: Callable[[Function], Function],
        *,
        publish: bool = False,
    ) -> Function:
        """Change code or configuration; the function then, or the version of it that it was to `publish`.

        Raises for a wrong RevisionId and while another update is in progress.
        """
        await self._settler.wait_settled(name.key)

        def update(tx: Connection) -> tuple[Function, Function]:
            function = self._free(tx, name, revision_id)
            updated = change(function)
            self._store.replace(tx, updated)
            return updated, (self._unchanged(tx, updated) or self._publish(tx, updated)) if publish else updated

        updated, result = await self._database.write(update)
        self._show(updated)
        self._invoker.retire(*name.key, LATEST)
        if publish:
            self._show(result)
        return result

    async def publish(
        self,
        name: FunctionName,
        revision_id: str | None,
        description: str | None,
        check: Callable[[Function], None],
    ) -> Function:
        """A version of what $LATEST is, the one published last where that is the same. `check` may refuse.

        Raises as `update` does.
        """
        await self._settler.wait_settled(name.key)

        def publish(tx: Connection) -> Function:
            function = self._free(tx, name, revision_id)
            check(function)
            published = self._unchanged(tx, function)
            if published is None:
                published = self._publish(tx, function, description)
                self._store.touch(tx, function, new_revision_id())  # as AWS does
            return published

        published = await self._database.write(publish)
        self._show(published)
        return published

    async def amend(self, name: FunctionName, change: Callable[[Connection, Function], Function]) -> Function:
        """Change what environments do not depend on (tags, concurrency), at once."""
        changed = await self._database.write(lambda tx: self._store.change(tx, name.key, change))
        if changed is None:
            raise name.not_found()
        self._directory.put(changed)
        self._invoker.reserve(*name.key, changed.reserved_concurrency)
        return changed

    async def delete(self, name: FunctionName) -> None:
        """With all its versions and aliases."""

        def remove(tx: Connection) -> bool:
            for attachment in self._attachments:
                attachment.delete(tx, name.key, None)
            self._aliases.delete_of_function(tx, name.key)
            return self._store.delete(tx, name.key)

        if not await self._database.write(remove):
            raise name.not_found()
        self._settler.forget(name.key)
        self._directory.remove(name.key)
        for attachment in self._attachments:
            attachment.forget(name.key, None)
        self._invoker.retire(*name.key)
        self._invoker.forget(*name.key)

    async def delete_version(self, name: FunctionName, version: str) -> None:
        """Raises ResourceConflictException while an alias leads to it. One that is not there is gone, as on AWS."""

        def remove(tx: Connection) -> None:
            if self._store.find(tx, name.key) is None:
                raise name.not_found()
            users = [alias.name for alias in self._aliases.of_function(tx, name.key) if version in alias.versions]
            if users:
                raise ResourceConflictException(
                    f"Unable to delete version because the following aliases reference it: [{', '.join(users)}]"
                )
            for attachment in self._attachments:
                attachment.delete(tx, name.key, version)
            self._store.delete_version(tx, name.key, version)

        await self._database.write(remove)
        self._settler.forget(name.key, version)
        self._directory.remove_qualifier(name.key, version)
        for attachment in self._attachments:
            attachment.forget(name.key, version)
        self._invoker.retire(*name.key, version)

    async def delete_all(self) -> None:
        def remove(tx: Connection) -> None:
            for attachment in self._attachments:
                attachment.delete_all(tx)
            self._aliases.delete_all(tx)
            self._store.delete_all(tx)

        await self._database.write(remove)
        for attachment in self._attachments:
            attachment.forget_all()
        for key in self._directory.clear():
            self._settler.forget(key)
            self._invoker.retire(*key)
            self._invoker.forget(*key)

    def _free(self, tx: Connection, name: FunctionName, revision_id: str | None) -> Function:
        """The function, if it may be changed now by a caller who knows it as `revision_id`."""
        function = self._store.find(tx, name.key)
        if function is None:
            raise name.not_found()
        _check_settled(function)
        check_revision(function, revision_id)
        return function

    def _unchanged(self, tx: Connection, function: Function) -> Function | None:
        """The newest version where `function` ($LATEST) is still what that was made of."""
        newest = self._store.newest_version(tx, function.key)
        return newest if newest is not None and function.is_same_as(newest) else None

    def _publish(self, tx: Connection, function: Function, description: str | None = None) -> Function:
        """The version that `function` ($LATEST) makes."""
        published = function.published(self._store.take_number(tx, function.key), description)
        self._check_storage(tx, function.account, function.region, function.package.size)
        self._store.insert_version(tx, published)
        return published

    def _show(self, function: Function) -> None:
        """It is on disk: let it be found, and settle it."""
        self._directory.put(function)
        if not function.is_settled and not self._settler.is_settling(function):
            self._settler.schedule(function)


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
