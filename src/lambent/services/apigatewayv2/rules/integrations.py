"""Integrations: functions and HTTP servers, with the parameters that AWS asks for."""

from __future__ import annotations

from typing import Any

import msgspec

from lambent.services.apigatewayv2.domain import Integration
from lambent.services.apigatewayv2.errors import BadRequestException, UnsupportedHere
from lambent.services.apigatewayv2.rules import mappings
from lambent.services.apigatewayv2.rules.members import Params, check_credentials, merged, refuse_websocket_members
from lambent.services.apigatewayv2.rules.routes import METHODS

_OF_WEBSOCKETS = (
    "ContentHandlingStrategy",
    "PassthroughBehavior",
    "RequestTemplates",
    "TemplateSelectionExpression",
)
_INVOCATION = ":lambda:path/2015-03-31/functions/"


def created(integration_id: str, params: Params) -> Integration:
    _refuse(params)
    kind = params["IntegrationType"]
    if params.get("PayloadFormatVersion") is None:
        raise BadRequestException("PayloadFormatVersion is a required parameter for integration")
    if not params.get("IntegrationUri"):
        raise BadRequestException(f"IntegrationUri is a required parameter for an integration of type {kind}")
    return _checked(
        Integration(
            integration_id,
            kind,
            params["IntegrationUri"],
            params.get("IntegrationMethod") or ("POST" if kind == "AWS_PROXY" else ""),
            params["PayloadFormatVersion"],
            timeout_in_millis=params.get("TimeoutInMillis") or 30_000,
            credentials_arn=check_credentials("CredentialsArn", params.get("CredentialsArn")),
            description=params.get("Description"),
            request_parameters=merged(None, params.get("RequestParameters")),
            response_parameters=_merged_responses(None, params.get("ResponseParameters")),
        )
    )


def updated(old: Integration, params: Params) -> Integration:
    _refuse(params)
    changes: dict[str, Any] = {}
    for field, name in (
        ("integration_type", "IntegrationType"),
        ("integration_uri", "IntegrationUri"),
        ("integration_method", "IntegrationMethod"),
        ("payload_format_version", "PayloadFormatVersion"),
        ("timeout_in_millis", "TimeoutInMillis"),
        ("description", "Description"),
    ):
        if params.get(name) is not None:
            changes[field] = params[name]
    if params.get("CredentialsArn") is not None:
        changes["credentials_arn"] = check_credentials("CredentialsArn", params["CredentialsArn"])
    changes["request_parameters"] = merged(old.request_parameters, params.get("RequestParameters"))
    changes["response_parameters"] = _merged_responses(old.response_parameters, params.get("ResponseParameters"))
    return _checked(msgspec.structs.replace(old, **changes))


def of_target(integration_id: str, target: str, credentials: str | None) -> Integration:
    """Quick create's: a function's ARN or a URL says everything."""
    if target.startswith(("http://", "https://")):
        kind, method, version = "HTTP_PROXY", "ANY", "1.0"
    elif target.startswith("arn:"):
        kind, method, version = "AWS_PROXY", "POST", "2.0"
    else:
        raise BadRequestException("Target must be the ARN of a Lambda function or an HTTP URL.")
    return _checked(
        Integration(
            integration_id,
            kind,  # type: ignore[arg-type]
            target,
            method,
            version,
            credentials_arn=check_credentials("CredentialsArn", credentials),
            api_gateway_managed=True,
        )
    )


def function_arn(uri: str) -> str:
    """The function's ARN in an integration or authorizer URI, which may be nothing else."""
    if _INVOCATION in uri and uri.endswith("/invocations"):
        return uri.partition(_INVOCATION)[2].removesuffix("/invocations")
    return uri


def check_function_uri(uri: str) -> None:
    parts = function_arn(uri).split(":")
    if len(parts) < 7 or parts[0] != "arn" or parts[2] != "lambda" or parts[5] != "function":
        raise BadRequestException(
            "Invalid ARN specified in the request: the URI must be the ARN of a Lambda function or its invocation ARN."
        )


def _refuse(params: Params) -> None:
    if params.get("IntegrationType") not in (None, "AWS_PROXY", "HTTP_PROXY"):
        raise BadRequestException(
            "Currently, an API with a protocol type of HTTP may only be associated with proxy integrations "
            "(AWS_PROXY, HTTP_PROXY)"
        )
    if params.get("IntegrationSubtype"):
        raise UnsupportedHere("Integrations with an IntegrationSubtype are not supported by Lambent yet.")
    if params.get("ConnectionType") == "VPC_LINK" or params.get("ConnectionId") or params.get("TlsConfig"):
        raise UnsupportedHere("Private integrations (VPC_LINK) are not supported by Lambent yet.")
    refuse_websocket_members(params, _OF_WEBSOCKETS)


def _checked(integration: Integration) -> Integration:
    if integration.integration_type == "AWS_PROXY":
        if integration.integration_method != "POST":
            raise BadRequestException("HttpMethod must be POST for AWS_PROXY IntegrationType")
        versions: tuple[str, ...] = ("1.0", "2.0")
        check_function_uri(integration.integration_uri)
    else:
        if integration.integration_method not in METHODS:
            raise BadRequestException("HttpMethod must be one of DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT and ANY")
        versions = ("1.0",)
        if not integration.integration_uri.startswith(("http://", "https://")):
            raise BadRequestException("Invalid HTTP endpoint specified for URI")
        if integration.credentials_arn is not None:
            raise BadRequestException("CredentialsArn is not supported for an integration of type HTTP_PROXY")
    if integration.payload_format_version not in versions:
        raise BadRequestException(
            f"PayloadFormatVersion {integration.payload_format_version} is not supported for an integration of type "
            f"{integration.integration_type}: it must be {' or '.join(versions)}"
        )
    mappings.compile_request(integration.request_parameters or {})
    mappings.compile_response(integration.response_parameters or {})
    return integration


def _merged_responses(old: Any, new: Any) -> dict[str, dict[str, str]] | None:
    """By status code; one that is given without entries is removed."""
    if new is None:
        return old  # type: ignore[no-any-return]
    both: dict[str, dict[str, str]] = dict(old or {})
    for status, entries in new.items():
        kept = merged(both.get(status), entries) if entries else None
        if kept:
            both[status] = kept
        else:
            both.pop(status, None)
    return both
