"""May this request pass? By the route: NONE, AWS_IAM, a JSON Web Token, or what a function says."""

from __future__ import annotations

from concurrent.futures import Executor

from lambent.edge.execute_api.http.exchange import Exchange
from lambent.edge.execute_api.http.failures import authorizer_broken, forbidden
from lambent.edge.execute_api.http.jwt_authorizer import JwtAuthorizers
from lambent.edge.execute_api.http.lambda_authorizer import LambdaAuthorizers
from lambent.edge.gate import EXECUTE_API, Gate, verified
from lambent.errors import AwsError
from lambent.identity import circumstances
from lambent.identity.authorization import Decide
from lambent.identity.credential import claimed_credential

ACTION = "execute-api:Invoke"


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
            sender = await verified(self._gate, request, EXECUTE_API, self._workers)
        except AwsError as error:
            raise forbidden(error.message) from None
        api, caller = exchange.stage.api, sender.caller
        # HTTP APIs have no resource policies, so nothing could let another account in. (Without any signature the gate
        # is an open one, `--auth off`, and there is nobody to tell apart.)
        is_foreign = sender.region != api.region or caller.account != api.account
        if is_foreign and claimed_credential(request) is not None:
            raise forbidden(f"{caller.arn} is not authorized to call this API")
        if not is_foreign:
            keys = circumstances.of_request(request, exchange.facts.now)
            decision = self._decide(caller, ACTION, exchange.arn, None, keys)
            if not decision.allowed:
                raise forbidden(f"{caller.arn} is not authorized to call this API {decision.text(ACTION)}")
        exchange.caller = caller
