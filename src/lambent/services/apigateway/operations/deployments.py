"""Deployments: an API as it is on one day, for stages to show."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from lambent.clock import Clock
from lambent.context import Context
from lambent.services.apigateway import deploying, describe, stages
from lambent.services.apigateway.changes import Apis
from lambent.services.apigateway.domain import Deployment, RestApi
from lambent.services.apigateway.errors import BadRequestException
from lambent.services.apigateway.identifiers import short_id
from lambent.services.apigateway.paging import page
from lambent.services.apigateway.store import ApiStore

_SUMMARY = "apisummary"


class DeploymentOperations:
    def __init__(self, apis: Apis, store: ApiStore, clock: Clock) -> None:
        self._apis = apis
        self._store = store
        self._clock = clock

    async def CreateDeployment(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        stages.refuse_unsupported(params)
        new_id, now_s = short_id(), int(self._clock.now())

        def work(tx: Connection, api: RestApi) -> Deployment:
            deploying.check_deployable(api)
            made = Deployment(id=new_id, created_s=now_s, description=params.get("description") or "", api=api)
            self._store.put_deployment(tx, made)
            name = params.get("stageName")
            if name:
                stage = deploying.staged(self._store.find_stage(tx, api.id, name), made, params)
                self._store.put_stage(tx, api.id, stage)
            return made

        return describe.deployment(await self._apis.change_deployed(context, params["restApiId"], work))

    async def GetDeployment(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        found = await self._apis.read(
            context,
            params["restApiId"],
            lambda tx, api: self._found(tx, api, params["deploymentId"]),
        )
        answer = describe.deployment(found)
        if _SUMMARY in (params.get("embed") or ()):
            answer["apiSummary"] = describe.api_summary(found.api)
        return answer

    async def GetDeployments(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        found = await self._apis.read(
            context, params["restApiId"], lambda tx, api: self._store.deployments_of(tx, api.id)
        )
        return page(found, params, lambda one: f"{one.created_s:012}{one.id}", describe.deployment)

    async def UpdateDeployment(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        def work(tx: Connection, api: RestApi) -> Deployment:
            found = self._found(tx, api, params["deploymentId"])
            changed = deploying.RULES.apply(found, params.get("patchOperations"))
            self._store.put_deployment(tx, changed)
            return changed

        return describe.deployment(await self._apis.change_deployed(context, params["restApiId"], work))

    async def DeleteDeployment(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        def work(tx: Connection, api: RestApi) -> None:
            self._found(tx, api, params["deploymentId"])
            if any(stage.deployment_id == params["deploymentId"] for stage in self._store.stages_of(tx, api.id)):
                raise BadRequestException("Active stages pointing to this deployment must be moved or deleted")
            self._store.delete_deployment(tx, api.id, params["deploymentId"])

        await self._apis.change_deployed(context, params["restApiId"], work)
        return {}

    def _found(self, tx: Connection, api: RestApi, deployment_id: str) -> Deployment:
        found = self._store.find_deployment(tx, api.id, deployment_id)
        if found is None:
            raise deploying.no_deployment()
        return found
