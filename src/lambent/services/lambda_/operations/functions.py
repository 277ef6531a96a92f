"""Functions themselves: create, look up, list, configure, delete."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from sqlalchemy import Connection

from lambent.clock import Clock
from lambent.context import Context
from lambent.services.lambda_ import configuration, describe, tags
from lambent.services.lambda_.changes import Functions
from lambent.services.lambda_.code.links import CodeLinks
from lambent.services.lambda_.code.store import CodeStore
from lambent.services.lambda_.domain import Function
from lambent.services.lambda_.errors import (
    CodeStorageExceededException,
    InvalidParameterValueException,
    ResourceConflictException,
)
from lambent.services.lambda_.names import LATEST, FunctionName, function_name, latest_name
from lambent.services.lambda_.operations.code import uploaded_zip
from lambent.services.lambda_.store import FunctionStore
from lambent.storage.database import Database

PAGE_LIMIT = 50
#: Bytes of packages that an account may keep in a region.
CODE_STORAGE_LIMIT = 322_122_547_200


class FunctionOperations:
    def __init__(
        self,
        database: Database,
        store: FunctionStore,
        functions: Functions,
        code: CodeStore,
        links: CodeLinks,
        clock: Clock,
    ) -> None:
        self._database = database
        self._store = store
        self._functions = functions
        self._code = code
        self._links = links
        self._clock = clock

    async def CreateFunction(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = function_name(context, params["FunctionName"], action="CreateFunction")
        if name.qualifier not in (None, LATEST):
            raise InvalidParameterValueException(f"A function is created without a qualifier: {name.name}")
        settings = configuration.created_settings(context, params)
        environment = configuration.updated_environment(None, params)
        function_tags = tags.checked(params.get("Tags") or {})
        data = uploaded_zip(params["Code"], verb="creating")
        # Before the work of unzipping; the insert is what decides.
        if await self._database.read(lambda tx: self._store.find(tx, name.key)) is not None:
            raise ResourceConflictException(f"Function already exist: {name.name}")
        async with self._code.admitted(data) as package:
            function = Function(
                *name.key,
                settings=settings,
                package=package,
                environment=environment,
                modified_ms=int(self._clock.now() * 1000),
                tags=function_tags,
            )
            await self._functions.create(function, lambda tx: self._check_storage(tx, function))
        return describe.configuration(function)

    async def GetFunction(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name, function = await self._looked_up(context, params, "GetFunction")
        result: dict[str, Any] = {
            "Configuration": describe.configuration(function, name.qualifier),
            "Code": {
                "RepositoryType": "S3",
                "Location": self._links.url(context.base_url, function.package.sha256),
            },
        }
        if function.tags:
            result["Tags"] = dict(function.tags)
        if function.reserved_concurrency is not None:
            result["Concurrency"] = {"ReservedConcurrentExecutions": function.reserved_concurrency}
        return result

    async def GetFunctionConfiguration(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name, function = await self._looked_up(context, params, "GetFunctionConfiguration")
        return describe.configuration(function, name.qualifier)

    async def UpdateFunctionConfiguration(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = latest_name(context, params, action="UpdateFunctionConfiguration")
        configuration.refuse_unsupported(context, params)

        def change(function: Function) -> Function:
            return function.updated(
                self._clock.now(),
                settings=configuration.updated_settings(context, function.settings, params),
                environment=configuration.updated_environment(function.environment, params),
            )

        return describe.configuration(await self._functions.update(name, params.get("RevisionId"), change))

    async def DeleteFunction(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = function_name(context, params["FunctionName"], params.get("Qualifier"), action="DeleteFunction")
        if name.qualifier == LATEST:
            raise InvalidParameterValueException("$LATEST version cannot be deleted without deleting the function.")
        if name.qualifier is not None:
            raise name.not_found()
        await self._functions.delete(name)
        return {"StatusCode": 204}

    async def ListFunctions(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        if params.get("MasterRegion") not in (None, "ALL", context.region):
            return {"Functions": []}  # replicas of another region's functions, of which there are none
        after = _decode_marker(params.get("Marker"))
        limit = min(params.get("MaxItems") or PAGE_LIMIT, PAGE_LIMIT)
        page = await self._database.read(
            lambda tx: self._store.page(tx, context.account, context.region, after, limit + 1)
        )
        qualifier = LATEST if params.get("FunctionVersion") == "ALL" else None
        result: dict[str, Any] = {"Functions": [describe.list_entry(function, qualifier) for function in page[:limit]]}
        if len(page) > limit:
            result["NextMarker"] = _encode_marker(page[limit - 1].name)
        return result

    async def ListVersionsByFunction(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = latest_name(context, params, action="ListVersionsByFunction")
        function = await self._functions.find(name)
        # $LATEST stands on the first page, and there is no second one.
        versions = [] if params.get("Marker") else [describe.list_entry(function, LATEST)]
        return {"Versions": versions}

    async def _looked_up(self, context: Context, params: dict[str, Any], action: str) -> tuple[FunctionName, Function]:
        name = function_name(context, params["FunctionName"], params.get("Qualifier"), action=action)
        if name.qualifier not in (None, LATEST):
            raise name.not_found()
        return name, await self._functions.find(name)

    def _check_storage(self, tx: Connection, function: Function) -> None:
        _count, used = self._store.usage(tx, function.account, function.region)
        if used + function.package.size > CODE_STORAGE_LIMIT:
            raise CodeStorageExceededException


def _encode_marker(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode()


def _decode_marker(marker: str | None) -> str:
    try:
        return base64.urlsafe_b64decode(marker or "").decode()
    except (binascii.Error, ValueError):
        raise InvalidParameterValueException("The Marker is not one that ListFunctions gave.") from None
