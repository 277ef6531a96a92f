"""Lambda authorizers of REST APIs: what is sent to them, what they may answer, and for how long it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from lambent.clock import Clock
from lambent.edge.authorizer_cache import AuthorizerCache, identity_key
from lambent.edge.execute_api.rest.exchange import Exchange
from lambent.edge.execute_api.rest.failures import (
    AUTHORIZER_CONFIGURATION_ERROR,
    AUTHORIZER_FAILURE,
    UNAUTHORIZED,
    GatewayError,
)
from lambent.edge.execute_api.rest.functions import TimedCalls, authorizer_asker, function_arn
from lambent.edge.execute_api.rest.mapping import Sources
from lambent.edge.http_events import payload_v1
from lambent.errors import AwsError
from lambent.identity.policy import MalformedPolicy, Policy, PolicyKind, parse
from lambent.ports import InvokeResult
from lambent.services.apigateway.domain import Authorizer

TIMEOUT_S = 29.0
#: AWS's quota on what an authorizer answers.
MAX_RESULT = 8 * 1024


@dataclass(frozen=True, slots=True)
class Grant:
    """What an authorizer answered: asked of each method anew, so that one answer may open some and close others."""

    policy: Policy
    #: The document as answered, for tests of authorizers.
    document: Mapping[str, Any]
    #: None where it named nobody.
    principal_id: str | None
    #: Values as text, as events and `$context` have them.
    context: Mapping[str, str]


class LambdaAuthorizers:
    def __init__(self, calls: TimedCalls, cache: AuthorizerCache[Grant], clock: Clock) -> None:
        self._calls = calls
        self._cache = cache
        self._clock = clock

    async def ask(self, exchange: Exchange, authorizer: Authorizer) -> Grant:
        """The grant for this request, and the exchange's `authorizer` members. Raises GatewayError."""
        values = identity_of(exchange, authorizer)
        began = self._clock.monotonic()
        asked = False

        async def load() -> Grant:
            nonlocal asked
            asked = True
            return await self.call(exchange, authorizer, values)

        api = exchange.api.definition
        scope = (api.account, api.region, api.id, exchange.stage.name, authorizer.id, exchange.stage.authorizer_cache)
        # An answer holds for the identity alone, and so does not outlive a change of whom it was asked of.
        identity = identity_key((authorizer.uri, *values))
        grant = await self._cache.get(scope, identity, authorizer.ttl_s, load)
        exchange.authorizer = dict(grant.context)
        if grant.principal_id is not None:
            exchange.authorizer["principalId"] = grant.principal_id
        latency = int((self._clock.monotonic() - began) * 1000) if asked else 0
        exchange.authorizer["integrationLatency"] = latency
        return grant

    async def call(self, exchange: Exchange, authorizer: Authorizer, values: tuple[str, ...]) -> Grant:
        """Past the cache."""
        log = exchange.log
        if log.tells:
            log.info(f"Starting authorizer: {authorizer.id} for request: {exchange.facts.request_id}")
        arn = function_arn(authorizer.uri, exchange)
        if arn is None:
            raise _misconfigured("Invalid ARN specified in the request")
        event = token_event(exchange, values) if authorizer.type == "TOKEN" else request_event(exchange)
        if log.tells_data:
            log.data(f"Authorizer request body before transformations: {event.decode()}")
        asker = authorizer_asker(exchange, authorizer.id, authorizer.credentials)
        try:
            result = await self._calls.call(arn, asker, event, exchange, TIMEOUT_S)
        except TimeoutError:
            raise GatewayError(AUTHORIZER_FAILURE, reason="Authorizer timed out") from None
        except AwsError as error:
            if error.status == 429:
                reason = f"Lambda execution failed with status 429 due to customer function error: {error.message}"
                raise GatewayError(AUTHORIZER_FAILURE, reason=reason) from None
            raise _misconfigured("Invalid permissions on Lambda function") from None
        grant = _grant(result, exchange)
        if log.tells:
            log.info(f"Successfully completed authorizer execution: {authorizer.id}")
        return grant


def token_event(exchange: Exchange, values: tuple[str, ...]) -> bytes:
    event = {"type": "TOKEN", "methodArn": exchange.arn, "authorizationToken": values[0]}
    return msgspec.json.encode(event)


def request_event(exchange: Exchange) -> bytes:
    """The proxy event without a body; what is missing is empty, not null."""
    assert exchange.resource is not None
    proxy = payload_v1.event(
        exchange.facts,
        api=exchange.api_facts,
        resource=exchange.resource.path,
        path=exchange.path,
        context_path=exchange.context_path,
        stage=exchange.stage.name,
        extended_request_id=exchange.extended_id,
        resource_id=exchange.resource.id,
        deployment_id=exchange.deployment_id,
        path_parameters=exchange.path_parameters,
        stage_variables=exchange.stage_variables,
        identity=exchange.identity_members(),
        binary=exchange.api.binary,
    )
    members = msgspec.json.decode(proxy)
    for name in ("body", "isBase64Encoded"):
        members.pop(name, None)
    filled = {name: {} if value is None else value for name, value in members.items()}
    return msgspec.json.encode({"type": "REQUEST", "methodArn": exchange.arn, **filled})


def identity_of(exchange: Exchange, authorizer: Authorizer) -> tuple[str, ...]:
    """What the identity sources of the request hold. Raises GatewayError (401) where one holds nothing."""
    sources = Sources(exchange)
    values = []
    for expression in authorizer.identity_sources:
        value = sources.value(expression)
        if not value:
            raise _unauthorized(exchange)
        values.append(value)
    pattern = authorizer.identity_validation_expression
    if authorizer.type == "TOKEN" and pattern and not exchange.api.matches(pattern, values[0] if values else ""):
        raise _unauthorized(exchange)
    return tuple(values)


def _grant(result: InvokeResult, exchange: Exchange) -> Grant:
    log = exchange.log
    if result.function_error is not None:
        message = _error_message(result.payload)
        if message == "Unauthorized":
            raise _unauthorized(exchange)
        # As AWS words it: Lambda itself answered 200.
        raise _misconfigured(f"Lambda execution failed with status 200 due to customer function error: {message}")
    if log.tells_data:
        log.data(f"Authorizer result body before parsing: {result.payload.decode('utf-8', 'replace')}")
    if len(result.payload) > MAX_RESULT:
        raise _misconfigured(f"The response of the authorizer is larger than {MAX_RESULT} bytes")
    try:
        answer = msgspec.json.decode(result.payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        answer = None
    if not isinstance(answer, dict) or not isinstance(answer.get("policyDocument"), dict):
        raise _misconfigured("Invalid JSON in response: the authorizer answered no policyDocument")
    try:
        policy = parse(answer["policyDocument"], kind=PolicyKind.AUTHORIZER)
    except MalformedPolicy as error:
        raise _misconfigured(f"Invalid policy document: {error.reason}") from None
    principal = answer.get("principalId")
    if principal is not None and not isinstance(principal, str | int):
        raise _misconfigured("The principalId of the authorizer is not a string")
    principal_id = None if principal is None else str(principal)
    return Grant(policy, answer["policyDocument"], principal_id, _context(answer.get("context")))


def _context(given: Any) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise _misconfigured("The context of the authorizer is not an object")
    context = {}
    for name, value in given.items():
        if value is None:
            continue
        if not isinstance(value, str | int | float):
            raise _misconfigured(f"The value of {name} in the context of the authorizer is neither text nor a number")
        context[name] = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return context


def _error_message(payload: bytes) -> str:
    try:
        answer = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return str(answer.get("errorMessage", "")) if isinstance(answer, dict) else ""


def _unauthorized(exchange: Exchange) -> GatewayError:
    return GatewayError(UNAUTHORIZED, reason=f"Unauthorized request: {exchange.facts.request_id}")


def _misconfigured(reason: str) -> GatewayError:
    return GatewayError(AUTHORIZER_CONFIGURATION_ERROR, reason=f"Execution failed due to configuration error: {reason}")
