"""Functions themselves: create, look up, list, configure, delete."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from lambent.clock import Clock
from lambent.context import Context
from lambent.identity.authorization import Decide
from lambent.ports import Roles
from lambent.services.lambda_ import configuration, describe, paging, tags
from lambent.services.lambda_.changes import Functions
from lambent.services.lambda_.code.links import CodeLinks
from lambent.services.lambda_.code.store import CodeStore
from lambent.services.lambda_.domain import Function
from lambent.services.lambda_.errors import (
    InvalidParameterValueException,
    ResourceConflictException,
)
from lambent.services.lambda_.execution_roles import check_role, check_tracing
from lambent.services.lambda_.names import LATEST, FunctionName, function_name, is_alias, latest_name
from lambent.services.lambda_.operations.code import uploaded_zip
from lambent.services.lambda_.references import References
from lambent.services.lambda_.signing.deployments import Signing
from lambent.services.lambda_.snap_start.domain import Eligibility
from lambent.services.lambda_.store import FunctionStore
from lambent.storage.database import Database


class FunctionOperations:
    def __init__(
        self,
        database: Database,
        store: FunctionStore,
        functions: Functions,
        references: References,
        roles: Roles,
        decide: Decide,
        signing: Signing,
        code: CodeStore,
        links: CodeLinks,
        snap_start: Eligibility,
        clock: Clock,
    ) -> None:
        self._database = database
        self._store = store
        self._functions = functions
        self._references = references
        self._roles = roles
        self._decide = decide
        self._signing = signing
        self._code = code
        self._links = links
        self._snap_start = snap_start
        self._clock = clock

    async def CreateFunction(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = function_name(context, params["FunctionName"], action="CreateFunction", own=True)
        if name.qualifier not in (None, LATEST):
            raise InvalidParameterValueException(f"A function is created without a qualifier: {name.name}")
        referenced = await self._references.look_up(context, params)
        settings = configuration.created_settings(params, referenced)
        self._snap_start.check(settings)
        check_role(self._roles, context, settings.role)
        if settings.tracing_mode == "Active":
            check_tracing(self._decide, context, settings.role, name.name)
        environment = configuration.updated_environment(None, params)
        function_tags = tags.checked(params.get("Tags") or {})
        data = uploaded_zip(params["Code"], verb="creating")
        # Before the work of unzipping; the insert is what decides.
        if await self._database.read(lambda tx: self._store.find(tx, name.key)) is not None:
            raise ResourceConflictException(f"Function already exist: {name.name}")
        put_signing = await self._signing.admit_new(context, params.get("CodeSigningConfigArn"), name.key)
        async with self._code.admitted(data) as package:
            await self._references.check_size(package, settings.layers)
            function = Function(
                *name.key,
                settings=settings,
                package=package,
                environment=environment,
                modified_ms=int(self._clock.now() * 1000),
                tags=function_tags,
            )
            created = await self._functions.create(function, publish=bool(params.get("Publish")), also=put_signing)
        # Without the version in the ARN, even of a published one.
        return describe.configuration(created)

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
        configuration.refuse_unsupported(params)
        referenced = await self._references.look_up(context, params)
        await self._check_role(context, name, params)
        if referenced.layers:
            await self._signing.admit(name.key)

        def change(function: Function) -> Function:
            if referenced.layers is not None:
                self._references.check_size_now(function.package, referenced.layers)
            settings = configuration.updated_settings(function.settings, params, referenced)
            self._snap_start.check(settings)
            return function.updated(
                self._clock.now(),
                settings=settings,
                environment=configuration.updated_environment(function.environment, params),
            )

        return describe.configuration(await self._functions.update(name, params.get("RevisionId"), change))

    async def _check_role(self, context: Context, name: FunctionName, params: dict[str, Any]) -> None:
        """Where an update concerns it: a new one, or what it must be allowed from now on."""
        role, mode = params.get("Role"), (params.get("TracingConfig") or {}).get("Mode")
        if role is None and mode != "Active":
            return
        settings = (await self._functions.find(name)).settings
        if role is not None:
            check_role(self._roles, context, role)
        if (mode or settings.tracing_mode) == "Active":
            check_tracing(self._decide, context, role or settings.role, name.name)

    async def DeleteFunction(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name = function_name(context, params["FunctionName"], params.get("Qualifier"), action="DeleteFunction")
        if name.qualifier == LATEST:
            raise InvalidParameterValueException("$LATEST version cannot be deleted without deleting the function.")
        if is_alias(name.qualifier):
            raise InvalidParameterValueException("Deletion of aliases is not currently supported.")
        if name.qualifier is None:
            await self._functions.delete(name)
        else:
            await self._functions.delete_version(name, name.qualifier)
        return {"StatusCode": 204}

    async def ListFunctions(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        if params.get("MasterRegion") not in (None, "ALL", context.region):
            return {"Functions": []}  # replicas of another region's functions, of which there are none
        all_versions = params.get("FunctionVersion") == "ALL"
        name, number = _place(params)
        limit = paging.limit(params)

        def find(tx: Connection) -> list[Function]:
            if all_versions:
                return self._store.page_of_all(tx, context.account, context.region, (name, number), limit + 1)
            return self._store.page(tx, context.account, context.region, name, limit + 1)

        page = await self._database.read(find)
        result: dict[str, Any] = {
            "Functions": [describe.list_entry(entry, entry.version if all_versions else None) for entry in page[:limit]]
        }
        if len(page) > limit:
            last = page[limit - 1]
            result["NextMarker"] = paging.marker(f"{last.name}:{last.number}")
        return result

    async def _looked_up(self, context: Context, params: dict[str, Any], action: str) -> tuple[FunctionName, Function]:
        name = function_name(context, params["FunctionName"], params.get("Qualifier"), action=action)
        return name, await self._functions.resolve(name)


def _place(params: dict[str, Any]) -> tuple[str, int]:
    """Name and number of the last entry on the page before."""
    name, _, number = paging.place(params).partition(":")
    if name and not (number.isascii() and number.isdigit() and len(number) < 19):
        raise paging.bad_marker()
    return name, int(number or 0)
