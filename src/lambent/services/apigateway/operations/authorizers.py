"""Authorizers: functions that say who may call a method."""

from __future__ import annotations

from typing import Any

import msgspec

from lambent.context import Context
from lambent.services.apigateway import authorizers, describe, resource_tree
from lambent.services.apigateway.changes import Apis
from lambent.services.apigateway.domain import Authorizer, RestApi
from lambent.services.apigateway.errors import ConflictException, NotFoundException
from lambent.services.apigateway.identifiers import short_id
from lambent.services.apigateway.paging import page


class AuthorizerOperations:
    def __init__(self, apis: Apis) -> None:
        self._apis = apis

    async def CreateAuthorizer(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        made = authorizers.made(short_id(), params)
        # What AWS really says of an API that is not there, here alone.
        missing = ConflictException(
            "Unable to complete operation due to concurrent modification. Please try again later."
        )
        await self._apis.change(
            context, params["restApiId"], lambda api: _with(api, authorizers.checked(api, made)), missing
        )
        return describe.authorizer(made)

    async def GetAuthorizer(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        api = await self._apis.find(context, params["restApiId"], no_authorizer())
        return describe.authorizer(find(api, params["authorizerId"]))

    async def GetAuthorizers(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        api = await self._apis.find(context, params["restApiId"])
        return page(api.authorizers.values(), params, lambda one: one.name, describe.authorizer)

    async def UpdateAuthorizer(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        authorizer_id = params["authorizerId"]

        def change(api: RestApi) -> RestApi:
            patched = authorizers.RULES.apply(find(api, authorizer_id), params.get("patchOperations"))
            return _with(api, authorizers.checked(api, patched))

        api = await self._apis.change(context, params["restApiId"], change, no_authorizer())
        return describe.authorizer(api.authorizers[authorizer_id])

    async def DeleteAuthorizer(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        def change(api: RestApi) -> RestApi:
            found = find(api, params["authorizerId"])
            for resource, method in resource_tree.methods(api):
                if method.authorizer_id == found.id:
                    raise ConflictException(
                        f"Cannot delete authorizer '{found.name}', is referenced in method: "
                        f"{resource.path}/{method.http_method}"
                    )
            kept = {key: one for key, one in api.authorizers.items() if key != found.id}
            return msgspec.structs.replace(api, authorizers=kept)

        await self._apis.change(context, params["restApiId"], change, no_authorizer())
        return {}


def no_authorizer() -> NotFoundException:
    return NotFoundException("Invalid Authorizer identifier specified")


def find(api: RestApi, authorizer_id: str) -> Authorizer:
    found = api.authorizers.get(authorizer_id)
    if found is None:
        raise no_authorizer()
    return found


def _with(api: RestApi, authorizer: Authorizer) -> RestApi:
    return msgspec.structs.replace(api, authorizers={**api.authorizers, authorizer.id: authorizer})
