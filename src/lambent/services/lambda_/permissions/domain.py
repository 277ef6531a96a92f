"""Resource policies as values, in AWS's exact form: what AddPermission makes of its parameters. No I/O.

Functions keep one per qualifier, layers one per version; the latter use `ResourcePolicy` and `principal` from here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from lambent.arn import partition_of
from lambent.identity.policy import MalformedPolicy, Policy, parse
from lambent.identity.policy.checks import is_principal
from lambent.services.lambda_.errors import (
    InvalidParameterValueException,
    PolicyLengthExceededException,
    ResourceConflictException,
    ResourceNotFoundException,
)

#: Bytes of a whole document.
SIZE_LIMIT = 20_480

INVOKE = "lambda:InvokeFunction"
INVOKE_URL = "lambda:InvokeFunctionUrl"

Statement = Mapping[str, Any]

_ACCOUNT = re.compile(r"\d{12}")
_SERVICE = re.compile(r"[a-z0-9][a-z0-9.-]*\.(amazonaws\.com(\.cn)?|amazonaws\.eu|amazon\.com)")


@dataclass(frozen=True, slots=True)
class ResourcePolicy:
    """The statements on one resource, at least one of them: AWS knows no empty policy."""

    statements: tuple[Statement, ...]

    def document(self) -> str:
        return encoded({"Version": "2012-10-17", "Id": "default", "Statement": self.statements})

    def compiled(self) -> Policy:
        """To decide by. Raises InvalidParameterValueException for what no policy may say."""
        try:
            return parse(self.document())
        except MalformedPolicy as error:
            raise InvalidParameterValueException(error.reason) from None


def encoded(value: Mapping[str, Any]) -> str:
    """As AWS writes policies and statements: compact."""
    return msgspec.json.encode(value).decode()


def with_statement(policy: ResourcePolicy | None, statement: Statement) -> ResourcePolicy:
    """Raises where the Sid is taken or the document gets too long."""
    statements = policy.statements if policy is not None else ()
    sid = statement["Sid"]
    if any(known["Sid"] == sid for known in statements):
        raise ResourceConflictException(
            f"The statement id ({sid}) provided already exists. "
            "Please provide a new statement id, or remove the existing statement."
        )
    longer = ResourcePolicy((*statements, statement))
    size = len(longer.document().encode())
    if size > SIZE_LIMIT:
        raise PolicyLengthExceededException(f"The final policy size ({size}) is bigger than the limit ({SIZE_LIMIT}).")
    return longer


def without_statement(policy: ResourcePolicy, sid: str) -> ResourcePolicy | None:
    """None after the last one. Raises where there is no such statement."""
    rest = tuple(statement for statement in policy.statements if statement["Sid"] != sid)
    if len(rest) == len(policy.statements):
        raise ResourceNotFoundException(f"Statement {sid} is not found in resource policy.")
    return ResourcePolicy(rest) if rest else None


def function_statement(params: Mapping[str, Any], region: str, resource: str) -> dict[str, Any]:
    """The statement that AddPermission with `params` writes for the function, version or alias at ARN `resource`."""
    action = params["Action"]
    for parameter, needed in (("FunctionUrlAuthType", INVOKE_URL), ("InvokedViaFunctionUrl", INVOKE)):
        if params.get(parameter) and action != needed:
            raise InvalidParameterValueException(f"{parameter} is only supported for {needed} action")
    return statement(
        params["StatementId"],
        principal(params["Principal"], region),
        action,
        resource,
        {
            "StringEquals": {
                key: params[parameter]
                for parameter, key in (
                    ("SourceAccount", "AWS:SourceAccount"),
                    ("PrincipalOrgID", "aws:PrincipalOrgID"),
                    ("EventSourceToken", "lambda:EventSourceToken"),
                    ("FunctionUrlAuthType", "lambda:FunctionUrlAuthType"),
                )
                if params.get(parameter)
            },
            "Bool": {"lambda:InvokedViaFunctionUrl": "true"} if params.get("InvokedViaFunctionUrl") else {},
            "ArnLike": {"AWS:SourceArn": params["SourceArn"]} if params.get("SourceArn") else {},
        },
    )


def statement(
    sid: str, who: str | dict[str, str], action: str, resource: str, conditions: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    """An Allow statement with its members in AWS's order; empty operators of `conditions` are left out."""
    made: dict[str, Any] = {"Sid": sid, "Effect": "Allow", "Principal": who, "Action": action, "Resource": resource}
    if condition := {operator: dict(keys) for operator, keys in conditions.items() if keys}:
        made["Condition"] = condition
    return made


def principal(text: str, region: str) -> str | dict[str, str]:
    """The Principal element for parameter `text`: `*`, an account, an ARN of IAM or STS, or a service."""
    if text == "*":
        return text
    if _ACCOUNT.fullmatch(text):
        return {"AWS": f"arn:{partition_of(region)}:iam::{text}:root"}
    if text.startswith("arn:"):
        if is_principal("AWS", text):
            return {"AWS": text}
    elif _SERVICE.fullmatch(text):
        return {"Service": text}
    raise InvalidParameterValueException(
        "The provided principal was invalid. Please check the principal and try again."
    )
