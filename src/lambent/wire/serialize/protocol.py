"""What the serialisers of all protocols share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from lambent.errors import AwsError
from lambent.request import Request, Response
from lambent.wire.api_model import OperationModel, Shape
from lambent.wire.dialects import Dialect
from lambent.wire.eventstream import StreamBody

#: Result in, answer out.
Serialize = Callable[[dict[str, Any], Request], Response]

HeaderList = list[tuple[bytes, bytes]]
Body = bytes | StreamBody
WriteBody = Callable[[dict[str, Any]], Body]


#: What the XML protocols call errors of AWS's front end, which no service models.
_XML_CODES = {
    "AccessDeniedException": "AccessDenied",
    "SerializationException": "MalformedInput",
    "ThrottlingException": "Throttling",
    "UnknownOperationException": "InvalidAction",
    "ValidationException": "ValidationError",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """An error with everything that the model knows of it, ready for a protocol to write."""

    #: Shape of a modelled error.
    shape: Shape | None
    #: Name of the error, as `__type` and `x-amzn-ErrorType` have it.
    name: str
    #: Name of the error under the XML protocols.
    code: str
    status: int
    message: str
    #: Members of the error's shape, its message among them.
    members: dict[str, Any]
    headers: dict[str, str]

    @property
    def sender(self) -> bool:
        """Whether the caller is to blame."""
        return self.status < 500

    def unmodelled_message(self) -> dict[str, str]:
        """The message as a member of its own, where the error's shape has none for it."""
        known = self.shape.members if self.shape else {}
        return {} if any(name.lower() == "message" for name in known) else {"message": self.message}

    @classmethod
    def of(cls, error: AwsError, shape: Shape | None, dialect: Dialect) -> Fault:
        traits = shape.data.error if shape else None
        status = (traits and traits.http_status_code) or (500 if shape and shape.data.fault else error.status)
        name = shape.name if shape else error.wire_code
        code = dialect.query_codes.get(name) or (shape.error_code if shape else _XML_CODES.get(name, name))
        known = shape.members if shape else {}
        fallback = dialect.message_members.get(name, "message")
        message_member = next((each for each in known if each.lower() == "message"), fallback)
        members = {message_member: error.message} | error.members
        return cls(shape, name, code, status, error.message, members, error.headers)


class Serializer(Protocol):
    """One protocol for one service."""

    def compile(self, operation: OperationModel) -> Serialize: ...

    def fault(self, fault: Fault, request: Request) -> Response: ...


def fault_headers(fault: Fault) -> HeaderList:
    return [(name.lower().encode(), value.encode()) for name, value in fault.headers.items()]


def raw_payload(name: str) -> WriteBody:
    """A blob, a string or a stream that is the whole body, untouched."""

    def write(result: dict[str, Any]) -> Body:
        value = result.get(name)
        if isinstance(value, bytes):
            return value
        if value is None:
            return b""
        return value.encode() if isinstance(value, str) else value

    return write
