"""Layers: publish, look up, list, delete."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from lambent.clock import Clock
from lambent.context import Context
from lambent.services.lambda_ import paging
from lambent.services.lambda_.code.links import CodeLinks
from lambent.services.lambda_.code.storage_limit import StorageLimit
from lambent.services.lambda_.code.store import CodeStore
from lambent.services.lambda_.errors import InvalidParameterValueException, ResourceNotFoundException
from lambent.services.lambda_.layers import describe
from lambent.services.lambda_.layers.domain import (
    GET_ACTION,
    LayerName,
    LayerVersion,
    not_authorized,
    parse_version_arn,
)
from lambent.services.lambda_.layers.policies import LayerPolicies
from lambent.services.lambda_.layers.store import LayerStore
from lambent.services.lambda_.names import version_number
from lambent.services.lambda_.operations.code import uploaded_zip
from lambent.storage.database import Database


class LayerOperations:
    def __init__(
        self,
        database: Database,
        layers: LayerStore,
        policies: LayerPolicies,
        storage: StorageLimit,
        code: CodeStore,
        links: CodeLinks,
        clock: Clock,
    ) -> None:
        self._database = database
        self._layers = layers
        self._policies = policies
        self._storage = storage
        self._code = code
        self._links = links
        self._clock = clock

    async def PublishLayerVersion(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = LayerName.parse(context, params["LayerName"])
        name.check_owned(context, "lambda:PublishLayerVersion")
        data = uploaded_zip(params["Content"], verb="publishing")
        runtimes, architectures = params.get("CompatibleRuntimes"), params.get("CompatibleArchitectures")
        async with self._code.admitted(data) as package:
            unzipped = await self._code.measure(package.sha256)

            def publish(tx: Connection) -> LayerVersion:
                self._storage.check(tx, name.account, name.region, package.size)
                layer = LayerVersion(
                    name=name,
                    number=self._layers.take_number(tx, name),
                    package=package,
                    unzipped=unzipped,
                    created_ms=int(self._clock.now() * 1000),
                    description=params.get("Description") or "",
                    runtimes=None if runtimes is None else tuple(runtimes),
                    architectures=None if architectures is None else tuple(architectures),
                    license_info=params.get("LicenseInfo"),
                )
                self._layers.insert(tx, layer)
                return layer

            layer = await self._database.write(publish)
        return self._described(context, layer)

    async def GetLayerVersion(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = LayerName.parse(context, params["LayerName"])
        return await self._get(context, name, checked_number(params))

    async def GetLayerVersionByArn(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        place = parse_version_arn(params["Arn"])
        if place is None:
            raise _not_there()
        return await self._get(context, *place)

    async def ListLayers(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        after, limit = paging.place(params), paging.limit(params)
        page = await self._database.read(
            lambda tx: self._layers.newest(tx, context.account, context.region, after, limit + 1, **_wanted(params))
        )
        result: dict[str, Any] = {
            "Layers": [
                {
                    "LayerName": layer.name.name,
                    "LayerArn": layer.name.arn,
                    "LatestMatchingVersion": describe.list_entry(layer),
                }
                for layer in page[:limit]
            ]
        }
        if len(page) > limit:
            result["NextMarker"] = paging.marker(page[limit - 1].name.name)
        return result

    async def ListLayerVersions(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = LayerName.parse(context, params["LayerName"])
        place, limit = paging.place(params), paging.limit(params)
        if place and version_number(place) == 0:
            raise paging.bad_marker()
        before = version_number(place) or None
        page = await self._database.read(
            lambda tx: (
                self._layers.page(tx, name, before, limit + 1, **_wanted(params))
                if name.region == context.region
                else []
            )
        )
        # Another account's layer shows what of it one may use.
        shown = [describe.list_entry(layer) for layer in page[:limit] if layer.is_open_to(context.caller)]
        result: dict[str, Any] = {"LayerVersions": shown}
        if len(page) > limit:
            result["NextMarker"] = paging.marker(str(page[limit - 1].number))
        return result

    async def DeleteLayerVersion(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name, number = LayerName.parse(context, params["LayerName"]), checked_number(params)
        name.check_owned(context, "lambda:DeleteLayerVersion")
        # What is not there is deleted; functions that use the version keep it.
        await self._database.write(lambda tx: self._layers.delete(tx, name, number))
        self._policies.remove(name.version_arn(number))
        return {}

    async def _get(self, context: Context, name: LayerName, number: int) -> dict[str, Any]:
        layer = None
        if name.region == context.region:
            layer = await self._database.read(lambda tx: self._layers.find(tx, name, number))
        if name.account != context.account and (layer is None or not layer.is_open_to(context.caller)):
            raise not_authorized(context, GET_ACTION, name.version_arn(number))
        if layer is None:
            raise _not_there()
        return self._described(context, layer)

    def _described(self, context: Context, layer: LayerVersion) -> dict[str, Any]:
        return describe.whole(layer, self._links.url(context.base_url, layer.package.sha256))


def checked_number(params: dict[str, Any]) -> int:
    number: int = params["VersionNumber"]
    if number < 1:
        raise InvalidParameterValueException("Layer Version Cannot be less than 1")
    return number


def _not_there() -> ResourceNotFoundException:
    return ResourceNotFoundException("The resource you requested does not exist.")


def _wanted(params: dict[str, Any]) -> dict[str, str | None]:
    return {"runtime": params.get("CompatibleRuntime"), "architecture": params.get("CompatibleArchitecture")}
