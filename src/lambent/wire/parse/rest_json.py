"""rest-json requests: members in URI, query and headers; the rest in a JSON body, or one member as the whole body."""

from __future__ import annotations

from typing import Any

from lambent.wire.api_model import OperationModel, Shape
from lambent.wire.eventstream import EventReader
from lambent.wire.parse.http_bindings import compile_rest
from lambent.wire.parse.protocol import BodyReader, Parse, body_members, read_raw_payload
from lambent.wire.parse.values import ValueReader, decode_json


class RestJsonParser:
    def __init__(self) -> None:
        self._json = ValueReader()

    def compile(self, operation: OperationModel) -> Parse:
        return compile_rest(operation, self._body)

    def _body(self, shape: Shape) -> BodyReader | None:
        if shape.payload:
            return self._payload(shape.payload, shape.members[shape.payload])
        members = body_members(shape)
        if not members:
            return None
        read = self._json.structure(shape, members)

        def read_body(body: bytes, params: dict[str, Any]) -> None:
            if body:
                params.update(read(decode_json(body)))

        return read_body

    def _payload(self, name: str, member: Shape) -> BodyReader:
        if member.data.eventstream:
            events = EventReader(member, self._json.from_bytes)
            return lambda body, params: params.__setitem__(name, events.read_all(body))
        if member.type in {"blob", "string"}:
            return read_raw_payload(name, member)
        read = self._json.compile(member)

        def read_body(body: bytes, params: dict[str, Any]) -> None:
            if body:
                params[name] = read(decode_json(body))

        return read_body
