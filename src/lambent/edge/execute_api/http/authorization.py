"""May this request pass? By the route: NONE, AWS_IAM, a JSON Web Token, or what a function says."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from typing import Protocol

from lambent.edge.execute_api.http.exchange import Exchange
from lambent.edge.execute_api.http.failures import authorizer_broken, forbidden
from lambent.edge.execute_api.http.jwt_authorizer import JwtAuthorizers
from lambent.edge.execute_api.http.lambda_authorizer import LambdaAuthorizers
from lambent.errors import AwsError
from lambent.identity import circumstances
from lambent.identity.authorization import Decide
from lambent.identity.credential import claimed_credential
from lambent.identity.faults import SignedOperation
from lambent.identity.sigv4 import Verified
from lambent.request import Request

ACTION = "execute-api:Invoke"
#: Hashing a body of this size takes longer than handing it to a thread.
LARGE_BODY = 256 * 1024


class Gate(Protocol):
    def verify(self, request: Request, operation: SignedOperation) -> Verified:
        """Who asks; raises an AwsError where the signature is missing or does not hold."""


class _Signed:
    """How requests to deployed APIs are signed."""

    service = "execute-api"
    signing_name = "execute-api"
    protocol = "rest-json"


class Authorization:
    def __init__(
        self, gate: Gate, decide: Decide, tokens: JwtAuthorizers, functions: LambdaAuthorizers, workers: Executor
    ) -> None:
        self._gate = gate
        self._decide = decide
        self._tokens = tokens
        self._functions = functions
        self._workers = workers

    async def check(self, exchange: Exchange) -> None:
        """Raises AuthorizerFailure. Not called for routes of type NONE."""
        assert exchange.route is not None
        kind, authorizer = exchange.route.route.authorization_type, exchange.route.authorizer
        if kind == "AWS_IAM":
            await self._check_signature(exchange)
        elif authorizer is None:
            raise authorizer_broken("The route's authorizer does not exist")
        elif kind == "JWT":
            await self._tokens.check(exchange, authorizer)
        else:
            await self._functions.check(exchange, authorizer)

    async def _check_signature(self, exchange: Exchange) -> None:
        """AWS tells clients of HTTP APIs no more than that they are refused."""
        request = exchange.facts.request
        try:
            if len(request.body) < LARGE_BODY:
                verified = self._gate.verify(request, _Signed)
            else:
                loop = asyncio.get_running_loop()
                verified = await loop.run_in_executor(self._workers, self._gate.verify, request, _Signed)
        except AwsError as error:
            raise forbidden(error.message) from None
        api, caller = exchange.stage.api, verified.caller
        # HTTP APIs have no resource policies, so nothing could let another account in. (Without any signature the gate
        # is an open one, `--auth off`, and there is nobody to tell apart.)
        is_foreign = verified.region != api.region or caller.account != api.account
        if is_foreign and claimed_credential(request) is not None:
            raise forbidden(f"{caller.arn} is not authorized to call this API")
        if not is_foreign:
            keys = circumstances.of_request(request, exchange.facts.now)
            decision = self._decide(caller, ACTION, exchange.arn, None, keys)
            if not decision.allowed:
                raise forbidden(f"{caller.arn} is not authorized to call this API {decision.text(ACTION)}")
        exchange.caller = caller
