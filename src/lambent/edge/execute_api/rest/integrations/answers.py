"""From an integration's answer to the method's, where no proxy passes it on: HTTP and MOCK.

An integration response is chosen by its selection pattern; it sets the status, headers and, by a literal template,
the body.
"""

from __future__ import annotations

import base64
import binascii

from lambent.edge.execute_api.rest.exchange import Exchange
from lambent.edge.execute_api.rest.failures import UNSUPPORTED_MEDIA_TYPE, GatewayError, misconfigured
from lambent.edge.execute_api.rest.mapping import Sources, header_value
from lambent.edge.http_events.request_facts import text_of
from lambent.request import Response
from lambent.services.apigateway.domain import Integration, IntegrationResponse, Strings

_HEADER = "method.response.header."
JSON = "application/json"


def media_type(header: str | None) -> str:
    """`application/json` of `application/json; charset=utf-8`, and where there is none."""
    return (header or JSON).partition(";")[0].strip().lower() or JSON


def request_body(exchange: Exchange, integration: Integration) -> tuple[bytes, str]:
    """(body, content type) for the backend: a literal template, or the request's own as far as it may pass.

    Raises GatewayError (415).
    """
    kind = media_type(exchange.facts.header("content-type"))
    templates = integration.request_templates
    template = templates.get(kind)
    if template is not None:
        return template.encode(), kind
    behavior = integration.passthrough_behavior
    if behavior == "NEVER" or (behavior == "WHEN_NO_TEMPLATES" and templates):
        raise GatewayError(UNSUPPORTED_MEDIA_TYPE)
    body = exchange.facts.body
    is_binary = exchange.api.binary.match(kind)
    return converted(body, is_binary, integration.content_handling), exchange.facts.header("content-type") or JSON


def method_response(exchange: Exchange, integration: Integration, answer: Response) -> Response:
    """The method's answer for the integration's. Raises GatewayError (500) where none of the responses is meant."""
    chosen = _chosen(exchange, integration, str(answer.status))
    assert exchange.method is not None
    if chosen.status_code not in exchange.method.responses:
        raise misconfigured(f"Output mapping refers to an invalid method response: {chosen.status_code}")
    sources = Sources(exchange, answer)
    kind, body = _body(exchange, chosen, answer)
    headers = [(b"content-type", kind.encode())]
    for target, expression in chosen.parameters.items():
        value = sources.value(expression)
        if target.startswith(_HEADER) and value is not None:
            name = target.removeprefix(_HEADER).lower().encode("latin-1", "replace")
            headers = [pair for pair in headers if pair[0] != name]
            headers.append((name, header_value(value)))
    return Response(int(chosen.status_code), headers, body)


def converted(body: bytes, is_binary: bool, handling: str | None) -> bytes:
    """`body` as contentHandling wants it. Raises GatewayError (500) where text is no base64."""
    if handling == "CONVERT_TO_TEXT" and is_binary:
        return base64.b64encode(body)
    if handling == "CONVERT_TO_BINARY" and not is_binary:
        try:
            return base64.b64decode(body, validate=True)
        except (binascii.Error, ValueError):
            raise misconfigured("Unable to base64 decode the body.") from None
    return body


def _chosen(exchange: Exchange, integration: Integration, status: str) -> IntegrationResponse:
    default = None
    for response in integration.responses.values():
        if not response.selection_pattern:
            default = response
        elif exchange.api.matches(response.selection_pattern, status):
            return response
    if default is None:
        raise misconfigured("No match for output mapping and no default endpoint response found")
    return default


def _body(exchange: Exchange, chosen: IntegrationResponse, answer: Response) -> tuple[str, bytes]:
    """Content type and body."""
    sent = next((text_of(value) for name, value in answer.headers if name == b"content-type"), None)
    template = _template(chosen.templates, media_type(sent))
    if template is not None:
        return template[0], template[1].encode()
    is_binary = exchange.api.binary.match(media_type(sent))
    return sent or JSON, converted(answer.body, is_binary, chosen.content_handling)


def _template(templates: Strings, kind: str) -> tuple[str, str] | None:
    if kind in templates:
        return kind, templates[kind]
    # With a template for JSON alone, AWS fills that one whatever the backend sent.
    return next(iter(templates.items())) if len(templates) == 1 else None
