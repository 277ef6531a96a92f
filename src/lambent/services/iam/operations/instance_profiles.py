"""Instance profiles: the form in which EC2 takes a role. Tools make them, though nothing of this region wears one."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection

from lambent.context import Context
from lambent.services.iam import describe, paging, rules
from lambent.services.iam.domain import ROOT_PATH, InstanceProfile, Relation, Role, key_of, new_id
from lambent.services.iam.entities import Entities
from lambent.services.iam.errors import DeleteConflictException, LimitExceededException, not_found

Params = dict[str, Any]
#: A profile and its role.
_Worn = tuple[InstanceProfile, list[Role]]


class InstanceProfileOperations:
    def __init__(self, entities: Entities) -> None:
        self._entities = entities

    async def CreateInstanceProfile(self, context: Context, params: Params) -> dict[str, Any]:
        made = InstanceProfile(
            account=context.account,
            name=params["InstanceProfileName"],
            path=params.get("Path") or ROOT_PATH,
            id=new_id(InstanceProfile),
            created=self._entities.now(),
            tags=rules.given_tags(params.get("Tags"), InstanceProfile),
        )
        await self._entities.create(made)
        return {"InstanceProfile": {**describe.instance_profile(made, []), "Tags": describe.tags(made.tags)}}

    async def GetInstanceProfile(self, context: Context, params: Params) -> dict[str, Any]:
        def read(tx: Connection) -> _Worn:
            return self._worn(
                tx, self._entities.get(tx, InstanceProfile, context.account, params["InstanceProfileName"])
            )

        profile, roles = await self._entities.read(read)
        return {"InstanceProfile": {**describe.instance_profile(profile, roles), "Tags": describe.tags(profile.tags)}}

    async def ListInstanceProfiles(self, context: Context, params: Params) -> dict[str, Any]:
        after, limit = paging.after(params), paging.limit(params)
        prefix = params.get("PathPrefix") or "/"

        def read(tx: Connection) -> list[_Worn]:
            store = self._entities.store
            found = store.page(tx, InstanceProfile, context.account, after=after, limit=limit + 1, prefix=prefix)
            return [self._worn(tx, profile) for profile in found]

        return _page(await self._entities.read(read), params)

    async def ListInstanceProfilesForRole(self, context: Context, params: Params) -> dict[str, Any]:
        def read(tx: Connection) -> list[_Worn]:
            role = self._entities.get(tx, Role, context.account, params["RoleName"])
            found = self._entities.store.referring(tx, InstanceProfile, context.account, Relation.ROLE, role.id)
            return [(profile, [role]) for profile in found]

        worn = await self._entities.read(read)
        return paging.of_all("InstanceProfiles", worn, params, _key, lambda pair: describe.instance_profile(*pair))

    async def AddRoleToInstanceProfile(self, context: Context, params: Params) -> dict[str, Any]:
        def change(tx: Connection, profile: InstanceProfile) -> InstanceProfile:
            role = self._entities.get(tx, Role, context.account, params["RoleName"])
            rules.check_modifiable(role)
            if profile.role:
                raise LimitExceededException("Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1")
            return msgspec.structs.replace(profile, role=role.id)

        await self._entities.change(InstanceProfile, context.account, params["InstanceProfileName"], change)
        return {}

    async def RemoveRoleFromInstanceProfile(self, context: Context, params: Params) -> dict[str, Any]:
        def change(tx: Connection, profile: InstanceProfile) -> InstanceProfile:
            role = self._entities.get(tx, Role, context.account, params["RoleName"])
            if profile.role != role.id:
                raise not_found(Role.noun, params["RoleName"])
            return msgspec.structs.replace(profile, role="")

        await self._entities.change(InstanceProfile, context.account, params["InstanceProfileName"], change)
        return {}

    async def DeleteInstanceProfile(self, context: Context, params: Params) -> dict[str, Any]:
        def found(tx: Connection) -> InstanceProfile:
            profile = self._entities.get(tx, InstanceProfile, context.account, params["InstanceProfileName"])
            if profile.role:
                raise DeleteConflictException("Cannot delete entity, must remove roles from instance profile first.")
            return profile

        await self._entities.delete(found)
        return {}

    def _worn(self, tx: Connection, profile: InstanceProfile) -> _Worn:
        ids = [profile.role] if profile.role else []
        return profile, self._entities.store.by_ids(tx, Role, profile.account, ids)


def _key(pair: _Worn) -> str:
    return key_of(pair[0].name)


def _page(found: list[_Worn], params: Params) -> dict[str, Any]:
    return paging.answer("InstanceProfiles", found, params, _key, lambda pair: describe.instance_profile(*pair))
