"""`$context.…` of one exchange, by name: for access logs, gateway responses and parameter mapping."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from lambent.edge.execute_api.rest.exchange import Exchange


def context_value(exchange: Exchange, name: str) -> str | None:
    """The value of `$context.<name>`; None where it has none, or is no variable."""
    read = _READERS.get(name)
    if read is not None:
        return read(exchange)
    family, _, member = name.partition(".")
    if family == "authorizer":
        value = (exchange.authorizer or {}).get(member)
        return None if value is None else str(value)
    if family == "identity":
        return (exchange.identity_members() or {}).get(member)
    return None


def error_message_string(exchange: Exchange) -> str:
    """`$context.error.messageString`: the message as JSON, with its quotes; null where there is none."""
    return json.dumps(exchange.error.message if exchange.error else None, ensure_ascii=False)


def _text(value: int | None) -> str | None:
    return None if value is None else str(value)


def _validation_errors(exchange: Exchange) -> str | None:
    if exchange.error is None or not exchange.error.validation_errors:
        return None
    return "[" + ", ".join(exchange.error.validation_errors) + "]"


def _integration_error(exchange: Exchange) -> str | None:
    return (exchange.error.reason or None) if exchange.error else None


_READERS: Mapping[str, Callable[[Exchange], str | None]] = {
    "accountId": lambda exchange: exchange.api.definition.account,
    "apiId": lambda exchange: exchange.api.definition.id,
    "awsEndpointRequestId": lambda exchange: exchange.integration_request_id,
    "deploymentId": lambda exchange: exchange.deployment_id,
    "domainName": lambda exchange: exchange.facts.domain_name,
    "domainPrefix": lambda exchange: exchange.api_facts.domain_prefix,
    "error.message": lambda exchange: exchange.error.message if exchange.error else None,
    "error.messageString": lambda exchange: error_message_string(exchange) if exchange.error else None,
    "error.responseType": lambda exchange: exchange.error.failure.type if exchange.error else None,
    "error.validationErrorString": _validation_errors,
    "extendedRequestId": lambda exchange: exchange.extended_id,
    "httpMethod": lambda exchange: exchange.facts.method,
    "identity.sourceIp": lambda exchange: exchange.facts.source_ip,
    "identity.userAgent": lambda exchange: exchange.facts.user_agent or None,
    "integration.error": _integration_error,
    "integration.integrationStatus": lambda exchange: _text(exchange.integration_status),
    "integration.latency": lambda exchange: _text(exchange.integration_latency_ms),
    "integration.requestId": lambda exchange: exchange.integration_request_id,
    "integration.responseTransferMode": lambda exchange: "STREAMED" if exchange.streams else "BUFFERED",
    "integration.status": lambda exchange: _text(exchange.integration_status),
    "integration.timeToAllHeaders": lambda exchange: _text(exchange.headers_ms),
    "integration.timeToFirstContent": lambda exchange: _text(exchange.content_ms),
    "integrationErrorMessage": _integration_error,
    "integrationLatency": lambda exchange: _text(exchange.integration_latency_ms),
    "integrationStatus": lambda exchange: _text(exchange.integration_status),
    "path": lambda exchange: exchange.context_path,
    "protocol": lambda exchange: exchange.facts.protocol,
    "requestId": lambda exchange: exchange.facts.request_id,
    "requestTime": lambda exchange: exchange.facts.request_time,
    "requestTimeEpoch": lambda exchange: str(exchange.facts.time_epoch),
    "resourceId": lambda exchange: exchange.resource.id if exchange.resource else None,
    "resourcePath": lambda exchange: exchange.resource.path if exchange.resource else None,
    "responseLatency": lambda exchange: str(exchange.latency_ms),
    "responseLength": lambda exchange: str(exchange.response_length),
    "stage": lambda exchange: exchange.stage.name,
    "status": lambda exchange: str(exchange.status) if exchange.status else None,
    "xrayTraceId": lambda exchange: exchange.facts.trace_id,
}
