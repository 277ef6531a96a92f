"""Who else may use a layer version: its resource policy."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from lambent.context import Context
from lambent.services.lambda_.errors import ResourceNotFoundException
from lambent.services.lambda_.layers.domain import (
    LayerName,
    LayerPolicy,
    LayerVersion,
    layer_statement,
    with_statement,
    without_statement,
)
from lambent.services.lambda_.layers.policies import LayerPolicies
from lambent.services.lambda_.layers.store import LayerStore
from lambent.services.lambda_.operations.layers import checked_number
from lambent.services.lambda_.permissions.domain import encoded
from lambent.storage.database import Database


class LayerPermissionOperations:
    def __init__(self, database: Database, layers: LayerStore, policies: LayerPolicies) -> None:
        self._database = database
        self._layers = layers
        self._policies = policies

    async def AddLayerVersionPermission(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name, number = _meant(context, params, "AddLayerVersionPermission")
        statement = layer_statement(
            name.version_arn(number), params["StatementId"], params["Principal"], params.get("OrganizationId")
        )

        def add(tx: Connection) -> tuple[LayerVersion, LayerPolicy]:
            layer = self._found(tx, name, number)
            policy = with_statement(layer.policy, statement, params.get("RevisionId"))
            self._layers.set_policy(tx, layer, policy)
            return layer, policy

        layer, policy = await self._database.write(add)
        self._policies.put(layer, policy)
        return {"Statement": encoded(statement), "RevisionId": policy.revision_id}

    async def RemoveLayerVersionPermission(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name, number = _meant(context, params, "RemoveLayerVersionPermission")

        def remove(tx: Connection) -> tuple[LayerVersion, LayerPolicy | None]:
            layer = self._found(tx, name, number)
            policy = without_statement(layer.policy, params["StatementId"], params.get("RevisionId"))
            self._layers.set_policy(tx, layer, policy)
            return layer, policy

        self._policies.put(*await self._database.write(remove))
        return {}

    async def GetLayerVersionPolicy(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name, number = _meant(context, params, "GetLayerVersionPolicy")
        layer = await self._database.read(lambda tx: self._found(tx, name, number))
        if layer.policy is None:
            raise ResourceNotFoundException("No policy is associated with the given resource.")
        return {"Policy": layer.policy.policy.document(), "RevisionId": layer.policy.revision_id}

    def _found(self, tx: Connection, name: LayerName, number: int) -> LayerVersion:
        layer = self._layers.find(tx, name, number)
        if layer is None:
            raise ResourceNotFoundException(f"Layer version {name.version_arn(number)} does not exist.")
        return layer


def _meant(context: Context, params: dict[str, Any], action: str) -> tuple[LayerName, int]:
    name = LayerName.parse(context, params["LayerName"])
    name.check_owned(context, f"lambda:{action}")
    return name, checked_number(params)
