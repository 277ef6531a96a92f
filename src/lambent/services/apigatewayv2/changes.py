"""Every change of an API: one transaction, with the deployments that stages make of themselves, then the snapshots."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import msgspec
from sqlalchemy import Connection

from lambent.clock import Clock
from lambent.context import Context
from lambent.services.apigatewayv2.domain import Deployed, Deployment, HttpApi
from lambent.services.apigatewayv2.errors import ConflictException, NotFoundException
from lambent.services.apigatewayv2.snapshots import Snapshots
from lambent.services.apigatewayv2.store import ApiStore
from lambent.storage.database import Database

#: Automatic deployments that stay listed when no stage shows them any more.
KEPT_DEPLOYMENTS = 10
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"

Change = Callable[[Connection, HttpApi], HttpApi]


class Apis:
    """The HTTP APIs of all accounts."""

    def __init__(self, database: Database, store: ApiStore, snapshots: Snapshots, clock: Clock) -> None:
        self._database = database
        self._store = store
        self._snapshots = snapshots
        self._clock = clock
        #: Whether the other kind of APIs has the id: both share hosts and paths, so nobody may take another's there.
        self.is_taken: Callable[[str], bool] = lambda api_id: False

    async def start(self) -> None:
        """Fill the snapshots."""

        def read(tx: Connection) -> list[tuple[HttpApi, Mapping[str, Deployed]]]:
            return [(api, self._deployed(tx, api)) for api in self._store.all(tx)]

        for api, deployed in await self._database.read(read):
            self._snapshots.put(api, deployed)

    async def create(self, api: HttpApi) -> HttpApi:
        """Raises ConflictException where the id is taken."""
        if self.is_taken(api.api_id):
            raise ConflictException(f"The API identifier {api.api_id} is in use.")

        def work(tx: Connection) -> tuple[HttpApi, Mapping[str, Deployed]]:
            created = self._deploy(tx, api)
            self._store.insert(tx, created)
            return created, self._deployed(tx, created)

        return self._published(await self._database.write(work))

    async def find(self, context: Context, api_id: str) -> HttpApi:
        """Raises NotFoundException."""
        return await self._database.read(lambda tx: self._found(tx, context, api_id))

    async def list(self, context: Context) -> list[HttpApi]:
        return await self._database.read(lambda tx: self._store.of_region(tx, context.account, context.region))

    async def change(self, context: Context, api_id: str, change: Callable[[HttpApi], HttpApi]) -> HttpApi:
        """Replace the API by what `change` makes of it. Raises NotFoundException, and what `change` raises."""
        return await self.change_in(context, api_id, lambda _tx, api: change(api))

    async def change_in(self, context: Context, api_id: str, change: Change) -> HttpApi:
        """The same, for a change that looks at or writes rows beside the API's."""

        def work(tx: Connection) -> tuple[HttpApi, Mapping[str, Deployed]]:
            before = self._found(tx, context, api_id)
            after = change(tx, before)
            if after.deployable != before.deployable:
                after = self._deploy(tx, after)
            if after != before:
                self._store.replace(tx, after)
            return after, self._deployed(tx, after)

        return self._published(await self._database.write(work))

    async def delete(self, context: Context, api_id: str) -> None:
        def work(tx: Connection) -> None:
            self._found(tx, context, api_id)
            self._store.delete(tx, api_id)

        await self._database.write(work)
        self._snapshots.remove(api_id)

    async def delete_all(self) -> None:
        await self._database.write(self._store.delete_all)
        self._snapshots.clear()

    def deploy_automatically(self, tx: Connection, api: HttpApi) -> HttpApi:
        """The API with its auto-deploying stages at what it is now; for a change of a stage to auto-deploy."""
        return self._deploy(tx, api)

    def now(self) -> int:
        """Whole seconds, as AWS writes dates."""
        return int(self._clock.now())

    def _found(self, tx: Connection, context: Context, api_id: str) -> HttpApi:
        api = self._store.find(tx, context.account, context.region, api_id)
        if api is None:
            raise NotFoundException(f"Invalid API identifier specified {context.account}:{api_id}")
        return api

    def _deploy(self, tx: Connection, api: HttpApi) -> HttpApi:
        followers = [stage for stage in api.stages.values() if stage.auto_deploy]
        # As on AWS, an API without a route has nothing to deploy.
        if not followers or not (api.routes or any(stage.deployment_id for stage in followers)):
            return api
        deployment = Deployment(
            deployment_id=new_id(6),
            created_date=self.now(),
            deployed=api.deployable,
            description="Automatic deployment triggered by changes to the Api configuration",
            auto_deployed=True,
        )
        self._store.insert_deployment(tx, api.api_id, deployment)
        message = f"Successfully deployed stage with deployment ID '{deployment.deployment_id}'"
        stages = dict(api.stages)
        for stage in followers:
            stages[stage.stage_name] = msgspec.structs.replace(
                stage, deployment_id=deployment.deployment_id, last_deployment_status_message=message
            )
        used = {stage.deployment_id for stage in stages.values() if stage.deployment_id}
        self._store.prune_deployments(tx, api.api_id, used, KEPT_DEPLOYMENTS)
        return msgspec.structs.replace(api, stages=stages)

    def _deployed(self, tx: Connection, api: HttpApi) -> Mapping[str, Deployed]:
        """What the API's stages show, by deployment."""
        shown = {stage.deployment_id for stage in api.stages.values() if stage.deployment_id}
        found = {each: self._store.find_deployment(tx, api.api_id, each) for each in shown}
        return {each: deployment.deployed for each, deployment in found.items() if deployment is not None}

    def _published(self, written: tuple[HttpApi, Mapping[str, Deployed]]) -> HttpApi:
        self._snapshots.put(*written)
        return written[0]


def new_id(length: int) -> str:
    """Lower-case letters and digits, a letter first: `a1b2c3d4e5`."""
    raw = os.urandom(length)
    return _ALPHABET[raw[0] % 26] + "".join(_ALPHABET[byte % 36] for byte in raw[1:])
