"""Rules of authorizers: functions that say who may call a method. Pure functions."""

from __future__ import annotations

import re
from typing import Any, Literal

from lambent.services.apigateway import integrations, patches, patterns
from lambent.services.apigateway.domain import Authorizer, RestApi
from lambent.services.apigateway.errors import BadRequestException, ConflictException, UnsupportedHere
from lambent.services.apigateway.patches import Patch, Rule, Rules, field

_LONGEST_S = 3_600
_TTL = f"Authorizer result TTL should be between 0 and {_LONGEST_S} seconds"
_HEADER = re.compile(r"method\.request\.header\.[^\s,]+")
_SOURCE = re.compile(r"(method\.request\.(header|querystring)|stageVariables|context)\.[^\s,]+")


def made(authorizer_id: str, params: dict[str, Any]) -> Authorizer:
    """Of the parameters of CreateAuthorizer; `checked` says whether it may be."""
    return Authorizer(
        id=authorizer_id,
        name=params["name"],
        type=_type(params["type"], params),
        uri=params.get("authorizerUri") or "",
        credentials=params.get("authorizerCredentials") or "",
        identity_source=params.get("identitySource") or "",
        identity_validation_expression=params.get("identityValidationExpression") or "",
        given_ttl_s=params.get("authorizerResultTtlInSeconds"),
        auth_type=params.get("authType") or "",
    )


def checked(api: RestApi, authorizer: Authorizer) -> Authorizer:
    """`authorizer` as it is kept; raises what AWS does for one that cannot work."""
    if any(one.name == authorizer.name and one.id != authorizer.id for one in api.authorizers.values()):
        raise ConflictException(
            f"Authorizer name must be unique. Authorizer {authorizer.name} already exists in this RestApi."
        )
    _check_uri(authorizer.uri)
    integrations.check_role(api.account, authorizer.credentials)
    if not 0 <= authorizer.ttl_s <= _LONGEST_S:
        raise BadRequestException(_TTL)
    if authorizer.identity_validation_expression:
        if authorizer.type != "TOKEN":
            raise BadRequestException("Identity validation expression is for authorizers of type TOKEN only")
        patterns.check(authorizer.identity_validation_expression)
    _check_sources(authorizer)
    return authorizer


def _type(name: str, params: dict[str, Any]) -> Literal["TOKEN", "REQUEST"]:
    if name == "TOKEN":
        return "TOKEN"
    if name == "REQUEST":
        return "REQUEST"
    raise UnsupportedHere(f"The authorizer type {name}", "write a TOKEN or REQUEST authorizer.")


def _check_uri(uri: str) -> None:
    try:
        integrations.check_function_uri(uri)
    except BadRequestException:
        raise BadRequestException(
            f"Invalid Authorizer URI: {uri}. Authorizer URI should be a valid API Gateway ARN that represents "
            "a Lambda function invocation."
        ) from None


def _check_sources(authorizer: Authorizer) -> None:
    if authorizer.type == "TOKEN":
        fits = bool(_HEADER.fullmatch(authorizer.identity_source))
    else:
        fits = all(_SOURCE.fullmatch(source) for source in authorizer.identity_sources)
        if not authorizer.identity_sources and authorizer.ttl_s > 0:
            raise BadRequestException(
                "Identity source must be set if authorizer caching is enabled (TTL is greater than 0)"
            )
    if not fits:
        raise BadRequestException("Invalid request input")


def _retyped(authorizer: Authorizer, patch: Patch) -> Authorizer:
    renamed: Authorizer = field("type", lambda one: _type(one.value, {})).apply(authorizer, patch)
    return renamed


RULES: Rules[Authorizer] = Rules(
    {
        "/name": field("name"),
        "/type": Rule(("replace",), _retyped),
        "/authType": field("auth_type", ops=("remove", "replace")),
        "/authorizerUri": field("uri"),
        "/authorizerCredentials": field("credentials", ops=("remove", "replace")),
        "/identitySource": field("identity_source", ops=("remove", "replace")),
        "/identityValidationExpression": field("identity_validation_expression", ops=("remove", "replace")),
        "/authorizerResultTtlInSeconds": field("given_ttl_s", lambda patch: patches.number(patch, _TTL)),
    }
)
