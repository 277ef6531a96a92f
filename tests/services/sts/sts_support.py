"""People and roles that the tests of STS share."""

from __future__ import annotations

import json
from typing import Any

ACCOUNT = "000000000000"


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(*actions: str, resource: str = "*", **more: Any) -> str:
    return document({"Effect": "Allow", "Action": list(actions), "Resource": resource, **more})


def trusting(principal: Any, *actions: str, condition: dict[str, Any] | None = None) -> str:
    statement = {"Effect": "Allow", "Principal": principal, "Action": list(actions or ("sts:AssumeRole",))}
    return document({**statement, **({"Condition": condition} if condition else {})})


#: Everybody of the account whose own policies let them.
ACCOUNT_TRUST = trusting({"AWS": ACCOUNT}, "sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity")


def user(region: Any, name: str, policy: str = "", service: str = "sts") -> Any:
    """A client of `service` with the key of a new user."""
    iam = region.client("iam")
    iam.create_user(UserName=name)
    if policy:
        iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return with_key(region, service, key)


def role(region: Any, name: str, trust: str = ACCOUNT_TRUST, policy: str = "", **options: Any) -> str:
    """The ARN of a new role."""
    iam = region.client("iam")
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust, **options)["Role"]
    if policy:
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=policy)
    return str(made["Arn"])


def with_key(region: Any, service: str, credentials: dict[str, Any]) -> Any:
    """A client of `service` with what STS or CreateAccessKey answered."""
    return region.client(
        service,
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials.get("SessionToken"),
    )


def refusal(error: Any) -> tuple[str, str]:
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]
