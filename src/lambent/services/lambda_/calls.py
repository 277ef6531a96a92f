"""Functions for everybody but the callers of the Lambda API: found by ARN, allowed by resource policy, invoked."""

from __future__ import annotations

from lambent.arn import function_of
from lambent.errors import AccessDeniedException
from lambent.ports import Asker, FunctionDirectory, FunctionVersion, Invocation, Invoker, InvokeResult, ResponseSink
from lambent.services.lambda_.errors import ResourceNotFoundException
from lambent.services.lambda_.permissions.decisions import Decisions


class Calls:
    """Implements ports.FunctionCalls."""

    def __init__(self, directory: FunctionDirectory, decisions: Decisions, invoker: Invoker) -> None:
        self._directory = directory
        self._invoker = invoker
        self.allows = decisions.allows

    def resolve(self, arn: str) -> FunctionVersion | None:
        found = function_of(arn)
        if found is None:
            return None
        key, qualifier = found
        return self._directory.find(*key, qualifier)

    async def call(
        self,
        arn: str,
        asker: Asker,
        payload: bytes,
        *,
        request_id: str,
        trace_id: str = "",
        tenant_id: str = "",
        stream: ResponseSink | None = None,
    ) -> InvokeResult:
        function = self.resolve(arn)
        if function is None:
            raise ResourceNotFoundException(f"Function not found: {arn}")
        if not self.allows(arn, asker):
            raise AccessDeniedException(f"{asker.principal} is not allowed to invoke {arn}.")
        return await self._invoker.invoke(
            function,
            Invocation(
                request_id=request_id,
                payload=payload,
                invoked_arn=arn,
                trace_id=trace_id,
                tenant_id=tenant_id,
                stream=stream,
            ),
        )
