"""Who needed what: written down call by call, and made into the least that a policy must allow. In memory, bounded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from lambent.clock import Clock
from lambent.context import Caller
from lambent.identity.actions import Need
from lambent.identity.policy import Decision

#: Different needs (an action on a resource) that are kept, of all principals together: some megabytes.
LIMIT = 20_000

_STREAM = ":log-stream:"


class Use(msgspec.Struct):
    """One action on one resource by one principal."""

    action: str
    resource: str
    #: How often it was needed, and how often it was missing.
    count: int = 0
    missing: int = 0
    #: Why it was missing the last time, in the words of the refusal.
    why: str = ""
    #: Seconds since the epoch.
    last: float = 0.0


class AuditLog:
    """Implements authorization.Audit."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        #: ARN of the user or role → (action, resource) → what became of it.
        self._uses: dict[str, dict[tuple[str, str], Use]] = {}
        self._size = 0
        #: Needs that there was no room for.
        self.dropped = 0
        #: Counts up with every note: whoever stores the log sees whether there is anything new.
        self.notes = 0

    def __repr__(self) -> str:
        return f"<AuditLog [{self._size} needs of {len(self._uses)} principals, {self.dropped} dropped]>"

    def note(self, caller: Caller, need: Need, decision: Decision) -> None:
        uses = self._uses.setdefault(caller.principal_arn or caller.arn, {})
        use = uses.get((need.action, need.resource))
        if use is None:
            if self._size >= LIMIT:
                self.dropped += 1
                return
            self._size += 1
            use = uses[need.action, need.resource] = Use(need.action, need.resource)
        use.count += 1
        use.last = self._clock.now()
        if not decision.allowed:
            use.missing += 1
            use.why = decision.text(need.action)
        self.notes += 1

    def principals(self) -> list[str]:
        return sorted(arn for arn, uses in self._uses.items() if uses)

    def uses(self, principal: str) -> list[Use]:
        """By action and resource."""
        return [use for _, use in sorted(self._uses.get(principal, {}).items())]

    def clear(self) -> None:
        self._uses.clear()
        self._size = self.dropped = 0
        self.notes += 1

    def dump(self) -> bytes:
        return msgspec.json.encode({arn: list(uses.values()) for arn, uses in self._uses.items()})

    def load(self, text: bytes) -> None:
        """What `dump` gave. Raises msgspec.DecodeError."""
        for arn, uses in msgspec.json.decode(text, type=dict[str, list[Use]]).items():
            known = self._uses.setdefault(arn, {})
            for use in uses[: LIMIT - self._size]:
                known[use.action, use.resource] = use
                self._size += 1


def least_privilege(uses: Iterable[Use]) -> dict[str, Any] | None:
    """An identity-based policy that allows `uses` and nothing else; None where there are none."""
    resources: dict[str, set[str]] = {}
    for use in uses:
        resources.setdefault(use.action, set()).add(_general(use.resource))
    #: Actions on the same resources share a statement; those of different services do not.
    together: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for action, arns in resources.items():
        together.setdefault((action.partition(":")[0], tuple(sorted(arns))), []).append(action)
    if not together:
        return None
    return {
        "Version": "2012-10-17",
        "Statement": [_statement(actions, arns) for (_, arns), actions in sorted(together.items())],
    }


def _statement(actions: list[str], resources: tuple[str, ...]) -> Mapping[str, Any]:
    return {
        "Effect": "Allow",
        "Action": sorted(actions),
        "Resource": resources[0] if len(resources) == 1 else list(resources),
    }


def _general(resource: str) -> str:
    """Streams come and go: what one writes in a group is meant."""
    group, inside, _ = resource.partition(_STREAM)
    return f"{group}:*" if inside else resource
