"""Which roles services may act as, as far as `--auth` asks: those that exist and trust them, or any."""

from __future__ import annotations

import logging

from lambent.config import AuthMode
from lambent.ports import Roles

log = logging.getLogger(__name__)

#: Warnings remembered, so that each is told once; where they get more, all may be told again.
TOLD = 1000


class CheckedRoles:
    """Implements ports.Roles: `strict` says what is so, `audit` lets pass and logs, `off` takes any name for a role."""

    def __init__(self, roles: Roles, mode: AuthMode) -> None:
        self._roles = roles
        self._mode = mode
        self._told: set[tuple[str, str]] = set()

    def can_be_assumed_by(self, role_arn: str, service: str) -> bool:
        if self._mode is AuthMode.OFF or self._roles.can_be_assumed_by(role_arn, service):
            return True
        if self._mode is AuthMode.STRICT:
            return False
        self._tell(role_arn, service)
        return True

    def _tell(self, role_arn: str, service: str) -> None:
        if len(self._told) >= TOLD:
            self._told.clear()
        if (role_arn, service) not in self._told:
            self._told.add((role_arn, service))
            log.warning("%s cannot assume %s: it is not there, or does not trust that service.", service, role_arn)


class AnyRole:
    """Implements ports.Roles where nobody is checked."""

    def can_be_assumed_by(self, role_arn: str, service: str) -> bool:
        return True
