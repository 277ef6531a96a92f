"""Tags, by the ARN of what has them: functions and whatever else the service gives a `Tagged` for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from sqlalchemy import Connection

from lambent.arn import Arn
from lambent.context import Context
from lambent.ids import revision_id
from lambent.services.lambda_ import tags
from lambent.services.lambda_.changes import Functions
from lambent.services.lambda_.domain import Function
from lambent.services.lambda_.errors import InvalidParameterValueException, ResourceNotFoundException
from lambent.services.lambda_.names import FunctionName, function_name

Tags = Mapping[str, str]


class Tagged(Protocol):
    """One kind of resource with tags. Both methods raise where there is no such resource."""

    async def tags(self, context: Context, arn: str, action: str) -> Tags: ...

    async def retag(self, context: Context, arn: str, action: str, change: Callable[[Tags], Tags]) -> None: ...


class TaggedFunctions:
    def __init__(self, functions: Functions) -> None:
        self._functions = functions

    async def tags(self, context: Context, arn: str, action: str) -> Tags:
        return (await self._functions.find(_function(context, arn, action))).tags

    async def retag(self, context: Context, arn: str, action: str, change: Callable[[Tags], Tags]) -> None:
        def retag(_tx: Connection, function: Function) -> Function:
            return dataclasses.replace(function, tags=change(function.tags), revision_id=revision_id())

        await self._functions.amend(_function(context, arn, action), retag)


class TagOperations:
    def __init__(self, kinds: Mapping[str, Tagged]) -> None:
        """`kinds`: by what an ARN's resource begins with, `function`."""
        self._kinds = kinds

    async def ListTags(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        arn: str = params["Resource"]
        return {"Tags": dict(await self._kind(arn).tags(context, arn, "ListTags"))}

    async def TagResource(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        arn: str = params["Resource"]
        if not params["Tags"]:
            raise InvalidParameterValueException("An error occurred and the request cannot be processed.")
        new = tags.checked(params["Tags"])
        await self._kind(arn).retag(context, arn, "TagResource", lambda old: tags.checked({**old, **new}))
        return {}

    async def UntagResource(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        arn: str = params["Resource"]
        gone = frozenset(params["TagKeys"])
        await self._kind(arn).retag(
            context, arn, "UntagResource", lambda old: {key: value for key, value in old.items() if key not in gone}
        )
        return {}

    def _kind(self, resource: str) -> Tagged:
        arn = Arn.parse(resource)
        if arn is None or arn.service != "lambda":
            raise InvalidParameterValueException(f"The resource is not the ARN of a function: {resource}")
        kind = self._kinds.get(arn.resource.partition(":")[0])
        if kind is None:
            raise ResourceNotFoundException(f"The resource does not exist: {resource}")
        return kind


def _function(context: Context, arn: str, action: str) -> FunctionName:
    name = function_name(context, arn, action=action)
    if name.qualifier is not None:
        raise InvalidParameterValueException(
            "Tags on function aliases and versions are not supported. Please specify a function ARN."
        )
    return name
