"""The one way to change function URLs: commit first, then the directory."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from lambent.services.lambda_.domain import Function
from lambent.services.lambda_.errors import InvalidParameterValueException, ResourceNotFoundException
from lambent.services.lambda_.names import LATEST, FunctionName
from lambent.services.lambda_.qualified import Qualified
from lambent.services.lambda_.store import Key
from lambent.services.lambda_.urls.directory import Urls
from lambent.services.lambda_.urls.domain import FunctionUrl
from lambent.services.lambda_.urls.store import UrlStore
from lambent.storage.database import Database


class FunctionUrls:
    """The URLs of all functions. Implements changes.Attachment."""

    def __init__(self, database: Database, store: UrlStore, directory: Urls, qualified: Qualified) -> None:
        self._database = database
        self._store = store
        self._directory = directory
        self._qualified = qualified

    async def start(self) -> None:
        for url in await self._database.read(self._store.all):
            self._directory.put(url.key, url.qualifier, url.target)

    async def create(self, name: FunctionName, make: Callable[[Function], FunctionUrl]) -> FunctionUrl:
        """`make` it for the function. Raises where that or the alias does not exist, or has one."""

        def insert(tx: Connection) -> FunctionUrl:
            function = self._existing(tx, name)
            if function.settings.per_tenant:
                raise InvalidParameterValueException(
                    "Function URLs are not supported for functions enabled with tenancy configuration."
                )
            url = make(function)
            self._store.insert(tx, url)
            return url

        return self._published(await self._database.write(insert))

    async def find(self, name: FunctionName) -> FunctionUrl:
        """Raises ResourceNotFoundException."""
        url = await self._database.read(lambda tx: self._store.find(tx, name.key, name.qualifier or LATEST))
        if url is None:
            raise _no_url()
        return url

    async def page(self, name: FunctionName, after: str, limit: int) -> list[FunctionUrl]:
        """Raises where the function does not exist."""

        def look(tx: Connection) -> list[FunctionUrl]:
            self._existing(tx, FunctionName(*name.key, None))
            return self._store.page(tx, name.key, after, limit)

        return await self._database.read(look)

    async def update(self, name: FunctionName, change: Callable[[FunctionUrl], FunctionUrl]) -> FunctionUrl:
        """Raises where the function, the alias or the URL does not exist."""

        def replace(tx: Connection) -> FunctionUrl:
            self._existing(tx, name)
            current = self._store.find(tx, name.key, name.qualifier or LATEST)
            if current is None:
                raise _no_url()
            changed = change(current)
            self._store.replace(tx, changed)
            return changed

        return self._published(await self._database.write(replace))

    async def remove(self, name: FunctionName) -> None:
        """Raises ResourceNotFoundException."""
        qualifier = name.qualifier or LATEST
        if not await self._database.write(lambda tx: self._store.delete(tx, name.key, qualifier)):
            raise _no_url()
        self._directory.remove(name.key, qualifier)

    def _existing(self, tx: Connection, name: FunctionName) -> Function:
        """The function of `name`, whose alias exists too; both are missing in the same words."""
        try:
            self._qualified.find(tx, name)
            return self._qualified.find_function(tx, name)
        except ResourceNotFoundException:
            raise ResourceNotFoundException("Function does not exist") from None

    def _published(self, url: FunctionUrl) -> FunctionUrl:
        self._directory.put(url.key, url.qualifier, url.target)
        return url

    # ---- as an Attachment ----

    def delete(self, tx: Connection, key: Key, qualifier: str | None) -> None:
        self._store.delete(tx, key, qualifier)

    def forget(self, key: Key, qualifier: str | None) -> None:
        self._directory.remove(key, qualifier)

    def delete_all(self, tx: Connection) -> None:
        self._store.delete_all(tx)

    def forget_all(self) -> None:
        self._directory.clear()


def _no_url() -> ResourceNotFoundException:
    return ResourceNotFoundException("The resource you requested does not exist.")
