"""Resources: the tree of paths of an API."""

from __future__ import annotations

from typing import Any

from lambent.context import Context
from lambent.services.apigateway import describe, resource_tree
from lambent.services.apigateway.changes import Apis
from lambent.services.apigateway.domain import RestApi
from lambent.services.apigateway.errors import no_resource
from lambent.services.apigateway.identifiers import short_id
from lambent.services.apigateway.paging import page
from lambent.services.apigateway.patches import Patch, Rule, Rules


class ResourceOperations:
    def __init__(self, apis: Apis) -> None:
        self._apis = apis

    async def CreateResource(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        new_id = short_id()

        def change(api: RestApi) -> RestApi:
            return resource_tree.added(api, params["parentId"], params["pathPart"], new_id)[0]

        api = await self._apis.change(context, params["restApiId"], change)
        return describe.resource(api.resources[new_id])

    async def GetResource(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        api = await self._apis.find(context, params["restApiId"], no_resource())
        found = resource_tree.resource(api, params["resourceId"])
        return describe.resource(found, methods="methods" in (params.get("embed") or ()))

    async def GetResources(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        api = await self._apis.find(context, params["restApiId"])
        whole = "methods" in (params.get("embed") or ())
        return page(
            api.resources.values(), params, lambda one: one.path, lambda one: describe.resource(one, methods=whole)
        )

    async def UpdateResource(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        resource_id = params["resourceId"]

        def change(api: RestApi) -> RestApi:
            resource_tree.resource(api, resource_id)
            return _rules(resource_id).apply(api, params.get("patchOperations"))

        api = await self._apis.change(context, params["restApiId"], change, no_resource())
        return describe.resource(api.resources[resource_id])

    async def DeleteResource(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        await self._apis.change(
            context,
            params["restApiId"],
            lambda api: resource_tree.removed(api, params["resourceId"]),
            no_resource(),
        )
        return {}


def _rules(resource_id: str) -> Rules[RestApi]:
    def move(api: RestApi, patch: Patch) -> RestApi:
        return resource_tree.moved(api, resource_id, parent_id=patch.value)

    def rename(api: RestApi, patch: Patch) -> RestApi:
        return resource_tree.moved(api, resource_id, path_part=patch.value)

    return Rules({"/parentId": Rule(("replace",), move), "/pathPart": Rule(("replace",), rename)}, named=True)
