"""Stages: names under which deployments answer, with settings of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import Connection

from lambent.context import Context
from lambent.services.apigatewayv2 import describe
from lambent.services.apigatewayv2.changes import Apis
from lambent.services.apigatewayv2.domain import HttpApi, Stage
from lambent.services.apigatewayv2.errors import BadRequestException, ConflictException, NotFoundException
from lambent.services.apigatewayv2.operations.base import Operations, Params, Result, found, missing, without
from lambent.services.apigatewayv2.rules import stages as rules
from lambent.services.apigatewayv2.rules.apis import check_tags
from lambent.services.apigatewayv2.store import ApiStore


class StageOperations(Operations):
    def __init__(self, apis: Apis, store: ApiStore) -> None:
        super().__init__(apis)
        self._store = store

    async def CreateStage(self, context: Context, params: Params) -> Result:
        name, now = params["StageName"], self._apis.now()
        rules.check_name(name)
        tags = check_tags(params.get("Tags") or {})

        def change(tx: Connection, api: HttpApi) -> HttpApi:
            if name in api.stages:
                raise ConflictException("Stage already exists")
            stage = Stage(name, now, now, tags=tags)
            return self._with(tx, api, stage, params)

        api = await self._apis.change_in(context, params["ApiId"], change)
        return describe.value(api.stages[name])

    async def GetStage(self, context: Context, params: Params) -> Result:
        api = await self._apis.find(context, params["ApiId"])
        return describe.value(found(api.stages, "Stage", params["StageName"]))

    async def GetStages(self, context: Context, params: Params) -> Result:
        api = await self._apis.find(context, params["ApiId"])
        return describe.page([describe.value(stage) for stage in api.stages.values()], params)

    async def UpdateStage(self, context: Context, params: Params) -> Result:
        name = params["StageName"]

        def change(tx: Connection, api: HttpApi) -> HttpApi:
            stage = found(api.stages, "Stage", name)
            return self._with(tx, api, msgspec.structs.replace(stage, last_updated_date=self._apis.now()), params)

        api = await self._apis.change_in(context, params["ApiId"], change)
        return describe.value(api.stages[name])

    async def DeleteStage(self, context: Context, params: Params) -> Result:
        def change(api: HttpApi) -> HttpApi:
            found(api.stages, "Stage", params["StageName"])
            return msgspec.structs.replace(api, stages=without(api.stages, params["StageName"]))

        await self._apis.change(context, params["ApiId"], change)
        return {}

    async def DeleteRouteSettings(self, context: Context, params: Params) -> Result:
        key = params["RouteKey"]

        def change(stage: Stage) -> Stage:
            if key not in stage.route_settings:
                raise NotFoundException(f"Unable to find Route by key {key} within the provided RouteSettings")
            return msgspec.structs.replace(stage, route_settings=without(stage.route_settings, key))

        return await self._change_stage(context, params, change)

    async def DeleteAccessLogSettings(self, context: Context, params: Params) -> Result:
        return await self._change_stage(
            context, params, lambda stage: msgspec.structs.replace(stage, access_log_settings=None)
        )

    async def _change_stage(self, context: Context, params: Params, change: Callable[[Stage], Stage]) -> Result:
        name = params["StageName"]

        def changed(api: HttpApi) -> HttpApi:
            stage = change(found(api.stages, "Stage", name))
            stage = msgspec.structs.replace(stage, last_updated_date=self._apis.now())
            return msgspec.structs.replace(api, stages={**api.stages, name: stage})

        await self._apis.change(context, params["ApiId"], changed)
        return {}

    def _with(self, tx: Connection, api: HttpApi, stage: Stage, params: dict[str, Any]) -> HttpApi:
        """The API with `stage` changed by `params`, and deployed to where it follows the API."""
        followed = stage.auto_deploy
        stage = rules.changed(api, stage, params)
        deployment_id = params.get("DeploymentId")
        if deployment_id is not None:
            if stage.auto_deploy:
                raise BadRequestException("Deployment ID cannot be set on a stage with AutoDeploy enabled")
            if self._store.find_deployment(tx, api.api_id, deployment_id) is None:
                raise missing("Deployment", deployment_id)
            stage = msgspec.structs.replace(stage, deployment_id=deployment_id)
        api = msgspec.structs.replace(api, stages={**api.stages, stage.stage_name: stage})
        return self._apis.deploy_automatically(tx, api) if stage.auto_deploy and not followed else api
