"""EventInvokeConfigs: how often and how long asynchronous invocations are tried, and where their outcome goes."""

from __future__ import annotations

from typing import Any

from lambent.clock import Clock
from lambent.context import Context
from lambent.ports import Destinations, FunctionDirectory
from lambent.services.lambda_ import paging
from lambent.services.lambda_.event_config import domain
from lambent.services.lambda_.event_config.changes import EventConfigs
from lambent.services.lambda_.event_config.domain import EventConfig, EventSettings
from lambent.services.lambda_.names import LATEST, FunctionName, function_name


class EventInvokeConfigOperations:
    def __init__(
        self, configs: EventConfigs, functions: FunctionDirectory, destinations: Destinations, clock: Clock
    ) -> None:
        self._configs = configs
        self._functions = functions
        self._destinations = destinations
        self._clock = clock

    async def PutFunctionEventInvokeConfig(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = _name(context, params, "PutFunctionEventInvokeConfig")
        settings = self._settings(name, params)
        config = EventConfig(*name.key, name.qualifier or LATEST, settings, int(self._clock.now() * 1000))
        return (await self._configs.put(name, config)).described()

    async def UpdateFunctionEventInvokeConfig(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = _name(context, params, "UpdateFunctionEventInvokeConfig")
        settings = self._settings(name, params)
        now = self._clock.now()
        return (await self._configs.update(name, lambda current: current.updated(settings, params, now))).described()

    async def GetFunctionEventInvokeConfig(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = _name(context, params, "GetFunctionEventInvokeConfig")
        return (await self._configs.find(name)).described()

    async def DeleteFunctionEventInvokeConfig(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        await self._configs.remove(_name(context, params, "DeleteFunctionEventInvokeConfig"))
        return {}

    async def ListFunctionEventInvokeConfigs(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = _name(context, params, "ListFunctionEventInvokeConfigs")
        limit = paging.limit(params)
        page = await self._configs.page(name, paging.place(params), limit + 1)
        result: dict[str, Any] = {"FunctionEventInvokeConfigs": [config.described() for config in page[:limit]]}
        if len(page) > limit:
            result["NextMarker"] = paging.marker(page[limit - 1].qualifier)
        return result

    def _settings(self, name: FunctionName, params: dict[str, Any]) -> EventSettings:
        settings = domain.settings_of(params)
        function = self._functions.find(*name.key, name.qualifier)
        if function is not None:
            # Otherwise that is what is wrong.
            domain.check_destinations(settings, function, self._destinations)
        return settings


def _name(context: Context, params: dict[str, Any], action: str) -> FunctionName:
    return function_name(context, params["FunctionName"], params.get("Qualifier"), action=action)
