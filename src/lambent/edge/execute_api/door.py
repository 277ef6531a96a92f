"""From the id of a deployed API to the gateway that serves it: REST and HTTP APIs share hosts and paths."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Protocol

from lambent.edge.doors import Address
from lambent.request import Request, Response

#: Of both kinds of API.
BODY_LIMIT = 10 * 1024 * 1024


class Gateway(Protocol):
    """The data plane of one kind of API."""

    def has(self, api_id: str) -> bool: ...

    async def answer(self, request: Request, address: Address) -> Response:
        """Never raises: whatever goes wrong is an answer in the words of its kind of API."""

    def too_large(self, request: Request, address: Address) -> Response:
        """For a request, less its body, that brings more than `BODY_LIMIT`."""


class ExecuteApiDoor:
    """Implements doors.Door."""

    body_limit = BODY_LIMIT

    def __init__(self, gateways: Sequence[Gateway]) -> None:
        self._gateways = tuple(gateways)

    async def answer(self, request: Request, address: Address) -> Response:
        for gateway in self._gateways:
            if gateway.has(address.id):
                return await gateway.answer(request, address)
        return _forbidden(request)

    def too_large(self, request: Request, address: Address) -> Response:
        for gateway in self._gateways:
            if gateway.has(address.id):
                return gateway.too_large(request, address)
        return _forbidden(request)


def _forbidden(request: Request) -> Response:
    """What AWS answers for an API that does not exist."""
    body = json.dumps({"message": "Forbidden"}).encode()
    headers = [(b"content-type", b"application/json"), (b"x-amzn-errortype", b"ForbiddenException")]
    return Response(403, [*headers, (b"x-amzn-requestid", request.id.encode())], body)
