"""Every change of an entity: one transaction, then the directory. The one way to both, for all operations of IAM."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from sqlalchemy import Connection

from lambent.clock import Clock
from lambent.context import Context
from lambent.services.iam import paging
from lambent.services.iam.directory import Directory
from lambent.services.iam.domain import Entity, ManagedPolicy, key_of
from lambent.services.iam.errors import NoSuchEntityException, not_found
from lambent.services.iam.rules import ACCOUNT_QUOTAS, check_quota
from lambent.services.iam.store import EntityStore
from lambent.storage.database import Database

E = TypeVar("E", bound=Entity)
T = TypeVar("T")


class Entities:
    """Those of all accounts. `store` may be asked in works given to `read`, and in changes."""

    def __init__(self, database: Database, store: EntityStore, directory: Directory, clock: Clock) -> None:
        self._database = database
        self.store = store
        self.directory = directory
        self._clock = clock

    async def start(self) -> None:
        """Fill the directory."""
        for entity in await self._database.read(self.store.all):
            self.directory.put(entity)

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await self._database.read(work)

    async def find(self, kind: type[E], account: str, name: str) -> E:
        """Raises NoSuchEntityException."""
        return await self._database.read(lambda tx: self.get(tx, kind, account, name))

    async def listed(
        self, kind: type[E], member: str, context: Context, params: Mapping[str, Any], show: Callable[[E], Any]
    ) -> dict[str, Any]:
        """The page of the account's entities below `PathPrefix` that `params` ask for."""
        after, limit = paging.after(params), paging.limit(params)
        prefix = params.get("PathPrefix") or "/"
        found = await self._database.read(
            lambda tx: self.store.page(tx, kind, context.account, after=after, limit=limit + 1, prefix=prefix)
        )
        return paging.answer(member, found, params, lambda entity: key_of(entity.name), show)

    async def create(self, entity: E, check: Callable[[Connection], None] = lambda tx: None) -> E:
        """Raises EntityAlreadyExistsException, LimitExceededException, and what `check` raises."""

        def work(tx: Connection) -> None:
            check(tx)
            self.store.insert(tx, entity)
            name, most = ACCOUNT_QUOTAS[type(entity)]
            check_quota(name, most, self.store.count(tx, type(entity), entity.account))

        await self._database.write(work)
        self.directory.put(entity)
        return entity

    async def change(self, kind: type[E], account: str, name: str, change: Callable[[Connection, E], E]) -> E:
        """Replace the entity by what `change` makes of it.

        Raises NoSuchEntityException, and what `change` raises: then nothing is changed.
        """

        def work(tx: Connection) -> tuple[E, E]:
            before = self.get(tx, kind, account, name)
            return before, self._replaced(tx, before, change(tx, before))

        return self._published(*await self._database.write(work))

    async def change_policy(
        self,
        account: str,
        arn: str,
        change: Callable[[Connection, ManagedPolicy], ManagedPolicy],
        missing: NoSuchEntityException | None = None,
    ) -> ManagedPolicy:
        """The same for a managed policy by its ARN; `change` refuses those of AWS. Raises `missing` without one."""

        def work(tx: Connection) -> tuple[ManagedPolicy, ManagedPolicy]:
            before = self.get_policy(tx, account, arn, missing)
            return before, self._replaced(tx, before, change(tx, before))

        return self._published(*await self._database.write(work))

    async def delete(self, found: Callable[[Connection], Entity]) -> None:
        """Delete what `found` gives, unless it raises."""

        def work(tx: Connection) -> Entity:
            entity = found(tx)
            self.store.delete(tx, entity)
            return entity

        self.directory.remove(await self._database.write(work))

    async def delete_all(self) -> None:
        await self._database.write(self.store.delete_all)
        self.directory.clear()

    # ---- inside a transaction ----

    def get(self, tx: Connection, kind: type[E], account: str, name: str) -> E:
        """Raises NoSuchEntityException."""
        entity = self.store.find(tx, kind, account, name)
        if entity is None:
            raise not_found(kind.noun, name)
        return entity

    def get_policy(
        self, tx: Connection, account: str, arn: str, missing: NoSuchEntityException | None = None
    ) -> ManagedPolicy:
        """One of the account or of AWS. Raises NoSuchEntityException."""
        policy = self.store.find_policy(tx, account, arn)
        if policy is None:
            raise missing or NoSuchEntityException(f"Policy {arn} was not found.")
        return policy

    def now(self) -> int:
        """Whole seconds, as IAM writes dates."""
        return int(self._clock.now())

    def _replaced(self, tx: Connection, before: E, after: E) -> E:
        if after != before:
            self.store.replace(tx, after)
        return after

    def _published(self, before: E, after: E) -> E:
        if after != before:
            self.directory.put(after)
        return after
