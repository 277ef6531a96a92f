"""What stands for API Gateway at its places in a region until it is built: operations, door, reset, stop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lambent.edge.deferred import Deferred
from lambent.edge.doors import Address, Door
from lambent.edge.execute_api.door import BODY_LIMIT
from lambent.edge.http_events.errors import json_error
from lambent.request import Request, Response


class Apis(Protocol):
    @property
    def door(self) -> Door: ...

    def operations(self, service: str) -> Sequence[object]: ...

    async def reset(self) -> None: ...

    async def stop(self) -> None: ...


class LateApis:
    """Implements doors.Door and ports.Resettable."""

    body_limit = BODY_LIMIT

    def __init__(self, apis: Deferred[Apis]) -> None:
        self._apis = apis

    async def answer(self, request: Request, address: Address) -> Response:
        return await (await self._apis.get()).door.answer(request, address)

    def too_large(self, request: Request, address: Address) -> Response:
        built = self._apis.built
        if built is None:
            return json_error(413, "Request Too Long", "RequestTooLargeException", request.id)
        return built.door.too_large(request, address)

    async def operations(self, service: str) -> Sequence[object]:
        return (await self._apis.get()).operations(service)

    async def reset(self) -> None:
        # What the last run left on disk goes too, so it is built if it was not yet.
        await (await self._apis.get()).reset()

    async def stop(self) -> None:
        if self._apis.built is not None:
            await self._apis.built.stop()
