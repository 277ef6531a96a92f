"""From the parameters of CreateFunction and UpdateFunctionConfiguration to Settings; each is acted on or refused.

option                         | here
-------------------------------|-------------------------------------------------------------------------------------
Role                           | acted on: it must exist and trust Lambda (`execution_roles`); functions act as it
Runtime                        | any id of AWS's; a retired one is logged; one not installed here fails at Invoke
Handler, Description, Timeout, MemorySize, EphemeralStorage, LoggingConfig, Environment, Tags, Publish | acted on
Architectures                  | acted on: one that is not this machine's fails at Invoke
TracingConfig                  | acted on: Active samples requests that nobody decided about (`invoke.tracing`)
TenancyConfig                  | acted on: no two tenants share an environment
SnapStart                      | acted on (`snap_start`): published versions are restored from a snapshot
Code.ZipFile                   | acted on
Code.S3*                       | refused as AWS does for a bucket that is not there: there is no S3 here yet
Layers                         | acted on (`references`, `layers.use`)
CodeSigningConfigArn           | acted on (`signing`): there is no signer, so every package counts as unsigned
FileSystemConfigs              | acted on: an access point is a folder that the operator names (`file_systems`)
VpcConfig                      | acted on: subnets stand for what the operator lets them reach (`subnets`)
KMSKeyArn                      | syntax checked and echoed; the region's own key seals the environment
ImageUri, PackageType Image    | refused
all in `_REFUSED`              | refused with the reason there; their empty forms, which Terraform sends, are accepted
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from lambent.arn import Arn
from lambent.errors import ValidationException
from lambent.services.lambda_ import variables
from lambent.services.lambda_.domain import Settings, Vpc
from lambent.services.lambda_.errors import InvalidParameterValueException, UnsupportedHere
from lambent.services.lambda_.references import Referenced

log = logging.getLogger(__name__)

MAX_MEMORY_MB = 10240
MAX_TIMEOUT_S = 900
MAX_TMP_MB = 10240

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

#: Option → whether a value asks for anything, and why it is refused then.
_REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "PublishTo": (bool, "capacity providers do not exist here."),
    "DeadLetterConfig": (lambda value: value.get("TargetArn"), "there are no queues and topics yet."),
    "ImageConfig": (lambda value: any(value.values()), "container images cannot be run yet; use PackageType Zip."),
    "CapacityProviderConfig": (bool, "capacity providers do not exist here."),
    "DurableConfig": (bool, "durable functions do not exist yet."),
    "RuntimeConfig": (bool, "custom runtimes of the account do not exist yet; use provided.al2023."),
    "AcceleratorConfig": (bool, "there are no accelerators here."),
}


def created_settings(params: dict[str, Any], referenced: Referenced) -> Settings:
    """The settings of a new function, AWS's defaults for what is not given."""
    if params.get("PackageType") == "Image":
        raise UnsupportedHere("PackageType Image", "container images cannot be run yet; use Zip.")
    if not params.get("Runtime") or not params.get("Handler"):
        raise InvalidParameterValueException(
            "Runtime and Handler are mandatory parameters for functions created with deployment packages."
        )
    base = Settings(
        role=params["Role"],
        runtime=params["Runtime"],
        handler=params["Handler"],
        per_tenant=(params.get("TenancyConfig") or {}).get("TenantIsolationMode") == "PER_TENANT",
    )
    base = updated_settings(base, params, referenced)
    return msgspec.structs.replace(base, architecture=architecture(params) or base.architecture)


def updated_settings(current: Settings, params: dict[str, Any], referenced: Referenced) -> Settings:
    """`current` with what `params` give; raises AWS's error for the first option that is wrong or refused."""
    refuse_unsupported(params)
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
    if changes.get("runtime", current.runtime) != current.runtime:
        # What is pinned was a version of the other runtime.
        changes.update(runtime_update="Auto", runtime_version_arn=None)
    if storage := params.get("EphemeralStorage"):
        changes["tmp_mb"] = storage["Size"]
    if mode := (params.get("TracingConfig") or {}).get("Mode"):
        changes["tracing_mode"] = mode
    if apply_on := (params.get("SnapStart") or {}).get("ApplyOn"):
        changes["snap_start"] = apply_on == "PublishedVersions"
    changes.update(_surroundings(params, referenced))
    settings: Settings = msgspec.structs.replace(current, **changes, **_logging(current, params.get("LoggingConfig")))
    _check_limits(settings)
    _check_reach(settings, "file_systems" in changes)
    if "runtime" in changes:
        _check_runtime(settings.runtime)
    return settings


def _surroundings(params: dict[str, Any], referenced: Referenced) -> dict[str, Any]:
    """The fields that say what else a function has beside its package."""
    changes: dict[str, Any] = {}
    if (key := params.get("KMSKeyArn")) is not None:
        changes["kms_key_arn"] = _checked_key(key)
    if (vpc := params.get("VpcConfig")) is not None:
        changes["vpc"] = _vpc(vpc)
    if referenced.layers is not None:
        changes["layers"] = referenced.layers
    if referenced.file_systems is not None:
        changes["file_systems"] = referenced.file_systems
    return changes


def updated_environment(current: Any, params: dict[str, Any]) -> Any:
    """The environment after `params`: given variables replace all that were there."""
    given = params.get("Environment")
    if given is None:
        return current
    return variables.checked(given.get("Variables") or {}) or None


def architecture(params: dict[str, Any]) -> str | None:
    given = params.get("Architectures")
    return given[0] if given else None


def refuse_unsupported(params: dict[str, Any]) -> None:
    """Raise for the first option in `params` that this region cannot act on."""
    for option, (asks, reason) in _REFUSED.items():
        value = params.get(option)
        if value is not None and asks(value):
            raise UnsupportedHere(option, reason)


def _vpc(given: dict[str, Any]) -> Vpc:
    subnets, groups = given.get("SubnetIds") or (), given.get("SecurityGroupIds") or ()
    if bool(subnets) != bool(groups):
        raise InvalidParameterValueException("SubnetIds and SecurityIds must coexist or be both empty list.")
    return Vpc(tuple(subnets), tuple(groups), bool(given.get("Ipv6AllowedForDualStack")))


def _checked_key(key: str) -> str | None:
    """None for "", which takes a key away."""
    arn = Arn.parse(key)
    if key and (arn is None or arn.service != "kms" or not arn.resource.startswith(("key/", "alias/"))):
        raise InvalidParameterValueException(f"The KMSKeyArn is not the ARN of a key: {key}")
    return key or None


def _check_reach(settings: Settings, mounts_anew: bool) -> None:
    """A file system is reached through a VPC, though nothing here depends on it: what works here works on AWS."""
    if not settings.file_systems or (settings.vpc is not None and settings.vpc.is_one):
        return
    arn = settings.file_systems[0].arn
    if mounts_anew:
        raise InvalidParameterValueException(
            f"Function must be configured to execute in a VPC to reference access point {arn}."
        )
    raise InvalidParameterValueException(
        f"Function VPC configuration cannot be removed with access point {arn} referenced."
    )


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
