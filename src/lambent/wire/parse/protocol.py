"""What the parsers of all protocols share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from lambent.errors import SerializationException
from lambent.request import Request
from lambent.wire.api_model import OperationModel, Shape

#: Request and URI labels in, parameters out; raises AwsError.
Parse = Callable[[Request, Mapping[str, str]], dict[str, Any]]
#: Adds the members of a body to the parameters.
BodyReader = Callable[[bytes, dict[str, Any]], None]


class Parser(Protocol):
    """One protocol for one service."""

    def compile(self, operation: OperationModel) -> Parse: ...


def read_nothing(_request: Request, _uri_params: Mapping[str, str]) -> dict[str, Any]:
    return {}


def body_members(shape: Shape) -> frozenset[str]:
    """Members without a place of their own outside of the body."""
    return frozenset(name for name, member in shape.members.items() if member.location is None)


def read_raw_payload(name: str, member: Shape) -> BodyReader:
    """A blob or a string that is the whole body, untouched even where it is empty."""
    if member.type == "string":
        return lambda body, params: params.__setitem__(name, decode_text(body))
    return lambda body, params: params.__setitem__(name, body)


def decode_text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise SerializationException("The request body is not valid UTF-8.") from error
