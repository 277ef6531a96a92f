"""Event source mappings: checked in full, and then refused, since no source of events is served here yet.

So none exists: the others say of every UUID what AWS says of one that does not exist.
"""

from __future__ import annotations

from typing import Any

from lambent.context import Context
from lambent.services.lambda_ import paging
from lambent.services.lambda_.directory import Directory
from lambent.services.lambda_.errors import (
    InvalidParameterValueException,
    ResourceNotFoundException,
    UnsupportedHere,
)
from lambent.services.lambda_.mappings.domain import checked_source
from lambent.services.lambda_.names import function_name


class MappingOperations:
    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def CreateEventSourceMapping(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        source = checked_source(params)
        name = function_name(context, params["FunctionName"], action="CreateEventSourceMapping", own=True)
        if not self._directory.has(name.key, name.qualifier):
            raise InvalidParameterValueException("Function does not exist")
        raise UnsupportedHere(
            f"The event source {source.value}",
            "no sources of events are served yet, so nothing would be delivered.",
        )

    async def GetEventSourceMapping(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        raise _missing()

    async def UpdateEventSourceMapping(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        raise _missing()

    async def DeleteEventSourceMapping(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        raise _missing()

    async def ListEventSourceMappings(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        paging.place(params)
        return {"EventSourceMappings": []}


def _missing() -> ResourceNotFoundException:
    return ResourceNotFoundException("The resource you requested does not exist.")
