"""Functions behind invocation URIs: found by the ARN in the URI, called within a time."""

from __future__ import annotations

import asyncio
import re

from lambent.arn import Arn
from lambent.context import Caller
from lambent.edge.execute_api.rest.exchange import Exchange, api_arn
from lambent.edge.execute_api.rest.mapping import with_stage_variables
from lambent.identity.sessions import assumed_role_caller
from lambent.invoke.streams import ResponseStream, open_stream
from lambent.ports import Asker, FunctionCalls, InvokeResult, ResponseSink

PRINCIPAL = "apigateway.amazonaws.com"

_URI = re.compile(
    r"arn:[a-z-]+:apigateway:[a-z0-9-]*:lambda:path/"
    r"(2015-03-31/functions/(?P<arn>arn:[^/]+)/invocations"
    r"|2021-11-15/functions/(?P<streaming>arn:[^/]+)/response-streaming-invocations)",
    re.ASCII,
)
_PARAMETER = re.compile(r"\{[^}]*\}")


def function_arn(uri: str, exchange: Exchange) -> str | None:
    """The function that an invocation URI names, stage variables filled in; None where it names none."""
    found = _URI.fullmatch(with_stage_variables(uri, exchange.stage_variables))
    return found["arn"] or found["streaming"] if found else None


def integration_asker(exchange: Exchange, credentials: str) -> Asker:
    """On whose behalf a method calls its function: the API's, or a role's."""
    api, resource = exchange.api.definition, exchange.resource
    assert resource is not None
    # As the console writes permissions: a star for each path parameter.
    path = _PARAMETER.sub("*", resource.path)
    source = f"{api_arn(api.region, api.account, api.id)}/{exchange.stage.name}/{exchange.facts.method}{path}"
    return Asker(PRINCIPAL, source, api.account, caller=_acting(credentials, exchange))


def authorizer_asker(exchange: Exchange, authorizer_id: str, credentials: str) -> Asker:
    api = exchange.api.definition
    source = f"{api_arn(api.region, api.account, api.id)}/authorizers/{authorizer_id}"
    return Asker(PRINCIPAL, source, api.account, caller=_acting(credentials, exchange))


class TimedCalls:
    """Calls that are waited for no longer than their time; the function runs on, as on AWS."""

    def __init__(self, functions: FunctionCalls) -> None:
        self._functions = functions
        #: Those that nobody waits for any more; the loop alone would not keep them.
        self._left: set[asyncio.Task[InvokeResult]] = set()

    async def call(
        self,
        arn: str,
        asker: Asker,
        payload: bytes,
        exchange: Exchange,
        timeout_s: float,
        tenant_id: str = "",
    ) -> InvokeResult:
        """Raises TimeoutError, and what `FunctionCalls.call` raises."""
        facts = exchange.facts
        call = self._functions.call(
            arn, asker, payload, request_id=facts.request_id, trace_id=facts.trace_id, tenant_id=tenant_id
        )
        task = asyncio.create_task(call, name="function behind an API")
        try:
            done, _ = await asyncio.wait((task,), timeout=timeout_s)
        finally:
            if not task.done():
                self._left.add(task)
                task.add_done_callback(self._forget)
        if not done:
            raise TimeoutError
        return task.result()

    async def stream(
        self, arn: str, asker: Asker, payload: bytes, exchange: Exchange, tenant_id: str = ""
    ) -> ResponseStream:
        """Raises what `FunctionCalls.call` raises before the first byte."""
        facts = exchange.facts

        async def invoke(sink: ResponseSink) -> InvokeResult:
            return await self._functions.call(
                arn,
                asker,
                payload,
                request_id=facts.request_id,
                trace_id=facts.trace_id,
                tenant_id=tenant_id,
                stream=sink,
            )

        return await open_stream(invoke)

    def _forget(self, task: asyncio.Task[InvokeResult]) -> None:
        self._left.discard(task)
        if not task.cancelled():
            # Looked at, so that the loop does not complain about what nobody waits for.
            task.exception()


def _acting(credentials: str, exchange: Exchange) -> Caller | None:
    """A session of the role `credentials`. One of another account never stands for it: the API acts for its own."""
    role = Arn.parse(credentials)
    if role is None or role.account != exchange.api.definition.account:
        return None
    return assumed_role_caller(credentials, "BackplaneAssumeRoleSession", "")
