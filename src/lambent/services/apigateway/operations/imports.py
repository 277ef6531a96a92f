"""ImportRestApi and PutRestApi: whole APIs from a definition."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from lambent.clock import Clock
from lambent.context import Context
from lambent.errors import AccessDeniedException
from lambent.identity.authorization import Decide
from lambent.services.apigateway import describe, settings
from lambent.services.apigateway.changes import Apis
from lambent.services.apigateway.domain import RestApi
from lambent.services.apigateway.errors import BadRequestException
from lambent.services.apigateway.openapi.document import Definition
from lambent.services.apigateway.openapi.importer import Imported, imported

_PASSING = "iam:PassRole"


class ImportOperations:
    def __init__(self, apis: Apis, clock: Clock, decide: Decide) -> None:
        self._apis = apis
        self._clock = clock
        self._decide = decide

    async def ImportRestApi(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        now_s = int(self._clock.now())

        def work() -> Imported:
            definition = Definition(params["body"])
            empty = settings.empty(context, _title(definition), now_s)
            return imported(msgspec.structs.replace(empty, models={}), definition, _options(params))

        # A large definition takes longer than a request may hold up the others.
        made = await asyncio.to_thread(work)
        self._check(context, params, made)
        await self._apis.create(made.api)
        return _described(made.api, made.warnings)

    async def PutRestApi(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        options = _options(params)
        overwrite = params.get("mode") == "overwrite"

        def work(api: RestApi, definition: Definition, *, check: bool) -> Imported:
            return imported(emptied(api) if overwrite else api, definition, options, before=api, check=check)

        definition = await asyncio.to_thread(Definition, params["body"])
        before = await self._apis.find(context, params["restApiId"])
        made = await asyncio.to_thread(work, before, definition, check=True)
        self._check(context, params, made)
        # Once more, on the API as it is when nobody else may change it.
        api = await self._apis.change(context, params["restApiId"], lambda now: work(now, definition, check=False).api)
        return _described(api, made.warnings)

    def _check(self, context: Context, params: dict[str, Any], made: Imported) -> None:
        """Roles stand inside the definition, where what authorizes calls does not look."""
        if made.warnings and params.get("failOnWarnings"):
            raise BadRequestException("Warnings found during import:\n\t" + "\n\t".join(made.warnings))
        for role in sorted(made.roles):
            keys = {"iam:passedtoservice": ("apigateway.amazonaws.com",)}
            decision = self._decide(context.caller, _PASSING, role, None, keys)
            if not decision.allowed:
                raise AccessDeniedException(
                    f"User: {context.caller.arn} is not authorized to perform: {_PASSING} on resource: {role} "
                    f"{decision.text(_PASSING)}"
                )


def emptied(api: RestApi) -> RestApi:
    """What of `api` outlives being overwritten: itself and its root."""
    root = msgspec.structs.replace(api.resources[api.root_id], methods={})
    return RestApi(
        account=api.account,
        region=api.region,
        id=api.id,
        name=api.name,
        root_id=api.root_id,
        created_s=api.created_s,
        endpoint_type=api.endpoint_type,
        ip_address_type=api.ip_address_type,
        disable_execute_api_endpoint=api.disable_execute_api_endpoint,
        tags=api.tags,
        resources={root.id: root},
    )


def _title(definition: Definition) -> str:
    if not definition.title:
        raise BadRequestException("Invalid API definition: info/title is missing")
    return definition.title


def _options(params: dict[str, Any]) -> dict[str, str]:
    return dict(params.get("parameters") or {})


def _described(api: RestApi, warnings: list[str]) -> dict[str, Any]:
    return {**describe.rest_api(api), **({"warnings": warnings} if warnings else {})}
