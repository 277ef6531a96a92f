"""What becomes of a function that runs in a loop: stopped after so many rounds, or left alone."""

from __future__ import annotations

import dataclasses
from typing import Any

from lambent.context import Context
from lambent.services.lambda_.changes import Functions
from lambent.services.lambda_.names import function_name


class RecursionOperations:
    def __init__(self, functions: Functions) -> None:
        self._functions = functions

    async def PutFunctionRecursionConfig(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = function_name(context, params["FunctionName"], action="PutFunctionRecursionConfig")
        wanted: str = params["RecursiveLoop"]
        await self._functions.amend(name, lambda _tx, function: dataclasses.replace(function, recursive_loop=wanted))
        return {"RecursiveLoop": wanted}

    async def GetFunctionRecursionConfig(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = function_name(context, params["FunctionName"], action="GetFunctionRecursionConfig")
        return {"RecursiveLoop": (await self._functions.find(name)).recursive_loop}
