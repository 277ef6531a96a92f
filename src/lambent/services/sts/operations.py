"""The operations of STS that somebody signs. Whether they may, the authorizer has decided before."""

from __future__ import annotations

from typing import Any

import msgspec

from lambent.arn import Arn
from lambent.clock import Clock
from lambent.context import Caller, Context, Session
from lambent.identity.key_ids import account_of
from lambent.identity.messages import AuthorizationMessages
from lambent.identity.principals import Principals
from lambent.identity.sessions import SessionTokens, session_caller
from lambent.services.sts import rules
from lambent.services.sts.errors import AccessDenied, InvalidAuthorizationMessageException, ValidationError
from lambent.services.sts.issuing import Issuer

#: Twelve hours.
USUAL_SESSION_S = 43200


class StsOperations:
    def __init__(
        self,
        sessions: SessionTokens,
        principals: Principals,
        messages: AuthorizationMessages,
        clock: Clock,
        *,
        strict: bool,
    ) -> None:
        """`strict` False: roles need not exist, and a root may assume them."""
        self._issuer = Issuer(sessions)
        self._principals = principals
        self._messages = messages
        self._clock = clock
        self._strict = strict

    # ---- who is it ----

    async def GetCallerIdentity(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        caller = context.caller
        return {"UserId": caller.user_id, "Account": caller.account, "Arn": caller.arn}

    async def GetAccessKeyInfo(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        """The id itself tells, as on AWS: whether there is such a key is not said."""
        rules.check_reach(context.caller, "GetAccessKeyInfo")
        access_key_id = params["AccessKeyId"]
        known = self._principals.find_key(access_key_id)
        if access_key_id == context.caller.access_key_id:
            account: str | None = context.account
        else:
            account = known.caller.account if known is not None else account_of(access_key_id)
        if account is None:
            raise ValidationError(f"Invalid access key id: {access_key_id}.")
        return {"Account": account}

    async def DecodeAuthorizationMessage(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        rules.check_reach(context.caller, "DecodeAuthorizationMessage")
        message = self._messages.decode(context.account, params["EncodedMessage"])
        if message is None:
            raise InvalidAuthorizationMessageException("Message is not valid")
        return {"DecodedMessage": message}

    # ---- credentials for a while ----

    async def AssumeRole(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        caller, arn = context.caller, params["RoleArn"]
        rules.check_reach(caller, "AssumeRole")
        account, role_id, most = self._assumable(caller, arn)
        rules.check_mfa(params)
        rules.check_contexts(params)
        tags = rules.tags_of(params, caller)
        session = Session(
            params["RoleSessionName"],
            policies=rules.policies_of(params),
            policy_arns=rules.policy_arns_of(params, account, self._policy_exists),
            tags=tags.tags,
            transitive=tags.transitive,
            issued_at=self._clock.now(),
            source_identity=rules.source_identity_of(params, caller),
        )
        assumed = session_caller(arn, role_id, session)
        answer = self._issuer.answer(assumed, rules.role_duration(params, caller, most), params)
        answer["AssumedRoleUser"] = {"AssumedRoleId": assumed.user_id, "Arn": assumed.arn}
        if session.source_identity:
            answer["SourceIdentity"] = session.source_identity
        return answer

    async def GetSessionToken(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        caller = context.caller
        rules.check_long_term(caller, "GetSessionToken")
        rules.check_mfa(params)
        session = Session("", issued_at=self._clock.now())
        same = msgspec.structs.replace(caller, access_key_id="", session=session)
        return self._issuer.answer(same, rules.own_duration(params, caller, USUAL_SESSION_S), params)

    async def GetFederationToken(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        caller, name = context.caller, params["Name"]
        rules.check_long_term(caller, "GetFederationToken")
        tags = rules.tags_of(params, caller)
        session = Session(
            name,
            policies=rules.policies_of(params),
            policy_arns=rules.policy_arns_of(params, caller.account, self._policy_exists),
            tags=tags.tags,
            issued_at=self._clock.now(),
            issuer_id=caller.user_id,
        )
        partition = caller.arn.split(":", 2)[1]
        federated = Caller(
            caller.account,
            f"arn:{partition}:sts::{caller.account}:federated-user/{name}",
            f"{caller.account}:{name}",
            "",
            kind="federated",
            name=caller.name,
            principal_arn=caller.principal_arn,
            session=session,
        )
        answer = self._issuer.answer(federated, rules.own_duration(params, caller, USUAL_SESSION_S), params)
        answer["FederatedUser"] = {"FederatedUserId": federated.user_id, "Arn": federated.arn}
        return answer

    # ---- inside ----

    def _assumable(self, caller: Caller, arn: str) -> tuple[str, str, int]:
        """Account, id and longest session of the role. Raises ValidationError, AccessDenied."""
        parts = Arn.parse(arn)
        if parts is None or parts.service != "iam" or not parts.resource.startswith("role/"):
            raise ValidationError(f"{arn} is invalid")
        facts = self._principals.role(arn)
        if self._strict:
            if caller.kind == "root":
                raise AccessDenied("Roles may not be assumed by root accounts.")
            if facts is None:
                raise not_authorized(caller, "sts:AssumeRole", arn)
        if facts is None:
            return parts.account, "", USUAL_SESSION_S
        return parts.account, facts.role_id, facts.max_session_s

    def _policy_exists(self, arn: str) -> bool:
        return self._principals.managed_policy(arn) is not None


def not_authorized(caller: Caller, action: str, resource: str) -> AccessDenied:
    return AccessDenied(f"User: {caller.arn} is not authorized to perform: {action} on resource: {resource}")
