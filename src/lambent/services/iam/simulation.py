"""What policies would decide, without anything being done: IAM's simulator, over the same evaluation as real calls.

Pure. Organizations do not exist here, so nothing is said of their policies.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lambent.identity.policy import (
    Decision,
    Effect,
    MalformedPolicy,
    Policy,
    PolicyKind,
    Principal,
    Question,
    Statement,
    authorize,
    combine,
    parse,
)
from lambent.services.iam.errors import InvalidInputException
from lambent.services.iam.positions import position, statement_spans

_VARIABLE = re.compile(r"\$\{([^}$*?,]+)")
_ALLOWED, _IMPLICIT, _EXPLICIT = "allowed", "implicitDeny", "explicitDeny"
#: From the mildest on.
_DECISIONS = (_ALLOWED, _IMPLICIT, _EXPLICIT)


@dataclass(frozen=True, slots=True)
class Source:
    """A policy of the simulation, and where it comes from."""

    #: `PolicyInputList.1`, the name of a managed policy, `user_bob_inline` …
    id: str
    document: str
    policy: Policy

    @classmethod
    def of(cls, source_id: str, document: str, kind: PolicyKind = PolicyKind.INLINE) -> Source:
        """Raises InvalidInputException."""
        try:
            return cls(source_id, document, parse(document, kind=kind, name=source_id))
        except MalformedPolicy as error:
            raise InvalidInputException(f"{source_id}: {error.reason}") from None

    def shown(self, statement: Statement) -> dict[str, Any]:
        span = statement_spans(self.document)[statement.index]
        return {
            "SourcePolicyId": self.id,
            "SourcePolicyType": "Resource Policy" if self.policy.kind is PolicyKind.RESOURCE else "IAM Policy",
            "StartPosition": position(self.document, span.start),
            "EndPosition": position(self.document, span.end),
        }


@dataclass(frozen=True, slots=True)
class Simulation:
    """Everything but action and resource."""

    principal: Principal
    identity: Sequence[Source]
    boundary: Source | None
    resource: Source | None
    #: Of resources whose ARNs name none.
    resource_owner: str
    #: Condition keys, lower-case.
    context: Mapping[str, Sequence[str]]

    def result(self, action: str, resources: Sequence[str]) -> dict[str, Any]:
        """One EvaluationResult."""
        each = [self._evaluated(action, resource) for resource in resources]
        worst = max((one["EvalResourceDecision"] for one in each), key=_DECISIONS.index)
        result: dict[str, Any] = {
            "EvalActionName": action,
            "EvalResourceName": resources[0] if len(resources) == 1 else "*",
            "EvalDecision": worst,
            "MatchedStatements": _union(
                one["MatchedStatements"] for one in each if one["EvalResourceDecision"] == worst
            ),
            "MissingContextValues": sorted({key for one in each for key in one["MissingContextValues"]}),
        }
        if self.boundary is not None:
            allowed = all(one["PermissionsBoundaryDecisionDetail"]["AllowedByPermissionsBoundary"] for one in each)
            result["PermissionsBoundaryDecisionDetail"] = {"AllowedByPermissionsBoundary": allowed}
        if list(resources) != ["*"]:
            result["ResourceSpecificResults"] = each
            details = [one["EvalDecisionDetails"] for one in each if "EvalDecisionDetails" in one]
            result["EvalDecisionDetails"] = _most_restrictive(details)
        return result

    def _evaluated(self, action: str, resource: str) -> dict[str, Any]:
        question = Question(action, resource, self.principal, self.context)
        owner = _account_of(resource) or self.resource_owner
        decision = authorize(
            question,
            resource_account=owner,
            identity=[source.policy for source in self.identity],
            resource=self.resource.policy if self.resource is not None else None,
            boundary=self.boundary.policy if self.boundary is not None else None,
        )
        result: dict[str, Any] = {
            "EvalResourceName": resource,
            "EvalResourceDecision": _word(decision),
            "MatchedStatements": self._matched(question, decision),
            "MissingContextValues": self._missing(question),
        }
        if self.boundary is not None:
            allowed = combine([self.boundary.policy], question).effect is Effect.ALLOW
            result["PermissionsBoundaryDecisionDetail"] = {"AllowedByPermissionsBoundary": allowed}
        if owner != self.principal.account:
            result["EvalDecisionDetails"] = self._details(question)
        return result

    @property
    def _sources(self) -> Sequence[Source]:
        return [*self.identity, *([self.resource] if self.resource is not None else [])]

    def _matched(self, question: Question, decision: Decision) -> list[dict[str, Any]]:
        """The statements that decided: those that deny where one does, else those that allow."""
        wanted = Effect.DENY if _word(decision) == _EXPLICIT else Effect.ALLOW
        sources = list(self._sources)
        if wanted is Effect.DENY and self.boundary is not None:
            sources.append(self.boundary)
        action = question.action.lower()
        return [
            source.shown(statement)
            for source in sources
            for statement in source.policy.statements
            if statement.effect is wanted and statement.reach(question, action) is not None
        ]

    def _missing(self, question: Question) -> list[str]:
        """Keys that statements on this action and resource look at, and nobody gave."""
        action = question.action.lower()
        found = set()
        sources = [*self._sources, *([self.boundary] if self.boundary is not None else [])]
        for source in sources:
            names = {name.lower(): name for name in context_keys([source.document])}
            for statement in source.policy.statements:
                if statement.actions.match(action, {}) is not statement.not_actions:
                    found |= {names.get(key, key) for key in statement.keys if key and key not in self.context}
        return sorted(found)

    def _details(self, question: Question) -> dict[str, str]:
        """What each kind of policy says of a call into another account."""
        details = {"IAM Policy": _effect(combine([source.policy for source in self.identity], question).effect)}
        if self.resource is not None:
            details["Resource Policy"] = _effect(combine([self.resource.policy], question).effect)
        return details


def context_keys(documents: Iterable[str]) -> list[str]:
    """The condition keys that policies look at, as they are written there, each once. Raises InvalidInputException."""
    found: dict[str, str] = {}
    for document in documents:
        try:
            parsed = json.loads(document)
        except (ValueError, RecursionError):
            raise InvalidInputException("Syntax errors in policy.") from None
        statements = parsed.get("Statement", []) if isinstance(parsed, dict) else []
        for statement in statements if isinstance(statements, list) else [statements]:
            for name in _keys_of(statement if isinstance(statement, dict) else {}):
                found.setdefault(name.lower(), name)
    return list(found.values())


def _keys_of(statement: Mapping[str, Any]) -> Iterable[str]:
    conditions = statement.get("Condition") or {}
    for keys in conditions.values() if isinstance(conditions, dict) else ():
        yield from keys if isinstance(keys, dict) else ()
    places = [conditions, statement.get("Resource"), statement.get("NotResource")]
    for name in _VARIABLE.findall(json.dumps(places)):
        yield name.strip()


def _account_of(arn: str) -> str:
    parts = arn.split(":", 5)
    return parts[4] if len(parts) == 6 and parts[4].isdecimal() else ""


def _word(decision: Decision) -> str:
    if decision.allowed:
        return _ALLOWED
    statement = decision.verdict.statement
    return _EXPLICIT if statement is not None and statement.effect is Effect.DENY else _IMPLICIT


def _effect(effect: Effect) -> str:
    return {Effect.ALLOW: _ALLOWED, Effect.DENY: _EXPLICIT, Effect.NONE: _IMPLICIT}[effect]


def _union(lists: Iterable[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for each in lists:
        found += [one for one in each if one not in found]
    return found


def _most_restrictive(details: Sequence[Mapping[str, str]]) -> dict[str, str]:
    kinds = {kind for one in details for kind in one}
    return {kind: max((one[kind] for one in details), key=_DECISIONS.index) for kind in sorted(kinds)}
