"""AWS_PROXY: the request as an event in format 1.0 to a function, and what it returns as the answer."""

from __future__ import annotations

import asyncio

import msgspec

from lambent.clock import Clock
from lambent.edge.execute_api.rest.exchange import Exchange
from lambent.edge.execute_api.rest.execution_log import shown
from lambent.edge.execute_api.rest.failures import (
    INTEGRATION_TIMEOUT,
    OTHER_5XX,
    REQUEST_TOO_LARGE,
    GatewayError,
    misconfigured,
)
from lambent.edge.execute_api.rest.functions import TimedCalls, function_arn, integration_asker
from lambent.edge.execute_api.rest.integrations.answers import converted
from lambent.edge.execute_api.rest.mapping import Sources
from lambent.edge.execute_api.rest.streaming import TimedBody
from lambent.edge.http_events import payload_v1, streamed
from lambent.edge.http_events.bodies import BinaryMediaTypes
from lambent.edge.http_events.request_facts import text_of
from lambent.edge.http_events.responses import JSON_TYPE, MalformedProxyResponse, head_of, proxy_v1
from lambent.errors import AwsError
from lambent.invoke.faults import MAX_PAYLOAD
from lambent.invoke.streams import ResponseStream
from lambent.ports import InvokeResult
from lambent.request import Response
from lambent.services.apigateway.domain import Integration

_TENANT_ID = "integration.request.header.x-amz-tenant-id"
_BUFFERED = "2015-03-31/functions/%s/invocations"
#: Within so many bytes of a stream its metadata must end.
PRELUDE_LIMIT = 16 * 1024
_EVERYTHING = BinaryMediaTypes(("*/*",))


class LambdaProxy:
    def __init__(self, calls: TimedCalls, clock: Clock) -> None:
        self._calls = calls
        self._clock = clock

    async def answer(self, exchange: Exchange, integration: Integration) -> Response:
        """Raises GatewayError."""
        arn = function_arn(integration.uri, exchange)
        if arn is None:
            raise misconfigured("Invalid ARN specified in the request")
        if integration.http_method != "POST":
            # AWS sends the method on to the Lambda API, which knows no such operation.
            raise misconfigured(f"The integration method of a Lambda function is POST, not {integration.http_method}")
        event = _event(exchange, integration)
        if len(event) > MAX_PAYLOAD:
            raise GatewayError(REQUEST_TOO_LARGE)
        action = "2021-11-15/functions/%s/response-streaming-invocations" if integration.streams else _BUFFERED
        url = f"https://lambda.{exchange.api.definition.region}.amazonaws.com/{action % arn}"
        if exchange.log.tells_data:
            exchange.log.data(f"Endpoint request URI: {url}")
            exchange.log.data(f"Endpoint request body after transformations: {event.decode()}")
        exchange.log.info(f"Sending request to {url}")
        if integration.streams:
            return await self._stream(exchange, integration, arn, event)
        result = await self._call(exchange, integration, arn, event)
        return _response(exchange, result)

    async def _call(self, exchange: Exchange, integration: Integration, arn: str, event: bytes) -> InvokeResult:
        began = self._clock.monotonic()
        timeout_s = integration.timeout_ms / 1000
        asker = integration_asker(exchange, integration.credentials)
        try:
            result = await self._calls.call(arn, asker, event, exchange, timeout_s, _tenant_id(exchange, integration))
            exchange.integration_status = 200
        except TimeoutError:
            raise GatewayError(
                INTEGRATION_TIMEOUT,
                reason="Execution failed due to a timeout error",
            ) from None
        except AwsError as error:
            exchange.integration_status = error.status
            raise _refused(error) from None
        finally:
            exchange.integration_latency_ms = int((self._clock.monotonic() - began) * 1000)
        exchange.integration_request_id = result.record.request_id
        exchange.log.info(f"Received response. Status: 200, Integration latency: {exchange.integration_latency_ms} ms")
        return result

    async def _stream(self, exchange: Exchange, integration: Integration, arn: str, event: bytes) -> Response:
        began = self._clock.monotonic()
        timeout_s = integration.timeout_ms / 1000
        asker = integration_asker(exchange, integration.credentials)
        exchange.integration_request_id = exchange.facts.request_id
        try:
            async with asyncio.timeout(timeout_s):
                tenant_id = _tenant_id(exchange, integration)
                stream = await self._calls.stream(arn, asker, event, exchange, tenant_id)
                response = await _opened(stream)
            exchange.integration_status = 200
        except TimeoutError:
            raise GatewayError(INTEGRATION_TIMEOUT, reason="Execution failed due to a timeout error") from None
        except AwsError as error:
            exchange.integration_status = error.status
            raise _refused(error) from None
        finally:
            exchange.integration_latency_ms = exchange.headers_ms = int((self._clock.monotonic() - began) * 1000)
        source = streamed.Body(stream, exchange.facts.request_id)
        response.stream = body = TimedBody(source, exchange, self._clock, began=began, timeout_s=timeout_s)
        if response.body:
            body.first_byte()
        return response


async def _opened(stream: ResponseStream) -> Response:
    """The head of the method's answer, with as much of its body as is there. Raises GatewayError."""
    try:
        opening = await streamed.opening(stream, PRELUDE_LIMIT, has_prelude=True)
        response = head_of(opening.prelude, JSON_TYPE, many=True)
    except streamed.FunctionFailed:
        stream.close()
        result = stream.result
        words = _message(result.payload) if result is not None else "Unknown"
        raise _bad_gateway(f"Lambda execution failed with status 200 due to customer function error: {words}") from None
    except MalformedProxyResponse as error:
        stream.close()
        raise _malformed(error) from None
    except BaseException:
        stream.close()
        raise
    response.body = opening.first
    return response


def _tenant_id(exchange: Exchange, integration: Integration) -> str:
    """What the API maps to the header that tells Lambda for whom a function runs; all other headers go into events."""
    for target, expression in integration.request_parameters.items():
        if target.lower() == _TENANT_ID:
            return Sources(exchange).value(expression) or ""
    return ""


def _event(exchange: Exchange, integration: Integration) -> bytes:
    resource, binary = exchange.resource, exchange.api.binary
    assert resource is not None
    # Events hold bytes as base64, so that CONVERT_TO_TEXT is what happens anyway.
    if integration.content_handling == "CONVERT_TO_BINARY" and exchange.facts.body:
        request = exchange.facts.request
        is_binary = binary.match(exchange.facts.header("content-type"))
        request.body, binary = converted(request.body, is_binary, "CONVERT_TO_BINARY"), _EVERYTHING
    return payload_v1.event(
        exchange.facts,
        api=exchange.api_facts,
        resource=resource.path,
        path=exchange.path,
        context_path=exchange.context_path,
        stage=exchange.stage.name,
        extended_request_id=exchange.extended_id,
        resource_id=resource.id,
        deployment_id=exchange.deployment_id,
        path_parameters=exchange.path_parameters,
        stage_variables=exchange.stage_variables,
        authorizer=exchange.authorizer,
        identity=exchange.identity_members(),
        binary=binary,
    )


def _response(exchange: Exchange, result: InvokeResult) -> Response:
    if exchange.log.tells_data:
        text = result.payload.decode("utf-8", "replace")
        exchange.log.data(f"Endpoint response body before transformations: {text}")
    if result.function_error is not None:
        words = f"{_message(result.payload)}. Lambda request id: {result.record.request_id}"
        raise _bad_gateway(f"Lambda execution failed with status 200 due to customer function error: {words}")
    accept = exchange.facts.header("accept")
    binary = exchange.api.binary
    try:
        response = proxy_v1(result.payload, decode_base64=binary.accepted(accept), remap=True, strict=True)
    except MalformedProxyResponse as error:
        raise _malformed(error) from None
    if exchange.log.tells_data:
        pairs = [(text_of(name), text_of(value)) for name, value in response.headers]
        exchange.log.data(f"Method response headers: {shown(pairs)}")
    return response


def _refused(error: AwsError) -> GatewayError:
    """What Lambda answered instead of running the function; clients learn none of it."""
    if error.status == 413:
        return GatewayError(REQUEST_TOO_LARGE)
    if error.status in (403, 404):
        return misconfigured("Invalid permissions on Lambda function")
    reason = f"Lambda execution failed with status {error.status} due to customer function error: {error.message}"
    return GatewayError(OTHER_5XX, reason=reason)


def _malformed(error: MalformedProxyResponse) -> GatewayError:
    return _bad_gateway(f"Execution failed due to configuration error: Malformed Lambda proxy response: {error}")


def _bad_gateway(reason: str) -> GatewayError:
    return GatewayError(OTHER_5XX, status=502, reason=reason)


def _message(payload: bytes) -> str:
    try:
        answer = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "Unknown"
    return str(answer.get("errorMessage", "")) if isinstance(answer, dict) else "Unknown"
