"""Tags of functions, by ARN."""

from __future__ import annotations

import dataclasses
from typing import Any

from sqlalchemy import Connection

from lambent.arn import Arn
from lambent.context import Context
from lambent.services.lambda_ import tags
from lambent.services.lambda_.changes import Functions
from lambent.services.lambda_.domain import Function
from lambent.services.lambda_.errors import InvalidParameterValueException, ResourceNotFoundException
from lambent.services.lambda_.names import FunctionName, function_name


class TagOperations:
    def __init__(self, functions: Functions) -> None:
        self._functions = functions

    async def ListTags(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = _tagged(context, params["Resource"], "ListTags")
        return {"Tags": dict((await self._functions.find(name)).tags)}

    async def TagResource(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = _tagged(context, params["Resource"], "TagResource")
        new = tags.checked(params["Tags"])

        def change(_tx: Connection, function: Function) -> Function:
            return dataclasses.replace(function, tags=tags.checked({**function.tags, **new}))

        await self._functions.amend(name, change)
        return {}

    async def UntagResource(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = _tagged(context, params["Resource"], "UntagResource")
        gone = frozenset(params["TagKeys"])

        def change(_tx: Connection, function: Function) -> Function:
            kept = {key: value for key, value in function.tags.items() if key not in gone}
            return dataclasses.replace(function, tags=kept)

        await self._functions.amend(name, change)
        return {}


def _tagged(context: Context, resource: str, action: str) -> FunctionName:
    arn = Arn.parse(resource)
    if arn is None or arn.service != "lambda":
        raise InvalidParameterValueException(f"The resource is not the ARN of a function: {resource}")
    if not arn.resource.startswith("function:"):
        raise ResourceNotFoundException(f"The resource does not exist: {resource}")
    name = function_name(context, resource, action=action)
    if name.qualifier is not None:
        raise InvalidParameterValueException(
            "Tags on function aliases and versions are not supported. Please specify a function ARN."
        )
    return name
