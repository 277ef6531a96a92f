"""Roles and whom they trust."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection

from lambent.context import Context
from lambent.services.iam import describe, documents, rules, trusts
from lambent.services.iam.boundaries import with_boundary
from lambent.services.iam.domain import ROOT_PATH, Relation, Role, new_id
from lambent.services.iam.entities import Entities
from lambent.services.iam.errors import DeleteConflictException

DEFAULT_SESSION = 3600


class RoleOperations:
    def __init__(self, entities: Entities) -> None:
        self._entities = entities

    async def CreateRole(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        trust = params["AssumeRolePolicyDocument"]
        documents.check_trust(trust)
        made = Role(
            account=context.account,
            name=params["RoleName"],
            path=params.get("Path") or ROOT_PATH,
            id=new_id(Role),
            created=self._entities.now(),
            tags=rules.given_tags(params.get("Tags"), Role),
            trust=trust,
            description=params.get("Description"),
            max_session_s=params.get("MaxSessionDuration") or DEFAULT_SESSION,
            boundary=params.get("PermissionsBoundary") or "",
        )
        rules.check_own_path(made)

        def complete(tx: Connection, role: Role) -> Role:
            return trusts.resolved(self._entities.store, tx, with_boundary(self._entities, tx, role))

        await self._entities.create(made, complete)
        return {"Role": describe.created_role(made)}

    async def GetRole(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        role = await self._entities.find(Role, context.account, params["RoleName"])
        return {"Role": describe.role(role, self._entities.uses.find(role.id))}

    async def ListRoles(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        return await self._entities.listed(Role, "Roles", context, params, describe.listed_role)

    async def UpdateRole(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        """What is not given stays."""
        given = {"description": params.get("Description"), "max_session_s": params.get("MaxSessionDuration")}
        await self._change(context, params, {name: value for name, value in given.items() if value is not None})
        return {}

    async def UpdateRoleDescription(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        changed = await self._change(context, params, {"description": params["Description"]})
        return {"Role": describe.described_role(changed)}

    async def UpdateAssumeRolePolicy(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        trust = params["PolicyDocument"]
        documents.check_trust(trust)
        await self._change(context, params, {"trust": trust})
        return {}

    async def DeleteRole(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        def found(tx: Connection) -> Role:
            role = self._entities.get(tx, Role, context.account, params["RoleName"])
            rules.check_modifiable(role)
            profiles = self._entities.store.count_referring(tx, role.account, Relation.ROLE, role.id)
            for left, what in (
                (profiles, "remove roles from instance profile"),
                (role.attached, "detach all policies"),
                (role.inline, "delete policies"),
            ):
                if left:
                    raise DeleteConflictException(f"Cannot delete entity, must {what} first.")
            return role

        await self._entities.delete(found)
        return {}

    async def _change(self, context: Context, params: dict[str, Any], fields: dict[str, Any]) -> Role:
        def change(tx: Connection, role: Role) -> Role:
            if fields.keys() - {"description"}:
                # Anybody may describe a service-linked role, only its service may change more.
                rules.check_modifiable(role)
            changed = msgspec.structs.replace(role, **fields)
            return trusts.resolved(self._entities.store, tx, changed) if "trust" in fields else changed

        return await self._entities.change(Role, context.account, params["RoleName"], change)
