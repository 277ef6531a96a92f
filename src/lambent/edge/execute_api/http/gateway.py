"""The data plane of HTTP APIs, on one screen: stage, preflight, route, throttle, authorize, integrate, map, log."""

from __future__ import annotations

import logging
from concurrent.futures import Executor
from weakref import WeakKeyDictionary

from lambent.clock import Clock
from lambent.edge.access_log import AccessLogs
from lambent.edge.authorizer_cache import AuthorizerCache
from lambent.edge.documents import getter
from lambent.edge.doors import Address
from lambent.edge.execute_api.http.authorization import Authorization
from lambent.edge.execute_api.http.compiled import CompiledApi, CompiledStage
from lambent.edge.execute_api.http.exchange import Exchange
from lambent.edge.execute_api.http.failures import (
    Failure,
    integration_broken,
    not_found,
    server_error,
    throttled,
    too_long,
)
from lambent.edge.execute_api.http.http_integration import HttpIntegrations
from lambent.edge.execute_api.http.jwt_authorizer import JwtAuthorizers
from lambent.edge.execute_api.http.lambda_authorizer import Grant, LambdaAuthorizers
from lambent.edge.execute_api.http.lambda_integration import LambdaIntegrations
from lambent.edge.execute_api.http.parameters import map_response
from lambent.edge.execute_api.throttle import TokenBuckets
from lambent.edge.gate import Gate
from lambent.edge.http_events import cors
from lambent.edge.http_events.request_facts import Facts, text_of
from lambent.edge.http_proxy import HttpProxy
from lambent.identity.authorization import Decide, within_accounts
from lambent.identity.signing_keys import SigningKeys
from lambent.ports import FunctionCalls
from lambent.request import Request, Response
from lambent.services.apigatewayv2.snapshots import ApiSnapshot, Snapshots

log = logging.getLogger(__name__)


class HttpApiGateway:
    """Implements door.Gateway."""

    def __init__(
        self,
        snapshots: Snapshots,
        functions: FunctionCalls,
        proxy: HttpProxy,
        access_logs: AccessLogs,
        gate: Gate,
        clock: Clock,
        workers: Executor,
        decide: Decide = within_accounts,
    ) -> None:
        self._snapshots = snapshots
        self._clock = clock
        self._access_logs = access_logs
        self._buckets = TokenBuckets(clock)
        self._keys = SigningKeys(getter(proxy), clock)
        self._grants: AuthorizerCache[Grant] = AuthorizerCache(clock)
        self._authorization = Authorization(
            gate, decide, JwtAuthorizers(self._keys, clock), LambdaAuthorizers(functions, self._grants), workers
        )
        self._functions = LambdaIntegrations(functions)
        self._servers = HttpIntegrations(proxy)
        #: Forgotten with the snapshot that a change replaces.
        self._compiled: WeakKeyDictionary[ApiSnapshot, CompiledApi] = WeakKeyDictionary()

    def has(self, api_id: str) -> bool:
        return self._snapshots.has(api_id)

    async def answer(self, request: Request, address: Address) -> Response:
        try:
            response = await self._answer(request, address)
        except Exception:
            # The last resort: a fault of ours is answered as AWS answers one of its own, and told to the operator.
            log.exception("Request %s to the HTTP API %s failed.", request.id, address.id)
            response = server_error().response()
        response.headers.append((b"apigw-requestid", request.id.encode()))
        return response

    def too_large(self, request: Request, address: Address) -> Response:
        response = too_long().response()
        response.headers.append((b"apigw-requestid", request.id.encode()))
        return response

    async def reset(self) -> None:
        """Forget what issuers and authorizers have said: tests begin anew with the same names."""
        self._keys.forget()
        self._grants.clear()

    async def _answer(self, request: Request, address: Address) -> Response:
        snapshot = self._snapshots.find(address.id)
        if snapshot is None or snapshot.disable_execute_api_endpoint:
            return not_found().response()
        api = self._compiled.get(snapshot)
        if api is None:
            api = self._compiled[snapshot] = CompiledApi.of(snapshot)
        found = api.stage_of(address.path)
        if found is None:
            return not_found().response()
        stage, path, is_named = found
        rules = stage.cors
        if rules is not None and cors.is_preflight(request):
            return cors.preflight(rules, request)
        if is_named and stage is api.default:
            # Only a path form can name it, and what it names there is no part of the request's path.
            address = Address(address.id, address.domain_name, path)
        response = await self._exchanged(request, address, stage, text_of(path))
        return response if rules is None else cors.apply(rules, request, response)

    async def _exchanged(self, request: Request, address: Address, stage: CompiledStage, path: str) -> Response:
        match = stage.table.match(request.method, path)
        route, parameters = match if match is not None else (None, {})
        facts = Facts.of(request, address, self._clock.now())
        exchange = Exchange(facts, stage, route, path, parameters, self._clock.monotonic())
        try:
            response = await self._served(exchange)
        except Failure as failure:
            exchange.failure = failure
            response = failure.response()
        except Exception as error:  # the last resort: a fault of ours is answered as AWS answers one, and told here
            log.exception("Request %s to the HTTP API %s failed.", request.id, address.id)
            exchange.failure = integration_broken(f"{type(error).__name__}")
            response = server_error().response()
        if stage.access_log is not None:
            self._log(exchange, response)
        return response

    async def _served(self, exchange: Exchange) -> Response:
        """Raises Failure."""
        route = exchange.route
        if route is None:
            raise not_found()
        if route.throttle is not None:
            key = (exchange.stage.arn, route.route.route_key)
            if not self._buckets.take(key, *route.throttle):
                raise throttled()
        if route.route.authorization_type != "NONE":
            await self._authorization.check(exchange)
        integration = route.integration
        if integration is None:
            raise integration_broken("No integration is attached to this route")
        answering = self._functions if integration.function_arn else self._servers
        began = self._clock.monotonic()
        try:
            response = await answering.answer(exchange, integration)
        finally:
            exchange.integration_latency_ms = int((self._clock.monotonic() - began) * 1000)
        exchange.integration_status = response.status
        if integration.response_mappings:
            entries = integration.response_mappings.get(response.status)
            if entries:
                map_response(exchange, entries, response)
        return response

    def _log(self, exchange: Exchange, response: Response) -> None:
        stage = exchange.stage
        settings = stage.stage.access_log_settings
        assert settings is not None
        assert stage.access_log is not None
        exchange.status = response.status
        exchange.response_length = len(response.body)
        exchange.latency_ms = int((self._clock.monotonic() - exchange.started) * 1000)
        line = stage.access_log.render(exchange.context)
        self._access_logs.write(stage.api.account, settings.destination_arn, stage.arn, line)
