"""Who may invoke what, from memory: resource policies, and what they said the last times they were asked.

Rebuilt from the rows at start, replaced after each commit. Used on the event loop only. Services and visitors of URLs
have resource policies alone; authenticated principals have policies of their own, which `decide` knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lambent.arn import function_arn, function_of
from lambent.identity.authorization import Decide, within_accounts
from lambent.identity.policy import Effect, Policy, Principal, Question, evaluate
from lambent.ports import Asker
from lambent.services.lambda_.names import LATEST
from lambent.services.lambda_.permissions.domain import INVOKE, INVOKE_URL, ResourcePolicy
from lambent.services.lambda_.permissions.store import Key

#: Answers remembered; more are not asked for in practice, so then all are forgotten.
KNOWN_LIMIT = 10_000

ANYBODY = "*"


class Decisions:
    """What functions, versions and aliases let others do."""

    def __init__(self, decide: Decide = within_accounts) -> None:
        self._decide_for = decide
        #: By function, then by qualifier, `$LATEST` for the function itself.
        self._policies: dict[Key, dict[str, ResourcePolicy]] = {}
        #: Those that were asked.
        self._compiled: dict[tuple[Key, str], Policy] = {}
        self._known: dict[tuple[str, Asker], bool] = {}

    def __repr__(self) -> str:
        return f"<Decisions [policies of {len(self._policies)} functions, {len(self._known)} known answers]>"

    def put(self, key: Key, qualifier: str, policy: ResourcePolicy) -> None:
        self._forget(key, qualifier)
        self._policies.setdefault(key, {})[qualifier] = policy

    def remove(self, key: Key, qualifier: str | None) -> None:
        """Of one qualifier; None: of all."""
        of_function = self._policies.get(key, {})
        for gone in [qualifier] if qualifier is not None else list(of_function):
            self._forget(key, gone)
            of_function.pop(gone, None)
        if not of_function:
            self._policies.pop(key, None)

    def clear(self) -> None:
        self._policies.clear()
        self._compiled.clear()
        self._known.clear()

    def allows(self, arn: str, asker: Asker) -> bool:
        """May `asker` invoke the function, version or alias at `arn`?"""
        if asker.caller is not None:
            # What was decided of it is remembered elsewhere, together with all else that it may do.
            return self._ask(arn, asker)
        known = self._known.get((arn, asker))
        return self._decide(arn, asker) if known is None else known

    def _decide(self, arn: str, asker: Asker) -> bool:
        if len(self._known) >= KNOWN_LIMIT:
            self._known.clear()
        allowed = self._known[arn, asker] = self._ask(arn, asker)
        return allowed

    def policy_of(self, arn: str) -> Policy | None:
        found = function_of(arn)
        return None if found is None else self._policy(found[0], found[1] or LATEST)

    def _ask(self, arn: str, asker: Asker) -> bool:
        found = function_of(arn)
        if found is None:
            return False
        key, qualifier = found
        account, region, name = key
        # $LATEST shares the policy and the ARN of the function, whether it is named or not.
        alias_or_version = None if qualifier == LATEST else qualifier
        policy = self._policy(key, alias_or_version or LATEST)
        resource = function_arn(region, account, name, alias_or_version)
        # Since October 2025 a URL needs both: the URL to be invoked, and the function through it.
        actions = (INVOKE_URL, INVOKE) if asker.url_auth_type else (INVOKE,)
        return all(self._allows(policy, action, resource, asker) for action in actions)

    def _allows(self, policy: Policy | None, action: str, resource: str, asker: Asker) -> bool:
        if asker.caller is not None:
            return self._decide_for(asker.caller, action, resource, policy, _context(action, asker)).allowed
        if policy is None:
            return False
        principal = Principal.anonymous() if asker.principal == ANYBODY else Principal.service(asker.principal)
        return evaluate(policy, Question(action, resource, principal, _context(action, asker))).effect is Effect.ALLOW

    def _policy(self, key: Key, qualifier: str) -> Policy | None:
        compiled = self._compiled.get((key, qualifier))
        if compiled is None:
            policy = self._policies.get(key, {}).get(qualifier)
            if policy is None:
                return None
            compiled = self._compiled[key, qualifier] = policy.compiled()
        return compiled

    def _forget(self, key: Key, qualifier: str) -> None:
        self._compiled.pop((key, qualifier), None)
        self._known.clear()


def _context(action: str, asker: Asker) -> Mapping[str, Sequence[str]]:
    """Condition keys of `action`. Organizations and Alexa's tokens do not exist here, so their keys never do."""
    context: dict[str, Sequence[str]] = dict(asker.circumstances)
    if asker.source_arn:
        context["aws:sourcearn"] = (asker.source_arn,)
    if asker.source_account:
        context["aws:sourceaccount"] = (asker.source_account,)
    if action == INVOKE_URL:
        context["lambda:functionurlauthtype"] = (asker.url_auth_type,)
    else:
        context["lambda:invokedviafunctionurl"] = ("true" if asker.url_auth_type else "false",)
    return context
