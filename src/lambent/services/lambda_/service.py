"""The Lambda service put together: what `app` builds, starts, registers and stops.

`operations` go to the edge's dispatch, `directory` to whoever invokes functions, `links` serves `links.PREFIX`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from lambent.clock import Clock
from lambent.ports import Invoker
from lambent.services.lambda_.calls import Calls
from lambent.services.lambda_.changes import Functions
from lambent.services.lambda_.code.links import CodeLinks
from lambent.services.lambda_.code.store import CodeStore
from lambent.services.lambda_.directory import Directory
from lambent.services.lambda_.operations.code import CodeOperations
from lambent.services.lambda_.operations.concurrency import ConcurrencyOperations
from lambent.services.lambda_.operations.functions import FunctionOperations
from lambent.services.lambda_.operations.invoke import InvokeOperations
from lambent.services.lambda_.operations.permissions import PermissionOperations
from lambent.services.lambda_.operations.tags import TagOperations
from lambent.services.lambda_.store import FunctionStore
from lambent.services.lambda_.urls.directory import Urls
from lambent.storage.database import Database
from lambent.storage.faults import StorageError
from lambent.storage.secrets import SecretBox

log = logging.getLogger(__name__)

#: Seconds between collections of unused packages. An invocation that still runs from one started before the first of
#: the two collections that condemn it, so this is the longest a function may run.
COLLECTION_INTERVAL = 900.0


class LambdaService:
    def __init__(
        self,
        *,
        data_dir: Path,
        database: Database,
        secrets: SecretBox,
        invoker: Invoker,
        clock: Clock,
        account_concurrency: int = 1000,
        use_runtime: Callable[[str], None] = lambda runtime: None,
    ) -> None:
        """`use_runtime` is told of the runtime of every function that exists, at once and again at each change."""
        self._database = database
        self._store = FunctionStore(secrets)
        self._code = CodeStore(data_dir)
        self.directory = Directory(self._code, use_runtime)
        #: Function URLs, for their door.
        self.urls = Urls()
        #: Functions as other services and front doors call them.
        self.calls = Calls(self.directory, invoker)
        self.links = CodeLinks(secrets.derive("code links"), self._code, clock)
        self._functions = functions = Functions(database, self._store, self.directory, invoker)
        self.operations: Sequence[object] = (
            FunctionOperations(database, self._store, functions, self._code, self.links, clock),
            CodeOperations(functions, self._code, clock),
            InvokeOperations(self.directory, invoker),
            TagOperations(functions),
            ConcurrencyOperations(database, self._store, functions, account_concurrency),
            PermissionOperations(functions),
        )
        self._collector: asyncio.Task[None] | None = None
        self._collecting = asyncio.Lock()

    async def start(self) -> None:
        """After the database; before the first request."""
        await self._code.start(await self._functions.start())
        self._collector = asyncio.get_running_loop().create_task(self._collect_for_ever(), name="package collector")

    async def stop(self) -> None:
        """After the last request; before the database."""
        if self._collector is not None:
            self._collector.cancel()
            await asyncio.gather(self._collector, return_exceptions=True)
        await self._functions.stop()
        await self._code.stop()

    async def reset(self) -> None:
        """Forget every function of every account."""
        await self._functions.delete_all()
        await self.collect(at_once=True)

    async def collect(self, *, at_once: bool = False) -> None:
        """Remove packages that no function uses: on second sight, or `at_once` where no environment can use them."""
        # One at a time: the store remembers what was admitted since the beginning of one collection.
        async with self._collecting:
            self._code.begin_collection()
            await self._code.collect(await self._database.read(self._store.referenced_packages), at_once=at_once)

    async def _collect_for_ever(self) -> None:
        # No environment runs yet, so what the last run left unused can go at once.
        at_once = True
        while True:
            try:
                await self.collect(at_once=at_once)
            except (StorageError, OSError) as error:
                log.error("Unused packages could not be removed: %s", error)
            at_once = False
            await asyncio.sleep(COLLECTION_INTERVAL)
