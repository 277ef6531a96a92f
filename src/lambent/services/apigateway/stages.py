"""Rules of stages: names, variables, settings of methods, logs, and how PATCH changes them. Pure functions."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from lambent.arn import Arn
from lambent.services.apigateway import patches
from lambent.services.apigateway.domain import AccessLog, AccountSettings, MethodSettings, Stage
from lambent.services.apigateway.errors import BadRequestException, NotFoundException, UnsupportedHere
from lambent.services.apigateway.patches import Patch, Rule, Rules, entry, field

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_VARIABLE_NAME = re.compile(r"[A-Za-z0-9_]+")
_VARIABLE_VALUE = re.compile(r"[A-Za-z0-9 ._~:/?#&=,-]*")
_LEVELS = ("OFF", "ERROR", "INFO")
_REQUEST_ID = re.compile(r"\$context\.(requestId|extendedRequestId)\b")
#: As AWS lists them, its missing commas included.
_PATHS = ", ".join(
    (
        "/deploymentId, /description, /cacheClusterEnabled, /cacheClusterSize, /clientCertificateId",
        "/accessLogSettings, /accessLogSettings/destinationArn, /accessLogSettings/format",
        "/{{resourcePath}}/{{httpMethod}}/metrics/enabled, /{{resourcePath}}/{{httpMethod}}/logging/dataTrace",
        "/{{resourcePath}}/{{httpMethod}}/logging/loglevel",
        "/{{resourcePath}}/{{httpMethod}}/throttling/burstLimit"
        "/{{resourcePath}}/{{httpMethod}}/throttling/rateLimit"
        "/{{resourcePath}}/{{httpMethod}}/caching/ttlInSeconds",
        "/{{resourcePath}}/{{httpMethod}}/caching/enabled, /{{resourcePath}}/{{httpMethod}}/caching/dataEncrypted",
        "/{{resourcePath}}/{{httpMethod}}/caching/requireAuthorizationForCacheControl",
        "/{{resourcePath}}/{{httpMethod}}/caching/unauthorizedCacheControlHeaderStrategy",
        "/*/*/metrics/enabled, /*/*/logging/dataTrace, /*/*/logging/loglevel",
        "/*/*/throttling/burstLimit /*/*/throttling/rateLimit /*/*/caching/ttlInSeconds, /*/*/caching/enabled",
        "/*/*/caching/dataEncrypted, /*/*/caching/requireAuthorizationForCacheControl",
        "/*/*/caching/unauthorizedCacheControlHeaderStrategy, /variables/{{variable_name}}, /tracingEnabled",
    )
)
_REFUSAL = f"Invalid method setting path: {{}}. Must be one of: [{_PATHS}]"


def no_stage() -> NotFoundException:
    return NotFoundException("Invalid stage identifier specified")


def check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise BadRequestException("Stage name only allows a-zA-Z0-9_-")


def checked_variables(variables: Mapping[str, str] | None) -> dict[str, str]:
    for name, value in (variables or {}).items():
        check_variable(name, value)
    return dict(variables or {})


def check_variable(name: str, value: str) -> None:
    if not _VARIABLE_NAME.fullmatch(name):
        raise BadRequestException(
            f"Invalid stage variable name: {name}. Please use names with alphanumeric characters and underscores."
        )
    if not _VARIABLE_VALUE.fullmatch(value):
        raise BadRequestException(
            f"Invalid stage variable value: {value}. Please use values with alphanumeric characters "
            "and the symbols ' ', -', '.', '_', ':', '/', '?', '&', '=', and ','."
        )


def refuse_unsupported(params: Mapping[str, Any]) -> None:
    """Of CreateStage and CreateDeployment."""
    if params.get("cacheClusterEnabled") or params.get("cacheClusterSize"):
        raise _no_cache()
    if params.get("canarySettings"):
        raise UnsupportedHere("canarySettings", "a stage shows one deployment.")
    if params.get("documentationVersion"):
        raise UnsupportedHere("documentationVersion", "it keeps no documentation of APIs.")


def check_logging(stage: Stage, account: AccountSettings, owner: str) -> None:
    """As on AWS, logs need the role that the account's settings name, and a group of account `owner`, the API's."""
    log = stage.access_log
    destination = Arn.parse(log.destination_arn) if log else None
    if destination is not None and destination.account != owner:
        raise BadRequestException("Invalid ARN specified in the request")
    levels = {settings.logging_level for settings in stage.method_settings.values()}
    wants = bool(log and log.destination_arn) or bool(levels & {"ERROR", "INFO"})
    if wants and not account.cloudwatch_role_arn:
        raise BadRequestException("CloudWatch Logs role ARN must be set in account settings to enable logging")


# ---- PATCH


def _no_cache() -> UnsupportedHere:
    return UnsupportedHere("The cache of a stage", "answers are not kept.")


def _refuse_cache(stage: Stage, patch: Patch) -> Stage:
    if patch.name in ("cacheClusterEnabled", "enabled") and not patch.flag:
        return stage
    raise _no_cache()


def _refuse_certificate(stage: Stage, patch: Patch) -> Stage:
    if not patch.value:
        return stage
    raise UnsupportedHere("clientCertificateId", "it has no client certificates.")


def _access_log(stage: Stage, **changed: str) -> Stage:
    return msgspec.structs.replace(
        stage, access_log=msgspec.structs.replace(stage.access_log or AccessLog(), **changed)
    )


def _without_log(stage: Stage, _patch: Patch) -> Stage:
    return msgspec.structs.replace(stage, access_log=None)


def _log_format(stage: Stage, patch: Patch) -> Stage:
    if patch.value and not _REQUEST_ID.search(patch.value):
        raise BadRequestException("Access Log format must contain $context.requestId or $context.extendedRequestId")
    return _access_log(stage, format=patch.value)


def _log_destination(stage: Stage, patch: Patch) -> Stage:
    arn = Arn.parse(patch.value)
    if patch.value and (arn is None or arn.service != "logs" or not arn.resource.startswith("log-group:")):
        if arn is not None and arn.service == "firehose":
            raise UnsupportedHere("Access logs into Amazon Data Firehose", "name a log group.")
        raise BadRequestException("Invalid ARN specified in the request")
    return _access_log(stage, destination_arn=patch.value.removesuffix(":*"))


def _setting(name: str, convert: Callable[[Patch], Any]) -> Rule[Stage]:
    """One setting of a method: `/<resource path>/<METHOD>/<category>/<name>`."""

    def apply(stage: Stage, patch: Patch) -> Stage:
        key = _key(patch.parts[:-2])
        before = stage.method_settings.get(key) or MethodSettings()
        after = msgspec.structs.replace(before, **{name: convert(patch)})
        return msgspec.structs.replace(stage, method_settings={**stage.method_settings, key: after})

    return Rule(("replace",), apply)


def _without_setting(stage: Stage, patch: Patch) -> Stage:
    kept = {key: one for key, one in stage.method_settings.items() if key != _key(patch.parts)}
    return msgspec.structs.replace(stage, method_settings=kept)


def _key(parts: tuple[str, ...]) -> str:
    """Resource paths come with their slashes escaped or not, with or without the first one."""
    *path, method = parts
    return f"{'/'.join(path).lstrip('/')}/{method}"


def _level(patch: Patch) -> str:
    if patch.value.upper() not in _LEVELS:
        raise BadRequestException(f"Invalid logging level specified. Must be one of: [{', '.join(_LEVELS)}]")
    return patch.value.upper()


def _metrics(patch: Patch) -> bool:
    if patch.flag:
        raise UnsupportedHere("metrics/enabled", "it keeps no metrics yet.")
    return False


def _rate(patch: Patch) -> float:
    try:
        value = float(patch.value)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadRequestException(f"Invalid throttling rate limit: {patch.value}")
    return value


_variables = entry(
    "variables",
    missing="Invalid stage variable name specified",
    check=lambda patch: check_variable(patch.name, patch.value),
)

RULES: Rules[Stage] = Rules(
    {
        "/deploymentId": field("deployment_id"),
        "/description": field("description", ops=("remove", "replace")),
        "/tracingEnabled": field("tracing_enabled", lambda patch: patch.flag),
        # A variable that is replaced need not be there.
        "/variables/{}": Rule(
            ("add", "remove", "replace"),
            lambda stage, patch: _variables.apply(
                stage, patch if patch.op == "remove" else Patch("add", patch.path, patch.value, patch.parts)
            ),
        ),
        "/accessLogSettings": Rule(("remove",), _without_log),
        "/accessLogSettings/format": Rule(("add", "replace"), _log_format),
        "/accessLogSettings/destinationArn": Rule(("add", "replace"), _log_destination),
        "/cacheClusterEnabled": Rule(("replace",), _refuse_cache),
        "/cacheClusterSize": Rule(("replace",), _refuse_cache),
        "/clientCertificateId": Rule(("replace",), _refuse_certificate),
        "/{*}/{}/metrics/enabled": _setting("metrics_enabled", _metrics),
        "/{*}/{}/logging/loglevel": _setting("logging_level", _level),
        "/{*}/{}/logging/dataTrace": _setting("data_trace_enabled", lambda patch: patch.flag),
        "/{*}/{}/throttling/burstLimit": _setting(
            "throttling_burst_limit",
            lambda patch: patches.number(patch, f"Invalid throttling burst limit: {patch.value}"),
        ),
        "/{*}/{}/throttling/rateLimit": _setting("throttling_rate_limit", _rate),
        "/{*}/{}/caching/{}": Rule(("replace",), _refuse_cache),
        # Last, for it fits much: all settings of one method.
        "/{*}/{}": Rule(("remove",), _without_setting),
    },
    refusal=_REFUSAL,
)
