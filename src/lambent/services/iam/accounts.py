"""The accounts of a region beside its first one: ids, names, root keys (kept sealed) and the aliases of all of them.

In memory after the start, for every request that a root key signs; replaced after each commit. Accounts come by the
operator's hand alone. Under `--auth off` any twelve digits are an account; such a one is not written down here.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import msgspec
from sqlalchemy import Column, Connection, Integer, LargeBinary, MetaData, String, Table, delete, insert, select
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import IntegrityError

from lambent.clock import Clock
from lambent.context import Caller
from lambent.identity.key_ids import new_access_key_id
from lambent.identity.keys import ROOT_ACCOUNT, new_secret_access_key
from lambent.ports import SigningIdentity
from lambent.services.iam.errors import EntityAlreadyExistsException
from lambent.storage.database import Database
from lambent.storage.secrets import SecretBox

_metadata = MetaData()
accounts = Table(
    "accounts",
    _metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    #: Seconds since the epoch.
    Column("created", Integer, nullable=False),
    Column("access_key_id", String, nullable=False),
    #: As `SecretBox` sealed it; nothing else of it is stored.
    Column("secret", LargeBinary, nullable=False),
)
#: One for each account, and of all accounts only one has it.
aliases = Table(
    "account_aliases",
    _metadata,
    Column("account", String, primary_key=True),
    Column("alias", String, nullable=False, unique=True),
)


class Account(msgspec.Struct, frozen=True):
    id: str
    #: The operator's word for it, "" without.
    name: str
    created: int
    #: Of its root key.
    access_key_id: str


class AccountExists(Exception):
    """A sentence for the operator."""


class Accounts:
    """Implements identity.keys.KeyRing for the root keys of accounts."""

    def __init__(self, database: Database, box: SecretBox, clock: Clock) -> None:
        self._database = database
        self._box = box
        self._clock = clock
        self._accounts: dict[str, Account] = {}
        #: Root keys by id.
        self._keys: dict[str, SigningIdentity] = {}

    def __repr__(self) -> str:
        return f"<Accounts [{len(self._accounts)}]>"

    async def start(self) -> None:
        """Raises SecretError for a key that cannot be opened."""
        for row in await self._database.read(lambda tx: tx.execute(select(accounts)).all()):
            self._put(Account(row.id, row.name, row.created, row.access_key_id), self._box.open(row.secret).decode())

    async def reset(self) -> None:
        def work(tx: Connection) -> None:
            for table in (accounts, aliases):
                tx.execute(delete(table))

        await self._database.write(work)
        self._accounts.clear()
        self._keys.clear()

    # ---- keys ----

    def find_key(self, access_key_id: str) -> SigningIdentity | None:
        return self._keys.get(access_key_id)

    # ---- accounts ----

    def listed(self) -> Sequence[Account]:
        """In the order of their ids, without the region's first one."""
        return sorted(self._accounts.values(), key=lambda account: account.id)

    async def create(self, account_id: str | None, name: str) -> tuple[Account, str]:
        """The account and its root's secret, which nobody is told again. Raises AccountExists."""
        if account_id == ROOT_ACCOUNT or account_id in self._accounts:
            raise AccountExists(f"There is an account {account_id} already.")
        made_id = account_id or self._unused_id()
        account = Account(made_id, name, int(self._clock.now()), new_access_key_id("AKIA", made_id))
        secret = new_secret_access_key()
        row = {**msgspec.structs.asdict(account), "secret": self._box.seal(secret.encode())}
        try:
            await self._database.write(lambda tx: tx.execute(insert(accounts).values(row)) and None)
        except IntegrityError:
            raise AccountExists(f"There is an account {made_id} already.") from None
        self._put(account, secret)
        return account, secret

    def _unused_id(self) -> str:
        while True:
            # AWS's own do not begin with a zero either.
            candidate = str(10**11 + secrets.randbelow(9 * 10**11))
            if candidate not in self._accounts:
                return candidate

    def _put(self, account: Account, secret: str) -> None:
        self._accounts[account.id] = account
        self._keys[account.access_key_id] = SigningIdentity(secret, Caller.root(account.id, account.access_key_id))

    # ---- aliases ----

    async def alias(self, account: str) -> str | None:
        def work(tx: Connection) -> str | None:
            query = select(aliases.c.alias).where(aliases.c.account == account)
            return tx.execute(query).scalar_one_or_none()

        return await self._database.read(work)

    async def set_alias(self, account: str, alias: str) -> None:
        """In the place of the one before. Raises EntityAlreadyExistsException where another account has it."""

        def work(tx: Connection) -> None:
            statement = upsert(aliases).values(account=account, alias=alias)
            tx.execute(statement.on_conflict_do_update(index_elements=["account"], set_={"alias": alias}))

        try:
            await self._database.write(work)
        except IntegrityError:
            raise EntityAlreadyExistsException(f"The account alias {alias} already exists.") from None

    async def delete_alias(self, account: str, alias: str) -> bool:
        """False where it is not the account's."""

        def work(tx: Connection) -> bool:
            result = tx.execute(delete(aliases).where(aliases.c.account == account, aliases.c.alias == alias))
            return result.rowcount > 0

        return await self._database.write(work)
