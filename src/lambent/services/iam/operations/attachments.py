"""Managed policies on users, groups and roles."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection

from lambent.context import Context
from lambent.services.iam import paging, rules
from lambent.services.iam.domain import Group, Holder, Role, User, path_and_name
from lambent.services.iam.entities import Entities
from lambent.services.iam.errors import NoSuchEntityException

H = TypeVar("H", bound=Holder)
Params = dict[str, Any]


class AttachmentOperations:
    def __init__(self, entities: Entities) -> None:
        self._entities = entities

    async def AttachUserPolicy(self, context: Context, params: Params) -> dict[str, Any]:
        return await self._attach(User, context, params["UserName"], params["PolicyArn"])

    async def AttachGroupPolicy(self, context: Context, params: Params) -> dict[str, Any]:
        return await self._attach(Group, context, params["GroupName"], params["PolicyArn"])

    async def AttachRolePolicy(self, context: Context, params: Params) -> dict[str, Any]:
        return await self._attach(Role, context, params["RoleName"], params["PolicyArn"])

    async def DetachUserPolicy(self, context: Context, params: Params) -> dict[str, Any]:
        return await self._detach(User, context, params["UserName"], params["PolicyArn"])

    async def DetachGroupPolicy(self, context: Context, params: Params) -> dict[str, Any]:
        return await self._detach(Group, context, params["GroupName"], params["PolicyArn"])

    async def DetachRolePolicy(self, context: Context, params: Params) -> dict[str, Any]:
        return await self._detach(Role, context, params["RoleName"], params["PolicyArn"])

    async def ListAttachedUserPolicies(self, context: Context, params: Params) -> dict[str, Any]:
        return await self._list(User, context, params["UserName"], params)

    async def ListAttachedGroupPolicies(self, context: Context, params: Params) -> dict[str, Any]:
        return await self._list(Group, context, params["GroupName"], params)

    async def ListAttachedRolePolicies(self, context: Context, params: Params) -> dict[str, Any]:
        return await self._list(Role, context, params["RoleName"], params)

    # ---- the same for all three ----

    async def _attach(self, kind: type[H], context: Context, name: str, arn: str) -> dict[str, Any]:
        """What is attached already stays so."""
        rules.check_policy_arn(arn)

        def change(tx: Connection, holder: H) -> H:
            rules.check_modifiable(holder)
            if self._entities.store.find_policy(tx, context.account, arn) is None:
                raise NoSuchEntityException(f"Policy {arn} does not exist or is not attachable.")
            if arn in holder.attached:
                return holder
            attached = (*holder.attached, arn)
            quota, most = rules.ATTACHED_QUOTAS[kind.kind]
            rules.check_quota(quota, most, len(attached))
            return msgspec.structs.replace(holder, attached=attached)

        await self._entities.change(kind, context.account, name, change)
        return {}

    async def _detach(self, kind: type[H], context: Context, name: str, arn: str) -> dict[str, Any]:
        rules.check_policy_arn(arn)

        def change(tx: Connection, holder: H) -> H:
            rules.check_modifiable(holder)
            if arn not in holder.attached:
                raise NoSuchEntityException(f"Policy {arn} was not found.")
            rest = tuple(one for one in holder.attached if one != arn)
            return msgspec.structs.replace(holder, attached=rest)

        await self._entities.change(kind, context.account, name, change)
        return {}

    async def _list(self, kind: type[H], context: Context, name: str, params: Params) -> dict[str, Any]:
        holder = await self._entities.find(kind, context.account, name)
        prefix = params.get("PathPrefix") or "/"
        named = {arn: path_and_name(arn) for arn in holder.attached}
        names = {arn: parts[2] for arn, parts in named.items() if parts and parts[1].startswith(prefix)}
        return paging.of_all(
            "AttachedPolicies", names, params, str, lambda arn: {"PolicyName": names[arn], "PolicyArn": arn}
        )
