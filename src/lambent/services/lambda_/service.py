"""The Lambda service put together: what `app` builds, starts, registers and stops.

`operations` go to the edge's dispatch, `directory` to whoever invokes functions, `links` serves `links.PREFIX`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sqlalchemy import Connection

from lambent.arn import function_of
from lambent.clock import Clock
from lambent.identity.authorization import Decide, within_accounts
from lambent.identity.policy import Policy
from lambent.identity.role_checks import AnyRole
from lambent.ports import Destinations, EventSink, Invoker, MetricSink, Roles, SnapshotMeter, Snapshots
from lambent.services.lambda_.aliases.changes import Aliases
from lambent.services.lambda_.aliases.store import AliasStore
from lambent.services.lambda_.calls import Calls
from lambent.services.lambda_.changes import Attachment, Functions
from lambent.services.lambda_.code.links import CodeLinks
from lambent.services.lambda_.code.storage_limit import StorageLimit
from lambent.services.lambda_.code.store import CodeStore
from lambent.services.lambda_.directory import Directory
from lambent.services.lambda_.event_config.changes import EventConfigs
from lambent.services.lambda_.event_config.directory import Rules
from lambent.services.lambda_.event_config.store import EventConfigStore
from lambent.services.lambda_.file_systems import FileSystems
from lambent.services.lambda_.layers.policies import LayerPolicies
from lambent.services.lambda_.layers.store import LayerStore
from lambent.services.lambda_.operations.aliases import AliasOperations
from lambent.services.lambda_.operations.code import CodeOperations
from lambent.services.lambda_.operations.code_signing import CodeSigningOperations
from lambent.services.lambda_.operations.concurrency import ConcurrencyOperations
from lambent.services.lambda_.operations.event_invoke_config import EventInvokeConfigOperations
from lambent.services.lambda_.operations.functions import FunctionOperations
from lambent.services.lambda_.operations.invoke import InvokeOperations
from lambent.services.lambda_.operations.layer_permissions import LayerPermissionOperations
from lambent.services.lambda_.operations.layers import LayerOperations
from lambent.services.lambda_.operations.mappings import MappingOperations
from lambent.services.lambda_.operations.permissions import PermissionOperations
from lambent.services.lambda_.operations.provisioned_concurrency import ProvisionedConcurrencyOperations
from lambent.services.lambda_.operations.recursion import RecursionOperations
from lambent.services.lambda_.operations.runtime_management import RuntimeManagementOperations
from lambent.services.lambda_.operations.tags import TaggedFunctions, TagOperations
from lambent.services.lambda_.operations.urls import UrlOperations
from lambent.services.lambda_.operations.versions import VersionOperations
from lambent.services.lambda_.permissions.changes import Permissions
from lambent.services.lambda_.permissions.decisions import Decisions
from lambent.services.lambda_.permissions.store import PolicyStore
from lambent.services.lambda_.provisioned.changes import ProvisionedConcurrency
from lambent.services.lambda_.provisioned.store import ProvisionedStore
from lambent.services.lambda_.qualified import Qualified
from lambent.services.lambda_.references import References
from lambent.services.lambda_.signing.deployments import Signing
from lambent.services.lambda_.signing.store import SigningStore
from lambent.services.lambda_.snap_start.domain import Eligibility
from lambent.services.lambda_.snap_start.versions import VersionSnapshots
from lambent.services.lambda_.store import FunctionStore
from lambent.services.lambda_.subnets import Subnets
from lambent.services.lambda_.urls.changes import FunctionUrls
from lambent.services.lambda_.urls.directory import Urls
from lambent.services.lambda_.urls.store import UrlStore
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
        events: EventSink,
        destinations: Destinations,
        clock: Clock,
        account_concurrency: int = 1000,
        host_suffix: str = "",
        use_runtime: Callable[[str], None] = lambda runtime: None,
        file_systems: FileSystems | None = None,
        subnets: Subnets | None = None,
        roles: Roles | None = None,
        decide: Decide = within_accounts,
        metrics: MetricSink | None = None,
        snapshots: Snapshots | None = None,
        snapshot_meter: SnapshotMeter | None = None,
        snap_start: Eligibility | None = None,
    ) -> None:
        """`use_runtime` is told of the runtime of every function that exists, at once and again at each change.

        `decide` says for callers that have policies of their own.
        """
        self._database = database
        self._store = FunctionStore(secrets)
        self._layers = LayerStore()
        self._code = CodeStore(data_dir)
        subnets = subnets or Subnets()
        self.directory = Directory(self._code, use_runtime, subnets=subnets)
        #: Function URLs, for their door.
        self.urls = Urls()
        self._decisions = decisions = Decisions(decide)
        self._layer_policies = LayerPolicies()
        #: Functions as other services and front doors call them.
        self.calls = Calls(self.directory, decisions, invoker)
        self.links = CodeLinks(secrets.derive("code links"), self._code, clock)
        alias_store = AliasStore()
        storage = StorageLimit(self._store, self._layers)
        qualified = Qualified(self._store, alias_store)
        self._permissions = Permissions(database, PolicyStore(), decisions, qualified)
        self._function_urls = FunctionUrls(database, UrlStore(), self.urls, qualified)
        signing_store = SigningStore()
        signing = Signing(database, signing_store, metrics)
        #: How events of functions are treated, for whoever runs them.
        self.event_rules = Rules()
        self._event_configs = EventConfigs(database, EventConfigStore(), self.event_rules, qualified, events)
        provisioned_store = ProvisionedStore()
        self._provisioned = ProvisionedConcurrency(
            database,
            provisioned_store,
            self._store,
            alias_store,
            qualified,
            self.directory,
            invoker,
            account_concurrency,
        )
        version_snapshots = VersionSnapshots(snapshots, snapshot_meter, self.directory, clock)
        attachments: Sequence[Attachment] = (
            version_snapshots,
            self._permissions,
            self._function_urls,
            self._event_configs,
            self._provisioned,
            signing,
        )
        self._functions = functions = Functions(
            database,
            self._store,
            self.directory,
            invoker,
            attachments,
            aliases=alias_store,
            check_storage=storage.check,
            snapshots=version_snapshots,
        )
        aliases = Aliases(database, alias_store, self._store, self.directory, attachments, [self._provisioned])
        references = References(database, self._layers, self._code, file_systems or FileSystems(), subnets)
        code_signing = CodeSigningOperations(database, signing_store, signing, functions, clock)
        self.operations: Sequence[object] = (
            FunctionOperations(
                database,
                self._store,
                functions,
                references,
                roles or AnyRole(),
                decide,
                signing,
                self._code,
                self.links,
                snap_start or Eligibility(),
                clock,
            ),
            CodeOperations(functions, references, signing, self._code, clock),
            code_signing,
            LayerOperations(database, self._layers, self._layer_policies, storage, self._code, self.links, clock),
            LayerPermissionOperations(database, self._layers, self._layer_policies),
            VersionOperations(functions),
            AliasOperations(aliases),
            InvokeOperations(self.directory, invoker, events, clock),
            RuntimeManagementOperations(database, self._store),
            TagOperations({"function": TaggedFunctions(functions), "code-signing-config": code_signing}),
            ConcurrencyOperations(database, self._store, functions, storage, provisioned_store, account_concurrency),
            ProvisionedConcurrencyOperations(self._provisioned, clock),
            RecursionOperations(functions),
            PermissionOperations(self._permissions),
            UrlOperations(self._function_urls, clock, host_suffix),
            EventInvokeConfigOperations(self._event_configs, self.directory, destinations, clock),
            MappingOperations(self.directory),
        )
        self._collector: asyncio.Task[None] | None = None
        self._collecting = asyncio.Lock()

    async def start(self) -> None:
        """After the database; before the first request."""
        await self._functions.start()
        await self._code.start(await self._database.read(self._referenced_packages))
        await self._permissions.start()
        for layer in await self._database.read(self._layers.with_policies):
            self._layer_policies.put(layer, layer.policy)
        await self._function_urls.start()
        await self._event_configs.start()
        await self._provisioned.start()
        self._collector = asyncio.get_running_loop().create_task(self._collect_for_ever(), name="package collector")

    async def stop(self) -> None:
        """After the last request; before the database."""
        if self._collector is not None:
            self._collector.cancel()
            await asyncio.gather(self._collector, return_exceptions=True)
        await self._functions.stop()
        await self._code.stop()

    async def reset(self) -> None:
        """Forget every function and every layer of every account."""
        await self._functions.delete_all()
        await self._database.write(self._layers.delete_all)
        self._layer_policies.clear()
        await self.collect(at_once=True)

    def policy_of(self, arn: str) -> Policy | None:
        """The resource policy of a function, version, alias or layer version. Implements authorization.Resources."""
        return self._decisions.policy_of(arn) or self._layer_policies.policy_of(arn)

    def tags_of(self, arn: str) -> Mapping[str, str]:
        """Of the function that `arn` names, whichever version or alias is meant."""
        found = function_of(arn)
        return {} if found is None else self.directory.tags(found[0])

    async def collect(self, *, at_once: bool = False) -> None:
        """Remove packages that nothing uses: on second sight, or `at_once` where no environment can use them."""
        # One at a time: the store remembers what was admitted since the beginning of one collection.
        async with self._collecting:
            self._code.begin_collection()
            await self._code.collect(await self._database.read(self._referenced_packages), at_once=at_once)

    def _referenced_packages(self, tx: Connection) -> set[str]:
        return self._store.referenced_packages(tx) | self._layers.referenced_packages(tx)

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
