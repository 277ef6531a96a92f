"""Every change of an entity: one transaction, then the directory. The one way to both, for all operations of IAM."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from sqlalchemy import Connection

from lambent.clock import Clock
from lambent.context import Context
from lambent.services.iam import paging, trusts
from lambent.services.iam.directory import Directory
from lambent.services.iam.domain import Entity, ManagedPolicy, Role, key_of
from lambent.services.iam.errors import NoSuchEntityException, not_found
from lambent.services.iam.key_uses import KeyUses
from lambent.services.iam.rules import ACCOUNT_QUOTAS, check_quota
from lambent.services.iam.store import EntityStore
from lambent.storage.database import Database

E = TypeVar("E", bound=Entity)
T = TypeVar("T")


class Entities:
    """Those of all accounts. `store` may be asked in works given to `read`, and in changes."""

    def __init__(
        self, database: Database, store: EntityStore, directory: Directory, uses: KeyUses, clock: Clock
    ) -> None:
        self._database = database
        self.store = store
        self.directory = directory
        self.uses = uses
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

    async def create(self, entity: E, complete: Callable[[Connection, E], E] = lambda tx, entity: entity) -> E:
        """Keep what `complete` makes of `entity`.

        Raises EntityAlreadyExistsException, LimitExceededException, and what `complete` raises.
        """

        def work(tx: Connection) -> E:
            made = complete(tx, entity)
            self.store.insert(tx, made)
            name, most = ACCOUNT_QUOTAS[type(made)]
            check_quota(name, most, self.store.count(tx, type(made), made.account))
            return made

        made = await self._database.write(work)
        self.directory.put(made)
        return made

    async def change(self, kind: type[E], account: str, name: str, change: Callable[[Connection, E], E]) -> E:
        """Replace the entity by what `change` makes of it.

        Raises NoSuchEntityException, and what `change` raises: then nothing is changed.
        """

        def work(tx: Connection) -> tuple[E, E, list[Role]]:
            before = self.get(tx, kind, account, name)
            after = self._replaced(tx, before, change(tx, before))
            moved = after.arn != before.arn
            return before, after, self._name_in_trusts(tx, after, after.arn) if moved else []

        before, after, trusting = await self._database.write(work)
        self._published(before, after)
        for role in trusting:
            self.directory.put(role)
        return after

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

        def work(tx: Connection) -> tuple[Entity, list[Role]]:
            entity = found(tx)
            self.store.delete(tx, entity)
            return entity, self._name_in_trusts(tx, entity, entity.id)

        entity, trusting = await self._database.write(work)
        self.directory.remove(entity)
        for role in trusting:
            self.directory.put(role)

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

    def _name_in_trusts(self, tx: Connection, entity: Entity, name: str) -> list[Role]:
        """The roles that trust `entity`, by another name from now on."""
        roles = [trusts.renamed(role, entity, name) for role in self.store.trusting(tx, entity.id)]
        for role in roles:
            self.store.replace(tx, role)
        return roles

    def _replaced(self, tx: Connection, before: E, after: E) -> E:
        if after != before:
            self.store.replace(tx, after)
        return after

    def _published(self, before: E, after: E) -> E:
        if after != before:
            self.directory.put(after)
        return after
