"""Groups, and who is in them."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection

from lambent.context import Context
from lambent.services.iam import describe, paging, rules
from lambent.services.iam.domain import ROOT_PATH, Group, Relation, User, key_of, new_id
from lambent.services.iam.entities import Entities
from lambent.services.iam.errors import DeleteConflictException


class GroupOperations:
    def __init__(self, entities: Entities) -> None:
        self._entities = entities

    async def CreateGroup(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        made = Group(
            account=context.account,
            name=params["GroupName"],
            path=params.get("Path") or ROOT_PATH,
            id=new_id(Group),
            created=self._entities.now(),
        )
        await self._entities.create(made)
        return {"Group": describe.group(made)}

    async def GetGroup(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        """With a page of its users."""

        def read(tx: Connection) -> tuple[Group, list[User]]:
            group = self._entities.get(tx, Group, context.account, params["GroupName"])
            return group, self._members(tx, group)

        group, members = await self._entities.read(read)
        page = paging.of_all("Users", members, params, lambda user: key_of(user.name), describe.listed_user)
        return {"Group": describe.group(group), **page}

    async def ListGroups(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        return await self._entities.listed(Group, "Groups", context, params, describe.group)

    async def UpdateGroup(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        def change(tx: Connection, group: Group) -> Group:
            return msgspec.structs.replace(
                group, name=params.get("NewGroupName") or group.name, path=params.get("NewPath") or group.path
            )

        await self._entities.change(Group, context.account, params["GroupName"], change)
        return {}

    async def DeleteGroup(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        def found(tx: Connection) -> Group:
            group = self._entities.get(tx, Group, context.account, params["GroupName"])
            for left, what in (
                (self._members(tx, group), "remove users from group"),
                (group.attached, "detach all policies"),
                (group.inline, "delete policies"),
            ):
                if left:
                    raise DeleteConflictException(f"Cannot delete entity, must {what} first.")
            return group

        await self._entities.delete(found)
        return {}

    # ---- membership ----

    async def AddUserToGroup(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        def change(tx: Connection, user: User) -> User:
            group = self._entities.get(tx, Group, context.account, params["GroupName"])
            if group.id in user.groups:
                return user
            joined = (*user.groups, group.id)
            rules.check_quota("GroupsPerUser", rules.GROUPS_PER_USER, len(joined))
            return msgspec.structs.replace(user, groups=joined)

        await self._entities.change(User, context.account, params["UserName"], change)
        return {}

    async def RemoveUserFromGroup(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Also of one who is not in it, as on AWS."""

        def change(tx: Connection, user: User) -> User:
            group = self._entities.get(tx, Group, context.account, params["GroupName"])
            return msgspec.structs.replace(user, groups=tuple(one for one in user.groups if one != group.id))

        await self._entities.change(User, context.account, params["UserName"], change)
        return {}

    async def ListGroupsForUser(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        def read(tx: Connection) -> list[Group]:
            user = self._entities.get(tx, User, context.account, params["UserName"])
            return self._entities.store.by_ids(tx, Group, context.account, user.groups)

        groups = await self._entities.read(read)
        return paging.of_all("Groups", groups, params, lambda group: key_of(group.name), describe.group)

    def _members(self, tx: Connection, group: Group) -> list[User]:
        return self._entities.store.referring(tx, User, group.account, Relation.GROUP, group.id)
