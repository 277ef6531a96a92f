"""Methods of resources, and the responses that they declare."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from lambent.context import Context
from lambent.services.apigateway import describe, methods, resource_tree
from lambent.services.apigateway.changes import Apis
from lambent.services.apigateway.domain import Method, MethodResponse, RestApi
from lambent.services.apigateway.errors import ConflictException, no_resource, no_response

Params = dict[str, Any]


class MethodOperations:
    def __init__(self, apis: Apis) -> None:
        self._apis = apis

    # ---- methods

    async def PutMethod(self, context: Context, params: Params) -> dict[str, Any]:
        made = methods.made(params["httpMethod"], params)

        def change(api: RestApi) -> RestApi:
            if made.http_method in resource_tree.resource(api, params["resourceId"]).methods:
                raise ConflictException("Method already exists for this resource")
            return resource_tree.with_method(api, params["resourceId"], methods.checked(api, made))

        api = await self._apis.change(context, params["restApiId"], change, no_resource())
        return describe.method(_method(api, params))

    async def GetMethod(self, context: Context, params: Params) -> dict[str, Any]:
        api = await self._apis.find(context, params["restApiId"], no_resource())
        return describe.method(_method(api, params))

    async def UpdateMethod(self, context: Context, params: Params) -> dict[str, Any]:
        def change(api: RestApi, method: Method) -> Method:
            return methods.checked(api, methods.METHOD_RULES.apply(method, params.get("patchOperations")))

        return describe.method(await self._change(context, params, change))

    async def DeleteMethod(self, context: Context, params: Params) -> dict[str, Any]:
        await self._apis.change(
            context,
            params["restApiId"],
            lambda api: resource_tree.without_method(api, params["resourceId"], params["httpMethod"]),
            no_resource(),
        )
        return {}

    # ---- their responses

    async def PutMethodResponse(self, context: Context, params: Params) -> dict[str, Any]:
        made = MethodResponse(
            status_code=params["statusCode"],
            parameters=params.get("responseParameters") or {},
            models=params.get("responseModels") or {},
        )

        def change(api: RestApi, method: Method) -> Method:
            if made.status_code in method.responses:
                raise ConflictException("Response already exists for this method")
            return _with_response(method, methods.checked_response(api, made))

        method = await self._change(context, params, change)
        return describe.method_response(method.responses[made.status_code])

    async def GetMethodResponse(self, context: Context, params: Params) -> dict[str, Any]:
        api = await self._apis.find(context, params["restApiId"], no_resource())
        return describe.method_response(_response(_method(api, params), params))

    async def UpdateMethodResponse(self, context: Context, params: Params) -> dict[str, Any]:
        def change(api: RestApi, method: Method) -> Method:
            patched = methods.RESPONSE_RULES.apply(_response(method, params), params.get("patchOperations"))
            return _with_response(method, methods.checked_response(api, patched))

        method = await self._change(context, params, change)
        return describe.method_response(_response(method, params))

    async def DeleteMethodResponse(self, context: Context, params: Params) -> dict[str, Any]:
        def change(_api: RestApi, method: Method) -> Method:
            _response(method, params)
            kept = {code: one for code, one in method.responses.items() if code != params["statusCode"]}
            return msgspec.structs.replace(method, responses=kept)

        await self._change(context, params, change)
        return {}

    async def _change(self, context: Context, params: Params, change: Callable[[RestApi, Method], Method]) -> Method:
        def work(api: RestApi) -> RestApi:
            return resource_tree.with_method(api, params["resourceId"], change(api, _method(api, params)))

        return _method(await self._apis.change(context, params["restApiId"], work, no_resource()), params)


def _method(api: RestApi, params: Params) -> Method:
    return resource_tree.method(api, params["resourceId"], params["httpMethod"])


def _response(method: Method, params: Params) -> MethodResponse:
    found = method.responses.get(params["statusCode"])
    if found is None:
        raise no_response()
    return found


def _with_response(method: Method, response: MethodResponse) -> Method:
    return msgspec.structs.replace(method, responses={**method.responses, response.status_code: response})
