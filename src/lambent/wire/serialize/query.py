"""query answers: an XML envelope named after the operation, with the request id inside."""

from __future__ import annotations

from typing import Any

from lambent.request import Request, Response
from lambent.wire.api_model import Metadata, OperationModel
from lambent.wire.dialects import Dialect
from lambent.wire.serialize.protocol import Fault, HeaderList, Serialize, fault_headers
from lambent.wire.serialize.xml_values import Out, XmlWriter, escape, escape_attribute

_XML = (b"content-type", b"text/xml")


class QuerySerializer:
    def __init__(self, dialect: Dialect, metadata: Metadata | None = None) -> None:
        self._xml = XmlWriter()
        uri = (metadata and metadata.xml_namespace) or dialect.xml_namespace
        self._xmlns = f' xmlns="{escape_attribute(uri)}"' if uri else ""

    def compile(self, operation: OperationModel) -> Serialize:
        shape, name = operation.output, operation.name
        start = f"<{name}Response{self._xmlns}>"
        wrapper = (shape and shape.result_wrapper) or f"{name}Result"
        write = self._xml.members(shape) if shape else None

        def serialize(result: dict[str, Any], request: Request) -> Response:
            out: Out = [start]
            if write:
                out.append(f"<{wrapper}>")
                write(result, out)
                out.append(f"</{wrapper}>")
            out.append(
                f"<ResponseMetadata><RequestId>{escape(request.id)}</RequestId></ResponseMetadata></{name}Response>"
            )
            return Response(200, _headers(request), "".join(out).encode())

        return serialize

    def fault(self, fault: Fault, request: Request) -> Response:
        out: Out = [f"<ErrorResponse{self._xmlns}><Error>"]
        out.append(f"<Type>{'Sender' if fault.sender else 'Receiver'}</Type><Code>{escape(fault.code)}</Code>")
        out.append(f"<Message>{escape(fault.message)}</Message>")
        if fault.shape:
            members = frozenset(n for n in fault.shape.members if n.lower() not in {"type", "code", "message"})
            self._xml.members(fault.shape, members)(fault.members, out)
        out.append(f"</Error><RequestId>{escape(request.id)}</RequestId></ErrorResponse>")
        return Response(fault.status, _headers(request) + fault_headers(fault), "".join(out).encode())


def _headers(request: Request) -> HeaderList:
    return [(b"x-amzn-requestid", request.id.encode()), _XML]
