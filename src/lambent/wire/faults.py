"""Errors as answers: in the operation's protocol, or, before one is known, in the one that the request looks like."""

from __future__ import annotations

from lambent.errors import AwsError
from lambent.request import Request, Response
from lambent.wire.dialects import dialect_of
from lambent.wire.operation import Operation, guessed_serializer
from lambent.wire.router import signed_service
from lambent.wire.serialize.protocol import Fault


def serialize_error(operation: Operation | None, error: AwsError, request: Request) -> Response:
    if operation is not None:
        return operation.compiled.codec.fault(error, request)
    service = signed_service(request)
    serializer = guessed_serializer(_guess_protocol(request, service), service)
    return serializer.fault(Fault.of(error, None, dialect_of(service or "")), request)


def _guess_protocol(request: Request, service: str | None) -> str:
    if request.header(b"x-amz-target") is not None:
        return "json"
    if request.header(b"smithy-protocol") is not None:
        return "smithy-rpc-v2-cbor"
    if service == "s3":
        return "rest-xml"
    content_type = request.header(b"content-type") or b""
    if content_type.startswith(b"application/x-www-form-urlencoded") or b"Action=" in request.query:
        return "query"
    if content_type.startswith(b"application/x-amz-json"):
        return "json"
    return "rest-json"
