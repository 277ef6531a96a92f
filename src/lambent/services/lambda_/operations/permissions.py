"""What deploy tools ask of every function before permissions and code signing exist: AWS's answers for "none"."""

from __future__ import annotations

from typing import Any

from lambent.context import Context
from lambent.services.lambda_.changes import Functions
from lambent.services.lambda_.errors import ResourceNotFoundException
from lambent.services.lambda_.names import LATEST, function_name, latest_name


class PermissionOperations:
    def __init__(self, functions: Functions) -> None:
        self._functions = functions

    async def GetPolicy(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = function_name(context, params["FunctionName"], params.get("Qualifier"), action="GetPolicy")
        if name.qualifier not in (None, LATEST):
            raise name.not_found()
        await self._functions.find(name)
        raise ResourceNotFoundException("No policy is associated with the given resource.")

    async def GetFunctionCodeSigningConfig(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        await self._functions.find(latest_name(context, params, action="GetFunctionCodeSigningConfig"))
        return {}
