"""rest-json answers: status and headers from members, the rest as a JSON body or one member as the whole body."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lambent.request import Request, Response
from lambent.wire.api_model import Metadata, OperationModel, Shape
from lambent.wire.dialects import Dialect
from lambent.wire.eventstream import CONTENT_TYPE, EventWriter
from lambent.wire.parse.protocol import body_members
from lambent.wire.serialize.http_bindings import WriteHeaders, compile_headers, content_type_member, status_member
from lambent.wire.serialize.protocol import Body, Fault, HeaderList, Serialize, WriteBody, fault_headers, raw_payload
from lambent.wire.serialize.values import ValueWriter, Write, encode_json

_JSON = (b"content-type", b"application/json")


class RestJsonSerializer:
    def __init__(self, dialect: Dialect, _metadata: Metadata | None = None) -> None:
        self._json = ValueWriter()
        self._dialect = dialect
        #: Writers of the headers and bodies of errors, by shape.
        self._errors: dict[str, tuple[WriteHeaders, Write]] = {}

    def compile(self, operation: OperationModel) -> Serialize:
        shape = operation.output
        status = operation.http.response_code
        id_header = self._dialect.request_id_header
        if shape is None:
            return lambda _result, request: Response(status, [(id_header, request.id.encode())])
        write_headers, status_from = compile_headers(shape), status_member(shape)
        write_body, default_type = self._body(shape, operation.name)
        content_type, type_member = (b"content-type", default_type), content_type_member(shape)

        def serialize(result: dict[str, Any], request: Request) -> Response:
            headers: HeaderList = [(id_header, request.id.encode())]
            write_headers(result, headers)
            code = (status_from and result.get(status_from)) or status
            if code == 204:
                return Response(code, headers)
            body = write_body(result)
            if body and not (type_member and result.get(type_member)):
                headers.append(content_type)
            if isinstance(body, bytes):
                return Response(code, headers, body)
            return Response(code, headers, stream=body)

        return serialize

    def _body(self, shape: Shape, operation: str) -> tuple[WriteBody, bytes]:
        if not shape.payload:
            write = self._json.structure(shape, body_members(shape))
            return (lambda result: encode_json(write(result))), b"application/json"
        name, member = shape.payload, shape.members[shape.payload]
        if member.data.eventstream:
            events = EventWriter(member, self._json.bytes_of, "application/json")
            return (lambda result: events.stream(result.get(name))), CONTENT_TYPE
        if member.type in {"blob", "string"}:
            default = "application/octet-stream" if member.type == "blob" else "text/plain"
            return raw_payload(name), self._dialect.blob_types.get(operation, default).encode()
        convert = self._json.compile(member)
        return _json_payload(name, convert), b"application/json"

    def fault(self, fault: Fault, request: Request) -> Response:
        headers: HeaderList = [
            (self._dialect.request_id_header, request.id.encode()),
            (b"x-amzn-errortype", fault.name.encode()),
            _JSON,
            *fault_headers(fault),
        ]
        shape = fault.shape
        if shape is None:
            return Response(fault.status, headers, encode_json(fault.members))
        if shape.name not in self._errors:
            self._errors[shape.name] = compile_headers(shape), self._json.structure(shape, body_members(shape))
        write_headers, write_body = self._errors[shape.name]
        write_headers(fault.members, headers)
        # AWS Lambda's errors say whose fault they are.
        members = {"Type": "User" if fault.sender else "Service"} | fault.members
        ordered = {name: members[name] for name in shape.members if name in members}
        body = write_body(ordered) | fault.unmodelled_message()
        return Response(fault.status, headers, encode_json(body))


def _json_payload(name: str, convert: Callable[[Any], Any] | None) -> WriteBody:
    def write(result: dict[str, Any]) -> Body:
        value = result.get(name)
        if value is None:
            return b""
        return encode_json(convert(value) if convert else value)

    return write
