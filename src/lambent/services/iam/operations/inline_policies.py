"""Inline policies: documents that belong to one user, group or role and go with it."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection

from lambent.context import Context
from lambent.services.iam import describe, documents, paging, rules
from lambent.services.iam.domain import Group, Holder, Role, User
from lambent.services.iam.entities import Entities
from lambent.services.iam.errors import NoSuchEntityException

H = TypeVar("H", bound=Holder)
Params = dict[str, Any]


class InlinePolicyOperations:
    def __init__(self, entities: Entities) -> None:
        self._entities = entities

    async def PutUserPolicy(self, context: Context, params: Params) -> dict[str, Any]:
        return await self._put(User, context, params["UserName"], params)

    async def PutGroupPolicy(self, context: Context, params: Params) -> dict[str, Any]:
        return await self._put(Group, context, params["GroupName"], params)

    async def PutRolePolicy(self, context: Context, params: Params) -> dict[str, Any]:
        return await self._put(Role, context, params["RoleName"], params)

    async def GetUserPolicy(self, context: Context, params: Params) -> dict[str, Any]:
        return await self._get(User, context, "UserName", params)

    async def GetGroupPolicy(self, context: Context, params: Params) -> dict[str, Any]:
        return await self._get(Group, context, "GroupName", params)

    async def GetRolePolicy(self, context: Context, params: Params) -> dict[str, Any]:
        return await self._get(Role, context, "RoleName", params)

    async def ListUserPolicies(self, context: Context, params: Params) -> dict[str, Any]:
        return await self._list(User, context, params["UserName"], params)

    async def ListGroupPolicies(self, context: Context, params: Params) -> dict[str, Any]:
        return await self._list(Group, context, params["GroupName"], params)

    async def ListRolePolicies(self, context: Context, params: Params) -> dict[str, Any]:
        return await self._list(Role, context, params["RoleName"], params)

    async def DeleteUserPolicy(self, context: Context, params: Params) -> dict[str, Any]:
        return await self._delete(User, context, params["UserName"], params)

    async def DeleteGroupPolicy(self, context: Context, params: Params) -> dict[str, Any]:
        return await self._delete(Group, context, params["GroupName"], params)

    async def DeleteRolePolicy(self, context: Context, params: Params) -> dict[str, Any]:
        return await self._delete(Role, context, params["RoleName"], params)

    # ---- the same for all three ----

    async def _put(self, kind: type[H], context: Context, name: str, params: Params) -> dict[str, Any]:
        document = params["PolicyDocument"]
        documents.check_inline(document)

        def change(tx: Connection, holder: H) -> H:
            rules.check_modifiable(holder)
            known = _known(holder, params["PolicyName"]) or params["PolicyName"]
            changed = msgspec.structs.replace(holder, inline={**holder.inline, known: document})
            documents.check_inline_size(changed)
            return changed

        await self._entities.change(kind, context.account, name, change)
        return {}

    async def _get(self, kind: type[H], context: Context, member: str, params: Params) -> dict[str, Any]:
        holder = await self._entities.find(kind, context.account, params[member])
        known = _found(holder, params["PolicyName"])
        return {
            member: holder.name,
            "PolicyName": known,
            "PolicyDocument": describe.document(holder.inline[known]),
        }

    async def _list(self, kind: type[H], context: Context, name: str, params: Params) -> dict[str, Any]:
        holder = await self._entities.find(kind, context.account, name)
        return paging.of_all("PolicyNames", holder.inline, params, str, str)

    async def _delete(self, kind: type[H], context: Context, name: str, params: Params) -> dict[str, Any]:
        def change(tx: Connection, holder: H) -> H:
            rules.check_modifiable(holder)
            known = _found(holder, params["PolicyName"])
            rest = {one: document for one, document in holder.inline.items() if one != known}
            return msgspec.structs.replace(holder, inline=rest)

        await self._entities.change(kind, context.account, name, change)
        return {}


def _known(holder: Holder, name: str) -> str | None:
    """The policy's name as it was first written; None where there is no such policy."""
    return next((one for one in holder.inline if one.lower() == name.lower()), None)


def _found(holder: Holder, name: str) -> str:
    known = _known(holder, name)
    if known is None:
        raise NoSuchEntityException(f"The {holder.noun} policy with name {name} cannot be found.")
    return known
