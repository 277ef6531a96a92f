"""Integrations of methods: what is behind them, and how its answers become theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from lambent.context import Context
from lambent.services.apigateway import describe, integrations, resource_tree
from lambent.services.apigateway.changes import Apis
from lambent.services.apigateway.domain import Integration, IntegrationResponse, Method, RestApi
from lambent.services.apigateway.errors import no_integration, no_resource, no_response

Params = dict[str, Any]


class IntegrationOperations:
    def __init__(self, apis: Apis) -> None:
        self._apis = apis

    # ---- integrations

    async def PutIntegration(self, context: Context, params: Params) -> dict[str, Any]:
        made = integrations.made(params["resourceId"], params)

        def change(api: RestApi, method: Method) -> Method:
            # What stood there before goes, its responses too.
            return msgspec.structs.replace(method, integration=integrations.checked(api, method, made))

        await self._change(context, params, change)
        return describe.integration(made)

    async def GetIntegration(self, context: Context, params: Params) -> dict[str, Any]:
        return describe.integration(await self._find(context, params))

    async def UpdateIntegration(self, context: Context, params: Params) -> dict[str, Any]:
        def change(api: RestApi, method: Method) -> Method:
            patched = integrations.INTEGRATION_RULES.apply(_integration(method), params.get("patchOperations"))
            return msgspec.structs.replace(method, integration=integrations.checked(api, method, patched))

        return describe.integration(_integration(await self._change(context, params, change)))

    async def DeleteIntegration(self, context: Context, params: Params) -> dict[str, Any]:
        def change(_api: RestApi, method: Method) -> Method:
            _integration(method)
            return msgspec.structs.replace(method, integration=None)

        await self._change(context, params, change)
        return {}

    # ---- their responses

    async def PutIntegrationResponse(self, context: Context, params: Params) -> dict[str, Any]:
        made = IntegrationResponse(
            status_code=params["statusCode"],
            selection_pattern=params.get("selectionPattern"),
            parameters=params.get("responseParameters") or {},
            templates=params.get("responseTemplates") or {},
            content_handling=params.get("contentHandling"),
        )

        def change(_api: RestApi, method: Method) -> Method:
            return _with_response(method, integrations.checked_response(method, made))

        await self._change(context, params, change)
        return describe.integration_response(made)

    async def GetIntegrationResponse(self, context: Context, params: Params) -> dict[str, Any]:
        return describe.integration_response(_response(await self._find(context, params), params))

    async def UpdateIntegrationResponse(self, context: Context, params: Params) -> dict[str, Any]:
        def change(_api: RestApi, method: Method) -> Method:
            found = _response(_integration(method), params)
            patched = integrations.RESPONSE_RULES.apply(found, params.get("patchOperations"))
            return _with_response(method, integrations.checked_response(method, patched))

        method = await self._change(context, params, change)
        return describe.integration_response(_response(_integration(method), params))

    async def DeleteIntegrationResponse(self, context: Context, params: Params) -> dict[str, Any]:
        def change(api: RestApi) -> RestApi:
            # AWS says of a method that is not there what it says of one without an integration.
            method = resource_tree.resource(api, params["resourceId"]).methods.get(params["httpMethod"])
            if method is None or method.integration is None:
                raise no_integration()
            _response(method.integration, params)
            kept = {code: one for code, one in method.integration.responses.items() if code != params["statusCode"]}
            changed = msgspec.structs.replace(method.integration, responses=kept)
            return resource_tree.with_method(
                api, params["resourceId"], msgspec.structs.replace(method, integration=changed)
            )

        await self._apis.change(context, params["restApiId"], change, no_resource())
        return {}

    async def _find(self, context: Context, params: Params) -> Integration:
        api = await self._apis.find(context, params["restApiId"], no_resource())
        return resource_tree.integration(api, params["resourceId"], params["httpMethod"])

    async def _change(self, context: Context, params: Params, change: Callable[[RestApi, Method], Method]) -> Method:
        def work(api: RestApi) -> RestApi:
            method = resource_tree.method(api, params["resourceId"], params["httpMethod"])
            return resource_tree.with_method(api, params["resourceId"], change(api, method))

        api = await self._apis.change(context, params["restApiId"], work, no_resource())
        return resource_tree.method(api, params["resourceId"], params["httpMethod"])


def _integration(method: Method) -> Integration:
    if method.integration is None:
        raise no_integration()
    return method.integration


def _response(integration: Integration, params: Params) -> IntegrationResponse:
    found = integration.responses.get(params["statusCode"])
    if found is None:
        raise no_response()
    return found


def _with_response(method: Method, response: IntegrationResponse) -> Method:
    integration = _integration(method)
    responses = {**integration.responses, response.status_code: response}
    return msgspec.structs.replace(method, integration=msgspec.structs.replace(integration, responses=responses))
