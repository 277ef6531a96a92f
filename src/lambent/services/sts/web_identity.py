"""AssumeRoleWithWebIdentity: nobody signs it, so the token is all there is, and the role's trust policy decides alone.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#condition-keys-wif
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from lambent.arn import Arn
from lambent.clock import Clock
from lambent.context import Caller, Context, Session
from lambent.identity.policy import Effect, Principal, Question, evaluate
from lambent.identity.principals import Principals, RoleFacts
from lambent.identity.sessions import SessionTokens, session_caller
from lambent.services.sts import rules
from lambent.services.sts.errors import AccessDenied, InvalidIdentityTokenException, ValidationError
from lambent.services.sts.issuers import Issuers, WebIdentity
from lambent.services.sts.issuing import Issuer

ACTION = "sts:AssumeRoleWithWebIdentity"
#: Claims of tokens whose issuers give tags and a source identity to sessions.
_TAGS = "https://aws.amazon.com/tags"
_SOURCE = "https://aws.amazon.com/source_identity"

Keys = Mapping[str, Sequence[str]]


class WebIdentityOperations:
    def __init__(
        self, sessions: SessionTokens, principals: Principals, issuers: Issuers, clock: Clock, *, trusting: bool
    ) -> None:
        """`trusting`: whom a role trusts is not asked."""
        self._issuer = Issuer(sessions)
        self._principals = principals
        self._issuers = issuers
        self._clock = clock
        self._trusting = trusting

    async def AssumeRoleWithWebIdentity(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        if params.get("ProviderId"):
            raise ValidationError("ProviderId names an OAuth 2.0 provider; this region knows OpenID Connect ones only.")
        arn = params["RoleArn"]
        role_arn = Arn.parse(arn)
        if role_arn is None or role_arn.service != "iam" or not role_arn.resource.startswith("role/"):
            raise ValidationError(f"{arn} is invalid")
        identity = await self._issuers.believed(params["WebIdentityToken"])
        provider = f"arn:{role_arn.partition}:iam::{role_arn.account}:oidc-provider/{identity.name}"
        tags, source = _tags_of(identity), _source_of(identity)
        role = self._principals.role(arn)
        keys = self._keys(identity, params, tags, source)
        if role is None or not (self._trusting or _is_trusted(role, provider, keys, tags, source)):
            raise AccessDenied(f"Not authorized to perform {ACTION}")
        assumed = session_caller(arn, role.role_id, self._session(params, role_arn.account, tags, source, provider))
        duration = rules.role_duration(params, Caller.anonymous(), role.max_session_s)
        answer = self._issuer.answer(assumed, duration, params)
        answer |= {
            "AssumedRoleUser": {"AssumedRoleId": assumed.user_id, "Arn": assumed.arn},
            "SubjectFromWebIdentityToken": identity.claims["sub"],
            "Audience": identity.audience,
            "Provider": provider,
        }
        return answer | ({"SourceIdentity": source} if source else {})

    def _session(
        self, params: Mapping[str, Any], account: str, tags: rules.Tags, source: str, provider: str
    ) -> Session:
        return Session(
            params["RoleSessionName"],
            policies=rules.policies_of(params),
            policy_arns=rules.policy_arns_of(params, account, self._policy_exists),
            tags=tags.tags,
            transitive=tags.transitive,
            issued_at=self._clock.now(),
            source_identity=source,
            provider=provider,
        )

    def _policy_exists(self, arn: str) -> bool:
        return self._principals.managed_policy(arn) is not None

    def _keys(self, identity: WebIdentity, params: Mapping[str, Any], tags: rules.Tags, source: str) -> Keys:
        """What trust policies may ask of the token and the call."""
        now = self._clock.now()
        keys: dict[str, Sequence[str]] = {
            "aws:currenttime": (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),),
            "aws:epochtime": (str(int(now)),),
            "sts:rolesessionname": (params["RoleSessionName"],),
            f"{identity.name}:aud".lower(): (identity.audience,),
        }
        if "azp" in identity.claims:
            keys[f"{identity.name}:oaud".lower()] = _texts(identity.claims.get("aud"))
        for claim in ("sub", "amr", "email"):
            if claim in identity.claims:
                keys[f"{identity.name}:{claim}".lower()] = _texts(identity.claims[claim])
        keys |= {f"aws:requesttag/{key.lower()}": (value,) for key, value in tags.tags}
        if tags.tags:
            keys["aws:tagkeys"] = tuple(key for key, _ in tags.tags)
        if tags.transitive:
            keys["sts:transitivetagkeys"] = tags.transitive
        if source:
            keys["sts:sourceidentity"] = (source,)
        if params.get("DurationSeconds"):
            keys["sts:durationseconds"] = (str(params["DurationSeconds"]),)
        return keys


def _is_trusted(role: RoleFacts, provider: str, keys: Keys, tags: rules.Tags, source: str) -> bool:
    """Does the role let the provider's users in, with all that they bring?"""
    needed = [ACTION, *(["sts:TagSession"] if tags.tags else []), *(["sts:SetSourceIdentity"] if source else [])]
    principal = Principal.federated(provider)
    return all(
        evaluate(role.trust, Question(action, role.arn, principal, keys)).effect is Effect.ALLOW for action in needed
    )


def _tags_of(identity: WebIdentity) -> rules.Tags:
    claim = identity.claims.get(_TAGS)
    if claim is None:
        return rules.Tags((), ())
    try:
        tags = tuple((key, _texts(values)[0]) for key, values in claim.get("principal_tags", {}).items())
        return rules.merged_tags(tags, _texts(claim.get("transitive_tag_keys", [])), None)
    except (AttributeError, IndexError):
        raise InvalidIdentityTokenException(f"The claim {_TAGS} of the token is malformed") from None


def _source_of(identity: WebIdentity) -> str:
    source = identity.claims.get(_SOURCE, "")
    if not isinstance(source, str):
        raise InvalidIdentityTokenException(f"The claim {_SOURCE} of the token is malformed")
    return source


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(str(each) for each in value) if isinstance(value, list) else (str(value),)
