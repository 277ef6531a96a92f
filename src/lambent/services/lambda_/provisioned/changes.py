"""The one way to change provisioned concurrency: commit first, then the data plane is told what to keep ready.

What a version is to have follows from the configurations on versions and aliases, and from where the aliases lead: it
is worked out again whenever one of these changes, and after every start of the region.
"""

from __future__ import annotations

from sqlalchemy import Connection

from lambent.ports import FunctionVersion, Invoker, Provision
from lambent.services.lambda_.aliases.domain import Alias
from lambent.services.lambda_.aliases.store import AliasStore
from lambent.services.lambda_.directory import Directory
from lambent.services.lambda_.errors import (
    InvalidParameterValueException,
    ProvisionedConcurrencyConfigNotFoundException,
    ResourceConflictException,
)
from lambent.services.lambda_.names import LATEST, FunctionName, is_alias
from lambent.services.lambda_.provisioned.domain import ProvisionedConfig, spread
from lambent.services.lambda_.provisioned.store import ProvisionedStore
from lambent.services.lambda_.qualified import Qualified
from lambent.services.lambda_.snap_start.domain import unsupported
from lambent.services.lambda_.store import FunctionStore, Key
from lambent.storage.database import Database

#: What must stay for the functions that reserve nothing.
UNRESERVED_MINIMUM = 100

_UNPUBLISHED = "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
_WHAT = "Provisioned Concurrency"
_VERSION_TAKEN = "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version"


class ProvisionedConcurrency:
    """Of all functions. Implements changes.Attachment and aliases.changes.AliasWatch."""

    def __init__(
        self,
        database: Database,
        store: ProvisionedStore,
        functions: FunctionStore,
        aliases: AliasStore,
        qualified: Qualified,
        directory: Directory,
        invoker: Invoker,
        account_limit: int,
    ) -> None:
        self._database = database
        self._store = store
        self._functions = functions
        self._aliases = aliases
        self._qualified = qualified
        self._directory = directory
        self._invoker = invoker
        self._limit = account_limit
        #: By function, then qualifier: what is on disk.
        self._configs: dict[Key, dict[str, ProvisionedConfig]] = {}
        #: By function, then version: what the data plane was told.
        self._told: dict[Key, dict[str, tuple[FunctionVersion, int]]] = {}

    async def start(self) -> None:
        """After the directory is filled: everything is provisioned anew."""
        for config in await self._database.read(self._store.all):
            self._configs.setdefault(config.key, {})[config.qualifier] = config
        for key in self._configs:
            self.moved(key)

    # ---- configurations ----

    async def put(self, name: FunctionName, config: ProvisionedConfig) -> Provision:
        """How far it was when this changed it. Raises for what cannot have any, and for too much."""

        def put(tx: Connection) -> None:
            self._admit(tx, name, config)
            self._store.put(tx, config)

        await self._database.write(put)
        before = self.progress(config)
        self._configs.setdefault(config.key, {})[config.qualifier] = config
        self.moved(config.key)
        return before

    async def find(self, name: FunctionName) -> ProvisionedConfig:
        """Raises where the function, the qualifier or the configuration does not exist."""

        def find(tx: Connection) -> ProvisionedConfig | None:
            self._qualified.find(tx, name)
            return self._store.find(tx, name.key, str(name.qualifier))

        config = await self._database.read(find)
        if config is None:
            raise ProvisionedConcurrencyConfigNotFoundException
        return config

    async def of_function(self, name: FunctionName) -> list[ProvisionedConfig]:
        """In the order of their qualifiers. Raises ResourceNotFoundException."""

        def find(tx: Connection) -> list[ProvisionedConfig]:
            self._qualified.find_function(tx, name)
            return self._store.of_function(tx, name.key)

        return await self._database.read(find)

    async def remove(self, name: FunctionName) -> None:
        """Where there is none, none is left, as on AWS. Raises ResourceNotFoundException for the rest of the name."""

        def remove(tx: Connection) -> None:
            self._qualified.find(tx, name)
            self._store.delete(tx, name.key, name.qualifier)

        await self._database.write(remove)
        self.forget(name.key, name.qualifier)

    def progress(self, config: ProvisionedConfig) -> Provision:
        """How many environments there are, over all versions that it is for."""
        told = self._told.get(config.key, {})
        parts = [
            self._invoker.provision_of(told[version][0])
            for version in self._wanted_by(config.key, config)
            if version in told
        ]
        return Provision(
            config.amount,
            sum(part.allocated for part in parts),
            sum(part.available for part in parts),
            next((part.failure for part in parts if part.failure), ""),
        )

    # ---- what it comes to ----

    def moved(self, key: Key) -> None:
        """The configurations of a function changed, or an alias leads elsewhere: tell the data plane."""
        wanted: dict[str, int] = {}
        for config in self._configs.get(key, {}).values():
            for version, amount in self._wanted_by(key, config).items():
                wanted[version] = wanted.get(version, 0) + amount
        told = self._told.get(key, {})
        now: dict[str, tuple[FunctionVersion, int]] = {}
        for version, amount in wanted.items():
            function = self._directory.find(*key, version)
            if function is not None and amount:
                now[version] = function, amount
        for version, (function, _) in told.items():
            if version not in now:
                self._invoker.provision(function, 0)
        for version, (function, amount) in now.items():
            if version not in told or told[version][1] != amount:
                self._invoker.provision(function, amount)
        self._told[key] = now
        if not now:
            del self._told[key]

    def check(self, tx: Connection, alias: Alias) -> None:
        """Raises where an alias with provisioned concurrency may not lead where it is to lead."""
        if self._store.find(tx, alias.function_key, alias.name) is None:
            return
        self._check_alias(tx, alias)

    def _wanted_by(self, key: Key, config: ProvisionedConfig) -> dict[str, int]:
        if not is_alias(config.qualifier):
            return {config.qualifier: config.amount}
        alias = self._directory.alias(key, config.qualifier)
        return {} if alias is None else spread(alias, config.amount)

    # ---- what may not be ----

    def _admit(self, tx: Connection, name: FunctionName, config: ProvisionedConfig) -> None:
        target = self._qualified.find(tx, name)
        function = self._qualified.find_function(tx, name)
        if function.settings.per_tenant:
            raise InvalidParameterValueException(
                "Provisioned Concurrency is not supported for functions enabled with tenancy configuration."
            )
        if not isinstance(target, Alias) and target.has_snap_start:
            raise unsupported(_WHAT)
        current = self._store.find(tx, name.key, config.qualifier)
        of_others = self._store.total(tx, name.key) - (current.amount if current is not None else 0)
        if function.reserved_concurrency is not None:
            if of_others + config.amount > function.reserved_concurrency:
                raise InvalidParameterValueException(
                    "Requested Provisioned Concurrency should not be greater than "
                    "the reservedConcurrentExecution for function"
                )
        else:
            self._check_account(tx, name, of_others, config.amount)
        if isinstance(target, Alias):
            self._check_alias(tx, target)
        elif any(
            config.qualifier in alias.versions and self._store.find(tx, name.key, alias.name)
            for alias in self._aliases.of_function(tx, name.key)
        ):
            raise ResourceConflictException("Version is pointed by a Provisioned Concurrency alias")

    def _check_account(self, tx: Connection, name: FunctionName, of_others: int, amount: int) -> None:
        free = (
            self._limit
            - self._functions.reserved_concurrency(tx, name.account, name.region)
            - self._store.unreserved(tx, name.account, name.region, but=name.name)
            - of_others
        )
        if amount > free:
            raise InvalidParameterValueException(
                "Specified ConcurrentExecutions for function is greater than account's "
                f"unreserved concurrency [{free}]."
            )
        if free - amount < UNRESERVED_MINIMUM:
            raise InvalidParameterValueException(
                "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
                f"below its minimum value of [{UNRESERVED_MINIMUM}]."
            )

    def _check_alias(self, tx: Connection, alias: Alias) -> None:
        """No version has provisioned concurrency from two sides."""
        if LATEST in alias.versions:
            raise InvalidParameterValueException(_UNPUBLISHED)
        others = [
            other
            for other in self._aliases.of_function(tx, alias.function_key)
            if other.name != alias.name and self._store.find(tx, alias.function_key, other.name)
        ]
        for version in alias.versions:
            if self._store.find(tx, alias.function_key, version) or any(version in other.versions for other in others):
                raise ResourceConflictException(_VERSION_TAKEN)
            found = self._functions.find_version(tx, alias.function_key, version)
            if found is not None and found.has_snap_start:
                raise unsupported(_WHAT)

    # ---- as an Attachment ----

    def delete(self, tx: Connection, key: Key, qualifier: str | None) -> None:
        self._store.delete(tx, key, qualifier)

    def forget(self, key: Key, qualifier: str | None) -> None:
        if qualifier is None:
            self._configs.pop(key, None)
        elif self._configs.get(key, {}).pop(qualifier, None) is None:
            return
        self.moved(key)

    def delete_all(self, tx: Connection) -> None:
        self._store.delete_all(tx)

    def forget_all(self) -> None:
        for key in [*self._configs]:
            self.forget(key, None)
