"""Stages: names, variables, throttles and access logs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from lambent.arn import Arn
from lambent.services.apigatewayv2.domain import (
    DEFAULT,
    AccessLogSettings,
    HttpApi,
    RouteSettings,
    Stage,
)
from lambent.services.apigatewayv2.errors import BadRequestException, NotFoundException, UnsupportedHere
from lambent.services.apigatewayv2.rules.members import Params, merged, refuse_websocket_members

_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_VARIABLE_NAME = re.compile(r"[A-Za-z0-9_]{1,64}")
_VARIABLE_VALUE = re.compile(r"[A-Za-z0-9\-._~:/?#&=,]{1,512}")


def check_name(name: str) -> None:
    if name != DEFAULT and not _NAME.fullmatch(name):
        raise BadRequestException("Stage name only allows a-zA-Z0-9_- or $default")


def changed(api: HttpApi, stage: Stage, params: Params) -> Stage:
    """The stage with the members of `params` that are there, but for its deployment."""
    refuse_websocket_members(params, ("ClientCertificateId",))
    changes: dict[str, Any] = {}
    for field, name in (("auto_deploy", "AutoDeploy"), ("description", "Description")):
        if params.get(name) is not None:
            changes[field] = params[name]
    if params.get("StageVariables") is not None:
        changes["stage_variables"] = _variables(merged(stage.stage_variables, params["StageVariables"]) or {})
    if params.get("DefaultRouteSettings") is not None:
        changes["default_route_settings"] = _settings(stage.default_route_settings, params["DefaultRouteSettings"])
    if params.get("RouteSettings") is not None:
        changes["route_settings"] = _route_settings(api, stage.route_settings, params["RouteSettings"])
    if params.get("AccessLogSettings") is not None:
        changes["access_log_settings"] = _access_log(api, stage.access_log_settings, params["AccessLogSettings"])
    return msgspec.structs.replace(stage, **changes)


def _variables(variables: Mapping[str, str]) -> dict[str, str]:
    for name, value in variables.items():
        if not _VARIABLE_NAME.fullmatch(name):
            raise BadRequestException(
                f"Stage variable name '{name}' is invalid. Please use alphanumeric and underscore"
            )
        if not _VARIABLE_VALUE.fullmatch(value):
            raise BadRequestException(
                f"Stage variable value '{value}' is invalid. Please use values with alphanumeric characters and the "
                "symbols ' ', -', '.', '_', ':', '/', '?', '&', '=', and ','."
            )
    return dict(variables)


def _settings(old: RouteSettings, given: Params) -> RouteSettings:
    if given.get("LoggingLevel") not in (None, "OFF") or given.get("DataTraceEnabled"):
        raise BadRequestException("Execution logs are not supported on protocolType HTTP")
    if given.get("DetailedMetricsEnabled"):
        raise UnsupportedHere("Detailed metrics of routes are not supported by Lambent yet.")
    new = msgspec.convert({name: value for name, value in given.items() if value is not None}, RouteSettings)
    for name in ("throttling_burst_limit", "throttling_rate_limit"):
        if (getattr(new, name) or 0) < 0:
            raise BadRequestException("Throttling limits must not be negative")
    set_now = {name: value for name in RouteSettings.__struct_fields__ if (value := getattr(new, name)) is not None}
    return msgspec.structs.replace(old, **set_now)


def _route_settings(
    api: HttpApi, old: Mapping[str, RouteSettings], given: Mapping[str, Params]
) -> dict[str, RouteSettings]:
    keys = {route.route_key for route in api.routes.values()}
    settings = dict(old)
    for key, each in given.items():
        if key not in keys:
            raise NotFoundException(f"Unable to find Route by key {key} within the provided RouteSettings")
        settings[key] = _settings(settings.get(key) or RouteSettings(detailed_metrics_enabled=False), each)
    return settings


def _access_log(api: HttpApi, old: AccessLogSettings | None, given: Params) -> AccessLogSettings | None:
    destination = given.get("DestinationArn") or (old.destination_arn if old else "")
    template = given.get("Format") or (old.format if old else "")
    if not destination or not template:
        raise BadRequestException("AccessLogSettings needs both a DestinationArn and a Format")
    arn = Arn.parse(destination)
    if arn is not None and arn.service == "firehose":
        raise UnsupportedHere("Access logs to Firehose are not supported by Lambent yet.")
    if arn is None or arn.service != "logs" or not arn.resource.startswith("log-group:"):
        raise BadRequestException("Invalid ARN specified in the request: DestinationArn must be that of a log group")
    if arn.account != api.account:
        raise BadRequestException("Invalid ARN specified in the request: the log group must be of the API's account")
    if "$context.requestId" not in template and "$context.extendedRequestId" not in template:
        raise BadRequestException("The access log format must include at least $context.requestId")
    if "\n" in template.rstrip("\n"):
        raise BadRequestException(
            "Access Log format must be single line, new line character is allowed only at end of the format"
        )
    return AccessLogSettings(destination, template)
