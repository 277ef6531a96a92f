"""The request path on one screen. Every AWS API call passes here, whoever makes it."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Mapping
from concurrent.futures import Executor
from typing import Any, Protocol

from lambent import wire
from lambent.context import Caller, Context
from lambent.edge.dispatch import Dispatch
from lambent.edge.doors import Doors
from lambent.edge.gate import LARGE_BODY, Gate
from lambent.edge.guard import Guard
from lambent.edge.local import LocalRoutes
from lambent.errors import AwsError, InternalFailure, UncodedError
from lambent.identity.sigv4 import Verified
from lambent.request import Request, Response

log = logging.getLogger(__name__)

#: What a service calls its own failure, where it is not InternalFailure.
FAILURES: Mapping[str, tuple[str, str]] = {
    "lambda": ("ServiceException", "The service encountered an internal error."),
    "s3": ("InternalError", "We encountered an internal error. Please try again."),
}
#: Who sends what nobody signs; only STS has such operations, and STS is the same in every region.
_UNSIGNED = Verified(Caller.anonymous(), "us-east-1")


class RequestEntityTooLargeException(AwsError):
    """The request payload exceeded the limit."""

    status = 413


class Authorizer(Protocol):
    def check(
        self, request: Request, caller: Caller, region: str, operation: wire.Operation, params: Mapping[str, Any]
    ) -> None:
        """Raises AccessDenied where the caller may not."""


class Pipeline:
    """What `transport` gives each request to."""

    def __init__(
        self,
        router: wire.Router,
        gate: Gate,
        authorizer: Authorizer,
        dispatch: Dispatch,
        guard: Guard,
        doors: Doors,
        local: LocalRoutes,
        workers: Executor,
    ) -> None:
        self._router = router
        self._gate = gate
        self._authorizer = authorizer
        self._dispatch = dispatch
        self._guard = guard
        self._doors = doors
        self._local = local
        self._workers = workers

    async def answer(self, request: Request) -> Response:
        """`handle`, with whatever it raises rendered; never raises."""
        operation: wire.Operation | None = None
        try:
            door = self._doors.find(request)
            if door is not None:
                return await door[0].answer(request, door[1])
            self._guard.check(request)
            if self._local.owns(request):
                return await self._local.answer(request)
            operation = self._router.match(request)
            return await self.handle(request, operation)
        except AwsError as error:
            return wire.serialize_error(operation, error, request)
        except Exception:
            # The last resort: a fault of ours is answered as AWS answers one of its own, and told to the operator.
            log.exception("Request %s (%s) failed.", request.id, operation.name if operation else request.method)
            return wire.serialize_error(operation, _failure(operation), request)

    def body_limit(self, request: Request) -> int:
        """How much of a large body `transport` should read; its own limit stands above."""
        door = self._doors.find(request)
        return sys.maxsize if door is None else door[0].body_limit

    def too_large(self, request: Request, limit: int) -> Response:
        """For a request whose body `transport` did not read."""
        door = self._doors.find(request)
        if door is not None:
            return door[0].too_large(request, door[1])
        message = f"Request must be smaller than {limit} bytes"
        try:
            operation = self._router.match(request)
        except AwsError:
            # It is told by the body, which is not there.
            return wire.serialize_error(None, RequestEntityTooLargeException(message), request)
        error = RequestEntityTooLargeException(f"{message} for the {operation.name} operation")
        return wire.serialize_error(operation, error, request)

    async def handle(self, request: Request, operation: wire.Operation) -> Response:
        if len(request.body) < LARGE_BODY:
            (caller, region), params = self._read(request, operation)
        else:
            loop = asyncio.get_running_loop()
            (caller, region), params = await loop.run_in_executor(self._workers, self._read, request, operation)
        self._authorizer.check(request, caller, region, operation, params)
        trace = (request.header(b"x-amzn-trace-id") or b"").decode("latin-1")
        context = Context(caller.account, region, caller, request.id, _base_url(request), request.sandbox_id, trace)
        result = await self._dispatch(operation, context, params)
        return wire.serialize(operation, result, request)

    def _read(self, request: Request, operation: wire.Operation) -> tuple[Verified, dict[str, Any]]:
        # Who, before what: nothing of a body is looked at until its sender is known.
        verified = _UNSIGNED if operation.is_unsigned else self._gate.verify(request, operation)
        return verified, wire.parse(operation, request)


def _base_url(request: Request) -> str:
    return f"{request.scheme}://{(request.header(b'host') or b'').decode('latin-1')}"


def _failure(operation: wire.Operation | None) -> AwsError:
    if operation is not None and operation.service in FAILURES:
        return UncodedError(*FAILURES[operation.service], 500)
    return InternalFailure()
