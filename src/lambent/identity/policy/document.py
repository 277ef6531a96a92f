"""From JSON to a compiled policy. What AWS would refuse is refused here, in its words and in its order where known."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NoReturn

from lambent.identity.policy import checks
from lambent.identity.policy.conditions import compile_conditions
from lambent.identity.policy.faults import LEGACY, MalformedPolicy
from lambent.identity.policy.patterns import Alternatives, ArnPattern, Pattern, tokens_of
from lambent.identity.policy.question import Effect, PrincipalKind
from lambent.identity.policy.statements import EVERYBODY, Principals, Statement

#: The one version with variables.
CURRENT = "2012-10-17"
VERSIONS = ("2008-10-17", CURRENT)


class PolicyKind(Enum):
    """What a policy is attached to decides which elements it must and must not have."""

    #: To a user, group, role, boundary or session: current version, no Principal.
    IDENTITY = "identity"
    #: The same kept inside of a user, group or role: AWS insists on its version in managed policies alone.
    INLINE = "inline"
    #: To a resource: a Principal in each statement.
    RESOURCE = "resource"
    #: To a role: who may assume it. Neither Resource nor anything but STS actions.
    TRUST = "trust"
    #: What a Lambda authorizer answers: like IDENTITY, but nobody insists on its version or the form of its ARNs.
    AUTHORIZER = "authorizer"


_OF_IDENTITIES = frozenset({PolicyKind.IDENTITY, PolicyKind.INLINE})


@dataclass(frozen=True, slots=True)
class Policy:
    statements: tuple[Statement, ...]
    kind: PolicyKind = PolicyKind.RESOURCE
    version: str = VERSIONS[0]
    #: The Id element, "" without.
    id: str = ""
    #: What its owner calls it (an ARN, the name of an inline policy): for explanations.
    name: str = ""

    @property
    def keys(self) -> frozenset[str]:
        """Context keys (lower-case) that any of its statements looks at."""
        return frozenset().union(*(statement.keys for statement in self.statements))


def parse(
    document: str | bytes | Mapping[str, Any], *, kind: PolicyKind = PolicyKind.RESOURCE, name: str = ""
) -> Policy:
    """Read and compile it. Raises MalformedPolicy."""
    element = _element(document)
    statements = _statements_of(element)
    if kind is PolicyKind.AUTHORIZER:
        # An authorizer that grants nothing says so with an empty list (Chalice's does); it must never grant all.
        statements = [statement for statement in statements if statement.get("Resource") not in ([], ())]
    version = element.get("Version", VERSIONS[0])
    if version not in VERSIONS:
        raise MalformedPolicy
    if kind is PolicyKind.IDENTITY and version != CURRENT:
        raise MalformedPolicy("Policy document must be version 2012-10-17 or greater.")
    compiled = tuple(
        _statement(statement, index, kind, variables=version == CURRENT) for index, statement in enumerate(statements)
    )
    checks.check_sids(
        [statement.sid for statement in compiled], strict=kind in _OF_IDENTITIES or kind is PolicyKind.TRUST
    )
    for statement in statements:
        _check(statement, kind)
    return Policy(compiled, kind, version, element.get("Id", ""), name)


# ---- the document as JSON ------------------------------------------------------------------------------------------


def _element(document: str | bytes | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(document, str | bytes):
        try:
            document = json.loads(document, object_pairs_hook=_without_duplicates, parse_constant=_refuse)
        except (ValueError, RecursionError):
            raise MalformedPolicy from None
    if not isinstance(document, Mapping) or document.keys() - {"Version", "Id", "Statement"}:
        raise MalformedPolicy
    if not isinstance(document.get("Id", ""), str) or not isinstance(document.get("Version", ""), str):
        raise MalformedPolicy
    return document


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two elements of one name nobody can tell which one counts."""
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError
    return members


def _refuse(_constant: str) -> NoReturn:
    raise ValueError


def _statements_of(element: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    statements = element.get("Statement")
    if isinstance(statements, Mapping):
        statements = [statements]
    if not isinstance(statements, list | tuple) or not statements:
        raise MalformedPolicy
    for statement in statements:
        if not isinstance(statement, Mapping):
            raise MalformedPolicy
        _check_form(statement)
    return statements


_ELEMENTS = {
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
}


def _check_form(statement: Mapping[str, Any]) -> None:
    if statement.keys() - _ELEMENTS or not isinstance(statement.get("Sid", ""), str):
        raise MalformedPolicy
    for name in ("Action", "Resource"):
        _texts(statement, name)
    if "Principal" in statement and "NotPrincipal" in statement:
        raise MalformedPolicy
    effect = statement.get("Effect")
    if not isinstance(effect, str) or effect.lower() not in ("allow", "deny"):
        raise MalformedPolicy
    if not isinstance(statement.get("Condition", {}), Mapping):
        raise MalformedPolicy


def _texts(statement: Mapping[str, Any], name: str) -> tuple[tuple[str, ...], bool]:
    """(the texts of element `name` or its Not twin, whether it was the twin)."""
    negated = f"Not{name}"
    if name in statement and negated in statement:
        raise MalformedPolicy
    values = statement.get(negated, statement.get(name, ()))
    values = (values,) if isinstance(values, str) else values
    if not isinstance(values, list | tuple) or not all(isinstance(value, str) for value in values):
        raise MalformedPolicy
    return tuple(values), negated in statement


# ---- compiling -----------------------------------------------------------------------------------------------------


def _statement(element: Mapping[str, Any], index: int, kind: PolicyKind, *, variables: bool) -> Statement:
    conditions = compile_conditions(element.get("Condition", {}), variables=variables)
    if element["Effect"] not in (Effect.ALLOW.value, Effect.DENY.value):
        raise MalformedPolicy(LEGACY)
    actions, not_actions = _texts(element, "Action")
    resources, not_resources = _texts(element, "Resource")
    if kind in _OF_IDENTITIES:
        checks.check_legacy_resources(resources)
    return Statement(
        sid=element.get("Sid", ""),
        index=index,
        effect=Effect(element["Effect"]),
        principals=_principals(element),
        actions=Alternatives([Pattern(tokens_of(action.lower(), variables=False)) for action in actions]),
        not_actions=not_actions,
        resources=Alternatives([ArnPattern(tokens_of(text, variables=variables), complete=True) for text in resources]),
        not_resources=not_resources,
        conditions=conditions,
    )


def _principals(statement: Mapping[str, Any]) -> Principals | None:
    negated = "NotPrincipal" in statement
    if not negated and "Principal" not in statement:
        return None
    if negated and statement["Effect"] != Effect.DENY.value:
        raise MalformedPolicy("NotPrincipal is supported with the effect Deny only.")
    element = statement["NotPrincipal" if negated else "Principal"]
    if element == EVERYBODY:
        return Principals(True, {}, negated)
    if not isinstance(element, Mapping) or not element:
        raise MalformedPolicy
    names = {}
    for kind, listed in element.items():
        if kind not in ("AWS", "Service", "Federated", "CanonicalUser"):
            raise MalformedPolicy
        names[PrincipalKind(kind)] = _names(kind, listed)
    return Principals(EVERYBODY in names.get(PrincipalKind.AWS, ()), names, negated)


def _names(kind: str, listed: Any) -> frozenset[str]:
    listed = (listed,) if isinstance(listed, str) else listed
    if not isinstance(listed, list | tuple) or not listed or not all(isinstance(name, str) for name in listed):
        raise MalformedPolicy
    for name in listed:
        if not checks.is_principal(kind, name):
            raise MalformedPolicy(f'Invalid principal in policy: "{kind}":"{name}"')
    return frozenset(listed)


# ---- what each kind must have --------------------------------------------------------------------------------------


def _check(statement: Mapping[str, Any], kind: PolicyKind) -> None:
    has_principal = "Principal" in statement or "NotPrincipal" in statement
    actions, _ = _texts(statement, "Action")
    resources, _ = _texts(statement, "Resource")
    if kind in _OF_IDENTITIES or kind is PolicyKind.AUTHORIZER:
        if has_principal:
            raise MalformedPolicy("Policy document should not specify a principal.")
    elif not has_principal:
        raise MalformedPolicy("Missing required field Principal")
    if kind in _OF_IDENTITIES:
        checks.check_arn_form(resources)
    if not actions:
        raise MalformedPolicy("Policy statement must contain actions.")
    checks.check_actions(actions)
    if kind is PolicyKind.TRUST:
        _check_trust(statement, actions)
    elif not resources:
        raise MalformedPolicy("Policy statement must contain resources.")
    if kind in _OF_IDENTITIES:
        checks.check_arns(resources)


def _check_trust(statement: Mapping[str, Any], actions: Sequence[str]) -> None:
    for name in ("Resource", "NotResource"):
        if name in statement:
            raise MalformedPolicy(f"Has prohibited field {name}")
    if not all(action.lower().startswith("sts:") for action in actions):
        raise MalformedPolicy("AssumeRole policy may only specify STS AssumeRole actions.")
