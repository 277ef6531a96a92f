"""Authorizers: who may call a route."""

from __future__ import annotations

import msgspec

from lambent.context import Context
from lambent.services.apigatewayv2 import describe
from lambent.services.apigatewayv2.changes import new_id
from lambent.services.apigatewayv2.domain import HttpApi
from lambent.services.apigatewayv2.errors import ConflictException
from lambent.services.apigatewayv2.operations.base import Operations, Params, Result, found, without
from lambent.services.apigatewayv2.rules import authorizers as rules
from lambent.services.apigatewayv2.rules.members import check_roles


class AuthorizerOperations(Operations):
    async def CreateAuthorizer(self, context: Context, params: Params) -> Result:
        check_roles(params, context.account)
        created = rules.created(new_id(6), params)

        def change(api: HttpApi) -> HttpApi:
            return msgspec.structs.replace(api, authorizers={**api.authorizers, created.authorizer_id: created})

        await self._apis.change(context, params["ApiId"], change)
        return describe.value(created)

    async def GetAuthorizer(self, context: Context, params: Params) -> Result:
        api = await self._apis.find(context, params["ApiId"])
        return describe.value(found(api.authorizers, "Authorizer", params["AuthorizerId"]))

    async def GetAuthorizers(self, context: Context, params: Params) -> Result:
        api = await self._apis.find(context, params["ApiId"])
        return describe.page([describe.value(each) for each in api.authorizers.values()], params)

    async def UpdateAuthorizer(self, context: Context, params: Params) -> Result:
        check_roles(params, context.account)
        authorizer_id = params["AuthorizerId"]

        def change(api: HttpApi) -> HttpApi:
            new = rules.updated(found(api.authorizers, "Authorizer", authorizer_id), params)
            return msgspec.structs.replace(api, authorizers={**api.authorizers, authorizer_id: new})

        api = await self._apis.change(context, params["ApiId"], change)
        return describe.value(api.authorizers[authorizer_id])

    async def DeleteAuthorizer(self, context: Context, params: Params) -> Result:
        authorizer_id = params["AuthorizerId"]

        def change(api: HttpApi) -> HttpApi:
            found(api.authorizers, "Authorizer", authorizer_id)
            for route in api.routes.values():
                if route.authorizer_id == authorizer_id:
                    raise ConflictException(
                        f"Cannot delete authorizer '{authorizer_id}', is referenced in route '{route.route_key}'"
                    )
            return msgspec.structs.replace(api, authorizers=without(api.authorizers, authorizer_id))

        await self._apis.change(context, params["ApiId"], change)
        return {}

    async def ResetAuthorizersCache(self, context: Context, params: Params) -> Result:
        name = params["StageName"]

        def change(api: HttpApi) -> HttpApi:
            stage = found(api.stages, "Stage", name)
            new = msgspec.structs.replace(stage, authorizers_epoch=stage.authorizers_epoch + 1)
            return msgspec.structs.replace(api, stages={**api.stages, name: new})

        await self._apis.change(context, params["ApiId"], change)
        return {}
