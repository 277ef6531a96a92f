"""One statement, compiled: to whom, what, where and when its effect applies."""

from __future__ import annotations

from dataclasses import dataclass

from lambent.identity.policy.conditions import AnyCondition
from lambent.identity.policy.patterns import Alternatives
from lambent.identity.policy.question import Context, Effect, Principal, PrincipalKind, Question, Reach

_NOWHERE: Context = {}
#: `Principal: "*"` and `{"AWS": "*"}` mean everybody, anonymous callers and services too.
EVERYBODY = "*"


@dataclass(frozen=True, slots=True)
class Principals:
    """A Principal or NotPrincipal element."""

    everybody: bool
    #: Per kind, what the element lists.
    names: dict[PrincipalKind, frozenset[str]]
    negated: bool

    def reach(self, principal: Principal) -> Reach | None:
        """How closely a Principal element names it; None where it does not."""
        if self.everybody:
            return Reach.SELF
        listed = self.names.get(principal.kind, frozenset())
        if EVERYBODY in listed:
            return Reach.SELF
        return max((principal.reach_of(name) for name in listed & principal.names), default=None)

    def excepts(self, principal: Principal) -> bool:
        """Does a NotPrincipal element leave it out? AWS wants each level named: account, role, session."""
        if self.everybody:
            return True
        if principal.kind is PrincipalKind.ANONYMOUS:
            return False
        found = self.names.get(principal.kind, frozenset()) & principal.names
        levels = {principal.reach_of(name) for name in found}
        if principal.kind is not PrincipalKind.AWS or principal.is_root:
            return bool(levels)
        wanted = {Reach.SELF, Reach.ACCOUNT} | ({Reach.IDENTITY} if principal.is_session else set())
        return wanted <= levels


@dataclass(frozen=True, slots=True)
class Statement:
    #: "" without.
    sid: str
    #: Its place in the document, from 0.
    index: int
    effect: Effect
    #: None in policies that are attached to whom they are about.
    principals: Principals | None
    #: Lower-case.
    actions: Alternatives
    not_actions: bool
    #: Empty where the document kind has none (trust policies): every resource.
    resources: Alternatives
    not_resources: bool
    conditions: tuple[AnyCondition, ...]

    def reach(self, question: Question, action: str, *, bounded: bool = False) -> Reach | None:
        """None where it does not apply, else how closely it named the principal.

        `action` is the question's, lower-case. `bounded`: the principal has a permissions boundary, and NotPrincipal
        excepts no such principal (documented with permissions boundaries).
        """
        if self.actions.match(action, _NOWHERE) is self.not_actions:
            return None
        resources = self.resources
        if not resources.is_empty and resources.match(question.resource, question.context) is self.not_resources:
            return None
        reach = self._reach_of(question.principal, bounded)
        if reach is None:
            return None
        for condition in self.conditions:
            if not condition.holds(question.context):
                return None
        return reach

    def _reach_of(self, principal: Principal | None, bounded: bool) -> Reach | None:
        if self.principals is None:
            return Reach.SELF
        principal = principal or Principal.anonymous()
        if not self.principals.negated:
            return self.principals.reach(principal)
        return None if self.principals.excepts(principal) and not bounded else Reach.SELF

    @property
    def keys(self) -> frozenset[str]:
        """Every context key that it looks at: a decision it took part in holds as long as these do not change."""
        return self.resources.keys.union(*(condition.keys for condition in self.conditions))
