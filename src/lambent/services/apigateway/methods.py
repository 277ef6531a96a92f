"""Rules of methods and of their responses: what may be asked for, and how PATCH changes it. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from lambent.services.apigateway import mappings, patches
from lambent.services.apigateway.domain import Method, MethodResponse, RestApi
from lambent.services.apigateway.errors import BadRequestException, UnsupportedHere
from lambent.services.apigateway.patches import Patch, Rule, Rules, entry, field

HTTP_METHODS = ("GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "HEAD", "ANY")
_AUTHORIZATION_TYPES = ("NONE", "AWS_IAM", "CUSTOM", "COGNITO_USER_POOLS")


def made(http_method: str, params: dict[str, Any]) -> Method:
    """Of the parameters of PutMethod; `checked` says whether it may be."""
    refuse_api_key(params.get("apiKeyRequired") or False)
    if params.get("authorizationScopes"):
        raise UnsupportedHere("authorizationScopes", "scopes belong to Amazon Cognito user pools, which it has not.")
    return Method(
        http_method=http_method,
        authorization_type=params["authorizationType"],
        authorizer_id=params.get("authorizerId"),
        request_validator_id=params.get("requestValidatorId"),
        operation_name=params.get("operationName") or "",
        request_parameters=params.get("requestParameters") or {},
        request_models=params.get("requestModels") or {},
    )


def checked(api: RestApi, method: Method) -> Method:
    """`method` as it is kept; raises what AWS does where it names what is not there."""
    if method.http_method not in HTTP_METHODS:
        raise BadRequestException(f"Invalid HttpMethod specified. Valid options are {','.join(HTTP_METHODS)}")
    if method.authorization_type not in _AUTHORIZATION_TYPES:
        raise BadRequestException(
            f"Invalid Authorization type specified. Valid options are {','.join(_AUTHORIZATION_TYPES)}"
        )
    if method.authorization_type == "COGNITO_USER_POOLS":
        raise UnsupportedHere("The authorization type COGNITO_USER_POOLS", "it has no Amazon Cognito.")
    if method.authorization_type == "CUSTOM":
        if method.authorizer_id not in api.authorizers:
            raise BadRequestException(
                "Invalid authorizer ID specified. Setting the authorization type to CUSTOM or COGNITO_USER_POOLS "
                "requires a valid authorizer."
            )
    elif method.authorizer_id is not None:
        # AWS drops an authorizer that the type does not use.
        method = msgspec.structs.replace(method, authorizer_id=None)
    if method.request_validator_id and method.request_validator_id not in api.validators:
        raise BadRequestException("Invalid Request Validator identifier specified")
    mappings.check_request_parameters(method.request_parameters)
    check_models(api, method.request_models)
    return method


def checked_response(api: RestApi, response: MethodResponse) -> MethodResponse:
    mappings.check_response_parameters(response.parameters)
    check_models(api, response.models)
    return response


def check_models(api: RestApi, models: Mapping[str, str]) -> None:
    mappings.check_content_types(models)
    for name in models.values():
        if name not in api.models:
            raise BadRequestException(f"Invalid model identifier specified: {name}")


def refuse_api_key(required: bool) -> None:
    if required:
        raise UnsupportedHere("apiKeyRequired", "it has neither API keys nor usage plans.")


def _api_key(method: Method, patch: Patch) -> Method:
    refuse_api_key(patch.flag)
    return method


def _refuse_scopes(_method: Method, _patch: Patch) -> Method:
    raise UnsupportedHere("authorizationScopes", "scopes belong to Amazon Cognito user pools, which it has not.")


_models = entry("request_models", missing=patches.NO_CONTENT_TYPE)

METHOD_RULES: Rules[Method] = Rules(
    {
        "/authorizationType": field("authorization_type"),
        "/authorizerId": field("authorizer_id", lambda patch: patch.value or None),
        "/apiKeyRequired": Rule(("replace",), _api_key),
        "/requestValidatorId": field("request_validator_id", lambda patch: patch.value or None),
        "/operationName": field("operation_name"),
        "/requestParameters/{}": entry(
            "request_parameters", missing=patches.NO_PARAMETER, convert=lambda patch: patch.flag
        ),
        "/requestModels/{}": _models,
        "/authorizationScopes": Rule(("add", "remove", "replace"), _refuse_scopes),
    }
)

RESPONSE_RULES: Rules[MethodResponse] = Rules(
    {
        "/responseParameters/{}": entry("parameters", missing=patches.NO_PARAMETER, convert=lambda patch: patch.flag),
        "/responseModels/{}": entry("models", missing=patches.NO_CONTENT_TYPE),
    }
)
