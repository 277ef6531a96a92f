"""Tags of APIs and stages, by ARN: `arn:aws:apigateway:<region>::/apis/<id>[/stages/<name>]`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import unquote

import msgspec

from lambent.arn import Arn
from lambent.context import Context
from lambent.services.apigatewayv2.domain import HttpApi
from lambent.services.apigatewayv2.errors import BadRequestException
from lambent.services.apigatewayv2.operations.base import Operations, Params, Result, found
from lambent.services.apigatewayv2.rules.apis import check_tags

Strings = Mapping[str, str]


class TagOperations(Operations):
    async def GetTags(self, context: Context, params: Params) -> Result:
        api_id, stage = _tagged(context, params["ResourceArn"])
        api = await self._apis.find(context, api_id)
        return {"Tags": dict(found(api.stages, "Stage", stage).tags if stage else api.tags)}

    async def TagResource(self, context: Context, params: Params) -> Result:
        new = params.get("Tags") or {}
        await self._change(context, params["ResourceArn"], lambda tags: check_tags({**tags, **new}))
        return {}

    async def UntagResource(self, context: Context, params: Params) -> Result:
        gone = frozenset(params["TagKeys"])
        await self._change(
            context, params["ResourceArn"], lambda tags: {key: tags[key] for key in tags if key not in gone}
        )
        return {}

    async def _change(self, context: Context, arn: str, change: Callable[[Strings], Strings]) -> None:
        api_id, name = _tagged(context, arn)

        def changed(api: HttpApi) -> HttpApi:
            if not name:
                return msgspec.structs.replace(api, tags=change(api.tags))
            stage = found(api.stages, "Stage", name)
            stages = {**api.stages, name: msgspec.structs.replace(stage, tags=change(stage.tags))}
            return msgspec.structs.replace(api, stages=stages)

        await self._apis.change(context, api_id, changed)


def _tagged(context: Context, text: str) -> tuple[str, str]:
    """(API, stage or "")."""
    arn = Arn.parse(unquote(text))
    parts = arn.resource.split("/") if arn is not None and arn.service == "apigateway" else []
    if arn is not None and arn.region == context.region and parts[:2] == ["", "apis"]:
        if len(parts) == 3 and parts[2]:
            return parts[2], ""
        if len(parts) == 5 and parts[3] == "stages" and parts[4]:
            return parts[2], parts[4]
    raise BadRequestException(f"Invalid ARN specified in the request: {text}")
