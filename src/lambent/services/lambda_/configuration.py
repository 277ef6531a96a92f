"""From the parameters of CreateFunction and UpdateFunctionConfiguration to Settings; each is acted on or refused.

option                         | here
-------------------------------|-------------------------------------------------------------------------------------
Role                           | syntax (by the model) and account checked; existence and trust follow with IAM
Runtime                        | any id of AWS's; a retired one is logged; one not installed here fails at Invoke
Handler, Description, Timeout, MemorySize, EphemeralStorage, LoggingConfig, Environment, Tags | acted on
Architectures                  | acted on: one that is not this machine's fails at Invoke
TracingConfig                  | acted on: Active marks the trace header of every invocation as sampled
Code.ZipFile                   | acted on
Code.S3*                       | refused as AWS does for a bucket that is not there: there is no S3 here yet
Layers                         | refused as AWS does for layers that are not there: there are none yet
CodeSigningConfigArn           | refused as AWS does for one that is not there
all in `_REFUSED`              | refused with the reason there; their empty forms, which Terraform sends, are accepted
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from lambent.arn import Arn
from lambent.context import Context
from lambent.errors import AccessDeniedException, ValidationException
from lambent.services.lambda_ import variables
from lambent.services.lambda_.domain import Settings
from lambent.services.lambda_.errors import (
    CodeSigningConfigNotFoundException,
    InvalidParameterValueException,
    UnsupportedHere,
)

log = logging.getLogger(__name__)

MAX_MEMORY_MB = 10240
MAX_TIMEOUT_S = 900
MAX_TMP_MB = 10240
MAX_LAYERS = 5

#: What AWS lets be created today; every other id of its enum is retired.
CURRENT_RUNTIMES = frozenset(
    f"{family}{version}"
    for family, versions in {
        "nodejs": ("20.x", "22.x", "24.x", "26.x"),
        "python": ("3.10", "3.11", "3.12", "3.13", "3.14", "3.15"),
        "java": ("8.al2", "8.al2023", "11", "11.al2023", "17", "17.al2023", "21", "25"),
        "dotnet": ("8", "10"),
        "ruby": ("3.2", "3.3", "3.4", "4.0"),
        "provided.": ("al2", "al2023"),
    }.items()
    for version in versions
)

_NO_VERSIONS = "functions have no published versions yet."

#: Option → whether a value asks for anything, and why it is refused then.
_REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "Publish": (bool, f"{_NO_VERSIONS} Leave it out and invoke $LATEST."),
    "PublishTo": (bool, _NO_VERSIONS),
    "SnapStart": (lambda value: value.get("ApplyOn") == "PublishedVersions", _NO_VERSIONS),
    "VpcConfig": (
        lambda value: any(value.get(name) for name in ("SubnetIds", "SecurityGroupIds", "Ipv6AllowedForDualStack")),
        "there are no VPCs here. Leave it out or empty.",
    ),
    "DeadLetterConfig": (lambda value: value.get("TargetArn"), "asynchronous invocations do not exist yet."),
    "KMSKeyArn": (bool, "there is no KMS here; environment variables are sealed with the region's own key."),
    "FileSystemConfigs": (bool, "file systems cannot be mounted yet."),
    "ImageConfig": (lambda value: any(value.values()), "container images cannot be run yet; use PackageType Zip."),
    "TenancyConfig": (bool, "tenant isolation does not exist yet."),
    "CapacityProviderConfig": (bool, "capacity providers do not exist here."),
    "DurableConfig": (bool, "durable functions do not exist yet."),
    "RuntimeConfig": (bool, "custom runtimes of the account do not exist yet; use provided.al2023."),
    "AcceleratorConfig": (bool, "there are no accelerators here."),
}


def created_settings(context: Context, params: dict[str, Any]) -> Settings:
    """The settings of a new function, AWS's defaults for what is not given."""
    if params.get("PackageType") == "Image":
        raise UnsupportedHere("PackageType Image", "container images cannot be run yet; use Zip.")
    if not params.get("Runtime") or not params.get("Handler"):
        raise InvalidParameterValueException(
            "Runtime and Handler are mandatory parameters for functions created with deployment packages."
        )
    base = Settings(role=params["Role"], runtime=params["Runtime"], handler=params["Handler"])
    base = updated_settings(context, base, params)
    return msgspec.structs.replace(base, architecture=architecture(params) or base.architecture)


def updated_settings(context: Context, current: Settings, params: dict[str, Any]) -> Settings:
    """`current` with what `params` give; raises AWS's error for the first option that is wrong or refused."""
    refuse_unsupported(context, params)
    changes: dict[str, Any] = {
        ours: params[theirs]
        for theirs, ours in (
            ("Handler", "handler"),
            ("Description", "description"),
            ("Timeout", "timeout_s"),
            ("MemorySize", "memory_mb"),
            ("Role", "role"),
            ("Runtime", "runtime"),
        )
        if params.get(theirs) is not None
    }
    if storage := params.get("EphemeralStorage"):
        changes["tmp_mb"] = storage["Size"]
    if mode := (params.get("TracingConfig") or {}).get("Mode"):
        changes["tracing_mode"] = mode
    settings: Settings = msgspec.structs.replace(current, **changes, **_logging(current, params.get("LoggingConfig")))
    _check_limits(settings)
    if "role" in changes:
        _check_role(context, settings.role)
    if "runtime" in changes:
        _check_runtime(settings.runtime)
    return settings


def updated_environment(current: Any, params: dict[str, Any]) -> Any:
    """The environment after `params`: given variables replace all that were there."""
    given = params.get("Environment")
    if given is None:
        return current
    return variables.checked(given.get("Variables") or {}) or None


def architecture(params: dict[str, Any]) -> str | None:
    given = params.get("Architectures")
    return given[0] if given else None


def refuse_unsupported(context: Context, params: dict[str, Any]) -> None:
    """Raise for the first option in `params` that this region cannot act on."""
    for option, (asks, reason) in _REFUSED.items():
        value = params.get(option)
        if value is not None and asks(value):
            raise UnsupportedHere(option, reason)
    _refuse_layers(context, params.get("Layers") or [])
    if arn := params.get("CodeSigningConfigArn"):
        raise CodeSigningConfigNotFoundException(
            "The code signing configuration cannot be found. "
            f"Check that the provided configuration is not deleted: {arn}."
        )


def _refuse_layers(context: Context, layers: list[str]) -> None:
    if len(layers) > MAX_LAYERS:
        raise InvalidParameterValueException(f"Cannot reference more than {MAX_LAYERS} layers.")
    for layer in layers:
        arn = Arn.parse(layer)
        if arn is not None and arn.region and arn.region != context.region:
            raise InvalidParameterValueException(
                "Layers are not in the same region as the function. "
                f"Layers are expected to be in region {context.region}."
            )
    if layers:
        raise InvalidParameterValueException(f"Layer version {layers[0]} does not exist.")


def _check_limits(settings: Settings) -> None:
    if settings.memory_mb > MAX_MEMORY_MB:
        # The model allows more, for managed instances; AWS words the limit of ordinary functions like this.
        raise InvalidParameterValueException(
            "'MemorySize' value failed to satisfy constraint: "
            f"Member must have value less than or equal to {MAX_MEMORY_MB}"
        )
    for value, limit, where in (
        (settings.timeout_s, MAX_TIMEOUT_S, "timeout"),
        (settings.tmp_mb, MAX_TMP_MB, "ephemeralStorage.size"),
    ):
        if value > limit:
            raise ValidationException(
                f"1 validation error detected: Value '{value}' at '{where}' failed to satisfy constraint: "
                f"Member must have value less than or equal to {limit}"
            )


def _check_role(context: Context, role: str) -> None:
    arn = Arn.parse(role)
    if arn is None or arn.account != context.account:
        raise AccessDeniedException("Cross-account pass role is not allowed.")


def _check_runtime(runtime: str) -> None:
    if runtime == "custom":
        raise UnsupportedHere("Runtime custom", "custom runtimes of the account do not exist yet; use provided.al2023.")
    if runtime not in CURRENT_RUNTIMES:
        log.warning("Runtime %s is retired: AWS would refuse it, this region runs it where it is installed.", runtime)


def _logging(current: Settings, given: dict[str, Any] | None) -> dict[str, Any]:
    """The log fields after LoggingConfig `given`: levels exist in JSON alone, INFO unless said otherwise."""
    given = given or {}
    log_format = given.get("LogFormat") or current.log_format
    group = given.get("LogGroup") or current.log_group
    application, system = given.get("ApplicationLogLevel"), given.get("SystemLogLevel")
    if log_format == "Text":
        if application or system:
            raise InvalidParameterValueException(
                "ApplicationLogLevel and SystemLogLevel can be set only when LogFormat is JSON."
            )
        return {"log_format": "Text", "log_group": group, "application_log_level": None, "system_log_level": None}
    return {
        "log_format": log_format,
        "log_group": group,
        "application_log_level": application or current.application_log_level or "INFO",
        "system_log_level": system or current.system_log_level or "INFO",
    }
