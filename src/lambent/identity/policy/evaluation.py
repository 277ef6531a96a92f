"""From policies to a decision, as AWS documents its evaluation logic: explicit deny, then allow, then nothing.

Organizations' control policies do not exist here; everything else of the flow for one account and across two does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from lambent.identity.policy.document import Policy
from lambent.identity.policy.question import Effect, PrincipalKind, Question, Reach
from lambent.identity.policy.statements import Statement


@dataclass(frozen=True, slots=True)
class Verdict:
    """What policies say, and what decided."""

    effect: Effect
    #: None where no statement applied.
    policy: Policy | None = None
    statement: Statement | None = None
    #: Of an ALLOW: how closely the principal was named.
    reach: Reach = Reach.SELF

    @property
    def sid(self) -> str:
        """Of the deciding statement; "" without."""
        return self.statement.sid if self.statement is not None else ""


_NONE = Verdict(Effect.NONE)


def evaluate(policy: Policy, question: Question, *, bounded: bool = False) -> Verdict:
    """One policy. `bounded`: the principal has a permissions boundary."""
    action = question.action.lower()
    verdict = _NONE
    for statement in policy.statements:
        reach = statement.reach(question, action, bounded=bounded)
        if reach is None:
            continue
        if statement.effect is Effect.DENY:
            return Verdict(Effect.DENY, policy, statement)
        if verdict is _NONE or reach > verdict.reach:
            verdict = Verdict(Effect.ALLOW, policy, statement, reach)
    return verdict


def combine(policies: Iterable[Policy], question: Question) -> Verdict:
    """Several policies of one kind: an explicit deny in any, else an allow in any, else nothing."""
    verdict = _NONE
    for policy in policies:
        found = evaluate(policy, question)
        if found.effect is Effect.DENY:
            return found
        if found.effect is Effect.ALLOW and (verdict is _NONE or found.reach > verdict.reach):
            verdict = found
    return verdict


class Reason(Enum):
    """Why; the values are the words of AWS's messages."""

    ALLOWED_BY_IDENTITY = "an identity-based policy"
    ALLOWED_BY_RESOURCE = "a resource-based policy"
    ALLOWED_ROOT = "the account's root user"
    DENIED_BY_IDENTITY = "with an explicit deny in an identity-based policy"
    DENIED_BY_RESOURCE = "with an explicit deny in a resource-based policy"
    DENIED_BY_BOUNDARY = "with an explicit deny in a permissions boundary"
    DENIED_BY_SESSION = "with an explicit deny in a session policy"
    NO_IDENTITY = "because no identity-based policy allows the {action} action"
    NO_RESOURCE = "because no resource-based policy allows the {action} action"
    NO_BOUNDARY = "because no permissions boundary allows the {action} action"
    NO_SESSION = "because no session policy allows the {action} action"


@dataclass(frozen=True, slots=True)
class Decision:
    allowed: bool
    reason: Reason
    #: The policy and statement that decided; without a statement where it was that none applied.
    verdict: Verdict = _NONE

    def text(self, action: str) -> str:
        """The end of AWS's sentence: `because no identity-based policy allows the lambda:InvokeFunction action`."""
        return self.reason.value.format(action=action)


def authorize(
    question: Question,
    *,
    resource_account: str,
    identity: Sequence[Policy] = (),
    resource: Policy | None = None,
    boundary: Policy | None = None,
    session: Sequence[Policy] | None = None,
    trust: bool = False,
) -> Decision:
    """May the question's principal do it?

    `identity`: all that is attached to the principal or, for a session, to its role or user, groups included.
    `session`: the policies that the session was made with; None without, () permits nothing.
    `trust`: `resource` is a role's trust policy, without whose consent nobody comes in, of its own account neither.
    """
    by_identity = combine(identity, question)
    by_resource = evaluate(resource, question, bounded=boundary is not None) if resource is not None else _NONE
    by_boundary = evaluate(boundary, question) if boundary is not None else None
    by_session = combine(session, question) if session is not None else None
    for verdict, reason in (
        (by_identity, Reason.DENIED_BY_IDENTITY),
        (by_resource, Reason.DENIED_BY_RESOURCE),
        (by_boundary, Reason.DENIED_BY_BOUNDARY),
        (by_session, Reason.DENIED_BY_SESSION),
    ):
        if verdict is not None and verdict.effect is Effect.DENY:
            return Decision(False, reason, verdict)
    granted = _granted(question, resource_account, by_identity, by_resource, trust)
    if not granted.allowed or _is_final(question, resource_account, by_resource):
        return granted
    if by_boundary is not None and by_boundary.effect is not Effect.ALLOW:
        return Decision(False, Reason.NO_BOUNDARY)
    if by_session is not None and by_session.effect is not Effect.ALLOW:
        return Decision(False, Reason.NO_SESSION)
    return granted


def _is_final(question: Question, resource_account: str, by_resource: Verdict) -> bool:
    """Is a grant of the resource's policy all that is needed, whatever limits the principal in its own account?"""
    principal = question.principal
    if principal is None or principal.kind is not PrincipalKind.AWS:
        # Services and the anonymous have no policies of their own.
        return True
    return (
        principal.account == resource_account and by_resource.effect is Effect.ALLOW and by_resource.reach is Reach.SELF
    )


def _granted(
    question: Question, resource_account: str, by_identity: Verdict, by_resource: Verdict, trust: bool
) -> Decision:
    """Identity and resource policies together: either in one account, both across two."""
    principal = question.principal
    by_resource_allowed = by_resource.effect is Effect.ALLOW
    if _is_final(question, resource_account, by_resource):
        if by_resource_allowed:
            return Decision(True, Reason.ALLOWED_BY_RESOURCE, by_resource)
        return Decision(False, Reason.NO_RESOURCE)
    assert principal is not None
    same_account = principal.account == resource_account
    if (trust or not same_account) and not by_resource_allowed:
        return Decision(False, Reason.NO_RESOURCE)
    if by_identity.effect is Effect.ALLOW:
        return Decision(True, Reason.ALLOWED_BY_IDENTITY, by_identity)
    if principal.is_root:
        return Decision(True, Reason.ALLOWED_ROOT)
    if same_account and by_resource_allowed and by_resource.reach is Reach.IDENTITY:
        return Decision(True, Reason.ALLOWED_BY_RESOURCE, by_resource)
    return Decision(False, Reason.NO_IDENTITY)
