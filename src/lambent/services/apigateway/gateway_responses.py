"""The answers that API Gateway gives by itself: their types, AWS's defaults, and what an API's owner makes of them."""

from __future__ import annotations

from collections.abc import Mapping

from lambent.services.apigateway import mappings
from lambent.services.apigateway.domain import GatewayResponse

DEFAULT_4XX = "DEFAULT_4XX"
DEFAULT_5XX = "DEFAULT_5XX"
DEFAULT_TEMPLATES: Mapping[str, str] = {"application/json": '{"message":$context.error.messageString}'}

#: Type → the status it has by itself, in the order that AWS lists them; the two defaults have none.
TYPES: Mapping[str, str | None] = {
    "ACCESS_DENIED": "403",
    "API_CONFIGURATION_ERROR": "500",
    "AUTHORIZER_CONFIGURATION_ERROR": "500",
    "AUTHORIZER_FAILURE": "500",
    "BAD_REQUEST_BODY": "400",
    "BAD_REQUEST_PARAMETERS": "400",
    DEFAULT_4XX: None,
    DEFAULT_5XX: None,
    "EXPIRED_TOKEN": "403",
    "INTEGRATION_FAILURE": "504",
    "INTEGRATION_TIMEOUT": "504",
    "INVALID_API_KEY": "403",
    "INVALID_SIGNATURE": "403",
    "MISSING_AUTHENTICATION_TOKEN": "403",
    "QUOTA_EXCEEDED": "429",
    "REQUEST_TOO_LARGE": "413",
    "RESOURCE_NOT_FOUND": "404",
    "THROTTLED": "429",
    "UNAUTHORIZED": "401",
    "UNSUPPORTED_MEDIA_TYPE": "415",
    "WAF_FILTERED": "403",
}


def effective(changed: Mapping[str, GatewayResponse], response_type: str) -> GatewayResponse:
    """What is answered for `response_type`: its own settings, else those of its class's default, else AWS's.

    `changed` is `RestApi.gateway_responses`. A response that the owner set is taken whole: nothing of the class's
    default shows through it. The status is None only where a default type itself has none.
    """
    status = TYPES[response_type]
    own = changed.get(response_type)
    if own is None and status is not None:
        own = changed.get(DEFAULT_4XX if status.startswith("4") else DEFAULT_5XX)
    if own is None:
        return GatewayResponse(type=response_type, status_code=status, templates=DEFAULT_TEMPLATES)
    return GatewayResponse(
        type=response_type,
        status_code=own.status_code or status,
        parameters=own.parameters,
        templates=own.templates or DEFAULT_TEMPLATES,
    )


def checked(response: GatewayResponse) -> GatewayResponse:
    """`response` as it is; raises what AWS does for mappings and content types that it refuses."""
    mappings.check_gateway_parameters(response.parameters)
    mappings.check_content_types(response.templates)
    return response
