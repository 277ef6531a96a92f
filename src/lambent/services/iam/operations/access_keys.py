"""Access keys of users. The secret is told once, when a key is made, and kept sealed."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection

from lambent.context import Context
from lambent.identity.key_ids import new_access_key_id
from lambent.identity.keys import new_secret_access_key
from lambent.services.iam import describe, paging, rules
from lambent.services.iam.domain import AccessKey, User
from lambent.services.iam.entities import Entities
from lambent.services.iam.errors import AccessDenied, InvalidInputException, NoSuchEntityException
from lambent.storage.secrets import SecretBox


class AccessKeyOperations:
    def __init__(self, entities: Entities, box: SecretBox) -> None:
        self._entities = entities
        self._box = box

    async def CreateAccessKey(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        secret = new_secret_access_key()
        key = AccessKey(
            id=new_access_key_id("AKIA", context.account),
            sealed=self._box.seal(secret.encode()),
            created=self._entities.now(),
        )

        def change(tx: Connection, user: User) -> User:
            keys = (*user.access_keys, key)
            rules.check_quota("AccessKeysPerUser", rules.ACCESS_KEYS_PER_USER, len(keys))
            return msgspec.structs.replace(user, access_keys=keys)

        user = await self._entities.change(User, context.account, rules.user_name(context, params), change)
        return {"AccessKey": {**describe.access_key(user, key), "SecretAccessKey": secret}}

    async def ListAccessKeys(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        user = await self._entities.find(User, context.account, rules.user_name(context, params))
        return paging.of_all(
            "AccessKeyMetadata",
            user.access_keys,
            params,
            lambda key: f"{key.created:012d} {key.id}",
            lambda key: describe.access_key(user, key),
        )

    async def UpdateAccessKey(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        status = params["Status"]
        if status == "Expired":
            raise InvalidInputException("A key can be made Active or Inactive.")
        key_id = params["AccessKeyId"]

        def change(tx: Connection, user: User) -> User:
            found = _found(user, key_id)
            changed = msgspec.structs.replace(found, active=status == "Active")
            keys = tuple(changed if key.id == key_id else key for key in user.access_keys)
            return msgspec.structs.replace(user, access_keys=keys)

        await self._entities.change(User, context.account, rules.user_name(context, params), change)
        return {}

    async def DeleteAccessKey(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        key_id = params["AccessKeyId"]

        def change(tx: Connection, user: User) -> User:
            _found(user, key_id)
            rest = tuple(key for key in user.access_keys if key.id != key_id)
            return msgspec.structs.replace(user, access_keys=rest)

        await self._entities.change(User, context.account, rules.user_name(context, params), change)
        return {}

    async def GetAccessKeyLastUsed(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        key_id = params["AccessKeyId"]
        user = self._entities.directory.user_of_key(key_id)
        if user is None or user.account != context.account:
            # As AWS words it, which tells nobody whether somebody else has such a key.
            raise AccessDenied(
                f"User: {context.caller.arn} is not authorized to perform iam:GetAccessKeyLastUsed "
                f"on resource: access key {key_id}"
            )
        return {"UserName": user.name, "AccessKeyLastUsed": describe.key_use(self._entities.uses.find(key_id))}


def _found(user: User, access_key_id: str) -> AccessKey:
    key = user.access_key(access_key_id)
    if key is None:
        raise NoSuchEntityException(f"The Access Key with id {access_key_id} cannot be found.")
    return key
