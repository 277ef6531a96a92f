"""Log groups: create, describe, delete, retention, deletion protection."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

import msgspec

from lambent.context import Context
from lambent.services.logs.catalogue import Group
from lambent.services.logs.domain import RETENTION_DAYS, check_tags, group_arn, group_name
from lambent.services.logs.errors import (
    InvalidParameterException,
    ResourceAlreadyExistsException,
    ValidationException,
)
from lambent.services.logs.operations.base import Operations, Params, Result, decode_token, encode_token

_PAGE = 50


class GroupOperations(Operations):
    async def CreateLogGroup(self, context: Context, params: Params) -> Result:
        name = params["logGroupName"]
        if name.lower().startswith("aws/"):
            raise InvalidParameterException("Log groups starting with AWS/ are reserved for AWS.")
        if "kmsKeyId" in params:
            raise InvalidParameterException("kmsKeyId is not supported: this region has no KMS keys for log groups.")
        log_class = params.get("logGroupClass", "STANDARD")
        if log_class != "STANDARD":
            raise InvalidParameterException(f"logGroupClass {log_class} is not supported: only STANDARD is.")
        tags = params.get("tags", {})
        check_tags(tags, name)
        await self._store.flush()
        if self._store.find_group(context.account, context.region, name) is not None:
            raise ResourceAlreadyExistsException
        protected = params.get("deletionProtectionEnabled", False)
        self._store.create_group(context.account, context.region, name, tags=tags, protected=protected)
        await self._store.commit()
        return {}

    async def DeleteLogGroup(self, context: Context, params: Params) -> Result:
        await self._store.flush()
        group = self._group(context, params["logGroupName"])
        if group.row.protected:
            raise ValidationException("The log group has deletion protection enabled and cannot be deleted.")
        self._store.delete_group(group)
        await self._store.commit()
        return {}

    async def DescribeLogGroups(self, context: Context, params: Params) -> Result:
        prefix, pattern = params.get("logGroupNamePrefix"), params.get("logGroupNamePattern")
        if prefix is not None and pattern is not None:
            raise InvalidParameterException("LogGroup name prefix and LogGroup name pattern are mutually exclusive.")
        await self._store.flush()
        groups: Iterable[Group] = self._store.groups(context.account, context.region)
        if identifiers := params.get("logGroupIdentifiers"):
            names = {group_name(identifier, context.account, context.region) for identifier in identifiers}
            groups = (group for group in groups if group.row.name in names)
        if params.get("includeLinkedAccounts") and params.get("accountIdentifiers"):
            groups = (group for group in groups if group.row.account in params["accountIdentifiers"])
        if log_class := params.get("logGroupClass"):
            groups = (group for group in groups if group.row.log_class == log_class)
        after = decode_token(params["nextToken"]) if "nextToken" in params else ""
        wanted = (
            group
            for group in groups
            if group.row.name > after and group.row.name.startswith(prefix or "") and (pattern or "") in group.row.name
        )
        limit = params.get("limit", _PAGE)
        page = heapq.nsmallest(limit + 1, wanted, key=lambda group: group.row.name)
        result: Result = {"logGroups": [_described(group) for group in page[:limit]]}
        if len(page) > limit:
            result["nextToken"] = encode_token(page[limit - 1].row.name)
        return result

    async def PutRetentionPolicy(self, context: Context, params: Params) -> Result:
        days = params["retentionInDays"]
        if days not in RETENTION_DAYS:
            raise InvalidParameterException(f"Invalid retention value. Valid values are: {list(RETENTION_DAYS)}")
        return await self._set_retention(context, params["logGroupName"], days)

    async def DeleteRetentionPolicy(self, context: Context, params: Params) -> Result:
        return await self._set_retention(context, params["logGroupName"], None)

    async def PutLogGroupDeletionProtection(self, context: Context, params: Params) -> Result:
        await self._store.flush()
        group = self._group_of(context, params["logGroupIdentifier"])
        self._store.update_group(
            group, msgspec.structs.replace(group.row, protected=params["deletionProtectionEnabled"])
        )
        await self._store.commit()
        return {}

    async def _set_retention(self, context: Context, name: str, days: int | None) -> Result:
        await self._store.flush()
        group = self._group(context, name)
        self._store.update_group(group, msgspec.structs.replace(group.row, retention_days=days))
        await self._store.commit()
        return {}


def _described(group: Group) -> Result:
    row = group.row
    arn = group_arn(row.account, row.region, row.name)
    described: Result = {
        "logGroupName": row.name,
        "creationTime": row.created_ms,
        "metricFilterCount": 0,
        "arn": f"{arn}:*",
        "storedBytes": group.stored_bytes,
        "logGroupClass": row.log_class,
        "logGroupArn": arn,
        "deletionProtectionEnabled": row.protected,
    }
    if row.retention_days is not None:
        described["retentionInDays"] = row.retention_days
    return described
