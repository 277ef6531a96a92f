"""Code signing configurations, their tags, and which functions have one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection

from lambent.arn import function_arn
from lambent.clock import Clock
from lambent.context import Context
from lambent.ids import hex_id
from lambent.services.lambda_ import paging, tags
from lambent.services.lambda_.changes import Functions
from lambent.services.lambda_.errors import ResourceConflictException
from lambent.services.lambda_.names import latest_name
from lambent.services.lambda_.signing.deployments import Signing
from lambent.services.lambda_.signing.domain import (
    WARN,
    CodeSigningConfig,
    ConfigKey,
    config_arn,
    config_key,
    not_found,
)
from lambent.services.lambda_.signing.store import SigningStore
from lambent.storage.database import Database


class CodeSigningOperations:
    def __init__(
        self, database: Database, store: SigningStore, signing: Signing, functions: Functions, clock: Clock
    ) -> None:
        self._database = database
        self._store = store
        self._signing = signing
        self._functions = functions
        self._clock = clock

    async def CreateCodeSigningConfig(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        config = CodeSigningConfig(
            context.account,
            context.region,
            f"csc-{hex_id(17)}",
            publishers=tuple(params["AllowedPublishers"]["SigningProfileVersionArns"]),
            modified_ms=int(self._clock.now() * 1000),
            policy=_policy(params) or WARN,
            description=params.get("Description"),
            tags=tags.checked(params.get("Tags") or {}),
        )
        await self._database.write(lambda tx: self._store.put(tx, config))
        return {"CodeSigningConfig": config.described()}

    async def GetCodeSigningConfig(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        key = _key(context, params)
        return {"CodeSigningConfig": (await self._database.read(lambda tx: self._found(tx, key))).described()}

    async def UpdateCodeSigningConfig(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        key = _key(context, params)
        changes: dict[str, Any] = {"modified_ms": int(self._clock.now() * 1000)}
        if publishers := params.get("AllowedPublishers"):
            changes["publishers"] = tuple(publishers["SigningProfileVersionArns"])
        if policy := _policy(params):
            changes["policy"] = policy
        if params.get("Description") is not None:
            changes["description"] = params["Description"]

        def update(tx: Connection) -> CodeSigningConfig:
            changed = dataclasses.replace(self._found(tx, key), **changes)
            self._store.put(tx, changed)
            return changed

        return {"CodeSigningConfig": (await self._database.write(update)).described()}

    async def DeleteCodeSigningConfig(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        key = _key(context, params)

        def delete(tx: Connection) -> None:
            config = self._found(tx, key)
            if self._store.users(tx, key, "", 1):
                raise ResourceConflictException(
                    f"The code signing configuration {config.arn} is in use by functions. Remove it from them first."
                )
            self._store.delete(tx, key)

        await self._database.write(delete)
        return {}

    async def ListCodeSigningConfigs(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        after, limit = paging.place(params), paging.limit(params)
        page = await self._database.read(
            lambda tx: self._store.page(tx, context.account, context.region, after, limit + 1)
        )
        result: dict[str, Any] = {"CodeSigningConfigs": [config.described() for config in page[:limit]]}
        if len(page) > limit:
            result["NextMarker"] = paging.marker(page[limit - 1].id)
        return result

    async def ListFunctionsByCodeSigningConfig(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        key = _key(context, params)
        after, limit = paging.place(params), paging.limit(params)

        def find(tx: Connection) -> list[str]:
            self._found(tx, key)
            return self._store.users(tx, key, after, limit + 1)

        names = await self._database.read(find)
        arns = [function_arn(context.region, context.account, name) for name in names[:limit]]
        result: dict[str, Any] = {"FunctionArns": arns}
        if len(names) > limit:
            result["NextMarker"] = paging.marker(names[limit - 1])
        return result

    # ---- as Tagged ----

    async def tags(self, context: Context, arn: str, action: str) -> Mapping[str, str]:
        key = config_key(context, arn, not_found(arn))
        return (await self._database.read(lambda tx: self._found(tx, key))).tags

    async def retag(
        self, context: Context, arn: str, action: str, change: Callable[[Mapping[str, str]], Mapping[str, str]]
    ) -> None:
        key = config_key(context, arn, not_found(arn))

        def retag(tx: Connection) -> None:
            config = self._found(tx, key)
            self._store.put(tx, dataclasses.replace(config, tags=change(config.tags)))

        await self._database.write(retag)

    # ---- of functions ----

    async def PutFunctionCodeSigningConfig(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = latest_name(context, params, action="PutFunctionCodeSigningConfig")
        config = await self._signing.find(context, params["CodeSigningConfigArn"])
        await self._functions.find(name)
        # What is deployed stays: the configuration is asked at the next deployment.
        await self._database.write(lambda tx: self._store.use(tx, name.key, config.id))
        return {"CodeSigningConfigArn": config.arn, "FunctionName": name.name}

    async def GetFunctionCodeSigningConfig(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = latest_name(context, params, action="GetFunctionCodeSigningConfig")
        await self._functions.find(name)
        config = await self._database.read(lambda tx: self._store.used_by(tx, name.key))
        return {} if config is None else {"CodeSigningConfigArn": config.arn, "FunctionName": name.name}

    async def DeleteFunctionCodeSigningConfig(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = latest_name(context, params, action="DeleteFunctionCodeSigningConfig")
        await self._functions.find(name)
        await self._database.write(lambda tx: self._store.release(tx, name.key))
        return {}

    def _found(self, tx: Connection, key: ConfigKey) -> CodeSigningConfig:
        config = self._store.find(tx, key)
        if config is None:
            raise not_found(config_arn(key))
        return config


def _key(context: Context, params: dict[str, Any]) -> ConfigKey:
    arn: str = params["CodeSigningConfigArn"]
    return config_key(context, arn, not_found(arn))


def _policy(params: dict[str, Any]) -> str | None:
    policy: str | None = (params.get("CodeSigningPolicies") or {}).get("UntrustedArtifactOnDeployment")
    return policy
