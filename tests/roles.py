"""Roles that tests give their functions. Every region that is started for a test and checks its callers has `ROLE`.

It may be assumed by Lambda and by API Gateway, and write logs, which is what most functions' roles are for. A test
that needs to know what a role may do makes one of its own with `make_role`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

ACCOUNT = "000000000000"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/worker"
BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
SERVICES = ("lambda.amazonaws.com", "apigateway.amazonaws.com")


def trust(*services: str) -> str:
    """A trust policy that lets `services` assume the role."""
    statement = {"Effect": "Allow", "Principal": {"Service": list(services)}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def allowing(*actions: str, resource: str = "*") -> str:
    """An identity-based policy."""
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


#: What AWSLambdaBasicExecutionRole allows.
LOGGING = allowing("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents")


def make_role(
    region: Any,
    name: str,
    *,
    inline: str = LOGGING,
    policies: Iterable[str] = (),
    services: Iterable[str] = SERVICES,
) -> str:
    """The ARN of a new role with an `inline` policy and managed ones; one that is there stays as it is."""
    if not _call(region, "CreateRole", RoleName=name, AssumeRolePolicyDocument=trust(*services)):
        return f"arn:aws:iam::{ACCOUNT}:role/{name}"
    for arn in policies:
        _call(region, "AttachRolePolicy", RoleName=name, PolicyArn=arn)
    if inline:
        _call(region, "PutRolePolicy", RoleName=name, PolicyName="inline", PolicyDocument=inline)
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


def _call(region: Any, action: str, **parameters: str) -> bool:
    """One request to IAM; False where it exists already. By hand: a boto3 client of IAM takes longer to make."""
    body = urlencode({"Action": action, "Version": "2010-05-08", **parameters}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    answer = region.request("POST", "/", body, headers, sign="iam")
    if answer.status == 409 and b"EntityAlreadyExists" in answer.body:
        return False
    assert answer.status == 200, answer
    return True
