"""The operations of STS that are built: those that tell who somebody is."""

from __future__ import annotations

from typing import Any

from lambent.context import Context


class StsOperations:
    async def GetCallerIdentity(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        caller = context.caller
        return {"UserId": caller.user_id, "Account": caller.account, "Arn": caller.arn}
