"""Aliases: names for versions, which callers keep while what is behind them changes."""

from __future__ import annotations

from typing import Any

from lambent.context import Context
from lambent.services.lambda_ import paging
from lambent.services.lambda_.aliases.changes import Aliases
from lambent.services.lambda_.aliases.domain import Alias
from lambent.services.lambda_.names import latest_name


class AliasOperations:
    def __init__(self, aliases: Aliases) -> None:
        self._aliases = aliases

    async def CreateAlias(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        function = latest_name(context, params, action="CreateAlias")
        alias = Alias(
            *function.key,
            name=params["Name"],
            version=params["FunctionVersion"],
            description=params.get("Description") or "",
            weights=_weights(params) or {},
        )
        await self._aliases.create(alias)
        return _described(alias)

    async def GetAlias(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        function = latest_name(context, params, action="GetAlias")
        return _described(await self._aliases.find(function, params["Name"]))

    async def UpdateAlias(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        function = latest_name(context, params, action="UpdateAlias")
        given = {
            "version": params.get("FunctionVersion"),
            "description": params.get("Description"),
            "weights": _weights(params),
        }
        changes = {field: value for field, value in given.items() if value is not None}
        return _described(
            await self._aliases.update(
                function, params["Name"], params.get("RevisionId"), lambda alias: alias.changed(**changes)
            )
        )

    async def DeleteAlias(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        await self._aliases.delete(latest_name(context, params, action="DeleteAlias"), params["Name"])
        return {}

    async def ListAliases(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        function = latest_name(context, params, action="ListAliases")
        after, limit = paging.place(params), paging.limit(params)
        version = params.get("FunctionVersion")
        found = [
            alias
            for alias in await self._aliases.of_function(function)
            if alias.name > after and (version is None or version in alias.versions)
        ]
        result: dict[str, Any] = {"Aliases": [_described(alias) for alias in found[:limit]]}
        if len(found) > limit:
            result["NextMarker"] = paging.marker(found[limit - 1].name)
        return result


def _weights(params: dict[str, Any]) -> dict[str, float] | None:
    """None where `params` say nothing of routing; an empty RoutingConfig ends it."""
    routing = params.get("RoutingConfig")
    return None if routing is None else routing.get("AdditionalVersionWeights") or {}


def _described(alias: Alias) -> dict[str, Any]:
    described: dict[str, Any] = {
        "AliasArn": alias.arn,
        "Name": alias.name,
        "FunctionVersion": alias.version,
        "Description": alias.description,
        "RevisionId": alias.revision_id,
    }
    if alias.weights:
        described["RoutingConfig"] = {"AdditionalVersionWeights": dict(alias.weights)}
    return described
