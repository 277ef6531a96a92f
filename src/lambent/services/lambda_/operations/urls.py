"""Function URLs: the operations on their configuration; requests to them are served by `edge/function_url`."""

from __future__ import annotations

from typing import Any

from lambent.clock import Clock
from lambent.context import Context
from lambent.services.lambda_ import paging
from lambent.services.lambda_.domain import Function
from lambent.services.lambda_.names import LATEST, FunctionName, function_name
from lambent.services.lambda_.urls import domain
from lambent.services.lambda_.urls.changes import FunctionUrls
from lambent.services.lambda_.urls.domain import FunctionUrl


class UrlOperations:
    def __init__(self, urls: FunctionUrls, clock: Clock, host_suffix: str) -> None:
        """`host_suffix`: the operator's own, or ""."""
        self._urls = urls
        self._clock = clock
        self._host_suffix = host_suffix

    async def CreateFunctionUrlConfig(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = _name(context, params, "CreateFunctionUrlConfig")
        settings = domain.created_settings(params)
        now = int(self._clock.now() * 1_000_000_000)
        qualifier = name.qualifier or LATEST

        def make(function: Function) -> FunctionUrl:
            return FunctionUrl(*name.key, qualifier, domain.url_id(function.tags, qualifier), settings, now, now)

        described = self._described(context, await self._urls.create(name, make))
        # AWS tells these from the next call on.
        del described["LastModifiedTime"]
        if not params.get("InvokeMode"):
            del described["InvokeMode"]
        return described

    async def GetFunctionUrlConfig(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        return self._described(context, await self._urls.find(_name(context, params, "GetFunctionUrlConfig")))

    async def UpdateFunctionUrlConfig(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = _name(context, params, "UpdateFunctionUrlConfig")
        url = await self._urls.update(name, lambda current: current.updated(params, self._clock.now()))
        return self._described(context, url)

    async def DeleteFunctionUrlConfig(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        await self._urls.remove(_name(context, params, "DeleteFunctionUrlConfig"))
        return {}

    async def ListFunctionUrlConfigs(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = _name(context, params, "ListFunctionUrlConfigs")
        limit = paging.limit(params)
        page = await self._urls.page(name, paging.place(params), limit + 1)
        result: dict[str, Any] = {"FunctionUrlConfigs": [self._described(context, url) for url in page[:limit]]}
        if len(page) > limit:
            result["NextMarker"] = paging.marker(page[limit - 1].qualifier)
        return result

    def _described(self, context: Context, url: FunctionUrl) -> dict[str, Any]:
        return url.described(domain.address(url, context.base_url, self._host_suffix))


def _name(context: Context, params: dict[str, Any], action: str) -> FunctionName:
    return function_name(context, params["FunctionName"], params.get("Qualifier"), action=action)
