"""Rules of an API itself, everything but its resources: what may be asked for, and how PATCH changes it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from lambent.arn import partition_of
from lambent.context import Context
from lambent.identity.policy import MalformedPolicy, PolicyKind, parse
from lambent.services.apigateway import identifiers, models, patches, tags
from lambent.services.apigateway.domain import Resource, RestApi
from lambent.services.apigateway.errors import BadRequestException, UnsupportedHere
from lambent.services.apigateway.patches import Patch, Rule, Rules, element, field

CUSTOM_ID = "_custom_id_"
_CUSTOM_ID = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_TYPES = ("REGIONAL", "EDGE", "PRIVATE")
_IP_TYPES = ("ipv4", "dualstack")
_LARGEST_COMPRESSION = 10_485_760
_COMPRESSION = f"Invalid minimum compression size, must be between 0 and {_LARGEST_COMPRESSION}"
#: Members of requests that this region could not act on.
_UNSUPPORTED = {
    "cloneFrom": "import the definition of the other API instead.",
    "securityPolicy": "how TLS is spoken is the region's own setting.",
    "endpointAccessMode": "how TLS is spoken is the region's own setting.",
}


def made(context: Context, params: Mapping[str, Any], now_s: int) -> RestApi:
    """A new API of the parameters of CreateRestApi, with its root and the models that every API has."""
    _check_creation(params)
    api_tags = tags.checked(params.get("tags") or {})
    configuration = params.get("endpointConfiguration") or {}
    api = empty(context, params["name"], now_s, custom_id(api_tags))
    api = msgspec.structs.replace(
        api,
        description=params.get("description") or "",
        version=params.get("version") or "",
        binary_media_types=tuple(params.get("binaryMediaTypes") or ()),
        minimum_compression_size=checked_compression(params.get("minimumCompressionSize")),
        api_key_source=checked_key_source(params.get("apiKeySource") or "HEADER"),
        endpoint_type=_endpoint_type(configuration),
        ip_address_type=configuration.get("ipAddressType") or "ipv4",
        disable_execute_api_endpoint=bool(params.get("disableExecuteApiEndpoint")),
        tags=api_tags,
    )
    return with_policy(api, params.get("policy") or "")


def empty(context: Context, name: str, now_s: int, api_id: str | None = None) -> RestApi:
    """An API that has nothing but a root."""
    root = Resource(id=identifiers.api_id(), parent_id=None, path_part="", path="/")
    return RestApi(
        account=context.account,
        region=context.region,
        id=api_id or identifiers.api_id(),
        name=name,
        root_id=root.id,
        created_s=now_s,
        resources={root.id: root},
        models=models.defaults(),
    )


def custom_id(api_tags: Mapping[str, str]) -> str | None:
    """The id that LocalStack's tag asks for."""
    wanted = api_tags.get(CUSTOM_ID)
    if wanted is not None and not _CUSTOM_ID.fullmatch(wanted):
        raise BadRequestException(
            f"The tag {CUSTOM_ID} must be a label of a host name: lower-case letters, digits and hyphens."
        )
    return wanted


def with_policy(api: RestApi, text: str) -> RestApi:
    """`api` under a resource policy; raises what AWS does for one that is none."""
    if not text:
        return msgspec.structs.replace(api, policy="")
    arn = f"arn:{partition_of(api.region)}:execute-api:{api.region}:{api.account}:{api.id}"
    whole = text.replace('"execute-api:/', f'"{arn}/')
    try:
        parse(whole, kind=PolicyKind.RESOURCE)
    except MalformedPolicy as error:
        raise BadRequestException(f"Invalid policy document. {error}") from None
    return msgspec.structs.replace(api, policy=whole)


def checked_compression(size: int | None) -> int | None:
    if size is not None and not 0 <= size <= _LARGEST_COMPRESSION:
        raise BadRequestException(_COMPRESSION)
    return size


def checked_key_source(source: str) -> str:
    if source not in ("HEADER", "AUTHORIZER"):
        raise BadRequestException("Invalid apiKeySource specified. Valid options are HEADER,AUTHORIZER")
    if source == "AUTHORIZER":
        raise UnsupportedHere("The API key source AUTHORIZER", "it has neither API keys nor usage plans.")
    return source


def checked_type(kind: str) -> str:
    if kind not in _TYPES:
        raise BadRequestException(f"Invalid EndpointTypes specified. Valid options are {','.join(_TYPES)}")
    if kind == "PRIVATE":
        raise UnsupportedHere("The endpoint type PRIVATE", "it has no VPC endpoints.")
    return kind


def one_type(types: Sequence[str]) -> str:
    if len(types) > 1:
        raise BadRequestException("Cannot create an api with multiple Endpoint Types.")
    return checked_type(types[0])


def refuse_vpc_endpoints(ids: Sequence[str] | None) -> None:
    if ids:
        raise UnsupportedHere("vpcEndpointIds", "it has no VPC endpoints.")


def _check_creation(params: Mapping[str, Any]) -> None:
    if not params["name"].strip():
        raise BadRequestException("API name cannot be an empty string")
    if params.get("description") == "":
        raise BadRequestException("Description cannot be an empty string")
    for option, reason in _UNSUPPORTED.items():
        if params.get(option):
            raise UnsupportedHere(option, reason)


def _endpoint_type(configuration: Mapping[str, Any]) -> str:
    types = configuration.get("types")
    if types is not None and not types:
        raise BadRequestException("REGIONAL Configuration and EDGE Configuration cannot be both DISABLED.")
    refuse_vpc_endpoints(configuration.get("vpcEndpointIds"))
    return one_type(types or ["EDGE"])


# ---- PATCH


def _size(patch: Patch) -> int | None:
    """Nothing turns compression off."""
    return checked_compression(patches.number(patch, _COMPRESSION)) if patch.value else None


def _ip_type(patch: Patch) -> str:
    if patch.value not in _IP_TYPES:
        raise BadRequestException("ipAddressType must be either ipv4 or dualstack.")
    return patch.value


def _name(patch: Patch) -> str:
    if not patch.value.strip():
        raise BadRequestException("API name cannot be an empty string")
    return patch.value


def _refuse_vpc(_api: RestApi, _patch: Patch) -> RestApi:
    raise UnsupportedHere("vpcEndpointIds", "it has no VPC endpoints.")


def _refuse_tls(_api: RestApi, patch: Patch) -> RestApi:
    raise UnsupportedHere(patch.name, _UNSUPPORTED[patch.name])


def _retyped(api: RestApi, patch: Patch) -> RestApi:
    return api if patch.op == "remove" else msgspec.structs.replace(api, endpoint_type=checked_type(patch.value))


RULES: Rules[RestApi] = Rules(
    {
        "/name": field("name", _name),
        "/description": field("description", ops=("remove", "replace")),
        "/version": field("version"),
        "/policy": Rule(("add", "remove", "replace"), lambda api, patch: with_policy(api, patch.value)),
        "/minimumCompressionSize": field("minimum_compression_size", _size),
        "/apiKeySource": field("api_key_source", lambda patch: checked_key_source(patch.value)),
        "/disableExecuteApiEndpoint": field("disable_execute_api_endpoint", lambda patch: patch.flag),
        "/binaryMediaTypes/{}": element("binary_media_types"),
        "/endpointConfiguration/types/{}": Rule(("add", "remove", "replace"), _retyped),
        "/endpointConfiguration/ipAddressType": field("ip_address_type", _ip_type),
        "/endpointConfiguration/vpcEndpointIds": Rule(("add", "remove", "replace"), _refuse_vpc),
        "/securityPolicy": Rule(("replace",), _refuse_tls),
        "/endpointAccessMode": Rule(("replace",), _refuse_tls),
    }
)
