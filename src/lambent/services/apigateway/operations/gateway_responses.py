"""Gateway responses: what API Gateway answers by itself, as the API's owner wants it."""

from __future__ import annotations

from typing import Any

import msgspec

from lambent.context import Context
from lambent.services.apigateway import describe, gateway_responses, patches
from lambent.services.apigateway.changes import Apis
from lambent.services.apigateway.domain import GatewayResponse, RestApi
from lambent.services.apigateway.errors import BadRequestException, NotFoundException
from lambent.services.apigateway.paging import page
from lambent.services.apigateway.patches import Patch, Rule, Rules, entry


class GatewayResponseOperations:
    def __init__(self, apis: Apis) -> None:
        self._apis = apis

    async def PutGatewayResponse(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        made = gateway_responses.checked(
            GatewayResponse(
                type=params["responseType"],
                status_code=params.get("statusCode"),
                parameters=params.get("responseParameters") or {},
                templates=params.get("responseTemplates") or {},
            )
        )
        api = await self._apis.change(context, params["restApiId"], lambda found: _with(found, made))
        return describe.gateway_response(api.gateway_responses, made.type)

    async def GetGatewayResponse(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        api = await self._apis.find(context, params["restApiId"])
        return describe.gateway_response(api.gateway_responses, params["responseType"])

    async def GetGatewayResponses(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        api = await self._apis.find(context, params["restApiId"])
        # All of them fit one page, also where nobody says how long it is.
        return page(
            gateway_responses.TYPES,
            {"limit": len(gateway_responses.TYPES), **params},
            lambda name: name,
            lambda name: describe.gateway_response(api.gateway_responses, name),
        )

    async def UpdateGatewayResponse(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        response_type = params["responseType"]

        def change(api: RestApi) -> RestApi:
            # What is shown is what is changed, set or not.
            shown = gateway_responses.effective(api.gateway_responses, response_type)
            return _with(api, gateway_responses.checked(_RULES.apply(shown, params.get("patchOperations"))))

        api = await self._apis.change(context, params["restApiId"], change)
        return describe.gateway_response(api.gateway_responses, response_type)

    async def DeleteGatewayResponse(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        def change(api: RestApi) -> RestApi:
            if params["responseType"] not in api.gateway_responses:
                raise NotFoundException("Gateway response type not defined on api")
            kept = {key: one for key, one in api.gateway_responses.items() if key != params["responseType"]}
            return msgspec.structs.replace(api, gateway_responses=kept)

        await self._apis.change(context, params["restApiId"], change)
        return {}


def _with(api: RestApi, response: GatewayResponse) -> RestApi:
    return msgspec.structs.replace(api, gateway_responses={**api.gateway_responses, response.type: response})


def _status(response: GatewayResponse, patch: Patch) -> GatewayResponse:
    if patch.op != "replace":
        raise patch.bad_path()
    return msgspec.structs.replace(response, status_code=patch.value)


def _given(patch: Patch) -> None:
    if not patch.value:
        raise BadRequestException(f"Invalid null or empty value in {patch.parts[0]}")


_RULES: Rules[GatewayResponse] = Rules(
    {
        "/statusCode": Rule(("add", "remove", "replace"), _status),
        "/responseParameters/{}": entry("parameters", missing=patches.NO_PARAMETER, check=_given),
        "/responseTemplates/{}": entry("templates", missing=patches.NO_CONTENT_TYPE, check=_given),
    }
)
