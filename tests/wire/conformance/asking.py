"""Requests by hand, and what they come to."""

from __future__ import annotations

from typing import Any

import msgspec

from conformance.services import router
from lambent import wire
from lambent.errors import AwsError
from lambent.request import Request, Response

REQUEST_ID = "11111111-2222-4333-8444-555555555555"


def ask(
    method: str = "POST",
    path: str = "/",
    body: bytes | dict[str, Any] = b"",
    *,
    query: str = "",
    service: str | None = None,
    target: str | None = None,
    headers: dict[str, str] | None = None,
) -> Request:
    """A request; `service` signs it (only in name), `target` is its X-Amz-Target."""
    pairs = [(b"host", b"127.0.0.1:4566")]
    if service:
        scope = f"Credential=AKID/20250101/eu-west-1/{service}/aws4_request"
        pairs.append(
            (b"authorization", f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0".encode())
        )
    if target:
        pairs += [(b"x-amz-target", target.encode()), (b"content-type", b"application/x-amz-json-1.1")]
    pairs += [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    raw = msgspec.json.encode(body) if isinstance(body, dict) else body
    return Request(method, path.encode(), query.encode(), pairs, raw, REQUEST_ID)


def form(body: str, *, path: str = "/", service: str | None = None, method: str = "POST") -> Request:
    """A request of the query protocol."""
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    return ask(method, path, body.encode(), service=service, headers=headers)


def understand(request: Request) -> tuple[str, str, dict[str, Any]]:
    """Service, operation and parameters."""
    operation = router().match(request)
    return operation.service, operation.name, wire.parse(operation, request)


def refuse(request: Request) -> tuple[AwsError, Response]:
    """The error that the request comes to, and how it is answered."""
    operation = None
    try:
        operation = router().match(request)
        params = wire.parse(operation, request)
    except AwsError as error:
        return error, wire.serialize_error(operation, error, request)
    raise AssertionError(f"{operation.name} was accepted with {params}")
