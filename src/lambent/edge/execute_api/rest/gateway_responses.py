"""Renders failures as the API's owner wants them: statuses, headers and bodies of gateway responses."""

from __future__ import annotations

import json
import re

from lambent.edge.execute_api.rest.exchange import Exchange
from lambent.edge.execute_api.rest.failures import ACCESS_DENIED, DEFAULT_4XX, DEFAULT_5XX, GatewayError
from lambent.edge.execute_api.rest.mapping import Sources, header_value
from lambent.edge.execute_api.rest.variables import error_message_string
from lambent.request import Response
from lambent.services.apigateway.domain import GatewayResponse, Strings

_NAME = r"((?:context|stageVariables|method\.request)\.[A-Za-z0-9_.-]*[A-Za-z0-9_])"
_VARIABLE = re.compile(rf"\$(?:{_NAME}|\{{{_NAME}\}})")
_HEADER = "gatewayresponse.header."


def render(exchange: Exchange, error: GatewayError) -> Response:
    """The answer for `error`, which becomes the exchange's."""
    exchange.error = error
    own = _chosen(exchange, error)
    if own is None:
        return Response(error.status, _headers(error, "application/json"), default_body(error))
    status = int(own.status_code) if own.status_code else error.status
    sources = Sources(exchange)
    kind, template = _template(own.templates, exchange)
    body = default_body(error) if template is None else _filled(template, exchange, sources).encode()
    headers = _headers(error, kind)
    for target, expression in own.parameters.items():
        value = sources.value(expression)
        if target.startswith(_HEADER) and value is not None:
            name = target.removeprefix(_HEADER).lower().encode("latin-1", "replace")
            headers = [pair for pair in headers if pair[0] != name]
            headers.append((name, header_value(value)))
    return Response(status, headers, body)


def default_body(error: GatewayError) -> bytes:
    if error.failure is ACCESS_DENIED:
        return json.dumps({"Message": error.message}, separators=(",", ":"), ensure_ascii=False).encode()
    # AWS's own failures have a space behind the colon, refusals have none.
    separators = (", ", ": ") if error.status >= 500 and error.message is not None else (",", ":")
    return json.dumps({"message": error.message}, separators=separators, ensure_ascii=False).encode()


def _chosen(exchange: Exchange, error: GatewayError) -> GatewayResponse | None:
    """What the owner says of this type, or of all of its kind."""
    own = exchange.api.definition.gateway_responses
    if not own:
        return None
    return own.get(error.failure.type) or own.get(DEFAULT_5XX if error.status >= 500 else DEFAULT_4XX)


def _headers(error: GatewayError, content_type: str) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", content_type.encode()), (b"x-amzn-errortype", error.error_type.encode())]


def _template(templates: Strings, exchange: Exchange) -> tuple[str, str | None]:
    """The content type and template for this client: one it accepts, else JSON, else the first."""
    if not templates:
        return "application/json", None
    accepted = (exchange.facts.header("accept") or "").split(",")
    for kind in [part.partition(";")[0].strip().lower() for part in accepted] + ["application/json"]:
        if kind in templates:
            return kind, templates[kind]
    return next(iter(templates.items()))


def _filled(template: str, exchange: Exchange, sources: Sources) -> str:
    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if name == "context.error.messageString":
            return error_message_string(exchange)
        return sources.value(name) or ""

    return _VARIABLE.sub(value, template)
