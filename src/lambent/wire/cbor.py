"""CBOR (RFC 8949), as much of it as the smithy-rpc-v2-cbor protocol uses: plain values out and in.

Timestamps are tag 1. Nothing that a hostile body can say makes the reader nest deep or set memory aside ahead of data.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import datetime
from typing import Any

from lambent.errors import SerializationException
from lambent.wire.text import read_timestamp, write_epoch

_DEEPEST = 100
_DOUBLE = struct.Struct(">d")
_FLOATS = {25: struct.Struct(">e"), 26: struct.Struct(">f"), 27: _DOUBLE}
_SIMPLE = {20: False, 21: True, 22: None, 23: None}
_INDEFINITE = 31


# ---- writing -------------------------------------------------------------------------------------------------------


def encode_cbor(value: Any) -> bytes:
    out = bytearray()
    _write(value, out)
    return bytes(out)


def _write(value: Any, out: bytearray) -> None:
    write = _WRITERS.get(type(value))
    if write is None:
        write = next((writer for kind, writer in _WRITERS.items() if isinstance(value, kind)), None)
        if write is None:
            raise TypeError(f"A {type(value).__name__} can't be written as CBOR.")
    write(value, out)


def _head(major: int, number: int, out: bytearray) -> None:
    if number < 24:
        out.append(major | number)
    elif number < 0x100:
        out += bytes((major | 24, number))
    else:
        info, size = (25, 2) if number < 0x10000 else (26, 4) if number < 0x1_0000_0000 else (27, 8)
        out.append(major | info)
        out += number.to_bytes(size, "big")


def _write_int(value: int, out: bytearray) -> None:
    if value >= 0:
        _head(0x00, value, out)
    else:
        _head(0x20, -1 - value, out)


def _write_bytes(value: bytes, out: bytearray) -> None:
    _head(0x40, len(value), out)
    out += value


def _write_str(value: str, out: bytearray) -> None:
    raw = value.encode()
    _head(0x60, len(raw), out)
    out += raw


def _write_list(value: list[Any], out: bytearray) -> None:
    _head(0x80, len(value), out)
    for item in value:
        _write(item, out)


def _write_dict(value: dict[str, Any], out: bytearray) -> None:
    _head(0xA0, len(value), out)
    for key, item in value.items():
        _write_str(key, out)
        _write(item, out)


def _write_datetime(value: datetime, out: bytearray) -> None:
    out.append(0xC1)
    _write(write_epoch(value), out)


def _write_float(value: float, out: bytearray) -> None:
    out.append(0xFB)
    out += _DOUBLE.pack(value)


_WRITERS: dict[type, Callable[[Any, bytearray], None]] = {
    bool: lambda value, out: out.append(0xF5 if value else 0xF4),
    int: _write_int,
    str: _write_str,
    bytes: _write_bytes,
    bytearray: _write_bytes,
    list: _write_list,
    tuple: _write_list,
    dict: _write_dict,
    float: _write_float,
    datetime: _write_datetime,
    type(None): lambda _value, out: out.append(0xF6),
}


# ---- reading -------------------------------------------------------------------------------------------------------


def decode_cbor(data: bytes) -> Any:
    """One data item that takes all of `data`."""
    reader = _Reader(data)
    try:
        value = reader.item(0)
    except _Break as error:
        raise SerializationException("The request body is not valid CBOR.") from error
    if reader.at != len(data):
        raise SerializationException("The request body has bytes after its CBOR value.")
    return value


class _Break(Exception):
    """The end of something whose length was not given."""


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.data):
            raise SerializationException("The request body ends in the middle of a CBOR value.")
        start, self.at = self.at, end
        return self.data[start:end]

    def number(self, info: int) -> int:
        if info < 24:
            return info
        if info > 27:
            raise SerializationException("The request body is not valid CBOR.")
        return int.from_bytes(self.take(1 << (info - 24)), "big")

    def item(self, depth: int) -> Any:
        if depth > _DEEPEST:
            raise SerializationException("The request body is nested too deeply.")
        first = self.take(1)[0]
        major, info = first >> 5, first & 31
        if major == 0:
            return self.number(info)
        if major == 1:
            return -1 - self.number(info)
        if major in (2, 3):
            return self._string(major, info)
        if major == 4:
            return self._list(info, depth)
        if major == 5:
            return self._map(info, depth)
        if major == 6:
            return self._tag(info, depth)
        return self._simple(info)

    def _string(self, major: int, info: int) -> Any:
        raw = b"".join(self._chunks(major)) if info == _INDEFINITE else self.take(self.number(info))
        if major == 2:
            return raw
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise SerializationException("A text in the request body is not valid UTF-8.") from error

    def _chunks(self, major: int) -> list[bytes]:
        chunks = []
        while (first := self.take(1)[0]) != 0xFF:
            if first >> 5 != major or first & 31 == _INDEFINITE:
                raise SerializationException("The request body is not valid CBOR.")
            chunks.append(self.take(self.number(first & 31)))
        return chunks

    def _list(self, info: int, depth: int) -> list[Any]:
        if info != _INDEFINITE:
            # A hostile length fails at the first item that is missing.
            return [self.item(depth + 1) for _ in range(self.number(info))]
        items = []
        try:
            while True:
                items.append(self.item(depth + 1))
        except _Break:
            return items

    def _map(self, info: int, depth: int) -> dict[str, Any]:
        pairs: dict[str, Any] = {}
        left = -1 if info == _INDEFINITE else self.number(info)
        while left:
            try:
                key = self.item(depth + 1)
            except _Break:
                if left < 0:
                    return pairs
                raise
            if not isinstance(key, str):
                raise SerializationException("A map in the request body has a key that is not a text.")
            pairs[key] = self.item(depth + 1)
            left -= 1
        return pairs

    def _tag(self, info: int, depth: int) -> Any:
        tag, value = self.number(info), self.item(depth + 1)
        if tag != 1 or isinstance(value, str):
            raise SerializationException(f"The request body has a CBOR tag {tag} where none is expected.")
        return read_timestamp(value)

    def _simple(self, info: int) -> Any:
        if info in _SIMPLE:
            return _SIMPLE[info]
        if info in _FLOATS:
            layout = _FLOATS[info]
            return layout.unpack(self.take(layout.size))[0]
        if info == _INDEFINITE:
            raise _Break
        raise SerializationException("The request body is not valid CBOR.")
