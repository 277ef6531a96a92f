"""Functions as AWS describes them: the FunctionConfiguration shape with every field that AWS always sends."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from lambent.arn import function_arn
from lambent.invoke.records import runtime_version_arn
from lambent.services.lambda_.domain import Function, State, UpdateStatus, iso_time

#: AWS gives this text for creations and updates alike.
_CREATING = "The function is being created."


def configuration(function: Function, qualifier: str | None = None) -> dict[str, Any]:
    """The whole FunctionConfiguration; its ARN carries `qualifier` if the caller named one."""
    return {
        **list_entry(function, qualifier),
        **_lifecycle(function),
        "RuntimeVersionConfig": {"RuntimeVersionArn": runtime_version_arn(function.region, function.settings.runtime)},
    }


def list_entry(function: Function, qualifier: str | None = None) -> dict[str, Any]:
    """As lists show it: without state, update status and runtime version."""
    settings = function.settings
    entry: dict[str, Any] = {
        "FunctionName": function.name,
        "FunctionArn": function_arn(function.region, function.account, function.name, qualifier),
        "Runtime": settings.runtime,
        "Role": settings.role,
        "Handler": settings.handler,
        "CodeSize": function.package.size,
        "Description": function.description,
        "Timeout": settings.timeout_s,
        "MemorySize": settings.memory_mb,
        "LastModified": iso_time(function.modified_ms),
        "CodeSha256": code_sha256(function.package.sha256),
        "Version": function.version,
        "TracingConfig": {"Mode": settings.tracing_mode},
        "RevisionId": function.revision_id,
        "PackageType": "Zip",
        "Architectures": [settings.architecture],
        "EphemeralStorage": {"Size": settings.tmp_mb},
        "SnapStart": {
            "ApplyOn": "PublishedVersions" if settings.snap_start else "None",
            "OptimizationStatus": "Off" if function.snapshot_ms is None else "On",
        },
        "LoggingConfig": _logging(function),
    }
    entry.update(_optional(function))
    if function.environment is not None:
        entry["Environment"] = {"Variables": dict(function.environment)}
    return entry


def _optional(function: Function) -> dict[str, Any]:
    """What AWS leaves out of replies where it was never given."""
    settings = function.settings
    given: dict[str, Any] = {}
    if settings.layers:
        given["Layers"] = [{"Arn": layer.arn, "CodeSize": layer.size} for layer in settings.layers]
    if settings.vpc is not None:
        given["VpcConfig"] = {
            "SubnetIds": list(settings.vpc.subnets),
            "SecurityGroupIds": list(settings.vpc.security_groups),
            "VpcId": vpc_id(function.account, function.region) if settings.vpc.is_one else "",
            "Ipv6AllowedForDualStack": settings.vpc.ipv6,
        }
    if settings.file_systems:
        given["FileSystemConfigs"] = [{"Arn": fs.arn, "LocalMountPath": fs.path} for fs in settings.file_systems]
    if settings.per_tenant:
        given["TenancyConfig"] = {"TenantIsolationMode": "PER_TENANT"}
    if settings.kms_key_arn is not None:
        given["KMSKeyArn"] = settings.kms_key_arn
    return given


def vpc_id(account: str, region: str) -> str:
    """Every account has one VPC in a region, in which all subnets are."""
    return f"vpc-{hashlib.sha256(f'{account}:{region}'.encode()).hexdigest()[:17]}"


def code_sha256(digest: str) -> str:
    """A SHA-256 in hex as AWS writes CodeSha256."""
    return base64.b64encode(bytes.fromhex(digest)).decode()


def _lifecycle(function: Function) -> dict[str, Any]:
    if function.state is State.PENDING:
        return {"State": "Pending", "StateReason": _CREATING, "StateReasonCode": "Creating"}
    if function.state is State.FAILED:
        return {
            "State": "Failed",
            "StateReason": function.state_reason,
            "StateReasonCode": function.state_reason_code,
            "LastUpdateStatus": "Failed",
            "LastUpdateStatusReason": function.state_reason,
            "LastUpdateStatusReasonCode": function.state_reason_code,
        }
    if function.update_status is UpdateStatus.IN_PROGRESS:
        return {
            "State": "Active",
            "LastUpdateStatus": "InProgress",
            "LastUpdateStatusReason": _CREATING,
            "LastUpdateStatusReasonCode": "Creating",
        }
    reason = {} if function.state_reason is None else {"StateReason": function.state_reason}
    return {"State": "Active", **reason, "LastUpdateStatus": "Successful"}


def _logging(function: Function) -> dict[str, Any]:
    settings = function.settings
    logging: dict[str, Any] = {"LogFormat": settings.log_format, "LogGroup": function.log_group}
    if settings.application_log_level:
        logging["ApplicationLogLevel"] = settings.application_log_level
    if settings.system_log_level:
        logging["SystemLogLevel"] = settings.system_log_level
    return logging
