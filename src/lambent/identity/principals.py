"""Users and roles as authorization sees them: `services/iam` serves them from memory, never from the database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from lambent.context import Caller
from lambent.identity.policy import Policy
from lambent.ports import SigningIdentity


@dataclass(frozen=True, slots=True, eq=False)
class Grants:
    """All that is attached to a user (groups included) or a role.

    Replaced by another object with every change, never changed: the same object is the same decisions.
    """

    identity: tuple[Policy, ...] = ()
    #: The permissions boundary, None without.
    boundary: Policy | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class RoleFacts:
    """What assuming a role asks of it."""

    arn: str
    #: `AROA…`
    role_id: str
    trust: Policy
    max_session_s: int
    tags: Mapping[str, str]
    #: Sessions issued before (seconds since the epoch) hold no more; 0 without.
    revoked_before: float = 0.0


class Principals(Protocol):
    """The users and roles of every account."""

    def find_key(self, access_key_id: str) -> SigningIdentity | None:
        """The key of a user; None for one that is inactive, deleted or unknown."""

    def grants(self, caller: Caller) -> Grants:
        """What counts for a user, a role's session or a federated user; nothing at all for whoever exists no more.

        Without the limits that a session itself was made with.
        """

    def role(self, arn: str) -> RoleFacts | None: ...

    def managed_policy(self, arn: str) -> Policy | None:
        """The default version, as sessions are limited by; replaced (never changed) with every change."""

    def watch(self, changed: Callable[[], None]) -> None:
        """`changed` is called after every change of any of this."""
