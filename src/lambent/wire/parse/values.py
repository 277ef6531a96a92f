"""What a JSON or CBOR decoder gives into AWS's values: compiled once per shape.

Unknown members and nulls are left out as AWS does; a value of the wrong type is a SerializationException, in the
words of AWS's own JSON reader.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from lambent.errors import SerializationException
from lambent.wire.api_model import Shape
from lambent.wire.text import read_base64, read_float, read_timestamp

Read = Callable[[Any], Any]

_decode = msgspec.json.Decoder().decode
_TOKENS = {str: "STRING_VALUE", int: "NUMBER_VALUE", float: "NUMBER_VALUE"}


def decode_json(body: bytes) -> Any:
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SerializationException(f"The request body is not valid JSON: {error}.") from error


class ValueReader:
    """Compiles the shapes of one service; `scalars` are the encoding's own ways of reading a type."""

    def __init__(self, scalars: Mapping[str, Read] | None = None) -> None:
        self._scalars: dict[str, Read] = {**_SCALARS, **(scalars or {})}
        self._structures: dict[str, Read] = {}

    def compile(self, shape: Shape) -> Read:
        if shape.type == "structure":
            return _document if shape.data.document else self.structure(shape)
        if shape.type == "list":
            return self._list(shape)
        if shape.type == "map":
            return self._map(shape)
        return self._scalars.get(shape.type, read_string)

    def structure(self, shape: Shape, members: frozenset[str] | None = None) -> Read:
        """`members` limits it to those of the body where a REST operation has others elsewhere."""
        if members is None and shape.name in self._structures:
            return self._structures[shape.name]
        rows: dict[str, tuple[str, Read]] = {}

        def read(value: Any) -> dict[str, Any]:
            if type(value) is not dict:
                raise SerializationException("Unexpected field type")
            out = {}
            for key, item in value.items():
                row = rows.get(key)
                if row is not None and item is not None:
                    out[row[0]] = row[1](item)
            return out

        if members is None:
            self._structures[shape.name] = read
        for name, member in shape.members.items():
            if members is None or name in members:
                rows[member.location_name or name] = (name, self.compile(member))
        return read

    def from_bytes(self, shape: Shape) -> Callable[[bytes], Any]:
        read = self.compile(shape)
        return lambda data: read(decode_json(data))

    def _list(self, shape: Shape) -> Read:
        item = self.compile(shape.member)

        def read(value: Any) -> list[Any]:
            if type(value) is not list:
                raise SerializationException("Expected list or null")
            return [None if each is None else item(each) for each in value]

        return read

    def _map(self, shape: Shape) -> Read:
        item = self.compile(shape.value)

        def read(value: Any) -> dict[str, Any]:
            if type(value) is not dict:
                raise SerializationException("Expected map or null")
            return {key: None if each is None else item(each) for key, each in value.items()}

        return read


def wrong_type(value: Any, wanted: str) -> SerializationException:
    if isinstance(value, dict | list):
        return SerializationException("Start of structure or map found where not expected")
    token = {True: "TRUE_VALUE", False: "FALSE_VALUE"}[value] if isinstance(value, bool) else _TOKENS[type(value)]
    return SerializationException(f"{token} can not be converted to {wanted}")


def _document(value: Any) -> Any:
    return value


def read_string(value: Any) -> str:
    if type(value) is not str:
        raise wrong_type(value, "String")
    return value


def _integer(value: Any, bits: int = 63) -> int:
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or not -(1 << bits) <= value < 1 << bits:
        raise wrong_type(value, "Integer" if bits == 31 else "Long")
    return value


def _float(value: Any) -> float:
    if type(value) is float:
        return value
    if type(value) is int:
        return float(value)
    if type(value) is str and value in {"NaN", "Infinity", "-Infinity"}:
        return read_float(value)
    raise wrong_type(value, "Double")


def _boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise wrong_type(value, "Boolean")
    return value


def _blob(value: Any) -> bytes:
    return read_base64(read_string(value))


def _timestamp(value: Any) -> Any:
    if isinstance(value, bool | dict | list):
        raise wrong_type(value, "Timestamp")
    return read_timestamp(value)


_SCALARS: dict[str, Read] = {
    "integer": lambda value: _integer(value, 31),
    "long": _integer,
    "float": _float,
    "double": _float,
    "boolean": _boolean,
    "blob": _blob,
    "timestamp": _timestamp,
}
