"""Routes: keys in AWS's form, free of conflicts, with an authorizer that fits."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from lambent.services.apigatewayv2.domain import ANY, DEFAULT, HttpApi, Route
from lambent.services.apigatewayv2.errors import (
    BadRequestException,
    ConflictException,
    NotFoundException,
    UnsupportedHere,
)
from lambent.services.apigatewayv2.rules.members import Params, refuse_websocket_members

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", ANY)
_OF_WEBSOCKETS = (
    "ModelSelectionExpression",
    "RequestModels",
    "RequestParameters",
    "RouteResponseSelectionExpression",
    "ApiKeyRequired",
)
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


@dataclass(frozen=True, slots=True)
class RouteKey:
    """`GET /pets/{id}`, taken apart."""

    method: str
    path: str
    #: `pets`, `{id}`, `{proxy+}`; none for `/`.
    segments: tuple[str, ...]

    @property
    def shape(self) -> tuple[str, ...]:
        """Segments with the names of variables left out: keys of one shape take the same requests."""
        return tuple("{+}" if part.endswith("+}") else "{}" if part.startswith("{") else part for part in self.segments)


def parse_key(text: str) -> RouteKey | None:
    """None for `$default`. Raises BadRequestException."""
    if text == DEFAULT:
        return None
    method, _, path = text.partition(" ")
    if method not in METHODS or not path.startswith("/") or " " in path or "?" in path:
        raise BadRequestException(
            "The provided route key is not formatted properly for HTTP protocol. "
            'Format should be "<HTTP METHOD> /<RESOURCE PATH>" or "$default"'
        )
    segments = tuple(path[1:].split("/")) if path != "/" else ()
    names = set()
    for index, segment in enumerate(segments):
        name = _variable(text, segment, last=index == len(segments) - 1)
        if name in names:
            raise BadRequestException(f'The provided route key "{text}" has more than one variable named {name}.')
        if name is not None:
            names.add(name)
    return RouteKey(method, path, segments)


def _variable(key: str, segment: str, *, last: bool) -> str | None:
    if "{" not in segment and "}" not in segment:
        return None
    name = segment[1:-1]
    greedy = name.endswith("+")
    name = name.removesuffix("+")
    if segment[0] != "{" or segment[-1] != "}" or not name or not _NAME.issuperset(name):
        raise BadRequestException(
            f'The provided route key "{key}" is not valid: a path variable is a whole segment such as {{name}} '
            "or {name+}."
        )
    if greedy and not last:
        raise BadRequestException(
            f'The provided route key "{key}" is not valid: a greedy path variable must be at the end of the path.'
        )
    return name


def check_free(api: HttpApi, key: str, *, but: str = "") -> None:
    """Raises where another route than `but` takes the same requests."""
    mine = parse_key(key)
    for route in api.routes.values():
        if route.route_id == but:
            continue
        if route.route_key == key:
            raise ConflictException(f"Route with key {key} already exists for this API")
        theirs = parse_key(route.route_key)
        if mine and theirs and mine.method == theirs.method and mine.shape == theirs.shape:
            raise ConflictException(
                f'The provided route key "{key}" has a conflicting variable on the same hierarchical level as '
                f'"{route.route_key}"'
            )


def created(api: HttpApi, route_id: str, params: Params) -> Route:
    refuse_websocket_members(params, _OF_WEBSOCKETS)
    check_free(api, params["RouteKey"])
    return _changed(api, Route(route_id, params["RouteKey"]), params)


def updated(api: HttpApi, route: Route, params: Params) -> Route:
    refuse_websocket_members(params, _OF_WEBSOCKETS)
    key = params.get("RouteKey")
    if key is not None and key != route.route_key:
        if route.api_gateway_managed:
            raise ConflictException("The key of a route that is managed by API Gateway cannot be changed.")
        check_free(api, key, but=route.route_id)
        route = msgspec.structs.replace(route, route_key=key)
    if params.get("AuthorizerId") and params.get("AuthorizationType") is None:
        raise BadRequestException("Unable to update route. Authorizer type is invalid or null.")
    return _changed(api, route, params)


def _changed(api: HttpApi, route: Route, params: Params) -> Route:
    kind = params.get("AuthorizationType") or route.authorization_type
    authorizer_id, scopes = route.authorizer_id, route.authorization_scopes
    if kind != route.authorization_type and kind in ("NONE", "AWS_IAM"):
        authorizer_id, scopes = None, None
    if params.get("AuthorizerId") is not None:
        authorizer_id = params["AuthorizerId"] or None
    if params.get("AuthorizationScopes") is not None:
        scopes = tuple(params["AuthorizationScopes"])
    _check_authorization(api, kind, authorizer_id, scopes)
    return msgspec.structs.replace(
        route,
        target=_target(api, params.get("Target")) or route.target,
        operation_name=params.get("OperationName") or route.operation_name,
        authorization_type=kind,
        authorizer_id=authorizer_id,
        authorization_scopes=scopes,
    )


def _target(api: HttpApi, target: str | None) -> str | None:
    if target is None:
        return None
    kind, _, integration_id = target.partition("/")
    if kind != "integrations" or not integration_id:
        raise BadRequestException(f"The target '{target}' of a route must be integrations/<integration id>.")
    if "$" in integration_id:
        raise UnsupportedHere("Stage variables in the target of a route are not supported by Lambent yet.")
    if integration_id not in api.integrations:
        raise NotFoundException(f"Unable to find Integration by ID {integration_id}")
    return target


def _check_authorization(api: HttpApi, kind: str, authorizer_id: str | None, scopes: tuple[str, ...] | None) -> None:
    authorizer = api.authorizers.get(authorizer_id or "")
    if kind == "CUSTOM" and (authorizer is None or authorizer.authorizer_type != "REQUEST"):
        raise BadRequestException(
            "Invalid authorizer ID specified. Setting the authorization type to CUSTOM or COGNITO_USER_POOLS requires "
            "a valid authorizer."
        )
    if kind == "JWT" and (authorizer is None or authorizer.authorizer_type != "JWT"):
        raise BadRequestException(
            "Invalid authorizer ID specified. Setting the authorization type to JWT requires a valid JWT authorizer."
        )
    if kind in ("NONE", "AWS_IAM") and authorizer_id:
        raise BadRequestException(
            "Invalid authorizer ID specified. Setting an authorizer requires the authorization type CUSTOM or JWT."
        )
    if scopes and kind != "JWT":
        raise BadRequestException(
            "Invalid Route authorization type specified. Authorization Scopes are only valid for COGNITO_USER_POOLS "
            "and JWT authorization types"
        )
