"""Tags of users, roles, managed policies and instance profiles; groups have none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection

from lambent.context import Context
from lambent.services.iam import paging, rules
from lambent.services.iam.domain import Entity, InstanceProfile, ManagedPolicy, Role, User
from lambent.services.iam.entities import Entities
from lambent.services.iam.errors import InvalidInputException, LimitExceededException, OutsideAccount

E = TypeVar("E", bound=Entity)
Params = dict[str, Any]
Tags = Mapping[str, str]

TAGS_PER_ENTITY = 50


class TagOperations:
    def __init__(self, entities: Entities) -> None:
        self._entities = entities

    async def TagUser(self, context: Context, params: Params) -> dict[str, Any]:
        return await self._change(User, context, params["UserName"], _adding(params, User))

    async def UntagUser(self, context: Context, params: Params) -> dict[str, Any]:
        return await self._change(User, context, params["UserName"], _removing(params["TagKeys"], User))

    async def ListUserTags(self, context: Context, params: Params) -> dict[str, Any]:
        return await self._list(User, context, params["UserName"], params)

    async def TagRole(self, context: Context, params: Params) -> dict[str, Any]:
        return await self._change(Role, context, params["RoleName"], _adding(params, Role))

    async def UntagRole(self, context: Context, params: Params) -> dict[str, Any]:
        return await self._change(Role, context, params["RoleName"], _removing(params["TagKeys"], Role))

    async def ListRoleTags(self, context: Context, params: Params) -> dict[str, Any]:
        return await self._list(Role, context, params["RoleName"], params)

    async def TagInstanceProfile(self, context: Context, params: Params) -> dict[str, Any]:
        change = _adding(params, InstanceProfile)
        return await self._change(InstanceProfile, context, params["InstanceProfileName"], change)

    async def UntagInstanceProfile(self, context: Context, params: Params) -> dict[str, Any]:
        change = _removing(params["TagKeys"], InstanceProfile)
        return await self._change(InstanceProfile, context, params["InstanceProfileName"], change)

    async def ListInstanceProfileTags(self, context: Context, params: Params) -> dict[str, Any]:
        return await self._list(InstanceProfile, context, params["InstanceProfileName"], params)

    async def TagPolicy(self, context: Context, params: Params) -> dict[str, Any]:
        return await self._change_policy(context, params["PolicyArn"], _adding(params, ManagedPolicy))

    async def UntagPolicy(self, context: Context, params: Params) -> dict[str, Any]:
        return await self._change_policy(context, params["PolicyArn"], _removing(params["TagKeys"], ManagedPolicy))

    async def ListPolicyTags(self, context: Context, params: Params) -> dict[str, Any]:
        arn = params["PolicyArn"]
        rules.check_policy_arn(arn)
        policy = await self._entities.read(lambda tx: self._entities.get_policy(tx, context.account, arn))
        return _page(policy.tags, params)

    # ---- the same for all ----

    async def _change(
        self, kind: type[E], context: Context, name: str, change: Callable[[Tags], Tags]
    ) -> dict[str, Any]:
        def changed(tx: Connection, entity: E) -> E:
            return msgspec.structs.replace(entity, tags=change(entity.tags))

        await self._entities.change(kind, context.account, name, changed)
        return {}

    async def _change_policy(self, context: Context, arn: str, change: Callable[[Tags], Tags]) -> dict[str, Any]:
        rules.check_policy_arn(arn)

        def changed(tx: Connection, policy: ManagedPolicy) -> ManagedPolicy:
            if policy.is_of_aws:
                raise OutsideAccount
            return msgspec.structs.replace(policy, tags=change(policy.tags))

        await self._entities.change_policy(context.account, arn, changed)
        return {}

    async def _list(self, kind: type[E], context: Context, name: str, params: Params) -> dict[str, Any]:
        entity = await self._entities.find(kind, context.account, name)
        return _page(entity.tags, params)


def _adding(params: Params, kind: type[Entity]) -> Callable[[Tags], Tags]:
    given = rules.given_tags(params["Tags"], kind)
    if any(key.lower().startswith("aws:") for key in given):
        raise InvalidInputException("aws: prefixed tag key names are not allowed for external use.")
    without = _removing(given, kind)

    def add(before: Tags) -> Tags:
        after = {**without(before), **given}
        if len(after) > TAGS_PER_ENTITY:
            raise LimitExceededException("The number of tags has reached the maximum limit.")
        return after

    return add


def _removing(keys: Iterable[str], kind: type[Entity]) -> Callable[[Tags], Tags]:
    """Tags of policies alone are told apart by case."""
    normal: Callable[[str], str] = str if kind is ManagedPolicy else str.lower
    gone = {normal(key) for key in keys}
    return lambda before: {key: value for key, value in before.items() if normal(key) not in gone}


def _page(tags: Tags, params: Params) -> dict[str, Any]:
    return paging.of_all("Tags", tags, params, str, lambda key: {"Key": key, "Value": tags[key]})
