"""Meaning of bytes: AWS's wire protocols, driven by botocore's service models.

`Router(models).match(request)` finds the operation; `parse` gives its parameters by AWS's member names, checked against
the model; `serialize` and `serialize_error` make the answer. Nothing here knows what an operation does.
"""

from __future__ import annotations

from typing import Any

from lambent.request import Request, Response
from lambent.wire.api_model import ApiModels
from lambent.wire.faults import serialize_error
from lambent.wire.operation import Operation
from lambent.wire.router import Router, signed_service

__all__ = ["ApiModels", "Operation", "Router", "parse", "serialize", "serialize_error", "signed_service"]


def parse(operation: Operation, request: Request) -> dict[str, Any]:
    """Parameters by AWS's member names: blobs are bytes, timestamps datetimes in UTC.

    Raises SerializationException for what can't be read, the service's own validation error for what breaks the model.
    """
    return operation.compiled.parse(request, operation.uri_params)


def serialize(operation: Operation, result: dict[str, Any], request: Request) -> Response:
    """`result` may hold any member of the output, also those of headers and status; a stream is an async iterator."""
    return operation.compiled.serialize(result, request)
