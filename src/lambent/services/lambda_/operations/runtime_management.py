"""When a function's runtime is updated: Auto, FunctionUpdate, or never (Manual, with the version that is pinned).

A region has one version of each runtime, the one installed on its machine. So the modes differ in what they promise,
and Manual can pin that version alone.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
from sqlalchemy import Connection

from lambent.arn import function_arn
from lambent.context import Context
from lambent.ids import revision_id
from lambent.invoke.records import runtime_version_arn
from lambent.services.lambda_.domain import Function
from lambent.services.lambda_.errors import InvalidParameterValueException
from lambent.services.lambda_.names import LATEST, FunctionName, function_name, is_alias
from lambent.services.lambda_.store import FunctionStore
from lambent.storage.database import Database

MANUAL = "Manual"


class RuntimeManagementOperations:
    def __init__(self, database: Database, store: FunctionStore) -> None:
        self._database = database
        self._store = store

    async def PutRuntimeManagementConfig(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = _version_name(context, params, "PutRuntimeManagementConfig")
        mode, pinned = params["UpdateRuntimeOn"], params.get("RuntimeVersionArn")
        if (mode == MANUAL) != (pinned is not None):
            raise InvalidParameterValueException(
                "RuntimeVersionArn is required if UpdateRuntimeOn is Manual, and not allowed otherwise."
            )

        def change(tx: Connection) -> Function:
            function = self._found(tx, name)
            if pinned is not None:
                _check_installed(function, pinned)
            settings = msgspec.structs.replace(function.settings, runtime_update=mode, runtime_version_arn=pinned)
            changed = dataclasses.replace(function, settings=settings, revision_id=revision_id())
            self._store.write_settings(tx, changed)
            return changed

        return _described(name, await self._database.write(change))

    async def GetRuntimeManagementConfig(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = _version_name(context, params, "GetRuntimeManagementConfig")
        return _described(name, await self._database.read(lambda tx: self._found(tx, name)))

    def _found(self, tx: Connection, name: FunctionName) -> Function:
        function = self._store.find_version(tx, name.key, name.qualifier or LATEST)
        if function is None:
            raise name.not_found()
        return function


def _version_name(context: Context, params: dict[str, Any], action: str) -> FunctionName:
    name = function_name(context, params["FunctionName"], params.get("Qualifier"), action=action)
    if is_alias(name.qualifier):
        raise InvalidParameterValueException(
            f"The provided function name {name.arn} is invalid. Aliases are not allowed."
        )
    return name


def _check_installed(function: Function, pinned: str) -> None:
    runtime = function.settings.runtime
    installed = runtime_version_arn(function.region, runtime)
    if pinned != installed:
        raise InvalidParameterValueException(
            f"The runtime version {pinned} cannot be pinned: this region's version of {runtime} is {installed}."
        )


def _described(name: FunctionName, function: Function) -> dict[str, Any]:
    settings = function.settings
    shown = {
        "UpdateRuntimeOn": settings.runtime_update,
        "FunctionArn": function_arn(function.region, function.account, function.name, name.qualifier),
    }
    if settings.runtime_version_arn is not None:
        shown["RuntimeVersionArn"] = settings.runtime_version_arn
    return shown
