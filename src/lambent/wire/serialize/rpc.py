"""What json and smithy-rpc-v2-cbor share: the body is the whole output, and an error's name is in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lambent.request import Request, Response
from lambent.wire.api_model import Metadata, OperationModel
from lambent.wire.dialects import Dialect
from lambent.wire.eventstream import CONTENT_TYPE, EventWriter
from lambent.wire.serialize.protocol import Fault, HeaderList, Serialize, fault_headers
from lambent.wire.serialize.values import ValueWriter


class RpcSerializer:
    """`headers` go with every answer of the protocol, its Content-Type among them."""

    def __init__(
        self,
        dialect: Dialect,
        metadata: Metadata | None,
        values: ValueWriter,
        encode: Callable[[Any], bytes],
        headers: HeaderList,
    ) -> None:
        self._dialect = dialect
        self._values = values
        self._encode = encode
        self._headers = headers
        self._query_compatible = bool(metadata and metadata.aws_query_compatible is not None)

    def compile(self, operation: OperationModel) -> Serialize:
        shape, encode, fixed = operation.output, self._encode, tuple(self._headers)
        if shape is None:
            # Clients expect an object even where there is nothing to say.
            nothing = encode({})
            return lambda _result, request: Response(200, [_request_id(request), *fixed], nothing)
        if shape.event_stream:
            return self._streaming(operation)
        write = self._values.structure(shape)

        def serialize(result: dict[str, Any], request: Request) -> Response:
            return Response(200, [_request_id(request), *fixed], encode(write(result)))

        return serialize

    def _streaming(self, operation: OperationModel) -> Serialize:
        shape, encode = operation.output, self._encode
        assert shape is not None
        name = shape.event_stream
        assert name is not None
        content_type = next(value for header, value in self._headers if header == b"content-type")
        event_type = "application/json" if b"json" in content_type else content_type.decode()
        events = EventWriter(shape.members[name], self._values.bytes_of, event_type)
        write = self._values.structure(shape, frozenset(shape.members) - {name})
        fixed = [(header, value) for header, value in self._headers if header != b"content-type"]

        def serialize(result: dict[str, Any], request: Request) -> Response:
            headers = [_request_id(request), *fixed, (b"content-type", CONTENT_TYPE)]
            return Response(200, headers, stream=events.stream(result.get(name), encode(write(result))))

        return serialize

    def fault(self, fault: Fault, request: Request) -> Response:
        headers = [_request_id(request), *self._headers, *fault_headers(fault)]
        if self._query_compatible and request.header(b"x-amzn-query-mode") is not None:
            # For clients of a service that once spoke the query protocol: the error's code of then.
            query_error = f"{fault.code};{'Sender' if fault.sender else 'Receiver'}"
            headers.append((b"x-amzn-query-error", query_error.encode()))
        shape, body = fault.shape, fault.members
        if shape:
            # The message goes out even where the shape has no member for it.
            body = self._values.structure(shape)(body) | fault.unmodelled_message()
        namespaces = self._dialect.framework_namespaces
        namespace = self._dialect.error_namespace if shape else namespaces.get(fault.name, "")
        return Response(fault.status, headers, self._encode({"__type": namespace + fault.name} | body))


def _request_id(request: Request) -> tuple[bytes, bytes]:
    return b"x-amzn-requestid", request.id.encode()
