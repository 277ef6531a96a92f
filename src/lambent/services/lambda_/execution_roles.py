"""The roles that functions act as: one of the function's own account, which Lambda may assume.

Whether its creator may hand it to Lambda (iam:PassRole) is the edge's matter, like every other permission.
"""

from __future__ import annotations

from lambent.arn import Arn
from lambent.context import Context
from lambent.errors import AccessDeniedException
from lambent.identity.authorization import Decide
from lambent.identity.trace_rights import may_put_segments
from lambent.ports import Roles
from lambent.services.lambda_.errors import InvalidParameterValueException

PRINCIPAL = "lambda.amazonaws.com"


def check_role(roles: Roles, context: Context, role: str) -> None:
    """Raises AWS's error where a function of the caller's account cannot have this role.

    Asked on the event loop: who there is lies in memory, and not for other threads.
    """
    arn = Arn.parse(role)
    if arn is None or arn.account != context.account:
        raise AccessDeniedException("Cross-account pass role is not allowed.")
    if not roles.can_be_assumed_by(role, PRINCIPAL):
        raise InvalidParameterValueException("The role defined for the function cannot be assumed by Lambda.")


def check_tracing(decide: Decide, context: Context, role: str, name: str) -> None:
    """Raises AWS's error where the role of a function with active tracing may not put segments."""
    if not may_put_segments(decide, role, name, context.account, context.region):
        raise InvalidParameterValueException(
            "The provided execution role does not have permissions to call PutTraceSegments on XRAY"
        )
