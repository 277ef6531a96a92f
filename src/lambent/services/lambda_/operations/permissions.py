"""Resource policies of functions, versions and aliases."""

from __future__ import annotations

from typing import Any

from lambent.context import Context
from lambent.services.lambda_.errors import InvalidParameterValueException, ResourceNotFoundException
from lambent.services.lambda_.names import LATEST, FunctionName, function_name
from lambent.services.lambda_.permissions.changes import Permissions, Wording
from lambent.services.lambda_.permissions.domain import (
    ResourcePolicy,
    encoded,
    function_statement,
    with_statement,
    without_statement,
)

ADDING = Wording(missing="Function not found", latest="GetPolicy")
REMOVING = Wording(missing="No policy found for", latest="GetFunction/GetAlias")


class PermissionOperations:
    def __init__(self, permissions: Permissions) -> None:
        self._permissions = permissions

    async def AddPermission(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = _name(context, params, "AddPermission")
        if name.qualifier == LATEST:
            raise InvalidParameterValueException("We currently do not support adding policies for $LATEST.")
        statement = function_statement(params, name.region, name.arn)
        await self._permissions.change(
            name, params.get("RevisionId"), ADDING, lambda policy: with_statement(policy, statement)
        )
        return {"Statement": encoded(statement)}

    async def RemovePermission(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = _name(context, params, "RemovePermission")

        def change(policy: ResourcePolicy | None) -> ResourcePolicy | None:
            if policy is None:
                raise ResourceNotFoundException("No policy is associated with the given resource.")
            return without_statement(policy, params["StatementId"])

        await self._permissions.change(name, params.get("RevisionId"), REMOVING, change)
        return {}

    async def GetPolicy(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = _name(context, params, "GetPolicy")
        found = await self._permissions.find(name)
        if found is None:
            raise ResourceNotFoundException("The resource you requested does not exist.")
        policy, revision_id = found
        return {"Policy": policy.document(), "RevisionId": revision_id}


def _name(context: Context, params: dict[str, Any], action: str) -> FunctionName:
    return function_name(context, params["FunctionName"], params.get("Qualifier"), action=action)
