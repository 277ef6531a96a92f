"""Invoke, whole or streamed: from a checked request to the one door of the data plane and back.

No database stands on this path.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

from msgspec.structs import replace

from lambent.clock import Clock, SystemClock
from lambent.context import Context
from lambent.invoke import tracing
from lambent.invoke.errors import check_tenant
from lambent.invoke.streams import ResponseStream, open_stream
from lambent.ports import Event, EventSink, FunctionDirectory, FunctionVersion, Invocation, Invoker, InvokeResult
from lambent.services.lambda_ import payload
from lambent.services.lambda_.errors import InvalidParameterValueException
from lambent.services.lambda_.names import LATEST, FunctionName, function_name


class InvokeOperations:
    def __init__(
        self, directory: FunctionDirectory, invoker: Invoker, events: EventSink, clock: Clock | None = None
    ) -> None:
        self._directory = directory
        self._invoker = invoker
        self._events = events
        self._clock = clock or SystemClock()
        #: Of events, whose later attempts stand by what the first moment decided.
        self._sampler = tracing.Sampler()

    async def Invoke(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name, function = self._find(context, params)
        _refuse_unsupported(params)
        invocation_type = params.get("InvocationType") or "RequestResponse"
        if invocation_type == "Event":
            await self._accept(context, name, function, params, params.get("Payload") or b"", payload.EVENT_LIMIT)
            return {"StatusCode": 202}
        invocation = _invocation(context, name, params)
        if invocation_type == "DryRun":
            return {"StatusCode": 204, "ExecutedVersion": function.version}
        result = await self._invoker.invoke(function, invocation)
        answer: dict[str, Any] = {
            "StatusCode": 200,
            "Payload": result.payload,
            "ExecutedVersion": result.executed_version,
        }
        if result.function_error is not None:
            answer["FunctionError"] = result.function_error
        if invocation.log_tail:
            answer["LogResult"] = _log_result(result)
        return answer

    async def InvokeWithResponseStream(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name, function = self._find(context, params)
        invocation = _invocation(context, name, params)
        if params.get("InvocationType") == "DryRun":
            return {"StatusCode": 204, "ExecutedVersion": function.version}
        stream = await open_stream(lambda sink: self._invoker.invoke(function, replace(invocation, stream=sink)))
        return {
            "StatusCode": 200,
            "ExecutedVersion": function.version,
            "EventStream": _events(stream, log_tail=invocation.log_tail),
        }

    async def InvokeAsync(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        name, function = self._find(context, params)
        await self._accept(context, name, function, params, params["InvokeArgs"], payload.INVOKE_ASYNC_LIMIT)
        return {"Status": 202}

    def _find(self, context: Context, params: dict[str, Any]) -> tuple[FunctionName, FunctionVersion]:
        name = function_name(
            context,
            params["FunctionName"],
            params.get("Qualifier"),
            action="InvokeFunction",
        )
        function = self._directory.find(name.account, name.region, name.name, name.qualifier)
        if function is None:
            # AWS names $LATEST here where the caller named no qualifier.
            raise FunctionName(*name.key, name.qualifier or LATEST).not_found()
        check_tenant(function, params.get("TenantId") or "")
        return name, function

    async def _accept(
        self,
        context: Context,
        name: FunctionName,
        function: FunctionVersion,
        params: dict[str, Any],
        body: bytes,
        limit: int,
    ) -> None:
        """Returns once the event is on disk."""
        sampler = self._sampler if function.tracing_mode == "Active" else None
        await self._events.accept(
            Event(
                account=name.account,
                region=name.region,
                name=name.name,
                qualifier=name.qualifier or "",
                request_id=context.request_id,
                payload=payload.checked(body, limit, "Event"),
                client_context=payload.client_context(params.get("ClientContext")),
                trace_id=tracing.decided(context.trace_id, sampler, function.arn, self._clock.now()),
                tenant_id=params.get("TenantId") or "",
            )
        )


def _invocation(context: Context, name: FunctionName, params: dict[str, Any]) -> Invocation:
    return Invocation(
        request_id=context.request_id,
        payload=payload.checked(params.get("Payload") or b""),
        invoked_arn=name.arn,
        client_context=payload.client_context(params.get("ClientContext")),
        trace_id=context.trace_id,
        log_tail=params.get("LogType") == "Tail",
        tenant_id=params.get("TenantId") or "",
    )


async def _events(stream: ResponseStream, *, log_tail: bool) -> AsyncIterator[dict[str, Any]]:
    """The response as it comes, then how it ended: an error is told there, whether any byte came before it or not."""
    try:
        async for piece in stream:
            yield {"PayloadChunk": {"Payload": piece}}
        result = await stream.ending()
        complete: dict[str, Any] = {}
        if result.function_error is not None:
            complete["ErrorCode"] = result.function_error
            complete["ErrorDetails"] = result.payload.decode(errors="replace")
        if log_tail:
            complete["LogResult"] = _log_result(result)
        yield {"InvokeComplete": complete}
    finally:
        stream.close()


def _log_result(result: InvokeResult) -> str:
    return base64.b64encode(result.log_tail or b"").decode()


def _refuse_unsupported(params: dict[str, Any]) -> None:
    if params.get("DurableExecutionName"):
        raise InvalidParameterValueException("The invoked function is not a durable function.")
