"""The data plane of REST APIs: what happens to a request for a deployed stage, in order, and what is told of it."""

from __future__ import annotations

import logging
from concurrent.futures import Executor
from functools import partial

from lambent.clock import Clock
from lambent.edge.access_log import AccessLogs
from lambent.edge.authorizer_cache import AuthorizerCache
from lambent.edge.doors import Address
from lambent.edge.execute_api.door import BODY_LIMIT
from lambent.edge.execute_api.rest.authorization import Authorization
from lambent.edge.execute_api.rest.compression import compress
from lambent.edge.execute_api.rest.deployed import DeployedApis
from lambent.edge.execute_api.rest.exchange import Exchange
from lambent.edge.execute_api.rest.execution import Execution, answer_of, tell_response
from lambent.edge.execute_api.rest.execution_log import ExecutionLog, StreamLog
from lambent.edge.execute_api.rest.failures import (
    MISSING_AUTHENTICATION_TOKEN,
    REQUEST_TOO_LARGE,
    THROTTLED,
    GatewayError,
)
from lambent.edge.execute_api.rest.functions import TimedCalls
from lambent.edge.execute_api.rest.lambda_authorizer import Grant, LambdaAuthorizers
from lambent.edge.execute_api.rest.stage_tracing import StageTracing
from lambent.edge.execute_api.rest.streaming import TimedBody
from lambent.edge.execute_api.rest.tester import RestTester
from lambent.edge.execute_api.rest.variables import context_value
from lambent.edge.execute_api.throttle import TokenBuckets
from lambent.edge.gate import Gate
from lambent.edge.http_events.errors import json_error
from lambent.edge.http_events.request_facts import Facts, extended_id, text_of
from lambent.edge.http_proxy import HttpProxy
from lambent.identity.authorization import Decide, within_accounts
from lambent.ports import FunctionCalls, TraceSink
from lambent.request import Request, Response
from lambent.services.apigateway.domain import ANY, Method, MethodSettings
from lambent.services.apigateway.snapshots import Snapshots, StageSnapshot

log = logging.getLogger(__name__)

#: Set by the gateway alone, whatever integrations say.
_OWN_HEADERS = frozenset((b"x-amzn-requestid", b"x-amz-apigw-id", b"x-amzn-trace-id"))
_SILENT = ExecutionLog()


class RestGateway:
    """Implements door.Gateway."""

    def __init__(
        self,
        *,
        snapshots: Snapshots,
        functions: FunctionCalls,
        gate: Gate,
        decide: Decide = within_accounts,
        proxy: HttpProxy,
        logs: AccessLogs,
        clock: Clock,
        workers: Executor,
        traces: TraceSink | None = None,
    ) -> None:
        self._tracing = StageTracing(traces, clock)
        self._snapshots = snapshots
        self._clock = clock
        self._workers = workers
        self._apis = DeployedApis()
        self._throttles = TokenBuckets(clock)
        self._logs = logs
        calls = TimedCalls(functions)
        cache: AuthorizerCache[Grant] = AuthorizerCache(clock)
        authorizers = LambdaAuthorizers(calls, cache, clock)
        self._authorization = Authorization(gate, decide, authorizers, workers)
        self._execution = Execution(calls, proxy, clock, workers)
        #: What the control plane tests methods and authorizers with.
        self.tester = RestTester(self._execution, authorizers, clock)

    def has(self, api_id: str) -> bool:
        return self._snapshots.has(api_id)

    async def answer(self, request: Request, address: Address) -> Response:
        found = self._find(address)
        if found is None:
            return _forbidden(request)
        try:
            exchange = self._exchange(request, address, *found)
            try:
                response = await self._serve(exchange)
            except Exception as error:
                # Whatever it is becomes the answer that the API's owner gives for it.
                response = answer_of(exchange, error)
            return await self._finished(exchange, response)
        except Exception:
            # The last resort: nothing that belongs to the API could be had, its gateway responses neither.
            log.exception("Request %s to REST API %s failed.", request.id, address.id)
            return _failed(request)

    def too_large(self, request: Request, address: Address) -> Response:
        found = self._find(address)
        if found is None:
            return _forbidden(request)
        try:
            exchange = self._exchange(request, address, *found)
            response = answer_of(exchange, GatewayError(REQUEST_TOO_LARGE))
            self._tell(exchange, response)
            return _identified(exchange, response)
        except Exception:
            # As in `answer`.
            log.exception("Request %s to REST API %s failed.", request.id, address.id)
            return _failed(request)

    # ---- the way of a request ------------------------------------------------------------------------------------

    async def _serve(self, exchange: Exchange) -> Response:
        if len(exchange.facts.body) > BODY_LIMIT:
            raise GatewayError(REQUEST_TOO_LARGE)
        method = await self._route(exchange)
        settings = self._settings(exchange, method)
        exchange.log = self._execution_log(exchange, settings)
        self._throttle(exchange, method, settings)
        await self._authorization.check(exchange, method)
        return await self._execution.run(exchange, method)

    async def _route(self, exchange: Exchange) -> Method:
        match = exchange.api.routes.match(exchange.path)
        method = None
        if match is not None:
            methods = match.target.methods
            method = methods.get(exchange.facts.method) or methods.get(ANY)
        if match is None or method is None:
            await self._authorization.check_signature(exchange)
            raise GatewayError(MISSING_AUTHENTICATION_TOKEN)
        exchange.resource, exchange.method = match.target, method
        exchange.path_parameters = match.parameters
        return method

    def _throttle(self, exchange: Exchange, method: Method, settings: MethodSettings) -> None:
        api = exchange.api.definition
        account = self._snapshots.account(api.account, api.region).throttle
        rate, burst = settings.throttling_rate_limit, settings.throttling_burst_limit
        passes = self._throttles.take((api.account, api.region), account.rate_limit, account.burst_limit)
        if passes and (_is_set(rate) or _is_set(burst)):
            assert exchange.resource is not None
            key = (api.id, exchange.stage.name, exchange.resource.id, method.http_method)
            passes = self._throttles.take(
                key,
                account.rate_limit if rate is None or rate < 0 else rate,
                account.burst_limit if burst is None or burst < 0 else burst,
            )
        if not passes:
            raise GatewayError(THROTTLED)

    async def _finished(self, exchange: Exchange, response: Response) -> Response:
        if isinstance(response.stream, TimedBody):
            # What is told is known at the end of the body, which as on AWS is not encoded.
            response.stream.ended = partial(self._tell, exchange, response)
        else:
            await compress(exchange, response, self._workers)
            self._tell(exchange, response)
        return _identified(exchange, response)

    # ---- what is known before, and told after ---------------------------------------------------------------------

    def _find(self, address: Address) -> tuple[StageSnapshot, str] | None:
        """The stage and the path behind it."""
        stage, slash, rest = text_of(address.path)[1:].partition("/")
        snapshot = self._snapshots.stage(address.id, stage)
        if snapshot is None or snapshot.api.disable_execute_api_endpoint:
            return None
        return snapshot, slash + rest or "/"

    def _exchange(self, request: Request, address: Address, snapshot: StageSnapshot, path: str) -> Exchange:
        now = self._clock.now()
        received = text_of(request.header(b"x-amzn-trace-id") or b"")
        return Exchange(
            facts=Facts.of(request, address, now, self._tracing.header(received, snapshot, now)),
            api=self._apis.of(snapshot.api, snapshot.stage.name),
            stage=snapshot.stage,
            deployment_id=snapshot.deployment_id,
            path=path,
            extended_id=extended_id(),
            started=self._clock.monotonic(),
            log=_SILENT,
        )

    def _settings(self, exchange: Exchange, method: Method) -> MethodSettings:
        assert exchange.resource is not None
        if not exchange.stage.method_settings:
            return MethodSettings()
        return exchange.stage.settings_of(exchange.resource.path, method.http_method)

    def _execution_log(self, exchange: Exchange, settings: MethodSettings) -> ExecutionLog:
        if settings.logging_level not in ("INFO", "ERROR"):
            return _SILENT
        api = exchange.api.definition
        group = f"API-Gateway-Execution-Logs_{api.id}/{exchange.stage.name}"
        writer = self._logs.stream(api.account, api.region, group, "execution")
        request_id, data = exchange.facts.request_id, settings.data_trace_enabled
        started = StreamLog(writer, self._clock, request_id, settings.logging_level, data=data)
        started.info(f"Extended Request Id: {exchange.extended_id}")
        return started

    def _tell(self, exchange: Exchange, response: Response) -> None:
        exchange.status = response.status
        streamed = response.stream.size if isinstance(response.stream, TimedBody) else 0
        exchange.response_length = len(response.body) + streamed
        exchange.latency_ms = int((self._clock.monotonic() - exchange.started) * 1000)
        tell_response(exchange, response)
        self._tracing.tell(exchange)
        wanted = exchange.stage.access_log
        if wanted is not None and wanted.format and wanted.destination_arn:
            line = self._apis.access_log(wanted.format).render(lambda name: context_value(exchange, name))
            api = exchange.api.definition
            self._logs.write(api.account, wanted.destination_arn, f"{api.id}/{exchange.stage.name}", line)


def _is_set(limit: float | None) -> bool:
    return limit is not None and limit >= 0


def _identified(exchange: Exchange, response: Response) -> Response:
    headers = [pair for pair in response.headers if pair[0] not in _OWN_HEADERS]
    headers.append((b"x-amzn-requestid", exchange.facts.request_id.encode()))
    headers.append((b"x-amz-apigw-id", exchange.extended_id.encode()))
    if exchange.integration_request_id:
        headers.append((b"x-amzn-trace-id", exchange.facts.trace_id.encode("latin-1", "replace")))
    response.headers = headers
    return response


def _forbidden(request: Request) -> Response:
    """No such stage, or none that is open to hosts of API Gateway."""
    response = json_error(403, "Forbidden", "ForbiddenException", request.id)
    response.headers.append((b"x-amz-apigw-id", extended_id().encode()))
    return response


def _failed(request: Request) -> Response:
    return json_error(500, "Internal server error", "InternalServerErrorException", request.id)
