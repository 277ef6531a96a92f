"""Lambda authorizers of HTTP APIs: what is sent to them, what they may answer, and for how long it holds.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from lambent.edge.authorizer_cache import AuthorizerCache, identity_key
from lambent.edge.execute_api.http.compiled import CompiledAuthorizer
from lambent.edge.execute_api.http.exchange import Exchange
from lambent.edge.execute_api.http.failures import authorizer_broken, forbidden, unauthorized
from lambent.edge.execute_api.http.parameters import RequestVariables
from lambent.edge.http_events import payload_v1, payload_v2
from lambent.errors import AwsError
from lambent.identity.policy import Effect, MalformedPolicy, Policy, PolicyKind, Question, evaluate, parse
from lambent.ports import FunctionCalls, InvokeResult

ACTION = "execute-api:Invoke"
#: What an HTTP API waits for an authorizer.
TIMEOUT_S = 10.0
#: AWS's quota on what an authorizer answers.
MAX_RESULT = 8 * 1024


@dataclass(frozen=True, slots=True)
class Grant:
    """What an authorizer answered: asked of each request anew, so that one policy may open some routes only."""

    #: None: a simple response, in which `is_authorized` says it all.
    policy: Policy | None
    is_authorized: bool
    principal_id: str | None
    context: Mapping[str, Any]

    def allows(self, arn: str) -> bool:
        if self.policy is None:
            return self.is_authorized
        return evaluate(self.policy, Question(ACTION, arn)).effect is Effect.ALLOW


class LambdaAuthorizers:
    def __init__(self, functions: FunctionCalls, cache: AuthorizerCache[Grant]) -> None:
        self._functions = functions
        self._cache = cache

    async def check(self, exchange: Exchange, authorizer: CompiledAuthorizer) -> None:
        """Fills in `authorizer_context` and `principal_id`. Raises AuthorizerFailure."""
        values = _identity(exchange, authorizer)

        async def load() -> Grant:
            return await self._ask(exchange, authorizer, values)

        grant = await self._cache.get(authorizer.scope, identity_key(values), authorizer.ttl_s, load)
        exchange.principal_id = grant.principal_id
        if not grant.allows(exchange.arn):
            raise forbidden("The authorizer does not allow this request")
        exchange.authorizer_context = grant.context

    async def _ask(self, exchange: Exchange, authorizer: CompiledAuthorizer, values: tuple[str, ...]) -> Grant:
        event = request_event(exchange, authorizer, values)
        facts = exchange.facts
        assert authorizer.asker is not None
        try:
            async with asyncio.timeout(TIMEOUT_S):
                result = await self._functions.call(
                    authorizer.function_arn,
                    authorizer.asker,
                    event,
                    request_id=facts.request_id,
                    trace_id=facts.trace_id,
                )
        except TimeoutError:
            raise authorizer_broken("The authorizer did not answer in time") from None
        except AwsError as error:
            raise authorizer_broken(f"The authorizer could not be invoked: {error.message}") from None
        return _grant(result, is_simple=bool(authorizer.authorizer.enable_simple_responses))


def request_event(exchange: Exchange, authorizer: CompiledAuthorizer, values: tuple[str, ...]) -> bytes:
    """The integration's event without the body, in the form of the authorizer's own version."""
    facts, stage, route = exchange.facts, exchange.stage, exchange.route
    assert route is not None
    if authorizer.authorizer.authorizer_payload_format_version == "2.0":
        event = payload_v2.event(
            facts,
            api=exchange.api_facts,
            route_key=route.route.route_key,
            stage=stage.name,
            raw_path=facts.decoded_path,
            path_parameters=exchange.path_parameters,
            stage_variables=stage.variables,
        )
        members = msgspec.json.decode(event)
        head = {"version": "2.0", "type": "REQUEST", "routeArn": exchange.arn, "identitySource": list(values) or None}
        left_out: tuple[str, ...] = ("body", "isBase64Encoded", "version")
    else:
        event = payload_v1.event(
            facts,
            api=exchange.api_facts,
            resource=route.path,
            path=facts.decoded_path,
            context_path=facts.decoded_path,
            stage=stage.name,
            extended_request_id=facts.request_id,
            path_parameters=exchange.path_parameters,
            stage_variables=stage.variables,
        )
        members = msgspec.json.decode(event)
        for name in ("queryStringParameters", "pathParameters", "stageVariables", "headers"):
            members[name] = members[name] or {}
        source = ",".join(values)
        head = {
            "version": "1.0",
            "type": "REQUEST",
            "methodArn": exchange.arn,
            "identitySource": source,
            "authorizationToken": source,
        }
        left_out = ("body", "isBase64Encoded", "multiValueHeaders", "multiValueQueryStringParameters")
    rest = {name: value for name, value in members.items() if name not in left_out}
    return msgspec.json.encode({**head, **rest})


def _identity(exchange: Exchange, authorizer: CompiledAuthorizer) -> tuple[str, ...]:
    """What the identity sources of the request hold. Raises AuthorizerFailure (401) where one holds nothing."""
    lookup = RequestVariables(exchange)
    values = []
    for source in authorizer.sources:
        value = lookup(source)
        if not value:
            raise unauthorized(f"The request has no value for the identity source ${source}")
        values.append(value)
    return tuple(values)


def _grant(result: InvokeResult, *, is_simple: bool) -> Grant:
    if result.function_error is not None:
        raise authorizer_broken("The authorizer failed")
    if len(result.payload) > MAX_RESULT:
        raise authorizer_broken(f"The response of the authorizer is larger than {MAX_RESULT} bytes")
    try:
        answer = msgspec.json.decode(result.payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise authorizer_broken("The response of the authorizer is not a JSON object")
    context = answer.get("context") or {}
    if not isinstance(context, dict):
        raise authorizer_broken("The context of the authorizer is not an object")
    if is_simple:
        if not isinstance(answer.get("isAuthorized"), bool):
            raise authorizer_broken("The simple response of the authorizer has no isAuthorized")
        return Grant(None, answer["isAuthorized"], None, context)
    principal = answer.get("principalId")
    if principal is not None and not isinstance(principal, str):
        raise authorizer_broken("The principalId of the authorizer is not a string")
    if not isinstance(answer.get("policyDocument"), dict):
        raise authorizer_broken("The response of the authorizer has no policyDocument")
    try:
        policy = parse(answer["policyDocument"], kind=PolicyKind.AUTHORIZER)
    except MalformedPolicy as error:
        raise authorizer_broken(f"The policy of the authorizer is malformed: {error.reason}") from None
    return Grant(policy, False, principal, context)
