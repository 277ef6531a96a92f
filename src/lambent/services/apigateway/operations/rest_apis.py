"""APIs themselves: create, look up, change, delete."""

from __future__ import annotations

from typing import Any

from lambent.clock import Clock
from lambent.context import Context
from lambent.services.apigateway import describe, settings
from lambent.services.apigateway.changes import Apis
from lambent.services.apigateway.paging import page


class RestApiOperations:
    def __init__(self, apis: Apis, clock: Clock) -> None:
        self._apis = apis
        self._clock = clock

    async def CreateRestApi(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        api = settings.made(context, params, int(self._clock.now()))
        await self._apis.create(api)
        return describe.rest_api(api)

    async def GetRestApi(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        return describe.rest_api(await self._apis.find(context, params["restApiId"]))

    async def GetRestApis(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        found = await self._apis.all(context)
        return page(found, params, lambda api: f"{api.created_s:012}{api.id}", describe.rest_api)

    async def UpdateRestApi(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        changed = await self._apis.change(
            context, params["restApiId"], lambda api: settings.RULES.apply(api, params.get("patchOperations"))
        )
        return describe.rest_api(changed, tags=True)

    async def DeleteRestApi(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        await self._apis.delete(context, params["restApiId"])
        return {}
