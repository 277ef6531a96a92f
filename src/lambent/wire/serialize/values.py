"""AWS's values into what the JSON or CBOR encoder takes: compiled once per shape; None stands for "as it is".

Nones are left out, and so are members that the model does not know: with an
older botocore a handler may give more than the model has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from lambent.wire.api_model import Shape
from lambent.wire.text import TIMESTAMP_WRITERS, special_float, write_epoch

Write = Callable[[Any], Any]

encode_json = msgspec.json.Encoder().encode


class ValueWriter:
    """Compiles the shapes of one service; `scalars` are the encoding's own ways of writing a type."""

    def __init__(
        self, scalars: Mapping[str, Write] | None = None, encode: Callable[[Any], bytes] = encode_json
    ) -> None:
        self._scalars = _SCALARS if scalars is None else scalars
        self._encode = encode
        self._structures: dict[str, Write] = {}

    def compile(self, shape: Shape) -> Write | None:
        if shape.type == "structure":
            return None if shape.data.document else self.structure(shape)
        if shape.type == "list":
            item = self.compile(shape.member)
            return item and _each(item)
        if shape.type == "map":
            item = self.compile(shape.value)
            return item and _each_value(item)
        if shape.type == "timestamp" and shape.timestamp_format:
            return TIMESTAMP_WRITERS[shape.timestamp_format]
        return self._scalars.get(shape.type)

    def structure(self, shape: Shape, members: frozenset[str] | None = None) -> Write:
        """`members` limits it to those of the body where a REST operation has others elsewhere."""
        if members is None and shape.name in self._structures:
            return self._structures[shape.name]
        rows: dict[str, tuple[str, Write | None]] = {}

        def write(value: dict[str, Any]) -> dict[str, Any]:
            out = {}
            for name, item in value.items():
                row = rows.get(name)
                if row is not None and item is not None:
                    out[row[0]] = item if row[1] is None else row[1](item)
            return out

        if members is None:
            self._structures[shape.name] = write
        for name, member in shape.members.items():
            if members is None or name in members:
                rows[name] = (member.location_name or name, self.compile(member))
        return write

    def bytes_of(self, shape: Shape, members: frozenset[str]) -> Callable[[dict[str, Any]], bytes]:
        write = self.structure(shape, members)
        encode = self._encode
        return lambda value: encode(write(value))


def _each(item: Write) -> Write:
    return lambda value: [None if each is None else item(each) for each in value]


def _each_value(item: Write) -> Write:
    return lambda value: {key: None if each is None else item(each) for key, each in value.items()}


def _blob(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value


#: The encoder itself writes bytes as base64.
_SCALARS: dict[str, Write] = {
    "blob": _blob,
    "float": special_float,
    "double": special_float,
    "timestamp": write_epoch,
}
