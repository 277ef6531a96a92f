"""HTTP and HTTP_PROXY: the request goes on to another server, mapped (HTTP) or as it came (HTTP_PROXY)."""

from __future__ import annotations

import re
from urllib.parse import quote, urlencode

from lambent.clock import Clock
from lambent.edge.execute_api.rest.exchange import Exchange
from lambent.edge.execute_api.rest.execution_log import shown
from lambent.edge.execute_api.rest.failures import (
    INTEGRATION_FAILURE,
    INTEGRATION_TIMEOUT,
    OTHER_5XX,
    GatewayError,
    misconfigured,
)
from lambent.edge.execute_api.rest.integrations.answers import converted, method_response, request_body
from lambent.edge.execute_api.rest.mapping import Sources, header_value, with_stage_variables
from lambent.edge.execute_api.rest.streaming import TimedBody
from lambent.edge.http_events.request_facts import text_of
from lambent.edge.http_events.responses import remapped
from lambent.edge.http_proxy import HttpProxy, Incoming, ProxyError, ProxyResponseTooLarge, ProxyTimeout, hops_of
from lambent.request import Response
from lambent.services.apigateway.domain import ANY, Integration

_PATH_PARAMETER = re.compile(r"\{([A-Za-z0-9._-]+)\+?\}")
_PREFIX = "integration.request."
#: Sent by whoever asks another server, not by whom it asks for.
_OWN = frozenset(("host", "content-length"))


class HttpIntegration:
    def __init__(self, proxy: HttpProxy, clock: Clock) -> None:
        self._proxy = proxy
        self._clock = clock

    async def answer(self, exchange: Exchange, integration: Integration) -> Response:
        """Raises GatewayError."""
        passes_on = integration.type == "HTTP_PROXY"
        if passes_on:
            is_binary = exchange.api.binary.match(exchange.facts.header("content-type"))
            body = converted(exchange.facts.body, is_binary, integration.content_handling)
            headers, query = _all_headers(exchange), list(exchange.facts.query)
        else:
            body, kind = request_body(exchange, integration)
            headers, query = _own_headers(exchange, kind), []
        mapped = _mapped(exchange, integration)
        headers = _replaced(headers, mapped["header"])
        query = _replaced(query, mapped["querystring"], lower=False)
        url = _url(exchange, integration, mapped["path"], query)
        method = exchange.facts.method if integration.http_method == ANY else integration.http_method
        if exchange.log.tells_data:
            exchange.log.data(f"Endpoint request URI: {url}")
            exchange.log.data(f"Endpoint request headers: {shown(headers)}")
            exchange.log.data(f"Endpoint request body after transformations: {body.decode('utf-8', 'replace')}")
        exchange.log.info(f"Sending request to {url}")
        answer = await self._send(exchange, integration, method, url, headers, body)
        if passes_on:
            answer.headers = remapped(answer.headers)
            return answer
        return method_response(exchange, integration, answer)

    async def _send(
        self,
        exchange: Exchange,
        integration: Integration,
        method: str,
        url: str,
        headers: list[tuple[str, str]],
        body: bytes,
    ) -> Response:
        began = self._clock.monotonic()
        incoming: Incoming | None = None
        raw = [(name.encode("latin-1", "replace"), header_value(value)) for name, value in headers]
        verify = not integration.insecure_skip_verification
        try:
            timeout_s, hops = integration.timeout_ms / 1000, hops_of(exchange.facts.request)
            if integration.streams:
                answer, incoming = await self._proxy.open(method, url, raw, body, timeout_s, verify=verify, hops=hops)
            else:
                answer = await self._proxy.send(method, url, raw, body, timeout_s, verify=verify, hops=hops)
        except ProxyTimeout as error:
            raise GatewayError(
                INTEGRATION_TIMEOUT, reason=f"Execution failed due to a timeout error: {error}"
            ) from None
        except ProxyResponseTooLarge as error:
            raise GatewayError(OTHER_5XX, reason=f"Execution failed: {error}") from None
        except ProxyError as error:
            raise GatewayError(
                INTEGRATION_FAILURE, reason=f"Execution failed due to a network error: {error}"
            ) from None
        finally:
            exchange.integration_latency_ms = int((self._clock.monotonic() - began) * 1000)
        exchange.integration_status = answer.status
        latency = exchange.integration_latency_ms
        exchange.log.info(f"Received response. Status: {answer.status}, Integration latency: {latency} ms")
        if exchange.log.tells_data:
            pairs = [(text_of(name), text_of(value)) for name, value in answer.headers]
            exchange.log.data(f"Endpoint response headers: {shown(pairs)}")
            text = answer.body.decode("utf-8", "replace")
            exchange.log.data(f"Endpoint response body before transformations: {text}")
        if incoming is not None:
            exchange.headers_ms = latency
            answer.stream = TimedBody(incoming, exchange, self._clock, began=began, timeout_s=timeout_s)
        return answer


def _all_headers(exchange: Exchange) -> list[tuple[str, str]]:
    passed = [(name, value) for name, value in exchange.facts.headers if name not in _OWN]
    return [*passed, ("x-amzn-apigateway-api-id", exchange.api.definition.id)]


def _own_headers(exchange: Exchange, content_type: str) -> list[tuple[str, str]]:
    api_id = exchange.api.definition.id
    return [
        ("accept", "application/json"),
        ("content-type", content_type),
        ("user-agent", f"AmazonAPIGateway_{api_id}"),
        ("x-amzn-apigateway-api-id", api_id),
        ("x-amzn-trace-id", exchange.facts.trace_id),
    ]


def _mapped(exchange: Exchange, integration: Integration) -> dict[str, dict[str, str]]:
    """Values of the integration's request parameters by place and name; those without a value are left out."""
    mapped: dict[str, dict[str, str]] = {"header": {}, "querystring": {}, "path": {}}
    sources = Sources(exchange)
    for target, expression in integration.request_parameters.items():
        place, _, name = target.removeprefix(_PREFIX).partition(".")
        value = sources.value(expression)
        if value is not None and place in mapped:
            mapped[place][name] = value
    return mapped


def _replaced(pairs: list[tuple[str, str]], mapped: dict[str, str], *, lower: bool = True) -> list[tuple[str, str]]:
    """`pairs` with those of `mapped` in the place of others of the same name."""
    if not mapped:
        return pairs
    named = {name.lower() if lower else name: value for name, value in mapped.items()}
    kept = [(name, value) for name, value in pairs if name not in named]
    return [*kept, *((name, value) for name, value in named.items() if name not in _OWN or not lower)]


def _url(exchange: Exchange, integration: Integration, path: dict[str, str], query: list[tuple[str, str]]) -> str:
    uri = with_stage_variables(integration.uri, exchange.stage_variables)
    assert exchange.resource is not None
    resource_path = exchange.resource.path

    def value(found: re.Match[str]) -> str:
        name = found[1]
        # A greedy parameter is several segments; of any other a slash is part of the value.
        slash = "/" if _is_greedy(integration, name, resource_path) else ""
        return quote(path.get(name, ""), safe=slash + ":@!$&'()*+,;=~-._")

    url = _PATH_PARAMETER.sub(value, uri)
    if not url.startswith(("http://", "https://")):
        raise misconfigured("Invalid endpoint address")
    if query:
        url += ("&" if "?" in url else "?") + urlencode(query)
    return url


def _is_greedy(integration: Integration, name: str, resource_path: str) -> bool:
    """Does path parameter `name` of the backend's URL come from the resource's greedy one?"""
    source = integration.request_parameters.get(f"{_PREFIX}path.{name}", "")
    return source != "" and resource_path.endswith(f"{{{source.rpartition('.')[2]}+}}")
