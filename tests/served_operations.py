"""Every operation that is served, and parameters that each takes: for tests that go through all of them."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from typing import Any

import botocore.session

ACCOUNT = "000000000000"
#: Folder of `lambent.services` → service of botocore.
SERVICES = {"lambda_": "lambda"}

_TRUST = (
    '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},'
    '"Action":"sts:AssumeRole"}}'
)
_POLICY = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}'
_LAMBDA = f"arn:aws:lambda:us-east-1:{ACCOUNT}"
#: Values by the names of members, where a word does not do.
_VALUES: Mapping[str, Any] = {
    "AccessKeyId": "AKIAAAAAAAAAAAAAAAAA",
    "Action": "lambda:InvokeFunction",
    "Arn": f"{_LAMBDA}:layer:nothing:1",
    "AssumeRolePolicyDocument": _TRUST,
    "AuthType": "NONE",
    "AWSServiceName": "lambda.amazonaws.com",
    "CodeSigningConfigArn": f"{_LAMBDA}:code-signing-config:csc-00000000000000000",
    "Description": "words",
    "EncodedMessage": "message",
    "FunctionVersion": "1",
    "Handler": "app.handler",
    "PermissionsBoundary": f"arn:aws:iam::{ACCOUNT}:policy/nothing",
    "PolicyArn": f"arn:aws:iam::{ACCOUNT}:policy/nothing",
    "PolicyDocument": _POLICY,
    "PolicyInputList": [_POLICY],
    "PolicySourceArn": f"arn:aws:iam::{ACCOUNT}:user/nobody",
    "Principal": "s3.amazonaws.com",
    "ReservedConcurrentExecutions": 1,
    "Resource": f"{_LAMBDA}:function:nothing",
    "Role": f"arn:aws:iam::{ACCOUNT}:role/nothing",
    "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/nothing",
    "Runtime": "python3.12",
    "Status": "Inactive",
    "SigningProfileVersionArns": [f"arn:aws:signer:us-east-1:{ACCOUNT}:/signing-profiles/p/0123456789"],
    "UUID": "00000000-0000-0000-0000-000000000000",
    "UpdateRuntimeOn": "Auto",
    "VersionId": "v1",
    "VersionNumber": 1,
    "DeletionTaskId": "task/aws-service-role/lambda.amazonaws.com/nothing/00000000-0000-0000-0000-000000000000",
    "resourceArn": f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:nothing",
    "retentionInDays": 1,
    "timestamp": 1_800_000_000_000,
}
#: Members that are not required, and yet without one of them there is nothing to do.
_GIVEN: Mapping[str, tuple[str, ...]] = {
    "CreateFunction": ("Runtime", "Handler"),
    "DescribeLogStreams": ("logGroupName",),
    "FilterLogEvents": ("logGroupName",),
    "GetLogEvents": ("logGroupName",),
}

#: Of one operation alone.
_OWN: Mapping[str, Mapping[str, Any]] = {
    "AddLayerVersionPermission": {"Action": "lambda:GetLayerVersion", "Principal": "*"},
}

_session = botocore.session.get_session()


def implemented(service: str) -> set[str]:
    """Names of the operations that any class of the service's package bears."""
    folder = next((folder for folder, name in SERVICES.items() if name == service), service)
    package = importlib.import_module(f"lambent.services.{folder}")
    known = set(_session.get_service_model(service).operation_names)
    found: set[str] = set()
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        for _, cls in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            found |= {name for name, _ in inspect.getmembers(cls, inspect.iscoroutinefunction)} & known
    return found


def parameters(service: str, operation: str) -> dict[str, Any]:
    """What the operation requires, about things that are not there."""
    shape = _session.get_service_model(service).operation_model(operation).input_shape
    made = _structure(shape, _GIVEN.get(operation, ())) if shape is not None else {}
    return {**made, **_OWN.get(operation, {})}


def _structure(shape: Any, more: tuple[str, ...] = ()) -> dict[str, Any]:
    return {name: _value(name, shape.members[name]) for name in (*shape.required_members, *more)}


def _value(name: str, shape: Any) -> Any:
    if name in _VALUES:
        return _VALUES[name]
    if shape.type_name == "structure":
        return _structure(shape)
    if shape.type_name == "list":
        return [_value("", shape.member)]
    if shape.type_name == "map":
        return {"key": _value("", shape.value)}
    if shape.type_name in ("integer", "long"):
        return 1
    if shape.type_name == "boolean":
        return True
    if shape.type_name == "blob":
        return b"{}"
    return shape.enum[0] if getattr(shape, "enum", None) else "nothing"
