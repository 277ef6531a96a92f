"""Rules of integrations and of their responses: what may be asked for, and how PATCH changes it. Pure functions."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from lambent.arn import Arn
from lambent.errors import AccessDeniedException
from lambent.services.apigateway import mappings, patches, patterns
from lambent.services.apigateway.domain import Integration, IntegrationResponse, Method, RestApi
from lambent.services.apigateway.errors import BadRequestException, UnsupportedHere, invalid_mapping
from lambent.services.apigateway.methods import HTTP_METHODS
from lambent.services.apigateway.patches import Patch, Rule, Rules, element, entry, field

TYPES = ("HTTP", "MOCK", "AWS_PROXY", "HTTP_PROXY", "AWS")
PASSTHROUGH = ("WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER")
_CONTENT_HANDLING = ("CONVERT_TO_BINARY", "CONVERT_TO_TEXT")
_TRANSFER_MODES = ("BUFFERED", "STREAM")
_SHORTEST_MS, _LONGEST_MS, _LONGEST_STREAM_MS = 50, 29_000, 900_000
_FUNCTION_URI = re.compile(r"path/{1,2}2015-03-31/functions/(?P<function>.+)/invocations")
_STREAMING = "/response-streaming-invocations"
_STREAM_URI = re.compile(rf"path/{{1,2}}2021-11-15/functions/(?P<function>.+){_STREAMING}")
_FUNCTION = re.compile(r"arn:[^:]+:lambda:[^:]+:[^:]+:function:[^:/]+(:[^:/]+)?|[^:/]+")
_VARIABLE = re.compile(r"\$\{stageVariables\.\w+\}")
_HTTP_URI = re.compile(r"(https?://|\$\{stageVariables\.\w+\})\S+|\$\{stageVariables\.\w+\}")


def made(resource_id: str, params: dict[str, Any]) -> Integration:
    """Of the parameters of PutIntegration; `checked` says whether it may be."""
    kind = params["type"]
    refuse_unsupported(kind, params)
    mock = kind == "MOCK"
    default_connection = "INTERNET" if kind in ("HTTP", "HTTP_PROXY") else None
    return Integration(
        type=kind,
        http_method="" if mock else params.get("integrationHttpMethod") or "",
        uri="" if mock else params.get("uri") or "",
        connection_type=params.get("connectionType") or default_connection,
        credentials=params.get("credentials") or "",
        request_parameters=params.get("requestParameters") or {},
        request_templates=params.get("requestTemplates") or {},
        passthrough_behavior=params.get("passthroughBehavior") or "WHEN_NO_MATCH",
        content_handling=params.get("contentHandling"),
        timeout_ms=_LONGEST_MS if params.get("timeoutInMillis") is None else params["timeoutInMillis"],
        cache_namespace=params.get("cacheNamespace") or resource_id,
        cache_key_parameters=tuple(params.get("cacheKeyParameters") or ()),
        insecure_skip_verification=(params.get("tlsConfig") or {}).get("insecureSkipVerification"),
        response_transfer_mode=params.get("responseTransferMode"),
    )


def refuse_unsupported(kind: str, params: dict[str, Any]) -> None:
    if kind == "AWS":
        raise UnsupportedHere("The integration type AWS", "call functions with AWS_PROXY.")
    if params.get("connectionType") == "VPC_LINK" or params.get("connectionId") or params.get("integrationTarget"):
        raise UnsupportedHere("The connection type VPC_LINK", "it has no VPC links; everything is reached directly.")


def checked(api: RestApi, method: Method, integration: Integration) -> Integration:
    """`integration` of `method` as it is kept; raises what AWS does for one that cannot work."""
    if integration.type != "MOCK" and integration.http_method not in HTTP_METHODS:
        raise BadRequestException("Enumeration value for HttpMethod must be non-empty")
    _check_transfer_mode(integration)
    if integration.type == "AWS_PROXY":
        check_function_uri(integration.uri, streams=integration.streams)
    elif integration.type in ("HTTP", "HTTP_PROXY") and not _HTTP_URI.fullmatch(integration.uri):
        raise BadRequestException("Invalid HTTP endpoint specified for URI")
    check_role(api.account, integration.credentials)
    longest_ms = _LONGEST_STREAM_MS if integration.streams else _LONGEST_MS
    if not _SHORTEST_MS <= integration.timeout_ms <= longest_ms:
        raise _wrong_timeout(longest_ms)
    if integration.passthrough_behavior not in PASSTHROUGH:
        raise BadRequestException(f"Invalid passthroughBehavior specified. Valid options are {','.join(PASSTHROUGH)}")
    check_content_handling(integration.content_handling)
    mappings.check_integration_parameters(integration.request_parameters, method.request_parameters)
    mappings.check_templates(integration.request_templates, "an integration request")
    return integration


def checked_response(method: Method, response: IntegrationResponse) -> IntegrationResponse:
    mappings.check_templates(response.templates, "an integration response")
    check_content_handling(response.content_handling)
    if response.selection_pattern:
        patterns.check(response.selection_pattern)
    if response.parameters:
        declared = method.responses.get(response.status_code)
        if declared is None:
            raise invalid_mapping("No method response exists for method.")
        mappings.check_integration_response_parameters(response.parameters, declared.parameters)
    return response


def _check_transfer_mode(integration: Integration) -> None:
    mode, kind = integration.response_transfer_mode, integration.type
    if mode is not None and mode not in _TRANSFER_MODES:
        raise BadRequestException(
            f"Invalid responseTransferMode specified. Valid options are {','.join(_TRANSFER_MODES)}"
        )
    if integration.streams and kind not in ("AWS_PROXY", "HTTP_PROXY"):
        raise _wrong_mode("STREAM is only supported for HTTP_PROXY and AWS_PROXY integrations.")
    if kind != "AWS_PROXY" or integration.uri.endswith(_STREAMING) == integration.streams:
        return
    if integration.streams:
        raise _wrong_mode(
            "STREAM is only supported for Lambda functions invoked by InvokeWithResponseStream for AWS_PROXY "
            "integrations."
        )
    raise _wrong_mode("BUFFERED is not supported for Lambda functions invoked by InvokeWithResponseStream.")


def _wrong_mode(words: str) -> BadRequestException:
    return BadRequestException(f"Invalid ResponseTransferMode. ResponseTransferMode {words}")


def check_function_uri(uri: str, *, streams: bool = False) -> None:
    """`arn:aws:apigateway:<region>:lambda:path/2015-03-31/functions/<function>/invocations`, or where it `streams`
    `…/2021-11-15/functions/<function>/response-streaming-invocations`."""
    arn = Arn.parse(uri)
    if arn is None or arn.service != "apigateway":
        raise BadRequestException("Invalid ARN specified in the request")
    if not arn.resource.startswith(("path/", "action/")):
        raise BadRequestException("AWS ARN for integration must contain path or action")
    if arn.account != "lambda" or not arn.resource.startswith("path/"):
        raise BadRequestException(
            "Integrations of type 'AWS_PROXY' currently only supports Lambda function and Firehose stream invocations."
        )
    match = (_STREAM_URI if streams else _FUNCTION_URI).fullmatch(arn.resource)
    # A stage variable may stand for any part of the name.
    if match is None or not _FUNCTION.fullmatch(_VARIABLE.sub("x", match["function"])):
        raise BadRequestException("Invalid lambda function")


def check_role(account: str, role: str) -> None:
    """Credentials of integrations and authorizers: a role of the same account."""
    if not role:
        return
    arn = Arn.parse(role)
    if arn is None or arn.service != "iam":
        raise BadRequestException("Invalid ARN specified in the request")
    if arn.resource.startswith("user/"):
        raise UnsupportedHere(f"The credentials {role}", "the caller's own are not passed on; name a role.")
    if arn.account != account:
        raise AccessDeniedException("Cross-account pass role is not allowed.")


def check_content_handling(handling: str | None) -> None:
    if handling is not None and handling not in _CONTENT_HANDLING:
        raise BadRequestException(f"Invalid contentHandling specified. Valid options are {','.join(_CONTENT_HANDLING)}")


def _refuse_connection(integration: Integration, patch: Patch) -> Integration:
    if patch.parts == ("connectionType",) and patch.value == "INTERNET":
        return msgspec.structs.replace(integration, connection_type="INTERNET")
    raise UnsupportedHere("The connection type VPC_LINK", "it has no VPC links; everything is reached directly.")


def _wrong_timeout(longest_ms: int) -> BadRequestException:
    return BadRequestException(f"Timeout should be between {_SHORTEST_MS} ms and {longest_ms} ms")


INTEGRATION_RULES: Rules[Integration] = Rules(
    {
        "/httpMethod": field("http_method"),
        "/uri": field("uri"),
        "/credentials": field("credentials", ops=("remove", "replace")),
        "/passthroughBehavior": field("passthrough_behavior"),
        "/contentHandling": field("content_handling", lambda patch: patch.value or None, ops=("remove", "replace")),
        "/timeoutInMillis": field("timeout_ms", lambda patch: patches.number(patch, str(_wrong_timeout(_LONGEST_MS)))),
        "/cacheNamespace": field("cache_namespace"),
        "/cacheKeyParameters/{}": element("cache_key_parameters"),
        "/requestParameters/{}": entry("request_parameters", missing=patches.NO_PARAMETER),
        "/requestTemplates/{}": entry("request_templates", missing=patches.NO_CONTENT_TYPE),
        "/connectionType": Rule(("replace",), _refuse_connection),
        "/connectionId": Rule(("replace",), _refuse_connection),
        "/responseTransferMode": field("response_transfer_mode"),
        "/tlsConfig/insecureSkipVerification": field("insecure_skip_verification", lambda patch: patch.flag),
    }
)

RESPONSE_RULES: Rules[IntegrationResponse] = Rules(
    {
        "/selectionPattern": field("selection_pattern"),
        "/contentHandling": field("content_handling", lambda patch: patch.value or None, ops=("remove", "replace")),
        "/responseParameters/{}": entry("parameters", missing=patches.NO_PARAMETER),
        "/responseTemplates/{}": entry("templates", missing=patches.NO_CONTENT_TYPE),
    }
)
