"""A method run for one request that is routed and may pass: validated, integrated, and every failure an answer."""

from __future__ import annotations

import logging
from concurrent.futures import Executor

from lambent.clock import Clock
from lambent.edge.execute_api.rest.compression import decompress
from lambent.edge.execute_api.rest.exchange import Exchange
from lambent.edge.execute_api.rest.execution_log import shown
from lambent.edge.execute_api.rest.failures import OTHER_5XX, GatewayError, misconfigured
from lambent.edge.execute_api.rest.functions import TimedCalls
from lambent.edge.execute_api.rest.gateway_responses import render
from lambent.edge.execute_api.rest.integrations import mock
from lambent.edge.execute_api.rest.integrations.http import HttpIntegration
from lambent.edge.execute_api.rest.integrations.lambda_proxy import LambdaProxy
from lambent.edge.execute_api.rest.validation import validate
from lambent.edge.http_proxy import HttpProxy
from lambent.request import Response
from lambent.services.apigateway.domain import Method

log = logging.getLogger(__name__)


class Execution:
    def __init__(self, calls: TimedCalls, proxy: HttpProxy, clock: Clock, workers: Executor) -> None:
        self._functions = LambdaProxy(calls, clock)
        self._http = HttpIntegration(proxy, clock)
        self._workers = workers

    async def run(self, exchange: Exchange, method: Method) -> Response:
        """Raises GatewayError."""
        _tell_request(exchange)
        await decompress(exchange, self._workers)
        await validate(exchange, method)
        return await self._integrate(exchange, method)

    async def _integrate(self, exchange: Exchange, method: Method) -> Response:
        integration = method.integration
        if integration is None:
            raise misconfigured("No integration defined for method")
        if integration.type == "AWS_PROXY":
            return await self._functions.answer(exchange, integration)
        if integration.type == "MOCK":
            return mock.answer(exchange, integration)
        return await self._http.answer(exchange, integration)


def answer_of(exchange: Exchange, error: Exception) -> Response:
    """The answer for whatever ended the exchange."""
    if not isinstance(error, GatewayError):
        # A fault of ours is answered as AWS answers one of its own, and told to the operator.
        log.error("Request %s to a REST API failed.", exchange.facts.request_id, exc_info=error)
        error = GatewayError(OTHER_5XX)
    if error.reason:
        exchange.log.error(error.reason)
    return render(exchange, error)


def _tell_request(exchange: Exchange) -> None:
    to = exchange.log
    if not to.tells or exchange.resource is None:
        return
    facts = exchange.facts
    to.info(f"Starting execution for request: {facts.request_id}")
    to.info(f"HTTP Method: {facts.method}, Resource Path: {exchange.resource.path}")
    if to.tells_data:
        to.data(f"Method request path: {shown(exchange.path_parameters)}")
        to.data(f"Method request query string: {shown(facts.query)}")
        to.data(f"Method request headers: {shown(facts.headers)}")
        to.data(f"Method request body before transformations: {facts.body.decode('utf-8', 'replace')}")


def tell_response(exchange: Exchange, response: Response) -> None:
    to = exchange.log
    if not to.tells:
        return
    if to.tells_data:
        to.data(f"Method response body after transformations: {response.body.decode('utf-8', 'replace')}")
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers]
        to.data(f"Method response headers: {shown(pairs)}")
    if exchange.error is None:
        to.info("Successfully completed execution")
    to.info(f"Method completed with status: {response.status}")
    if exchange.integration_request_id:
        to.info(f"AWS Integration Endpoint RequestId : {exchange.integration_request_id}")
