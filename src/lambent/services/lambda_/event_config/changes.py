"""The one way to change EventInvokeConfigs: commit first, then the directory. What goes takes its events with it."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from lambent.ports import EventSink
from lambent.services.lambda_.errors import ResourceNotFoundException
from lambent.services.lambda_.event_config.directory import Rules
from lambent.services.lambda_.event_config.domain import EventConfig
from lambent.services.lambda_.event_config.store import EventConfigStore
from lambent.services.lambda_.names import LATEST, FunctionName
from lambent.services.lambda_.qualified import Qualified
from lambent.services.lambda_.store import Key
from lambent.storage.database import Database


class EventConfigs:
    """Those of all functions. Implements changes.Attachment."""

    def __init__(
        self,
        database: Database,
        store: EventConfigStore,
        directory: Rules,
        qualified: Qualified,
        events: EventSink,
    ) -> None:
        self._database = database
        self._store = store
        self._directory = directory
        self._qualified = qualified
        self._events = events

    async def start(self) -> None:
        for config in await self._database.read(self._store.all):
            self._directory.put(config.key, config.qualifier, config.rules)

    async def put(self, name: FunctionName, config: EventConfig) -> EventConfig:
        """In place of one that is there. Raises ResourceNotFoundException for the function, version or alias."""

        def put(tx: Connection) -> EventConfig:
            self._check_exists(tx, name)
            self._store.put(tx, config)
            return config

        return self._published(await self._database.write(put))

    async def update(self, name: FunctionName, change: Callable[[EventConfig], EventConfig]) -> EventConfig:
        """Raises ResourceNotFoundException where there is none."""

        def update(tx: Connection) -> EventConfig:
            changed = change(self._found(tx, name))
            self._store.put(tx, changed)
            return changed

        return self._published(await self._database.write(update))

    async def find(self, name: FunctionName) -> EventConfig:
        """Raises ResourceNotFoundException where there is none."""
        return await self._database.read(lambda tx: self._found(tx, name))

    async def page(self, name: FunctionName, after: str, limit: int) -> list[EventConfig]:
        """Raises ResourceNotFoundException for the function."""

        def look(tx: Connection) -> list[EventConfig]:
            self._check_exists(tx, FunctionName(*name.key, None))
            return self._store.page(tx, name.key, after, limit)

        return await self._database.read(look)

    async def remove(self, name: FunctionName) -> None:
        """Raises ResourceNotFoundException where there is none."""

        def remove(tx: Connection) -> None:
            self._found(tx, name)
            self._store.delete(tx, name.key, name.qualifier or LATEST)

        await self._database.write(remove)
        self._directory.remove(name.key, name.qualifier or LATEST)

    def _found(self, tx: Connection, name: FunctionName) -> EventConfig:
        qualifier = name.qualifier or LATEST
        config = self._store.find(tx, name.key, qualifier)
        if config is None:
            arn = FunctionName(*name.key, qualifier).arn
            raise ResourceNotFoundException(f"The function {arn} doesn't have an EventInvokeConfig")
        return config

    def _check_exists(self, tx: Connection, name: FunctionName) -> None:
        try:
            self._qualified.find(tx, name)
        except ResourceNotFoundException:
            raise ResourceNotFoundException("The function doesn't exist.") from None

    def _published(self, config: EventConfig) -> EventConfig:
        self._directory.put(config.key, config.qualifier, config.rules)
        return config

    # ---- as an Attachment ----

    def delete(self, tx: Connection, key: Key, qualifier: str | None) -> None:
        self._store.delete(tx, key, qualifier)

    def forget(self, key: Key, qualifier: str | None) -> None:
        self._directory.remove(key, qualifier)
        self._events.forget(*key, qualifier)

    def delete_all(self, tx: Connection) -> None:
        self._store.delete_all(tx)

    def forget_all(self) -> None:
        self._directory.clear()
