"""APIs themselves: names, CORS, quick create."""

from __future__ import annotations

from typing import Any

import msgspec

from lambent.services.apigatewayv2.domain import DEFAULT, Cors, HttpApi, Integration, Route, Stage
from lambent.services.apigatewayv2.errors import BadRequestException, ConflictException, UnsupportedHere
from lambent.services.apigatewayv2.rules import integrations, routes
from lambent.services.apigatewayv2.rules.members import Params, refuse_websocket_members

CUSTOM_ID = "_custom_id_"
TAG_LIMIT = 50
#: AWS's texts for the two expressions; HTTP APIs know no others.
ROUTE_SELECTION = ("$request.method $request.path", "${request.method} ${request.path}")
API_KEY_SELECTION = "$request.header.x-api-key"

_ID_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_CORS_METHODS = frozenset(("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "*"))
_FIELDS = ("Name", "Description", "Version", "DisableExecuteApiEndpoint", "IpAddressType")


def custom_id(tags: Params) -> str | None:
    """The id that LocalStack's tag asks for."""
    wanted = tags.get(CUSTOM_ID)
    if wanted is None:
        return None
    if not wanted or len(wanted) > 63 or not _ID_CHARACTERS.issuperset(wanted) or wanted[0] == "-" or wanted[-1] == "-":
        raise BadRequestException(
            f"The tag {CUSTOM_ID} must hold lower-case letters, digits and hyphens, not '{wanted}'."
        )
    return str(wanted)


def check_protocol(params: Params) -> None:
    if params["ProtocolType"] == "WEBSOCKET":
        raise UnsupportedHere("An API with a protocol type of WEBSOCKET is not supported by Lambent yet.")


def check_expressions(params: Params) -> None:
    refuse_websocket_members(params, ("DisableSchemaValidation",))
    if params.get("RouteSelectionExpression") not in (None, *ROUTE_SELECTION):
        raise BadRequestException(
            "RouteSelectionExpression must be ${request.method} ${request.path} for a protocol type of HTTP."
        )
    if params.get("ApiKeySelectionExpression") not in (None, API_KEY_SELECTION):
        refuse_websocket_members(params, ("ApiKeySelectionExpression",))


def updated(api: HttpApi, params: Params) -> HttpApi:
    """The API with the members of `params` that are there."""
    changes: dict[str, Any] = {name: params[name] for name in _FIELDS if params.get(name) is not None}
    if params.get("CorsConfiguration") is not None:
        changes["CorsConfiguration"] = cors(params["CorsConfiguration"])
    renamed = dict(zip(HttpApi.__struct_encode_fields__, HttpApi.__struct_fields__, strict=True))
    return msgspec.structs.replace(api, **{renamed[name]: value for name, value in changes.items()})


def cors(given: Params) -> Cors:
    rules = msgspec.convert(given, Cors)
    for origin in rules.allow_origins or ():
        if origin != "*" and not origin.lower().startswith(("http://", "https://")):
            raise BadRequestException(
                f"Invalid CORS configuration: the origin '{origin}' must be * or begin with http:// or https://."
            )
    for method in rules.allow_methods or ():
        if method not in _CORS_METHODS:
            raise BadRequestException(f"Invalid CORS configuration: '{method}' is not a method that can be allowed.")
    if rules.allow_credentials and "*" in (rules.allow_origins or ()):
        raise BadRequestException(
            "Invalid CORS configuration: AllowOrigins must not hold * where AllowCredentials is true."
        )
    return rules


def check_tags(tags: Params) -> dict[str, str]:
    for name, value in tags.items():
        if name.startswith("aws:"):
            raise BadRequestException(f"Invalid tag key '{name}': the prefix aws: is reserved.")
        if not 1 <= len(name) <= 128 or len(value) > 256:
            raise BadRequestException("A tag has a key of 1 to 128 characters and a value of at most 256.")
    if len(tags) > TAG_LIMIT:
        raise BadRequestException(f"A resource can have no more than {TAG_LIMIT} tags.")
    return dict(tags)


# ---- quick create ----------------------------------------------------------------------------------------------------


def quick_created(api: HttpApi, params: Params, integration_id: str, route_id: str, now: int) -> HttpApi:
    """With an integration of `Target`, a route to it and a stage that follows: an API that answers at once."""
    if params.get("Target") is None:
        for name in ("RouteKey", "CredentialsArn"):
            if params.get(name) is not None:
                raise BadRequestException(f"{name} is a parameter of quick create, which needs a Target.")
        return api
    integration = integrations.of_target(integration_id, params["Target"], params.get("CredentialsArn"))
    key = params.get("RouteKey") or DEFAULT
    routes.parse_key(key)
    route = Route(route_id, key, target=f"integrations/{integration_id}", api_gateway_managed=True)
    stage = Stage(DEFAULT, now, now, auto_deploy=True, api_gateway_managed=True)
    return msgspec.structs.replace(
        api, integrations={integration_id: integration}, routes={route_id: route}, stages={DEFAULT: stage}
    )


def quick_updated(api: HttpApi, params: Params) -> HttpApi:
    """UpdateApi's Target, RouteKey and CredentialsArn: what quick create made is changed."""
    target, key, credentials = params.get("Target"), params.get("RouteKey"), params.get("CredentialsArn")
    if target is None and key is None and credentials is None:
        return api
    integration = _managed_integration(api)
    route = next((each for each in api.routes.values() if each.api_gateway_managed), None)
    if integration is None or route is None:
        raise BadRequestException("Target, RouteKey and CredentialsArn change an API that quick create made, alone.")
    if target is not None or credentials is not None:
        integration = integrations.of_target(
            integration.integration_id,
            integration.integration_uri if target is None else target,
            integration.credentials_arn if credentials is None else credentials,
        )
    if key is not None and key != route.route_key:
        routes.check_free(api, key, but=route.route_id)
        route = msgspec.structs.replace(route, route_key=key)
    return msgspec.structs.replace(
        api,
        integrations={**api.integrations, integration.integration_id: integration},
        routes={**api.routes, route.route_id: route},
    )


def _managed_integration(api: HttpApi) -> Integration | None:
    return next((each for each in api.integrations.values() if each.api_gateway_managed), None)


def managed(what: str) -> ConflictException:
    return ConflictException(f"{what} is managed by API Gateway and cannot be changed in this way.")
