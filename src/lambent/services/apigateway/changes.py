"""The one way to change a REST API: commit first, then what the data plane sees. Operations decide what changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection

from lambent.context import Context
from lambent.errors import AwsError
from lambent.services.apigateway.domain import AccountSettings, Deployment, RestApi, Stage
from lambent.services.apigateway.errors import ConflictException, no_api
from lambent.services.apigateway.snapshots import Snapshots
from lambent.services.apigateway.store import ApiStore
from lambent.storage.database import Database

T = TypeVar("T")


class Apis:
    """The region's REST APIs, of all accounts."""

    def __init__(self, database: Database, store: ApiStore, snapshots: Snapshots) -> None:
        self._database = database
        self._store = store
        self._snapshots = snapshots
        #: Whether the other kind of APIs has the id: both share hosts and paths, so nobody may take another's there.
        self.is_taken: Callable[[str], bool] = lambda api_id: False

    async def start(self) -> None:
        """Fill the snapshots."""

        def load(
            tx: Connection,
        ) -> tuple[list[tuple[str, list[Stage], dict[str, Deployment]]], dict[tuple[str, str], AccountSettings]]:
            shown = [(api_id, *self._shown(tx, api_id)) for api_id in self._store.api_ids(tx)]
            return shown, self._store.accounts(tx)

        shown, accounts = await self._database.read(load)
        for api_id, stages, deployments in shown:
            self._snapshots.put(api_id, stages, deployments)
        for (account, region), settings in accounts.items():
            self._snapshots.put_account(account, region, settings)

    # ---- reading

    async def find(self, context: Context, api_id: str, missing: AwsError | None = None) -> RestApi:
        """Raises `missing`, by default the NotFoundException for APIs."""
        return await self._database.read(lambda tx: self._found(tx, context, api_id, missing))

    async def read(
        self, context: Context, api_id: str, work: Callable[[Connection, RestApi], T], missing: AwsError | None = None
    ) -> T:
        """`work` beside the API, in one snapshot of the database."""
        return await self._database.read(lambda tx: work(tx, self._found(tx, context, api_id, missing)))

    async def all(self, context: Context) -> list[RestApi]:
        return await self._database.read(lambda tx: self._store.apis_of(tx, context.account, context.region))

    async def account(self, context: Context) -> AccountSettings:
        return await self._database.read(lambda tx: self._store.account(tx, context.account, context.region))

    # ---- changing

    async def create(self, api: RestApi) -> None:
        """Raises ConflictException where its id is taken."""
        if self.is_taken(api.id):
            raise ConflictException(f"The API identifier {api.id} is already in use")
        await self._database.write(lambda tx: self._store.insert_api(tx, api))
        self._snapshots.put(api.id, (), {})

    async def change(
        self, context: Context, api_id: str, change: Callable[[RestApi], RestApi], missing: AwsError | None = None
    ) -> RestApi:
        """Replace the API by what `change` makes of it. `change` may refuse, and may run more than once."""

        def work(tx: Connection) -> RestApi:
            changed = change(self._found(tx, context, api_id, missing))
            self._store.replace_api(tx, changed)
            return changed

        return await self._database.write(work)

    async def delete(self, context: Context, api_id: str) -> None:
        def work(tx: Connection) -> None:
            self._found(tx, context, api_id, None)
            self._store.delete_api(tx, api_id)

        await self._database.write(work)
        self._snapshots.remove(api_id)

    async def change_deployed(
        self, context: Context, api_id: str, work: Callable[[Connection, RestApi], T], missing: AwsError | None = None
    ) -> T:
        """`work` changes stages or deployments; afterwards the data plane sees them."""

        def run(tx: Connection) -> tuple[T, list[Stage], dict[str, Deployment]]:
            result = work(tx, self._found(tx, context, api_id, missing))
            return result, *self._shown(tx, api_id)

        result, stages, deployments = await self._database.write(run)
        self._snapshots.put(api_id, stages, deployments)
        return result

    async def change_account(
        self, context: Context, change: Callable[[AccountSettings], AccountSettings]
    ) -> AccountSettings:
        def work(tx: Connection) -> AccountSettings:
            changed = change(self._store.account(tx, context.account, context.region))
            self._store.put_account(tx, context.account, context.region, changed)
            return changed

        changed = await self._database.write(work)
        self._snapshots.put_account(context.account, context.region, changed)
        return changed

    async def delete_all(self) -> None:
        await self._database.write(self._store.delete_all)
        self._snapshots.clear()

    def _found(self, tx: Connection, context: Context, api_id: str, missing: AwsError | None) -> RestApi:
        api = self._store.find_api(tx, context.account, context.region, api_id)
        if api is None:
            raise missing or no_api(context.account, api_id)
        return api

    def _shown(self, tx: Connection, api_id: str) -> tuple[list[Stage], dict[str, Deployment]]:
        return self._store.stages_of(tx, api_id), self._store.deployed(tx, api_id)
