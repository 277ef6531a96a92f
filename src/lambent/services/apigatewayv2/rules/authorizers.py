"""Authorizers: functions (REQUEST) and JSON Web Tokens (JWT)."""

from __future__ import annotations

from typing import Any

import msgspec

from lambent.services.apigatewayv2.domain import Authorizer, JwtConfiguration
from lambent.services.apigatewayv2.errors import BadRequestException
from lambent.services.apigatewayv2.rules.integrations import check_function_uri
from lambent.services.apigatewayv2.rules.members import Params, check_credentials, refuse_websocket_members

#: Seconds; what AWS takes where a REQUEST authorizer with identity sources says nothing.
DEFAULT_TTL = 300
_SOURCES = ("$request.header.", "$request.querystring.", "$context.", "$stageVariables.")
_OF_REQUESTS = (
    "AuthorizerUri",
    "AuthorizerCredentialsArn",
    "AuthorizerPayloadFormatVersion",
    "AuthorizerResultTtlInSeconds",
    "EnableSimpleResponses",
)


def created(authorizer_id: str, params: Params) -> Authorizer:
    return _built(Authorizer(authorizer_id, params["Name"], params["AuthorizerType"]), params)


def updated(old: Authorizer, params: Params) -> Authorizer:
    if params.get("AuthorizerType") not in (None, old.authorizer_type):
        raise BadRequestException("The type of an authorizer cannot be changed.")
    return _built(old, params)


def _built(old: Authorizer, params: Params) -> Authorizer:
    refuse_websocket_members(params, ("IdentityValidationExpression",))
    changes: dict[str, Any] = {"name": params.get("Name") or old.name}
    if params.get("IdentitySource") is not None:
        changes["identity_source"] = tuple(params["IdentitySource"])
    if old.authorizer_type == "JWT":
        for name in _OF_REQUESTS:
            if params.get(name):
                raise BadRequestException(f"{name} is not supported for authorizers of type JWT")
        changes["jwt_configuration"] = _jwt(old.jwt_configuration, params.get("JwtConfiguration"))
        return _checked_jwt(msgspec.structs.replace(old, **changes))
    if params.get("JwtConfiguration"):
        raise BadRequestException("JwtConfiguration is not supported for authorizers of type REQUEST")
    for field, name in (
        ("authorizer_uri", "AuthorizerUri"),
        ("authorizer_payload_format_version", "AuthorizerPayloadFormatVersion"),
        ("authorizer_result_ttl_in_seconds", "AuthorizerResultTtlInSeconds"),
        ("enable_simple_responses", "EnableSimpleResponses"),
    ):
        if params.get(name) is not None:
            changes[field] = params[name]
    if params.get("AuthorizerCredentialsArn") is not None:
        changes["authorizer_credentials_arn"] = check_credentials(
            "AuthorizerCredentialsArn", params["AuthorizerCredentialsArn"]
        )
    return _checked_request(msgspec.structs.replace(old, **changes))


def _checked_request(authorizer: Authorizer) -> Authorizer:
    if not authorizer.authorizer_uri:
        raise BadRequestException("AuthorizerUri is a required parameter for authorizers of type REQUEST")
    check_function_uri(authorizer.authorizer_uri)
    version = authorizer.authorizer_payload_format_version
    if version not in ("1.0", "2.0"):
        raise BadRequestException(
            "AuthorizerPayloadFormatVersion is a required parameter for REQUEST authorizer and must be 1.0 or 2.0"
        )
    if authorizer.enable_simple_responses and version != "2.0":
        raise BadRequestException("EnableSimpleResponses is only supported for AuthorizerPayloadFormatVersion 2.0")
    for source in authorizer.identity_source:
        if not any(source.startswith(root) and len(source) > len(root) for root in _SOURCES):
            raise BadRequestException(f"Invalid identity source '{source}' specified")
    ttl = authorizer.authorizer_result_ttl_in_seconds
    if ttl and not authorizer.identity_source:
        raise BadRequestException("To cache its results, an authorizer needs at least one identity source")
    if ttl is None:
        ttl = DEFAULT_TTL if authorizer.identity_source else 0
    return msgspec.structs.replace(authorizer, authorizer_result_ttl_in_seconds=ttl)


def _jwt(old: JwtConfiguration | None, given: Params | None) -> JwtConfiguration | None:
    if given is None:
        return old
    issuer = given.get("Issuer") or (old.issuer if old else "")
    audience = tuple(given["Audience"]) if given.get("Audience") is not None else old.audience if old else ()
    return JwtConfiguration(issuer, audience)


def _checked_jwt(authorizer: Authorizer) -> Authorizer:
    configuration = authorizer.jwt_configuration
    if configuration is None or not configuration.issuer:
        raise BadRequestException("JwtConfiguration with an Issuer is a required parameter for authorizers of type JWT")
    if not configuration.issuer.startswith(("https://", "http://")):
        raise BadRequestException(
            f"Invalid issuer: {configuration.issuer}. Issuer must have a valid discovery endpoint ended with "
            "'/.well-known/openid-configuration'"
        )
    if not configuration.audience:
        raise BadRequestException("JwtConfiguration needs an Audience: no token could be valid without one")
    sources = authorizer.identity_source
    if len(sources) != 1 or not sources[0].startswith(("$request.header.", "$request.querystring.")):
        raise BadRequestException(
            "Authorizers of type JWT need exactly one identity source, $request.header.<name> or "
            "$request.querystring.<name>"
        )
    return authorizer
