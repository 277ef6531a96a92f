"""What policies are asked: who does what to which resource, and under which circumstances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum, StrEnum

from lambent.context import Caller

#: Context keys (lower-case) and their values; a key without values counts as not there.
Context = Mapping[str, Sequence[str]]


class Effect(Enum):
    ALLOW = "Allow"
    DENY = "Deny"
    #: No statement applied: denied unless another policy allows.
    NONE = "None"


class PrincipalKind(StrEnum):
    AWS = "AWS"
    SERVICE = "Service"
    FEDERATED = "Federated"
    CANONICAL_USER = "CanonicalUser"
    ANONYMOUS = "Anonymous"


class Reach(IntEnum):
    """How closely the Principal element of a statement named the principal: the closest decides what limits a grant."""

    #: Its account: the account's own policies decide further.
    ACCOUNT = 0
    #: The role or user behind a session: boundary and session policies still limit it.
    IDENTITY = 1
    #: Itself, or everybody.
    SELF = 2


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks."""

    kind: PrincipalKind
    #: Everything a Principal element may say to mean it, besides `*`: ARNs, unique ids, account, service name.
    names: frozenset[str]
    #: Account that it belongs to, "" for services and anonymous callers.
    account: str = ""
    #: Its own ARN: of the session where it is one; "" for whoever has none.
    arn: str = ""
    #: Those of `names` that mean its account as a whole.
    account_names: frozenset[str] = field(default=frozenset())

    @classmethod
    def anonymous(cls) -> Principal:
        return cls(PrincipalKind.ANONYMOUS, frozenset())

    @classmethod
    def service(cls, name: str) -> Principal:
        """`apigateway.amazonaws.com`."""
        return cls(PrincipalKind.SERVICE, frozenset((name,)))

    @classmethod
    def federated(cls, provider: str) -> Principal:
        """An identity provider, by its ARN or host name."""
        return cls(PrincipalKind.FEDERATED, frozenset((provider,)))

    @classmethod
    def aws(cls, account: str, arn: str, *others: str) -> Principal:
        """A user, a session or an account's root. `others`: the role or user behind a session, unique ids."""
        partition = arn.split(":", 2)[1] if arn.startswith("arn:") else "aws"
        whole = frozenset((account, f"arn:{partition}:iam::{account}:root"))
        return cls(PrincipalKind.AWS, whole | {arn, *others}, account, arn, whole)

    @classmethod
    def of_caller(cls, caller: Caller) -> Principal:
        """An API caller: a session answers to the name of the role or user behind it, too."""
        others = [caller.user_id] if caller.user_id and caller.user_id != caller.account else []
        if caller.principal_arn:
            others.append(caller.principal_arn)
        if caller.kind == "role":
            # `<id of the role>:<session>`
            others.append(caller.user_id.partition(":")[0])
        return cls.aws(caller.account, caller.arn, *others)

    @property
    def is_root(self) -> bool:
        return self.arn in self.account_names

    @property
    def is_session(self) -> bool:
        """Of a role or a federated user: limited by what it was made with."""
        resource = self.arn.rpartition(":")[2]
        return resource.startswith(("assumed-role/", "federated-user/"))

    def reach_of(self, name: str) -> Reach:
        """How closely `name`, one of `names`, names it."""
        if name == self.arn:
            return Reach.SELF
        if name in self.account_names:
            return Reach.ACCOUNT
        return Reach.IDENTITY if self.is_session else Reach.SELF


@dataclass(frozen=True, slots=True)
class Question:
    #: `lambda:InvokeFunction`, in any case.
    action: str
    #: ARN, or `*` for actions that know no resource.
    resource: str
    #: None where only statements without a Principal element are asked.
    principal: Principal | None = None
    #: Keys lower-case: `aws:sourcearn`.
    context: Context = field(default_factory=dict)
