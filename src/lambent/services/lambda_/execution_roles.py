"""The roles that functions act as: one of the function's own account, which Lambda may assume.

Whether its creator may hand it to Lambda (iam:PassRole) is the edge's matter, like every other permission.
"""

from __future__ import annotations

import logging
from enum import Enum

from lambent.arn import Arn
from lambent.context import Context
from lambent.errors import AccessDeniedException
from lambent.ports import Roles
from lambent.services.lambda_.errors import InvalidParameterValueException

log = logging.getLogger(__name__)

PRINCIPAL = "lambda.amazonaws.com"


class RoleCheck(Enum):
    #: What cannot be assumed is refused.
    ENFORCED = "enforced"
    #: It is let pass and logged.
    LOGGED = "logged"
    #: Any name will do.
    NONE = "none"


class ExecutionRoles:
    """Asked on the event loop: who there is lies in memory, and not for other threads."""

    def __init__(self, roles: Roles | None, how: RoleCheck = RoleCheck.NONE) -> None:
        """`roles` may be None where nothing is checked."""
        self._roles = roles if how is not RoleCheck.NONE else None
        self._enforced = how is RoleCheck.ENFORCED

    def check(self, context: Context, role: str) -> None:
        """Raises AWS's error where a function of the caller's account cannot have this role."""
        arn = Arn.parse(role)
        if arn is None or arn.account != context.account:
            raise AccessDeniedException("Cross-account pass role is not allowed.")
        if self._roles is None or self._roles.can_be_assumed_by(role, PRINCIPAL):
            return
        if self._enforced:
            raise InvalidParameterValueException("The role defined for the function cannot be assumed by Lambda.")
        log.warning("Lambda cannot assume %s: it does not exist, or its trust policy does not say so.", role)
