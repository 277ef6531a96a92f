"""Routes to functions: payload 1.0 or 2.0 there, and the function's answer back."""

from __future__ import annotations

import asyncio

from lambent.edge.execute_api.http.compiled import CompiledIntegration
from lambent.edge.execute_api.http.exchange import Exchange
from lambent.edge.execute_api.http.failures import integration_broken, too_long, unavailable
from lambent.edge.execute_api.http.parameters import map_request
from lambent.edge.http_events import payload_v1, payload_v2, responses
from lambent.errors import AwsError
from lambent.ports import FunctionCalls
from lambent.request import Response

#: What Lambda takes, which is less than what an API does.
EVENT_LIMIT = 6 * 1024 * 1024


class LambdaIntegrations:
    def __init__(self, functions: FunctionCalls) -> None:
        self._functions = functions

    async def answer(self, exchange: Exchange, integration: CompiledIntegration) -> Response:
        """Raises Failure."""
        assert exchange.route is not None
        facts = exchange.facts
        if len(facts.body) > EVENT_LIMIT:
            raise too_long()
        is_v2 = integration.integration.payload_format_version == "2.0"
        event = event_v2(exchange, integration) if is_v2 else event_v1(exchange, integration)
        if len(event) > EVENT_LIMIT:
            raise too_long()
        asker = exchange.route.asker(facts.method)
        try:
            # The function runs on when nobody waits for it any more, as on AWS.
            async with asyncio.timeout(integration.timeout_s):
                result = await self._functions.call(
                    integration.function_arn, asker, event, request_id=facts.request_id, trace_id=facts.trace_id
                )
        except TimeoutError:
            raise unavailable("Endpoint request timed out") from None
        except AwsError as error:
            if error.status == 429:
                raise unavailable(error.message) from None
            raise integration_broken(_reason(error, integration.function_arn)) from None
        exchange.function_request_id = facts.request_id
        if result.function_error is not None:
            raise integration_broken("The Lambda function returned the following error: " + _shown(result.payload))
        try:
            return responses.infer_v2(result.payload) if is_v2 else responses.proxy_v1(result.payload)
        except responses.MalformedProxyResponse as error:
            raise integration_broken(
                f"The response from the Lambda function doesn't match the format that API Gateway expects: {error}"
            ) from None


def event_v2(exchange: Exchange, integration: CompiledIntegration) -> bytes:
    assert exchange.route is not None
    facts, path = exchange.facts, None
    if integration.request_mappings:
        facts, path = map_request(exchange, integration.request_mappings)
    return payload_v2.event(
        facts,
        api=exchange.api_facts,
        route_key=exchange.route.route.route_key,
        stage=exchange.stage.name,
        raw_path=facts.decoded_path if path is None else path,
        path_parameters=exchange.path_parameters,
        stage_variables=exchange.stage.variables,
        authorizer=exchange.authorizer_v2(),
    )


def event_v1(exchange: Exchange, integration: CompiledIntegration) -> bytes:
    assert exchange.route is not None
    facts, path = exchange.facts, None
    if integration.request_mappings:
        facts, path = map_request(exchange, integration.request_mappings)
    return payload_v1.event(
        facts,
        api=exchange.api_facts,
        resource=exchange.route.path,
        path=facts.decoded_path if path is None else path,
        context_path=facts.decoded_path,
        stage=exchange.stage.name,
        extended_request_id=facts.request_id,
        path_parameters=exchange.path_parameters,
        stage_variables=exchange.stage.variables,
        authorizer=exchange.authorizer_v1(),
        identity=exchange.identity_v1(),
        version="1.0",
    )


def _reason(error: AwsError, arn: str) -> str:
    if error.status in (403, 404):
        return (
            f"The IAM role configured on the integration or API Gateway doesn't have permissions to call the "
            f"integration {arn}. Check the permissions and try again."
        )
    return error.message


def _shown(payload: bytes) -> str:
    return payload[:1024].decode("utf-8", "replace")
