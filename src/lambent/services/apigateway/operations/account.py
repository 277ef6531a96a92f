"""Settings of an account in a region, and tags by ARN."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import msgspec
from sqlalchemy import Connection

from lambent.arn import Arn
from lambent.context import Context
from lambent.errors import AccessDeniedException
from lambent.ports import Roles
from lambent.services.apigateway import describe, stages, tags
from lambent.services.apigateway.changes import Apis
from lambent.services.apigateway.domain import AccountSettings, RestApi, Stage
from lambent.services.apigateway.errors import BadRequestException, NotFoundException
from lambent.services.apigateway.patches import Patch, Rules, field
from lambent.services.apigateway.settings import CUSTOM_ID
from lambent.services.apigateway.store import ApiStore

#: Who writes the logs of APIs.
PRINCIPAL = "apigateway.amazonaws.com"
NOT_PERMITTED = (
    "The role ARN does not have required permissions configured. Please grant trust permission for "
    "API Gateway and add the required role policy."
)


class AccountOperations:
    def __init__(self, apis: Apis, roles: Roles) -> None:
        self._apis = apis
        self._roles = roles

    async def GetAccount(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        return describe.account(await self._apis.account(context))

    async def UpdateAccount(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        for patch in params.get("patchOperations") or ():
            if patch.get("path") == "/cloudwatchRoleArn" and patch.get("op") == "replace":
                self._check_role(patch.get("value") or "", context.account)
        changed = await self._apis.change_account(
            context, lambda settings: _ACCOUNT_RULES.apply(settings, params.get("patchOperations"))
        )
        return describe.account(changed)

    def _check_role(self, role: str, account: str) -> None:
        """It must trust API Gateway; what is no ARN of a role at all the patch itself refuses."""
        arn = Arn.parse(role)
        if arn is None or arn.service != "iam":
            return
        if arn.account != account:
            raise AccessDeniedException("Cross-account pass role is not allowed.")
        if not self._roles.can_be_assumed_by(role, PRINCIPAL):
            raise BadRequestException(NOT_PERMITTED)


class TagOperations:
    def __init__(self, apis: Apis, store: ApiStore) -> None:
        self._apis = apis
        self._store = store

    async def GetTags(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        api_id, stage_name = _tagged(context, params["resourceArn"])

        def work(tx: Connection, api: RestApi) -> dict[str, str]:
            return dict((api if stage_name is None else self._stage(tx, api, stage_name)).tags)

        return {"tags": await self._apis.read(context, api_id, work)}

    async def TagResource(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        if CUSTOM_ID in params["tags"]:
            raise BadRequestException(f"The tag {CUSTOM_ID} names the identifier of a new API and cannot change it")
        await self._change(context, params["resourceArn"], tags.checked(params["tags"]), frozenset())
        return {}

    async def UntagResource(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        await self._change(context, params["resourceArn"], {}, frozenset(params["tagKeys"]))
        return {}

    async def _change(self, context: Context, arn: str, new: dict[str, str], gone: frozenset[str]) -> None:
        api_id, stage_name = _tagged(context, arn)

        def changed(before: RestApi | Stage) -> dict[str, str]:
            return tags.checked({key: value for key, value in {**before.tags, **new}.items() if key not in gone})

        def work(tx: Connection, api: RestApi) -> None:
            if stage_name is None:
                self._store.replace_api(tx, msgspec.structs.replace(api, tags=changed(api)))
            else:
                stage = self._stage(tx, api, stage_name)
                self._store.put_stage(tx, api.id, msgspec.structs.replace(stage, tags=changed(stage)))

        await self._apis.change_deployed(context, api_id, work)

    def _stage(self, tx: Connection, api: RestApi, name: str) -> Stage:
        found = self._store.find_stage(tx, api.id, name)
        if found is None:
            raise stages.no_stage()
        return found


def _tagged(context: Context, resource: str) -> tuple[str, str | None]:
    """API and stage of `arn:aws:apigateway:<region>::/restapis/<id>[/stages/<name>]`."""
    arn = Arn.parse(unquote(resource))
    if arn is None or arn.service != "apigateway" or arn.region != context.region:
        raise BadRequestException("Invalid ARN specified in the request")
    match arn.resource.split("/"):
        case ["", "restapis", api_id]:
            return api_id, None
        case ["", "restapis", api_id, "stages", name]:
            return api_id, name
    raise NotFoundException("Invalid resource identifier specified")


def _role(patch: Patch) -> str:
    arn = Arn.parse(patch.value)
    if patch.value and (arn is None or arn.service != "iam" or not arn.resource.startswith("role/")):
        raise BadRequestException(
            "The role ARN does not have required permissions configured. Please grant trust permission for "
            "API Gateway and add the required role policy."
        )
    return patch.value


_ACCOUNT_RULES: Rules[AccountSettings] = Rules(
    {"/cloudwatchRoleArn": field("cloudwatch_role_arn", _role, ops=("remove", "replace"))}
)
