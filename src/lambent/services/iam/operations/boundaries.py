"""Permissions boundaries of users and roles."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection

from lambent.context import Context
from lambent.services.iam.boundaries import with_boundary
from lambent.services.iam.domain import Bounded, Role, User
from lambent.services.iam.entities import Entities
from lambent.services.iam.rules import check_modifiable

B = TypeVar("B", bound=Bounded)


class BoundaryOperations:
    def __init__(self, entities: Entities) -> None:
        self._entities = entities

    async def PutUserPermissionsBoundary(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        return await self._set(User, context, params["UserName"], params["PermissionsBoundary"])

    async def PutRolePermissionsBoundary(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        return await self._set(Role, context, params["RoleName"], params["PermissionsBoundary"])

    async def DeleteUserPermissionsBoundary(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        return await self._set(User, context, params["UserName"], "")

    async def DeleteRolePermissionsBoundary(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        return await self._set(Role, context, params["RoleName"], "")

    async def _set(self, kind: type[B], context: Context, name: str, arn: str) -> dict[str, Any]:
        def change(tx: Connection, entity: B) -> B:
            check_modifiable(entity)
            return with_boundary(self._entities, tx, msgspec.structs.replace(entity, boundary=arn))

        await self._entities.change(kind, context.account, name, change)
        return {}
