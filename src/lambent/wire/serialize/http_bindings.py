"""Members that REST protocols answer outside of the body: status code, headers and prefixed headers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lambent.wire.api_model import Shape
from lambent.wire.serialize.protocol import HeaderList
from lambent.wire.text import text_writer

WriteHeaders = Callable[[dict[str, Any], HeaderList], None]


def compile_headers(shape: Shape) -> WriteHeaders:
    """A function that adds the headers which a result's members are bound to."""
    rows = tuple(
        ((member.location_name or name).lower().encode(), name, _header_writer(member))
        for name, member in shape.members.items()
        if member.location == "header"
    )
    prefixes = tuple(
        ((member.location_name or "").lower(), name)
        for name, member in shape.members.items()
        if member.location == "headers"
    )

    def write(result: dict[str, Any], headers: HeaderList) -> None:
        for header, name, convert in rows:
            value = result.get(name)
            if value is not None:
                headers.append((header, convert(value)))
        for prefix, name in prefixes:
            for key, value in (result.get(name) or {}).items():
                headers.append((f"{prefix}{key}".lower().encode(), _encode(str(value))))

    return write


def status_member(shape: Shape) -> str | None:
    return next((name for name, member in shape.members.items() if member.location == "statusCode"), None)


def content_type_member(shape: Shape) -> str | None:
    return next((name for name, member in shape.members.items() if member.location_name == "Content-Type"), None)


def _header_writer(shape: Shape) -> Callable[[Any], bytes]:
    if shape.type == "list":
        convert = text_writer(shape.member, "rfc822")
        return lambda value: _encode(", ".join(_quote(convert(item)) for item in value))
    if shape.type == "string" and not shape.jsonvalue:
        return _encode
    convert = text_writer(shape, "rfc822")
    return lambda value: _encode(convert(value))


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' if '"' in text or "," in text else text


def _encode(text: str) -> bytes:
    """No value may end its header and start another."""
    raw = text.encode() if isinstance(text, str) else str(text).encode()
    return raw.replace(b"\r", b" ").replace(b"\n", b" ") if b"\n" in raw or b"\r" in raw else raw
