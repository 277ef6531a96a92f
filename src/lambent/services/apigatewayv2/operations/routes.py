"""Routes: from a method and a path to an integration."""

from __future__ import annotations

import msgspec

from lambent.context import Context
from lambent.services.apigatewayv2 import describe
from lambent.services.apigatewayv2.changes import new_id
from lambent.services.apigatewayv2.domain import HttpApi
from lambent.services.apigatewayv2.operations.base import Operations, Params, Result, found, without
from lambent.services.apigatewayv2.rules import routes as rules


class RouteOperations(Operations):
    async def CreateRoute(self, context: Context, params: Params) -> Result:
        route_id = new_id(7)

        def change(api: HttpApi) -> HttpApi:
            route = rules.created(api, route_id, params)
            return msgspec.structs.replace(api, routes={**api.routes, route_id: route})

        api = await self._apis.change(context, params["ApiId"], change)
        return describe.value(api.routes[route_id])

    async def GetRoute(self, context: Context, params: Params) -> Result:
        api = await self._apis.find(context, params["ApiId"])
        return describe.value(found(api.routes, "Route", params["RouteId"]))

    async def GetRoutes(self, context: Context, params: Params) -> Result:
        api = await self._apis.find(context, params["ApiId"])
        return describe.page([describe.value(route) for route in api.routes.values()], params)

    async def UpdateRoute(self, context: Context, params: Params) -> Result:
        route_id = params["RouteId"]

        def change(api: HttpApi) -> HttpApi:
            old = found(api.routes, "Route", route_id)
            new = rules.updated(api, old, params)
            changed = msgspec.structs.replace(api, routes={**api.routes, route_id: new})
            return _renamed_settings(changed, old.route_key, new.route_key)

        api = await self._apis.change(context, params["ApiId"], change)
        return describe.value(api.routes[route_id])

    async def DeleteRoute(self, context: Context, params: Params) -> Result:
        def change(api: HttpApi) -> HttpApi:
            found(api.routes, "Route", params["RouteId"])
            return msgspec.structs.replace(api, routes=without(api.routes, params["RouteId"]))

        await self._apis.change(context, params["ApiId"], change)
        return {}


def _renamed_settings(api: HttpApi, old: str, new: str) -> HttpApi:
    """Stages keep a route's settings by its key."""
    if old == new:
        return api
    stages = {}
    for name, stage in api.stages.items():
        settings = {new if key == old else key: value for key, value in stage.route_settings.items()}
        stages[name] = msgspec.structs.replace(stage, route_settings=settings)
    return msgspec.structs.replace(api, stages=stages)
