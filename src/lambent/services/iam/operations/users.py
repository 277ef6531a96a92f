"""Users."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection

from lambent.context import Context
from lambent.services.iam import describe, rules
from lambent.services.iam.boundaries import with_boundary
from lambent.services.iam.domain import ROOT_PATH, User, new_id
from lambent.services.iam.entities import Entities
from lambent.services.iam.errors import DeleteConflictException


class UserOperations:
    def __init__(self, entities: Entities) -> None:
        self._entities = entities

    async def CreateUser(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        made = User(
            account=context.account,
            name=params["UserName"],
            path=params.get("Path") or ROOT_PATH,
            id=new_id(User),
            created=self._entities.now(),
            tags=rules.given_tags(params.get("Tags"), User),
            boundary=params.get("PermissionsBoundary") or "",
        )
        await self._entities.create(made, lambda tx, user: with_boundary(self._entities, tx, user))
        return {"User": describe.user(made)}

    async def GetUser(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        caller = context.caller
        if params.get("UserName") is None and caller.kind == "root":
            return {"User": {"UserId": caller.account, "Arn": caller.arn}}
        name = rules.user_name(context, params)
        return {"User": describe.user(await self._entities.find(User, context.account, name))}

    async def ListUsers(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        return await self._entities.listed(User, "Users", context, params, describe.listed_user)

    async def UpdateUser(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        def change(tx: Connection, user: User) -> User:
            return msgspec.structs.replace(
                user, name=params.get("NewUserName") or user.name, path=params.get("NewPath") or user.path
            )

        await self._entities.change(User, context.account, params["UserName"], change)
        return {}

    async def DeleteUser(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        def found(tx: Connection) -> User:
            user = self._entities.get(tx, User, context.account, params["UserName"])
            check_deletable(user)
            return user

        await self._entities.delete(found)
        return {}


def check_deletable(user: User) -> None:
    """Raises DeleteConflictException."""
    for left, what in (
        (user.access_keys, "delete access keys"),
        (user.attached, "detach all policies"),
        (user.inline, "delete policies"),
        (user.groups, "remove users from group"),
    ):
        if left:
            raise DeleteConflictException(f"Cannot delete entity, must {what} first.")
