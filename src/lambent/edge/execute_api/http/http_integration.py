"""Routes to HTTP servers: the request as it came, to the integration's URL, and the server's answer back."""

from __future__ import annotations

from urllib.parse import quote, urlsplit, urlunsplit

from lambent.edge.execute_api.http.compiled import CompiledIntegration
from lambent.edge.execute_api.http.exchange import Exchange
from lambent.edge.execute_api.http.failures import integration_broken, timed_out, unavailable
from lambent.edge.execute_api.http.parameters import map_request
from lambent.edge.http_events.request_facts import Facts
from lambent.edge.http_proxy import HOPS, HttpProxy, ProxyError, ProxyResponseTooLarge, ProxyTimeout, hops_of
from lambent.request import Response
from lambent.services.apigatewayv2.domain import ANY

_GATEWAY = "AmazonAPIGateway"
_VIA = (b"via", f"HTTP/1.1 {_GATEWAY}".encode())


class HttpIntegrations:
    def __init__(self, proxy: HttpProxy) -> None:
        self._proxy = proxy

    async def answer(self, exchange: Exchange, integration: CompiledIntegration) -> Response:
        """Raises Failure."""
        facts, path = exchange.facts, None
        if sum(value.count(_GATEWAY) for name, value in facts.headers if name == "via") >= HOPS:
            raise integration_broken(f"The request has passed {HOPS} APIs already: this one leads to itself")
        if integration.request_mappings:
            facts, path = map_request(exchange, integration.request_mappings)
        method = integration.integration.integration_method
        try:
            return await self._proxy.send(
                facts.method if method == ANY else method,
                _url(exchange, integration, facts.raw_query, path),
                _headers(facts),
                facts.body,
                integration.timeout_s,
                hops=hops_of(facts.request),
            )
        except ProxyTimeout as error:
            raise timed_out(str(error)) from None
        except ProxyResponseTooLarge as error:
            raise integration_broken(str(error)) from None
        except ProxyError as error:
            raise unavailable(str(error)) from None


def _url(exchange: Exchange, integration: CompiledIntegration, query: str, path: str | None) -> str:
    assert exchange.route is not None
    parts = integration.url_parts
    text = parts[0]
    for index in range(1, len(parts), 3):
        # A value stays in its segment; only a greedy one may be several.
        value = exchange.path_parameters.get(parts[index], "")
        text += quote(value, safe="/" if parts[index] == exchange.route.greedy else "") + parts[index + 2]
    if exchange.route.key is None and path is None:
        # `$default` hands the whole path on, behind that of the URL.
        base, question, own_query = text.partition("?")
        text = base.rstrip("/") + exchange.path + question + own_query
    if path is None and not query:
        return text
    url = urlsplit(text)
    joined = "&".join(part for part in (url.query, query) if part)
    return urlunsplit((url.scheme, url.netloc, url.path if path is None else path, joined, ""))


def _headers(facts: Facts) -> list[tuple[bytes, bytes]]:
    """As they came, with what AWS adds for servers behind an API."""
    headers = [(name.encode("latin-1", "replace"), value.encode("utf-8", "replace")) for name, value in facts.headers]
    host = facts.request.header(b"host") or b""
    source = facts.source_ip.encode()
    if b":" in source:
        source = b'"[' + source + b']"'
    forwarded = b"for=%s;host=%s;proto=%s" % (source, host, facts.scheme.encode())
    # With the names of headers that the client meant for this connection alone: the proxy drops both.
    connection = [(name, value) for name, value in facts.request.headers if name == b"connection"]
    return [*headers, *connection, (b"forwarded", forwarded), _VIA]
