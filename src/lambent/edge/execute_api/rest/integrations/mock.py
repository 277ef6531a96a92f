"""MOCK: no backend; the request template names the status by which an integration response is chosen."""

from __future__ import annotations

import re

from lambent.edge.execute_api.rest.exchange import Exchange
from lambent.edge.execute_api.rest.failures import misconfigured
from lambent.edge.execute_api.rest.integrations.answers import method_response, request_body
from lambent.request import Response
from lambent.services.apigateway.domain import Integration

#: Tools also write `{statusCode: 200}`, which is no JSON but which AWS reads.
_STATUS = re.compile(r"""["']?statusCode["']?\s*:\s*["']?(\d{3})\b""")


def answer(exchange: Exchange, integration: Integration) -> Response:
    """Raises GatewayError."""
    body, _ = request_body(exchange, integration)
    text = body.decode("utf-8", "replace")
    found = _STATUS.search(text)
    if found is None:
        raise misconfigured("statusCode should be an integer which defined in request template")
    return method_response(exchange, integration, Response(int(found[1])))
