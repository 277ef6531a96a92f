"""Tags of log groups: by ARN (TagResource …) and the older operations by name (TagLogGroup …)."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from lambent.arn import Arn
from lambent.context import Context
from lambent.services.logs.catalogue import Group
from lambent.services.logs.domain import check_tags, group_name
from lambent.services.logs.errors import InvalidParameterException
from lambent.services.logs.operations.base import Operations, Params, Result


class TagOperations(Operations):
    async def TagResource(self, context: Context, params: Params) -> Result:
        return await self._tag(await self._group_of_arn(context, params["resourceArn"]), params["tags"])

    async def UntagResource(self, context: Context, params: Params) -> Result:
        return await self._untag(await self._group_of_arn(context, params["resourceArn"]), params["tagKeys"])

    async def ListTagsForResource(self, context: Context, params: Params) -> Result:
        return {"tags": (await self._group_of_arn(context, params["resourceArn"])).row.tags}

    async def TagLogGroup(self, context: Context, params: Params) -> Result:
        return await self._tag(await self._group_of_name(context, params["logGroupName"]), params["tags"])

    async def UntagLogGroup(self, context: Context, params: Params) -> Result:
        return await self._untag(await self._group_of_name(context, params["logGroupName"]), params["tags"])

    async def ListTagsLogGroup(self, context: Context, params: Params) -> Result:
        return {"tags": (await self._group_of_name(context, params["logGroupName"])).row.tags}

    async def _group_of_name(self, context: Context, name: str) -> Group:
        await self._store.flush()
        return self._group(context, name)

    async def _group_of_arn(self, context: Context, text: str) -> Group:
        if Arn.parse(text) is None:
            raise InvalidParameterException(f"Invalid resource ARN: {text}")
        return await self._group_of_name(context, group_name(text, context.account, context.region))

    async def _tag(self, group: Group, tags: dict[str, str]) -> Result:
        return await self._set(group, {**group.row.tags, **tags})

    async def _untag(self, group: Group, keys: Iterable[str]) -> Result:
        gone = set(keys)
        return await self._set(group, {key: value for key, value in group.row.tags.items() if key not in gone})

    async def _set(self, group: Group, tags: dict[str, str]) -> Result:
        check_tags(tags, group.row.name)
        self._store.update_group(group, msgspec.structs.replace(group.row, tags=tags))
        await self._store.commit()
        return {}
