"""Stages: deployments under a name, with variables, settings of methods and logs of their own."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection

from lambent.clock import Clock
from lambent.context import Context
from lambent.services.apigateway import describe, stages, tags
from lambent.services.apigateway.changes import Apis
from lambent.services.apigateway.domain import RestApi, Stage
from lambent.services.apigateway.errors import BadRequestException, ConflictException
from lambent.services.apigateway.store import ApiStore


class StageOperations:
    def __init__(self, apis: Apis, store: ApiStore, clock: Clock) -> None:
        self._apis = apis
        self._store = store
        self._clock = clock

    async def CreateStage(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        stages.refuse_unsupported(params)
        stages.check_name(params["stageName"])
        now_s = int(self._clock.now())
        made = Stage(
            name=params["stageName"],
            deployment_id=params["deploymentId"],
            created_s=now_s,
            updated_s=now_s,
            description=params.get("description") or "",
            variables=stages.checked_variables(params.get("variables")),
            tracing_enabled=bool(params.get("tracingEnabled")),
            tags=tags.checked(params.get("tags") or {}),
        )

        def work(tx: Connection, api: RestApi) -> None:
            self._check_deployment(tx, api, made)
            if self._store.find_stage(tx, api.id, made.name) is not None:
                raise ConflictException("Stage already exists")
            self._store.put_stage(tx, api.id, made)

        await self._apis.change_deployed(context, params["restApiId"], work)
        return await self._described(context, made)

    async def GetStage(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        found = await self._apis.read(
            context, params["restApiId"], lambda tx, api: self._found(tx, api, params["stageName"])
        )
        return await self._described(context, found)

    async def GetStages(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        found = await self._apis.read(context, params["restApiId"], lambda tx, api: self._store.stages_of(tx, api.id))
        wanted = params.get("deploymentId")
        throttle = (await self._apis.account(context)).throttle
        shown = [describe.stage(one, throttle) for one in found if wanted in (None, one.deployment_id)]
        return {"item": shown}

    async def UpdateStage(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        now_s = int(self._clock.now())

        def work(tx: Connection, api: RestApi) -> Stage:
            found = self._found(tx, api, params["stageName"])
            changed = stages.RULES.apply(found, params.get("patchOperations"))
            self._check_deployment(tx, api, changed)
            stages.check_logging(changed, self._store.account(tx, api.account, api.region), api.account)
            changed = msgspec.structs.replace(changed, updated_s=now_s)
            self._store.put_stage(tx, api.id, changed)
            return changed

        changed = await self._apis.change_deployed(context, params["restApiId"], work)
        return await self._described(context, changed)

    async def DeleteStage(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        def work(tx: Connection, api: RestApi) -> None:
            if not self._store.delete_stage(tx, api.id, params["stageName"]):
                raise stages.no_stage()

        await self._apis.change_deployed(context, params["restApiId"], work)
        return {}

    async def FlushStageAuthorizersCache(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        def work(tx: Connection, api: RestApi) -> None:
            found = self._found(tx, api, params["stageName"])
            flushed = msgspec.structs.replace(found, authorizer_cache=found.authorizer_cache + 1)
            self._store.put_stage(tx, api.id, flushed)

        await self._apis.change_deployed(context, params["restApiId"], work)
        return {}

    async def FlushStageCache(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        """There is nothing to flush: no stage keeps answers."""
        await self._apis.read(context, params["restApiId"], lambda tx, api: self._found(tx, api, params["stageName"]))
        return {}

    async def _described(self, context: Context, stage: Stage) -> dict[str, Any]:
        return describe.stage(stage, (await self._apis.account(context)).throttle)

    def _found(self, tx: Connection, api: RestApi, name: str) -> Stage:
        found = self._store.find_stage(tx, api.id, name)
        if found is None:
            raise stages.no_stage()
        return found

    def _check_deployment(self, tx: Connection, api: RestApi, stage: Stage) -> None:
        if self._store.find_deployment(tx, api.id, stage.deployment_id) is None:
            raise BadRequestException("Deployment id does not exist")
