"""json 1.0 and 1.1 answers: the whole output is one JSON object; errors carry their name in `__type`."""

from __future__ import annotations

from typing import Any

from lambent.request import Request, Response
from lambent.wire.api_model import Metadata, OperationModel
from lambent.wire.dialects import Dialect
from lambent.wire.eventstream import CONTENT_TYPE, EventWriter
from lambent.wire.serialize.json_values import JsonWriter, encode_json
from lambent.wire.serialize.protocol import Fault, Serialize, fault_headers, query_error


class JsonSerializer:
    def __init__(self, dialect: Dialect, metadata: Metadata | None = None) -> None:
        self._json = JsonWriter()
        self._dialect = dialect
        version = metadata.json_version if metadata else "1.0"
        self._content_type = (b"content-type", f"application/x-amz-json-{version}".encode())
        self._query_compatible = bool(metadata and metadata.aws_query_compatible is not None)

    def compile(self, operation: OperationModel) -> Serialize:
        shape, content_type = operation.output, self._content_type
        if shape is None:
            # Clients of this protocol expect an object even where there is nothing to say.
            return lambda _result, request: Response(
                200, [(b"x-amzn-requestid", request.id.encode()), content_type], b"{}"
            )
        if shape.event_stream:
            return self._streaming(operation)
        write = self._json.structure(shape)

        def serialize(result: dict[str, Any], request: Request) -> Response:
            return Response(200, [(b"x-amzn-requestid", request.id.encode()), content_type], encode_json(write(result)))

        return serialize

    def _streaming(self, operation: OperationModel) -> Serialize:
        shape = operation.output
        assert shape is not None
        name = shape.event_stream
        assert name is not None
        events = EventWriter(shape.members[name], self._json.bytes_of, "application/json")
        write = self._json.structure(shape, frozenset(shape.members) - {name})

        def serialize(result: dict[str, Any], request: Request) -> Response:
            headers = [(b"x-amzn-requestid", request.id.encode()), (b"content-type", CONTENT_TYPE)]
            stream = events.stream(result.get(name), encode_json(write(result)))
            return Response(200, headers, stream=stream)

        return serialize

    def fault(self, fault: Fault, request: Request) -> Response:
        headers = [(b"x-amzn-requestid", request.id.encode()), self._content_type, *fault_headers(fault)]
        if self._query_compatible:
            headers.append((b"x-amzn-query-error", query_error(fault)))
        namespace = self._dialect.error_namespace if fault.shape else ""
        body = fault.members
        if fault.shape:
            body = self._json.structure(fault.shape)(body) if fault.shape.members else body
        return Response(fault.status, headers, encode_json({"__type": namespace + fault.name} | body))
