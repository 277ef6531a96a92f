"""What consoles and tools ask X-Ray about itself: the default group, encryption, where segments go."""

from __future__ import annotations

from typing import Any

from lambent.arn import partition_of
from lambent.context import Context
from lambent.services.xray.errors import InvalidRequestException

_DEFAULT = "Default"


class SettingsOperations:
    async def GetGroups(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        return {"Groups": [_group(context)]}

    async def GetGroup(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        group = _group(context)
        if (
            params.get("GroupName", _DEFAULT) != _DEFAULT
            or params.get("GroupARN", group["GroupARN"]) != group["GroupARN"]
        ):
            raise InvalidRequestException("Group not found")
        return {"Group": group}

    async def GetEncryptionConfig(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        return {"EncryptionConfig": {"Status": "ACTIVE", "Type": "NONE"}}

    async def GetTraceSegmentDestination(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        return {"Destination": "XRay", "Status": "ACTIVE"}


def _group(context: Context) -> dict[str, Any]:
    region = context.region
    return {
        "GroupName": _DEFAULT,
        "GroupARN": f"arn:{partition_of(region)}:xray:{region}:{context.account}:group/{_DEFAULT}",
        "InsightsConfiguration": {"InsightsEnabled": False, "NotificationsEnabled": False},
    }
