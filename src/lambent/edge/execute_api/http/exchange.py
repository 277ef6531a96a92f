"""One request on its way through an HTTP API: what is known of it so far, and what `$context` says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import msgspec

from lambent.context import Caller
from lambent.edge.execute_api.http.compiled import CompiledRoute, CompiledStage
from lambent.edge.execute_api.http.failures import AuthorizerFailure, Failure, IntegrationFailure
from lambent.edge.http_events import payload_v2
from lambent.edge.http_events.payload_v2 import ApiFacts
from lambent.edge.http_events.request_facts import Facts


@dataclass(slots=True)
class Exchange:
    facts: Facts
    stage: CompiledStage
    #: None where no route takes the request.
    route: CompiledRoute | None
    #: As sent, behind the stage, beginning with `/`.
    path: str
    #: Decoded.
    path_parameters: Mapping[str, str]
    #: Monotonic seconds.
    started: float

    # Known once it is authorized
    #: Whose signature it bears.
    caller: Caller | None = None
    #: Of a JSON Web Token, as text; and the scopes of the route that it has, None where the route asks for none.
    claims: Mapping[str, str] | None = None
    scopes: list[str] | None = None
    #: Of a Lambda authorizer: its context, and principalId where it named somebody.
    authorizer_context: Mapping[str, Any] | None = None
    principal_id: str | None = None

    # Known once it is answered
    #: What the integration itself answered: the function's or the server's status.
    integration_status: int | None = None
    integration_latency_ms: int | None = None
    function_request_id: str | None = None
    failure: Failure | None = None
    status: int = 0
    response_length: int = 0
    latency_ms: int = 0

    @property
    def api_facts(self) -> ApiFacts:
        api = self.stage.api
        return ApiFacts(api.account, api.api_id, self.facts.domain_name, api.api_id)

    @property
    def arn(self) -> str:
        """Of the method and path that were asked for, as policies name it: a path has one name however it is written,
        or a `%61` would lead around what a policy denies."""
        return f"{self.stage.arn}/{self.facts.method}{path_in_arn(self.path)}"

    def authorizer_v2(self) -> dict[str, Any] | None:
        """requestContext.authorizer of format 2.0."""
        if self.claims is not None:
            return {"jwt": {"claims": self.claims, "scopes": self.scopes}}
        if self.authorizer_context is not None:
            return {"lambda": self.authorizer_context}
        return payload_v2.iam_authorizer(self.caller)

    def authorizer_v1(self) -> dict[str, Any]:
        """requestContext.authorizer of format 1.0."""
        if self.authorizer_context is not None:
            named = {} if self.principal_id is None else {"principalId": self.principal_id}
            return {**self.authorizer_context, **named}
        return {"claims": self.claims, "scopes": self.scopes}

    def identity_v1(self) -> dict[str, str | None] | None:
        """Members of requestContext.identity of format 1.0 that a signature tells."""
        caller = self.caller
        if caller is None:
            return None
        return {
            "accessKey": caller.access_key_id,
            "accountId": caller.account,
            "caller": caller.user_id,
            "user": caller.user_id,
            "userArn": caller.arn,
        }

    def context(self, name: str) -> str | None:
        """The value of `$context.<name>`, None where it has none."""
        known = _VARIABLES.get(name)
        if known is not None:
            value = known(self)
            return None if value is None or value == "" else str(value)
        group, _, rest = name.partition(".")
        if group == "authorizer" and rest:
            return self._of_authorizer(rest)
        if group == "error" and self.failure is not None and rest in ("message", "messageString"):
            return self.failure.reason if rest == "message" else msgspec.json.encode(self.failure.reason).decode()
        return None

    def _of_authorizer(self, name: str) -> str | None:
        if name.startswith("claims."):
            return (self.claims or {}).get(name.removeprefix("claims."))
        if name == "error":
            return self.failure.reason if isinstance(self.failure, AuthorizerFailure) else None
        if name == "principalId":
            return self.principal_id
        value = (self.authorizer_context or {}).get(name)
        return value if value is None or isinstance(value, str) else msgspec.json.encode(value).decode()


def path_in_arn(raw_path: str) -> str:
    """As routes see it: decoded segment by segment; an encoded slash stays one."""
    if "%" not in raw_path:
        return raw_path
    return "/".join(unquote(segment).replace("/", "%2F") for segment in raw_path.split("/"))


def _integration_error(exchange: Exchange) -> str | None:
    return exchange.failure.reason if isinstance(exchange.failure, IntegrationFailure) else None


def _of_caller(name: str) -> Any:
    return lambda exchange: getattr(exchange.caller, name, None)


def _lambda_status(exchange: Exchange) -> int | None:
    """What AWS Lambda answered, not the function: 200 where it ran."""
    return 200 if exchange.function_request_id is not None else exchange.integration_status


_VARIABLES: Mapping[str, Any] = {
    "accountId": lambda exchange: exchange.stage.api.account,
    "apiId": lambda exchange: exchange.stage.api.api_id,
    "awsEndpointRequestId": lambda exchange: exchange.function_request_id,
    "dataProcessed": lambda exchange: len(exchange.facts.body) + exchange.response_length,
    "domainName": lambda exchange: exchange.facts.domain_name,
    "domainPrefix": lambda exchange: exchange.stage.api.api_id,
    "extendedRequestId": lambda exchange: exchange.facts.request_id,
    "httpMethod": lambda exchange: exchange.facts.method,
    "identity.accountId": _of_caller("account"),
    "identity.caller": _of_caller("user_id"),
    "identity.sourceIp": lambda exchange: exchange.facts.source_ip,
    "identity.user": _of_caller("user_id"),
    "identity.userAgent": lambda exchange: exchange.facts.user_agent,
    "identity.userArn": _of_caller("arn"),
    "integration.error": _integration_error,
    "integration.integrationStatus": _lambda_status,
    "integration.latency": lambda exchange: exchange.integration_latency_ms,
    "integration.requestId": lambda exchange: exchange.function_request_id,
    "integration.status": lambda exchange: exchange.integration_status,
    "integrationErrorMessage": _integration_error,
    "integrationLatency": lambda exchange: exchange.integration_latency_ms,
    "integrationStatus": _lambda_status,
    "path": lambda exchange: exchange.facts.raw_path,
    "protocol": lambda exchange: exchange.facts.protocol,
    "requestId": lambda exchange: exchange.facts.request_id,
    "requestTime": lambda exchange: exchange.facts.request_time,
    "requestTimeEpoch": lambda exchange: exchange.facts.time_epoch,
    "responseLatency": lambda exchange: exchange.latency_ms,
    "responseLength": lambda exchange: exchange.response_length,
    "routeKey": lambda exchange: exchange.route.route.route_key if exchange.route is not None else None,
    "stage": lambda exchange: exchange.stage.name,
    "status": lambda exchange: exchange.status or None,
}
