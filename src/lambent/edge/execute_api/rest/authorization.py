"""May this request pass? NONE, AWS_IAM and Lambda authorizers, each together with the API's resource policy.

AWS's flow: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-authorization-flow.html
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Executor

from lambent.context import Caller
from lambent.edge.execute_api.rest.exchange import Exchange
from lambent.edge.execute_api.rest.failures import (
    ACCESS_DENIED,
    EXPIRED_TOKEN,
    INVALID_SIGNATURE,
    MISSING_AUTHENTICATION_TOKEN,
    GatewayError,
    misconfigured,
)
from lambent.edge.execute_api.rest.lambda_authorizer import LambdaAuthorizers
from lambent.edge.gate import EXECUTE_API, Gate, verified
from lambent.errors import AwsError
from lambent.identity.authorization import Decide
from lambent.identity.policy import Effect, Principal, Question, Verdict, combine
from lambent.request import Request
from lambent.services.apigateway.domain import Method

ACTION = "execute-api:Invoke"
_EXPLICITLY = " with an explicit deny"


class Authorization:
    def __init__(self, gate: Gate, decide: Decide, authorizers: LambdaAuthorizers, workers: Executor) -> None:
        self._gate = gate
        self._decide = decide
        self._authorizers = authorizers
        self._workers = workers

    async def check(self, exchange: Exchange, method: Method) -> None:
        """Raises GatewayError."""
        if method.authorization_type == "AWS_IAM":
            await self._check_signed(exchange)
        elif method.authorization_type == "CUSTOM":
            await self._check_custom(exchange, method)
        elif exchange.api.policy is not None:
            self._check_anonymous(exchange)

    async def check_signature(self, exchange: Exchange) -> None:
        """Of a request for nothing that there is: AWS takes it for one that should be signed, and says so."""
        if exchange.facts.header("authorization"):
            await self._caller(exchange)

    def _check_anonymous(self, exchange: Exchange) -> None:
        verdict = _by_policy(exchange)
        if verdict.effect is not Effect.ALLOW:
            raise _denied_by_policy(exchange, verdict)

    async def _check_signed(self, exchange: Exchange) -> None:
        exchange.caller = caller = await self._caller(exchange)
        decision = self._decide(caller, ACTION, exchange.arn, exchange.api.policy, _context(exchange))
        if not decision.allowed:
            raise _not_authorized(exchange, caller.arn, f" {decision.text(ACTION)}")

    async def _check_custom(self, exchange: Exchange, method: Method) -> None:
        by_policy = _by_policy(exchange)
        if by_policy.effect is Effect.DENY:
            raise _denied_by_policy(exchange, by_policy)
        authorizer = exchange.api.definition.authorizers.get(method.authorizer_id or "")
        if authorizer is None:
            raise misconfigured("The method has no authorizer")
        grant = await self._authorizers.ask(exchange, authorizer)
        question = Question(ACTION, exchange.arn, None, _context(exchange))
        effect = combine((grant.policy,), question).effect
        if effect is Effect.DENY or (effect is Effect.NONE and by_policy.effect is not Effect.ALLOW):
            words = _EXPLICITLY if effect is Effect.DENY else ""
            raise _denied(exchange, f"User is not authorized to access this resource{words}")

    async def _caller(self, exchange: Exchange) -> Caller:
        request = exchange.facts.request
        try:
            sender = await verified(self._gate, request, EXECUTE_API, self._workers)
        except AwsError as error:
            raise _not_authenticated(error) from None
        if sender.region != exchange.api.definition.region and _is_signed(request):
            raise GatewayError(
                INVALID_SIGNATURE, f"Credential should be scoped to a valid region, not '{sender.region}'. "
            )
        return sender.caller


def _is_signed(request: Request) -> bool:
    """Under `--auth off` nobody needs to sign, so nothing names a region."""
    return request.header(b"authorization") is not None or b"X-Amz-Credential=" in request.query


def _by_policy(exchange: Exchange) -> Verdict:
    """What it says of whoever is not known."""
    policy = exchange.api.policy
    if policy is None:
        return Verdict(Effect.NONE)
    return combine((policy,), Question(ACTION, exchange.arn, Principal.anonymous(), _context(exchange)))


def _context(exchange: Exchange) -> dict[str, Sequence[str]]:
    facts = exchange.facts
    context: dict[str, Sequence[str]] = {
        "aws:sourceip": (facts.source_ip,),
        "aws:securetransport": ("true" if facts.scheme == "https" else "false",),
        "aws:currenttime": (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(facts.now)),),
        "aws:epochtime": (str(int(facts.now)),),
        "aws:useragent": (facts.user_agent,),
    }
    referer = facts.header("referer")
    if referer is not None:
        context["aws:referer"] = (referer,)
    return context


def _denied_by_policy(exchange: Exchange, verdict: Verdict) -> GatewayError:
    return _not_authorized(exchange, "anonymous", _EXPLICITLY if verdict.effect is Effect.DENY else "")


def _not_authorized(exchange: Exchange, user: str, why: str) -> GatewayError:
    api = exchange.api.definition
    # AWS shows strangers the end of an account's number alone.
    resource = exchange.arn.replace(f":{api.account}:", f":{'*' * 8}{api.account[-4:]}:", 1)
    return _denied(exchange, f"User: {user} is not authorized to perform: {ACTION} on resource: {resource}{why}")


def _denied(exchange: Exchange, message: str) -> GatewayError:
    reason = f"The client is not authorized to perform this operation: {exchange.facts.request_id}"
    return GatewayError(ACCESS_DENIED, message, reason=reason)


def _not_authenticated(error: AwsError) -> GatewayError:
    code = error.wire_code
    if code == "MissingAuthenticationTokenException":
        return GatewayError(MISSING_AUTHENTICATION_TOKEN)
    failure = EXPIRED_TOKEN if code == "ExpiredTokenException" else INVALID_SIGNATURE
    return GatewayError(failure, error.message, error_type=code)
