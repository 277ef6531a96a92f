"""Provisioned concurrency of versions and aliases: environments that are ready before anybody asks for them."""

from __future__ import annotations

from typing import Any

from lambent.clock import Clock
from lambent.context import Context
from lambent.ports import Provision
from lambent.services.lambda_ import paging
from lambent.services.lambda_.errors import InvalidParameterValueException
from lambent.services.lambda_.names import LATEST, FunctionName, function_name
from lambent.services.lambda_.provisioned.changes import ProvisionedConcurrency
from lambent.services.lambda_.provisioned.domain import ProvisionedConfig

_IN_PROGRESS = "IN_PROGRESS"


class ProvisionedConcurrencyOperations:
    def __init__(self, provisioned: ProvisionedConcurrency, clock: Clock) -> None:
        self._provisioned = provisioned
        self._clock = clock

    async def PutProvisionedConcurrencyConfig(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = _name(context, params, "PutProvisionedConcurrencyConfig")
        if name.qualifier == LATEST:
            raise InvalidParameterValueException(
                "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
            )
        amount: int = params["ProvisionedConcurrentExecutions"]
        config = ProvisionedConfig(*name.key, str(name.qualifier), amount, int(self._clock.now() * 1000))
        before = await self._provisioned.put(name, config)
        return {**_described(config, before), "Status": _IN_PROGRESS}

    async def GetProvisionedConcurrencyConfig(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        config = await self._provisioned.find(_published(context, params, "GetProvisionedConcurrencyConfig"))
        return _described(config, self._provisioned.progress(config))

    async def DeleteProvisionedConcurrencyConfig(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        await self._provisioned.remove(_published(context, params, "DeleteProvisionedConcurrencyConfig"))
        return {}

    async def ListProvisionedConcurrencyConfigs(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = function_name(context, params["FunctionName"], action="ListProvisionedConcurrencyConfigs")
        after, limit = paging.place(params), paging.limit(params)
        found = [config for config in await self._provisioned.of_function(name) if config.qualifier > after]
        result: dict[str, Any] = {
            "ProvisionedConcurrencyConfigs": [
                {"FunctionArn": config.arn, **_described(config, self._provisioned.progress(config))}
                for config in found[:limit]
            ]
        }
        if len(found) > limit:
            result["NextMarker"] = paging.marker(found[limit - 1].qualifier)
        return result


def _name(context: Context, params: dict[str, Any], action: str) -> FunctionName:
    return function_name(context, params["FunctionName"], params["Qualifier"], action=action)


def _published(context: Context, params: dict[str, Any], action: str) -> FunctionName:
    name = _name(context, params, action)
    if name.qualifier == LATEST:
        raise InvalidParameterValueException("The function resource provided must be an alias or a published version.")
    return name


def _described(config: ProvisionedConfig, progress: Provision) -> dict[str, Any]:
    described: dict[str, Any] = {
        "RequestedProvisionedConcurrentExecutions": config.amount,
        "AvailableProvisionedConcurrentExecutions": progress.available,
        "AllocatedProvisionedConcurrentExecutions": progress.allocated,
        "Status": "READY" if progress.available >= config.amount else "FAILED" if progress.failure else _IN_PROGRESS,
        "LastModified": config.last_modified,
    }
    if described["Status"] == "FAILED":
        described["StatusReason"] = progress.failure
    return described
