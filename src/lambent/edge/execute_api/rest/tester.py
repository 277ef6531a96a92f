"""TestInvokeMethod and TestInvokeAuthorizer: the way of a request without routes, throttles and authorization."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress

from lambent import ids
from lambent.clock import Clock
from lambent.edge.execute_api.rest.deployed import DeployedApi
from lambent.edge.execute_api.rest.exchange import Exchange
from lambent.edge.execute_api.rest.execution import Execution, answer_of, tell_response
from lambent.edge.execute_api.rest.execution_log import TextLog
from lambent.edge.execute_api.rest.lambda_authorizer import LambdaAuthorizers, identity_of
from lambent.edge.execute_api.rest.routes import RouteTree
from lambent.edge.execute_api.rest.streaming import TimedBody
from lambent.edge.http_events.request_facts import Facts, extended_id, grouped, text_of
from lambent.request import BrokenOff, Request, Response
from lambent.services.apigateway.domain import ANY, Authorizer, Method, Resource, RestApi, Stage
from lambent.services.apigateway.tester import AuthorizerTestResult, TestRequest, TestResult

#: What AWS calls stages, hosts and clients of tests.
METHOD_STAGE = "test-invoke-stage"
AUTHORIZER_STAGE = "ESTestInvoke-stage"
PREFIX = "testPrefix"
DOMAIN = "testPrefix.testDomainName"
SOURCE_IP = "test-invoke-source-ip"
USER_AGENT = "aws-internal/3"
#: Of a streamed answer a test shows what came in this time and size:
#: https://docs.aws.amazon.com/apigateway/latest/developerguide/response-streaming-troubleshoot.html
STREAM_S = 35.0
STREAM_BYTES = 1024 * 1024


class RestTester:
    """Implements services.apigateway.tester.Tester."""

    def __init__(self, execution: Execution, authorizers: LambdaAuthorizers, clock: Clock) -> None:
        self._execution = execution
        self._authorizers = authorizers
        self._clock = clock

    async def test_method(self, api: RestApi, resource: Resource, method: Method, request: TestRequest) -> TestResult:
        to = TextLog(self._clock, f"Execution log for request {request.request_id}")
        verb = "GET" if method.http_method == ANY else method.http_method
        exchange = self._exchange(api, request, verb, METHOD_STAGE, to)
        exchange.resource, exchange.method = resource, method
        match = RouteTree([(resource.path, resource)]).match(exchange.path)
        exchange.path_parameters = match.parameters if match is not None else {}
        try:
            if exchange.streams:
                # AWS tells no more of it.
                return await self._test_stream(exchange, method)
            response = await self._execution.run(exchange, method)
        except Exception as error:
            # As for any client: whatever it is becomes an answer.
            response = answer_of(exchange, error)
        tell_response(exchange, response)
        return self._result(exchange, response, to.text())

    async def _test_stream(self, exchange: Exchange, method: Method) -> TestResult:
        """The answer as far as it is there after a time or a size. Raises what `Execution.run` does."""
        response = Response(0)
        try:
            async with asyncio.timeout(STREAM_S):
                response = await self._execution.run(exchange, method)
                await _collect(response)
        except TimeoutError:
            pass
        finally:
            if isinstance(response.stream, TimedBody):
                await response.stream.aclose()
        return self._result(exchange, response, "")

    def _result(self, exchange: Exchange, response: Response, log: str) -> TestResult:
        headers = [(_written(name), text_of(value)) for name, value in response.headers]
        headers.append(("X-Amzn-Trace-Id", exchange.facts.trace_id))
        body = response.body.decode("utf-8", "replace")
        return TestResult(response.status, body, grouped(headers), log, self._latency(exchange))

    async def test_authorizer(
        self, api: RestApi, authorizer: Authorizer, request: TestRequest, context: Mapping[str, str]
    ) -> AuthorizerTestResult:
        to = TextLog(self._clock, f"Execution log for request {request.request_id}")
        exchange = self._exchange(api, request, context.get("httpMethod", "GET"), AUTHORIZER_STAGE, to)
        exchange.resource = Resource(
            id=context.get("resourceId", api.root_id), parent_id=None, path_part="", path=exchange.path
        )
        try:
            values = identity_of(exchange, authorizer)
            grant = await self._authorizers.call(exchange, authorizer, values)
        except Exception as error:
            # As in `test_method`.
            response = answer_of(exchange, error)
            return AuthorizerTestResult(response.status, to.text(), self._latency(exchange))
        return AuthorizerTestResult(
            200,
            to.text(),
            self._latency(exchange),
            grant.principal_id or "",
            json.dumps(grant.document, separators=(",", ":")),
            grant.context,
        )

    def _exchange(self, api: RestApi, request: TestRequest, method: str, stage: str, to: TextLog) -> Exchange:
        now = self._clock.now()
        return Exchange(
            facts=_facts(request, method, now),
            api=DeployedApi(api),
            stage=Stage(
                name=stage, deployment_id="", created_s=int(now), updated_s=int(now), variables=request.stage_variables
            ),
            deployment_id=None,
            path=request.path_with_query.partition("?")[0],
            extended_id=extended_id(),
            started=self._clock.monotonic(),
            log=to,
            domain_prefix=PREFIX,
            identity={"accountId": api.account, "apiKey": "test-invoke-api-key", "apiKeyId": "test-invoke-api-key-id"},
        )

    def _latency(self, exchange: Exchange) -> int:
        return int((self._clock.monotonic() - exchange.started) * 1000)


async def _collect(response: Response) -> None:
    assert response.stream is not None
    with suppress(BrokenOff):
        async for piece in response.stream:
            response.body += piece
            if len(response.body) > STREAM_BYTES:
                return


def _facts(request: TestRequest, method: str, now: float) -> Facts:
    path, _, query = request.path_with_query.partition("?")
    pairs = [(name, value) for name, values in request.headers.items() for value in values]
    raw = Request(
        method=method,
        raw_path=path.encode(),
        query=query.encode(),
        headers=[(name.lower().encode(), value.encode()) for name, value in pairs],
        body=request.body.encode(),
        id=request.request_id,
        header_names=[name.encode() for name, _ in pairs],
    )
    return Facts(
        request=raw,
        method=method,
        raw_path=path,
        raw_query=query,
        headers=[(name.lower(), value) for name, value in pairs],
        source_ip=SOURCE_IP,
        user_agent=text_of(raw.header(b"user-agent") or b"") or USER_AGENT,
        protocol="HTTP/1.1",
        scheme="https",
        port="443",
        domain_name=DOMAIN,
        request_id=request.request_id,
        now=now,
        trace_id=f"Root=1-{int(now):08x}-{ids.trace_digits()[:24]}",
    )


def _written(name: bytes) -> str:
    """`content-type` as AWS shows it: `Content-Type`."""
    return "-".join(part.capitalize() for part in name.decode("latin-1").split("-"))
