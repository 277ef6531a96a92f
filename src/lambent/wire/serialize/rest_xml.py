"""rest-xml answers: status and headers from members, the rest as an XML body or one member as the whole body."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lambent.request import Request, Response
from lambent.wire.api_model import Metadata, OperationModel, Shape
from lambent.wire.dialects import Dialect
from lambent.wire.eventstream import CONTENT_TYPE, EventWriter
from lambent.wire.parse.protocol import body_members
from lambent.wire.serialize.http_bindings import compile_headers, content_type_member, status_member
from lambent.wire.serialize.protocol import Body, Fault, HeaderList, Serialize, WriteBody, fault_headers, raw_payload
from lambent.wire.serialize.xml_values import Out, Write, XmlWriter, escape, escape_attribute

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
_XML = b"application/xml"
#: Members that an error's envelope has written already.
_ENVELOPE = frozenset({"type", "code", "message"})


class RestXmlSerializer:
    def __init__(self, dialect: Dialect, metadata: Metadata | None) -> None:
        self._xml = XmlWriter()
        self._dialect = dialect
        uri = (metadata and metadata.xml_namespace) or dialect.xml_namespace
        self._xmlns = f' xmlns="{escape_attribute(uri)}"' if uri else ""

    def compile(self, operation: OperationModel) -> Serialize:
        shape, status, id_header = operation.output, operation.http.response_code, self._dialect.request_id_header
        if shape is None:
            return lambda _result, request: Response(status, [(id_header, request.id.encode())])
        write_headers, status_from = compile_headers(shape), status_member(shape)
        write_body, default_type = self._body(shape, operation.name)
        content_type, type_member = (b"content-type", default_type), content_type_member(shape)

        def serialize(result: dict[str, Any], request: Request) -> Response:
            headers: HeaderList = [(id_header, request.id.encode())]
            write_headers(result, headers)
            code = (status_from and result.get(status_from)) or status
            body = write_body(result) if code != 204 and request.method != "HEAD" else b""
            if body and not (type_member and result.get(type_member)):
                headers.append(content_type)
            if isinstance(body, bytes):
                return Response(code, headers, body)
            return Response(code, headers, stream=body)

        return serialize

    def _body(self, shape: Shape, operation: str) -> tuple[WriteBody, bytes]:
        if not shape.payload:
            return self._members_body(shape, operation), _XML
        name, member = shape.payload, shape.members[shape.payload]
        if member.data.eventstream:
            events = EventWriter(member, self._event_body, "text/xml")
            return (lambda result: events.stream(result.get(name))), CONTENT_TYPE
        if member.type in {"blob", "string"}:
            return raw_payload(name), b"application/octet-stream" if member.type == "blob" else b"text/plain"
        write = self._root(member, member.location_name or member.name)

        def write_body(result: dict[str, Any]) -> Body:
            value = result.get(name)
            return b"" if value is None else _document(write, value)

        return write_body, _XML

    def _members_body(self, shape: Shape, operation: str) -> WriteBody:
        members = body_members(shape)
        if not members:
            return lambda _result: b""
        root = self._dialect.xml_roots.get(operation) or shape.location_name or shape.name
        if operation in self._dialect.bare_xml_roots:
            # The one member is the root element itself, present even where the member is not.
            (name,) = members
            start, end = f"<{root}{self._xmlns}>", f"</{root}>"
            return lambda result: f"{_DECLARATION}{start}{escape(result.get(name) or '')}{end}".encode()
        write = self._root(shape, root, members)
        return lambda result: _document(write, result)

    def _root(self, shape: Shape, name: str, members: frozenset[str] | None = None) -> Write:
        """The outermost element, which alone carries the service's namespace."""
        inner = self._xml.members(shape, members)
        start, end = f"<{name}{self._xmlns}>", f"</{name}>"

        def write(value: Any, out: Out) -> None:
            out.append(start)
            inner(value, out)
            out.append(end)

        return write

    def _event_body(self, shape: Shape, members: frozenset[str]) -> Callable[[dict[str, Any]], bytes]:
        write = self._root(shape, shape.name, members)
        return lambda value: _document(write, value)

    def fault(self, fault: Fault, request: Request) -> Response:
        id_header = self._dialect.request_id_header
        headers: HeaderList = [(id_header, request.id.encode()), *fault_headers(fault)]
        if fault.shape:
            compile_headers(fault.shape)(fault.members, headers)
        if request.method == "HEAD":
            return Response(fault.status, headers)
        headers.append((b"content-type", _XML))
        inner: Out = [f"<Code>{escape(fault.code)}</Code><Message>{escape(fault.message)}</Message>"]
        self._extra_members(fault, inner)
        request_id = f"<RequestId>{escape(request.id)}</RequestId>"
        if self._dialect.bare_xml_errors:
            text = f"<Error>{''.join(inner)}{request_id}</Error>"
        else:
            kind = f"<Type>{'Sender' if fault.sender else 'Receiver'}</Type>"
            text = f"<ErrorResponse{self._xmlns}><Error>{kind}{''.join(inner)}</Error>{request_id}</ErrorResponse>"
        return Response(fault.status, headers, (_DECLARATION + text).encode())

    def _extra_members(self, fault: Fault, out: Out) -> None:
        known = fault.shape.members if fault.shape else {}
        if fault.shape and known:
            members = frozenset(n for n in body_members(fault.shape) if n.lower() not in _ENVELOPE)
            self._xml.members(fault.shape, members)(fault.members, out)
        for name, value in fault.members.items():
            # S3 names what an error is about (`BucketName`, `Key`) without its model saying so.
            if name not in known and name.lower() not in _ENVELOPE:
                out.append(f"<{name}>{escape(str(value))}</{name}>")


def _document(write: Write, value: Any) -> bytes:
    out: Out = [_DECLARATION]
    write(value, out)
    return "".join(out).encode()
