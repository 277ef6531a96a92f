"""Deployments: the API on one day, for stages to show."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from lambent.context import Context
from lambent.services.apigatewayv2 import describe
from lambent.services.apigatewayv2.changes import Apis, new_id
from lambent.services.apigatewayv2.domain import Deployment, HttpApi
from lambent.services.apigatewayv2.errors import BadRequestException
from lambent.services.apigatewayv2.operations.base import Operations, Params, Result, found, missing
from lambent.services.apigatewayv2.store import ApiStore
from lambent.storage.database import Database


class DeploymentOperations(Operations):
    def __init__(self, apis: Apis, store: ApiStore, database: Database) -> None:
        super().__init__(apis)
        self._store = store
        self._database = database

    async def CreateDeployment(self, context: Context, params: Params) -> Result:
        deployment_id, name = new_id(6), params.get("StageName")
        made: list[Deployment] = []

        def change(tx: Connection, api: HttpApi) -> HttpApi:
            if not api.routes:
                raise BadRequestException("At least one route is required before deploying the Api.")
            stage = None if name is None else found(api.stages, "Stage", name)
            if stage is not None and stage.auto_deploy:
                raise BadRequestException("Deployment ID cannot be set on a stage with AutoDeploy enabled")
            deployment = Deployment(deployment_id, self._apis.now(), api.deployable, params.get("Description"))
            self._store.insert_deployment(tx, api.api_id, deployment)
            made[:] = [deployment]
            if stage is None:
                return api
            shown = msgspec.structs.replace(stage, deployment_id=deployment_id, last_updated_date=self._apis.now())
            return msgspec.structs.replace(api, stages={**api.stages, stage.stage_name: shown})

        await self._apis.change_in(context, params["ApiId"], change)
        return describe.deployment(made[0])

    async def GetDeployment(self, context: Context, params: Params) -> Result:
        api = await self._apis.find(context, params["ApiId"])
        deployment_id = params["DeploymentId"]
        return describe.deployment(await self._database.read(lambda tx: self._existing(tx, api.api_id, deployment_id)))

    async def GetDeployments(self, context: Context, params: Params) -> Result:
        api = await self._apis.find(context, params["ApiId"])
        deployments = await self._database.read(lambda tx: self._store.deployments_of(tx, api.api_id))
        return describe.page([describe.deployment(each) for each in deployments], params)

    async def UpdateDeployment(self, context: Context, params: Params) -> Result:
        made: list[Deployment] = []

        def change(tx: Connection, api: HttpApi) -> HttpApi:
            deployment = self._existing(tx, api.api_id, params["DeploymentId"])
            if params.get("Description") is not None:
                deployment = msgspec.structs.replace(deployment, description=params["Description"])
                self._store.replace_deployment(tx, api.api_id, deployment)
            made[:] = [deployment]
            return api

        await self._apis.change_in(context, params["ApiId"], change)
        return describe.deployment(made[0])

    async def DeleteDeployment(self, context: Context, params: Params) -> Result:
        deployment_id = params["DeploymentId"]

        def change(tx: Connection, api: HttpApi) -> HttpApi:
            self._existing(tx, api.api_id, deployment_id)
            if any(stage.deployment_id == deployment_id for stage in api.stages.values()):
                raise BadRequestException("Active stages pointing to this deployment must be moved or deleted")
            self._store.delete_deployment(tx, api.api_id, deployment_id)
            return api

        await self._apis.change_in(context, params["ApiId"], change)
        return {}

    def _existing(self, tx: Connection, api_id: str, deployment_id: str) -> Deployment:
        deployment = self._store.find_deployment(tx, api_id, deployment_id)
        if deployment is None:
            raise missing("Deployment", deployment_id)
        return deployment
