"""APIs themselves, and their CORS configuration."""

from __future__ import annotations

import msgspec

from lambent.context import Context
from lambent.services.apigatewayv2 import describe
from lambent.services.apigatewayv2.changes import Apis, new_id
from lambent.services.apigatewayv2.domain import HttpApi
from lambent.services.apigatewayv2.errors import NotFoundException
from lambent.services.apigatewayv2.operations.base import Operations, Params, Result
from lambent.services.apigatewayv2.rules import apis as rules
from lambent.services.apigatewayv2.rules.members import check_roles


class ApiOperations(Operations):
    def __init__(self, apis: Apis, endpoints: describe.Endpoints) -> None:
        super().__init__(apis)
        self._endpoints = endpoints

    async def CreateApi(self, context: Context, params: Params) -> Result:
        rules.check_protocol(params)
        check_roles(params, context.account)
        rules.check_expressions(params)
        tags = rules.check_tags(params.get("Tags") or {})
        now = self._apis.now()
        api = HttpApi(
            account=context.account,
            region=context.region,
            api_id=rules.custom_id(tags) or new_id(10),
            name=params["Name"],
            created_date=now,
            tags=tags,
        )
        api = rules.updated(api, params)
        api = rules.quick_created(api, params, new_id(7), new_id(7), now)
        return self._described(context, await self._apis.create(api))

    async def GetApi(self, context: Context, params: Params) -> Result:
        return self._described(context, await self._apis.find(context, params["ApiId"]))

    async def GetApis(self, context: Context, params: Params) -> Result:
        found = await self._apis.list(context)
        return describe.page([self._described(context, api) for api in found], params)

    async def UpdateApi(self, context: Context, params: Params) -> Result:
        check_roles(params, context.account)
        rules.check_expressions(params)

        def change(api: HttpApi) -> HttpApi:
            return rules.quick_updated(rules.updated(api, params), params)

        return self._described(context, await self._apis.change(context, params["ApiId"], change))

    async def DeleteApi(self, context: Context, params: Params) -> Result:
        await self._apis.delete(context, params["ApiId"])
        return {}

    async def DeleteCorsConfiguration(self, context: Context, params: Params) -> Result:
        def change(api: HttpApi) -> HttpApi:
            if api.cors_configuration is None:
                raise NotFoundException(f"Unable to find a CORS configuration of the API {api.api_id}")
            return msgspec.structs.replace(api, cors_configuration=None)

        await self._apis.change(context, params["ApiId"], change)
        return {}

    def _described(self, context: Context, api: HttpApi) -> Result:
        return describe.api(api, self._endpoints.of(context.base_url, context.region, api.api_id))
