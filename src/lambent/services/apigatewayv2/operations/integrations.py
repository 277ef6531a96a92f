"""Integrations: what answers a route's requests."""

from __future__ import annotations

import msgspec

from lambent.context import Context
from lambent.services.apigatewayv2 import describe
from lambent.services.apigatewayv2.changes import new_id
from lambent.services.apigatewayv2.domain import HttpApi
from lambent.services.apigatewayv2.errors import ConflictException
from lambent.services.apigatewayv2.operations.base import Operations, Params, Result, found, without
from lambent.services.apigatewayv2.rules import integrations as rules
from lambent.services.apigatewayv2.rules.apis import managed
from lambent.services.apigatewayv2.rules.members import check_roles


class IntegrationOperations(Operations):
    async def CreateIntegration(self, context: Context, params: Params) -> Result:
        check_roles(params, context.account)
        created = rules.created(new_id(7), params)

        def change(api: HttpApi) -> HttpApi:
            return msgspec.structs.replace(api, integrations={**api.integrations, created.integration_id: created})

        await self._apis.change(context, params["ApiId"], change)
        return describe.value(created)

    async def GetIntegration(self, context: Context, params: Params) -> Result:
        api = await self._apis.find(context, params["ApiId"])
        return describe.value(found(api.integrations, "Integration", params["IntegrationId"]))

    async def GetIntegrations(self, context: Context, params: Params) -> Result:
        api = await self._apis.find(context, params["ApiId"])
        return describe.page([describe.value(each) for each in api.integrations.values()], params)

    async def UpdateIntegration(self, context: Context, params: Params) -> Result:
        check_roles(params, context.account)
        integration_id = params["IntegrationId"]

        def change(api: HttpApi) -> HttpApi:
            new = rules.updated(found(api.integrations, "Integration", integration_id), params)
            return msgspec.structs.replace(api, integrations={**api.integrations, integration_id: new})

        api = await self._apis.change(context, params["ApiId"], change)
        return describe.value(api.integrations[integration_id])

    async def DeleteIntegration(self, context: Context, params: Params) -> Result:
        integration_id = params["IntegrationId"]

        def change(api: HttpApi) -> HttpApi:
            if found(api.integrations, "Integration", integration_id).api_gateway_managed:
                raise managed("The integration")
            for route in api.routes.values():
                if route.integration_id == integration_id:
                    raise ConflictException(
                        f"Cannot delete Integration '{integration_id}'. Integration is referenced by Route "
                        f"'{route.route_key}'"
                    )
            return msgspec.structs.replace(api, integrations=without(api.integrations, integration_id))

        await self._apis.change(context, params["ApiId"], change)
        return {}
