"""May a caller do this? Every API call and every signed call of a front door is decided here, from memory.

A decision is remembered where nothing that it looked at can differ the next time: the policies are the same objects,
and no condition asked for more than what is lasting about the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from lambent.arn import Arn
from lambent.clock import Clock
from lambent.config import AuthMode
from lambent.context import Caller, Session
from lambent.errors import AwsError, UncodedError
from lambent.identity import actions, circumstances
from lambent.identity.actions import Call, Entities, Need, Row
from lambent.identity.circumstances import Circumstances
from lambent.identity.policy import (
    Decision,
    Effect,
    MalformedPolicy,
    Policy,
    PolicyKind,
    Principal,
    Question,
    authorize,
    evaluate,
    parse,
)
from lambent.identity.policy import Reason as Why
from lambent.identity.principals import Grants, Principals, RoleFacts
from lambent.request import Request

#: Callers remembered, and decisions of one caller; where they get more, all are forgotten and found anew.
CALLERS = 4096
DECISIONS = 1024

Keys = Mapping[str, Sequence[str]]
#: May the caller do this to a resource with this policy, under these circumstances?
Decide = Callable[[Caller, str, str, Policy | None, Keys], Decision]

#: Services that assume roles of their customers at each request, by what they call their sessions.
_SERVICES = {"BackplaneAssumeRoleSession": "apigateway.amazonaws.com"}
#: Lambda calls them after the function for which it sends something.
_OTHERWISE = "lambda.amazonaws.com"
#: Services that say no resource in refusals, and use the codes of the query protocol in all they speak.
_WITHOUT_RESOURCES = frozenset(("cloudwatch",))
#: Those that say none, and are otherwise as all others.
_UNNAMED = _WITHOUT_RESOURCES | {"xray"}
_ROOT = Decision(True, Why.ALLOWED_ROOT)
#: In `audit`, of what would have been refused.
_LET_PASS = Decision(True, Why.ALLOWED_BY_IDENTITY)
_EVERYTHING = parse(
    {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}},
    kind=PolicyKind.IDENTITY,
    name="--auth off",
)
_UNLIMITED = Grants((_EVERYTHING,))


class AuthorizedOperation(Protocol):
    """What of an operation decides what it needs."""

    @property
    def service(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def protocol(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def uri(self) -> str: ...
    @property
    def uri_params(self) -> Mapping[str, str]: ...


class Resources(Protocol):
    """A service whose resources have policies and tags of their own."""

    def policy_of(self, arn: str) -> Policy | None:
        """In force on the resource, from memory; replaced (never changed) with every change."""

    def tags_of(self, arn: str) -> Mapping[str, str]:
        """Of the resource, from memory; empty for one that is not there."""


class Audit(Protocol):
    def note(self, caller: Caller, need: Need, decision: Decision) -> None:
        """What a caller needed, and whether it had it."""


@dataclass(slots=True)
class _Known:
    """What decides for one caller in one region, and what was decided."""

    caller: Caller
    grants: Grants
    principal: Principal
    keys: Keys
    #: ARN → the managed policy that the session was limited by when this was made.
    managed: tuple[tuple[str, Policy | None], ...]
    session: tuple[Policy, ...] | None
    #: (action, resource) → the decision, and the resource's policy at that time.
    decisions: dict[tuple[str, str], tuple[Decision, Policy | None]] = field(default_factory=dict)


class UnknownPrincipal(Exception):
    """A sentence: whom nobody can say anything about."""


class Authorizer:
    def __init__(
        self, mode: AuthMode, principals: Principals, entities: Entities, clock: Clock, audit: Audit | None = None
    ) -> None:
        self._mode = mode
        self._principals = principals
        self._entities = entities
        self._clock = clock
        self._audit = audit
        #: Everything of everybody is written down, root's too.
        self._notes_all = mode is AuthMode.AUDIT and audit is not None
        #: By the prefix of actions: `lambda`.
        self._policies: dict[str, Callable[[str], Policy | None]] = {"sts": self._trust_of}
        self._tags: dict[str, Callable[[str], Mapping[str, str]]] = {}
        self._known: dict[tuple[str, str, str], _Known] = {}
        #: JSON text of a session's policy → compiled. Emptied when full.
        self._session_policies: dict[str, Policy | None] = {}

    def __repr__(self) -> str:
        return f"<Authorizer {self._mode} [{len(self._known)} callers known]>"

    def use(self, service: str, resources: Resources) -> None:
        """`resources` are those of actions `service:…`."""
        self._policies[service] = resources.policy_of
        self._tags[service] = resources.tags_of

    def check(
        self, request: Request, caller: Caller, region: str, operation: AuthorizedOperation, params: Mapping[str, Any]
    ) -> None:
        """Raises AWS's refusal where the caller may not."""
        row = actions.row_of(operation.service, operation.name, operation.method)
        if row is None:
            return
        if caller.kind == "root" and not (row.also or self._notes_all) and is_surely_own(row, params):
            return
        call = Call(
            operation.name,
            region,
            caller,
            params,
            self._entities,
            operation.method,
            operation.uri,
            operation.uri_params,
        )
        for need in actions.needs(row, operation.service, call):
            decision = self._decide(caller, region, need, request)
            if not decision.allowed:
                raise _refusal(caller, need, decision, operation, terse=row.terse)

    def decide(self, caller: Caller, action: str, resource: str, policy: Policy | None, keys: Keys) -> Decision:
        """For front doors: `policy` is the resource's, `keys` are those of the request."""
        region = resource.split(":", 5)[3]
        need = Need(action, resource, keys)
        if caller.kind == "role" and not caller.access_key_id:
            caller = self._named(caller)
        return self._passed(caller, need, self._by_policies(caller, region, need, policy, None))

    def explain(self, principal: str, action: str, resource: str, keys: Keys) -> Decision:
        """What decides for the user, role or root with this ARN, as `strict` would. Raises UnknownPrincipal."""
        caller = self._caller_of(principal)
        if caller.kind == "root" and is_own(caller, resource):
            return _ROOT
        find = self._policies.get(action.partition(":")[0])
        policy = find(resource) if find is not None else None
        parts = resource.split(":", 5)
        region = parts[3] if len(parts) == 6 else ""
        return self._by_policies(caller, region, Need(action, resource, keys), policy, None)

    def _caller_of(self, arn: str) -> Caller:
        parts = Arn.parse(arn)
        if parts is None or parts.service != "iam":
            raise UnknownPrincipal(f"{arn!r} is not the ARN of a user, a role or a root.")
        if parts.resource == "root":
            return Caller.root(parts.account, "", parts.partition)
        kind, name = parts.resource.partition("/")[0], parts.resource.rpartition("/")[2]
        facts = self._entities.facts(parts.account, kind, name) if kind in ("user", "role") else None
        if facts is None or facts.arn != arn:
            raise UnknownPrincipal(f"There is no user or role {arn}.")
        if kind == "user":
            return Caller(parts.account, arn, facts.id, "", kind, name, arn)
        session = Session("explained", issued_at=self._clock.now())
        own = f"arn:{parts.partition}:sts::{parts.account}:assumed-role/{name}/explained"
        return Caller(parts.account, own, f"{facts.id}:explained", "", kind, name, arn, session)

    # ---- one need ----------------------------------------------------------------------------------------------

    def _decide(self, caller: Caller, region: str, need: Need, request: Request) -> Decision:
        service = need.action.partition(":")[0]
        if caller.kind == "root" and is_own(caller, need.resource):
            return self._passed(caller, need, _ROOT)
        find = self._policies.get(service)
        policy = find(need.resource) if find is not None else None
        return self._passed(caller, need, self._by_policies(caller, region, need, policy, request))

    def _by_policies(
        self, caller: Caller, region: str, need: Need, policy: Policy | None, request: Request | None
    ) -> Decision:
        known = self._about(caller, region)
        found = known.decisions.get((need.action, need.resource))
        if found is not None and found[1] is policy:
            return found[0]
        context = Circumstances(known.keys, need.keys, request, self._clock.now, lambda: self._tags_of(need))
        decision = authorize(
            Question(need.action, need.resource, known.principal, context),
            resource_account=account_of(need.resource) or caller.account,
            identity=known.grants.identity,
            boundary=known.grants.boundary,
            session=known.session,
            resource=policy,
            trust=need.action.startswith("sts:") and need.resource.startswith("arn:aws:iam:"),
        )
        if not context.varies:
            if len(known.decisions) >= DECISIONS:
                known.decisions.clear()
            known.decisions[need.action, need.resource] = (decision, policy)
        return decision

    def _passed(self, caller: Caller, need: Need, decision: Decision) -> Decision:
        """What comes of `decision` in this mode."""
        if self._audit is not None and (self._notes_all or not decision.allowed):
            self._audit.note(caller, need, decision)
        if decision.allowed or self._mode is AuthMode.STRICT or not is_own(caller, need.resource):
            # Accounts stay apart in every mode.
            return decision
        return _LET_PASS

    def _named(self, caller: Caller) -> Caller:
        """A session that a service made for itself, with the id of the role where that trusts the service."""
        role = self._principals.role(caller.principal_arn)
        if role is None or caller.session is None or not _trusts(role, caller.session.name):
            return caller
        return msgspec.structs.replace(caller, user_id=f"{role.role_id}:{caller.session.name}")

    # ---- about callers -----------------------------------------------------------------------------------------

    def _about(self, caller: Caller, region: str) -> _Known:
        grants = self._grants(caller)
        key = (caller.access_key_id, caller.arn, region)
        known = self._known.get(key)
        if (
            known is not None
            and known.grants is grants
            and (known.caller is caller or known.caller == caller)
            and all(self._principals.managed_policy(arn) is policy for arn, policy in known.managed)
        ):
            return known
        if len(self._known) >= CALLERS:
            self._known.clear()
        known = self._known[key] = self._learn(caller, region, grants)
        return known

    def _grants(self, caller: Caller) -> Grants:
        if self._mode is AuthMode.OFF or caller.kind == "root":
            return _UNLIMITED
        return self._principals.grants(caller)

    def _learn(self, caller: Caller, region: str, grants: Grants) -> _Known:
        arns = caller.session.policy_arns if caller.session is not None else ()
        managed = tuple((arn, self._principals.managed_policy(arn)) for arn in arns)
        return _Known(
            caller=caller,
            grants=grants,
            principal=Principal.of_caller(caller),
            keys=circumstances.of_caller(caller, region, grants.tags),
            managed=managed,
            session=self._limits(caller, managed),
        )

    def _limits(self, caller: Caller, managed: Sequence[tuple[str, Policy | None]]) -> tuple[Policy, ...] | None:
        """The policies that the session was made with; None where it is not limited."""
        session = caller.session
        if self._mode is AuthMode.OFF or session is None:
            return None
        if not session.policies and not managed and caller.kind != "federated":
            return None
        inline = [self._session_policy(text) for text in session.policies]
        # One that is gone, or that nobody can read, permits nothing.
        return tuple(policy for policy in (*inline, *(policy for _, policy in managed)) if policy is not None)

    def _session_policy(self, text: str) -> Policy | None:
        if text not in self._session_policies:
            if len(self._session_policies) >= CALLERS:
                self._session_policies.clear()
            try:
                policy = parse(text, kind=PolicyKind.IDENTITY, name="session policy")
            except MalformedPolicy:
                policy = None
            self._session_policies[text] = policy
        return self._session_policies[text]

    def _tags_of(self, need: Need) -> Mapping[str, str]:
        find = self._tags.get(need.action.partition(":")[0])
        return find(need.resource) if find is not None else {}

    def _trust_of(self, arn: str) -> Policy | None:
        role = self._principals.role(arn)
        return role.trust if role is not None else None


def _trusts(role: RoleFacts, session_name: str) -> bool:
    """May the service that names its sessions so assume the role?"""
    service = _SERVICES.get(session_name, _OTHERWISE)
    question = Question(
        "sts:AssumeRole", role.arn, Principal.service(service), {"aws:sourceaccount": (account_of(role.arn),)}
    )
    return evaluate(role.trust, question).effect is Effect.ALLOW


def within_accounts(caller: Caller, action: str, resource: str, policy: Policy | None, keys: Keys) -> Decision:
    """As if everybody might do everything in an account: what `--auth off` means, without an Authorizer."""
    question = Question(action, resource, Principal.of_caller(caller), keys)
    account = account_of(resource) or caller.account
    return authorize(question, resource_account=account, identity=(_EVERYTHING,), resource=policy)


def account_of(arn: str) -> str:
    """ "" for resources that are nobody's: API Gateway's, what AWS manages, `*`."""
    parts = arn.split(":", 5)
    return parts[4] if len(parts) == 6 and parts[4] != "aws" else ""


def is_surely_own(row: Row, params: Mapping[str, Any]) -> bool:
    """Whether what the call is about can be nobody else's: known without making its ARN."""
    return not row.shared or (row.named_by != "" and ":" not in params[row.named_by])


def is_own(caller: Caller, arn: str) -> bool:
    return account_of(arn) in (caller.account, "")


def _refusal(
    caller: Caller, need: Need, decision: Decision, operation: AuthorizedOperation, *, terse: bool
) -> AwsError:
    protocol = operation.protocol
    message = need.refusal
    if not message:
        message = f"User: {caller.arn} is not authorized to perform: {need.action}"
        if operation.service not in _UNNAMED:
            message = f"{message} on resource: {need.shown or need.resource}"
        if not terse or decision.verdict.statement is not None:
            message = f"{message} {decision.text(need.action)}"
    if protocol in ("query", "ec2", "rest-xml") or operation.service in _WITHOUT_RESOURCES:
        return UncodedError("AccessDenied", message, 403)
    # Services of the JSON protocol answer 400 where REST-JSON ones answer 403.
    return UncodedError("AccessDeniedException", message, 400 if protocol == "json" else 403)
