"""AWS's values as XML text: compiled once per shape into a function that appends pieces to a list.

Lists, maps and names follow the model: flattened or wrapped, `member` and `entry` unless it names them otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from lambent.wire.api_model import Shape
from lambent.wire.text import text_writer

Out = list[str]
#: Appends a value, with its element around it.
Write = Callable[[Any, Out], None]

_UNSAFE = re.compile(r"[&<>\r\n\x00-\x08\x0b\x0c\x0e-\x1f\x85\u2028\ufffe\uffff]")
_NAMED = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def escape(text: str) -> str:
    """Control characters become references, as AWS writes them, so that line ends survive the reader."""
    return _UNSAFE.sub(_reference, text) if _UNSAFE.search(text) else text


def _reference(match: re.Match[str]) -> str:
    return _NAMED.get(match.group()) or f"&#x{ord(match.group()):x};"


def escape_attribute(text: str) -> str:
    return escape(text).replace('"', "&quot;").replace("\t", "&#x9;")


class XmlWriter:
    """Compiles the shapes of one service."""

    def __init__(self) -> None:
        self._structures: dict[tuple[str, str], Write] = {}

    def compile(self, shape: Shape, name: str) -> Write:
        """How a value of `shape` is written as the element (or, flattened, the elements) `name`."""
        if shape.type == "structure":
            return self._element(shape, name)
        if shape.type == "list":
            return self._list(shape, name)
        if shape.type == "map":
            return self._map(shape, name)
        convert = text_writer(shape, "iso8601")
        start, end = f"<{name}{namespace(shape)}>", f"</{name}>"
        return lambda value, out: out.append(f"{start}{escape(convert(value))}{end}")

    def _element(self, shape: Shape, name: str) -> Write:
        key = (shape.name, name)
        if key in self._structures:
            return self._structures[key]
        cell: list[Write] = []
        self._structures[key] = lambda value, out: cell[0](value, out)
        inner, attributes = self.members(shape), _attributes(shape)
        start, end = f"<{name}{namespace(shape)}", f"</{name}>"

        def write(value: Any, out: Out) -> None:
            out.append(f"{start}{attributes(value)}>" if attributes else f"{start}>")
            inner(value, out)
            out.append(end)

        cell.append(write)
        self._structures[key] = write
        return write

    def members(self, shape: Shape, members: frozenset[str] | None = None) -> Write:
        """The members of a structure, without an element around them."""
        rows = tuple(
            (name, self.compile(member, element_name(member, name)))
            for name, member in shape.members.items()
            if (members is None or name in members) and not member.xml_attribute
        )

        def write(value: Any, out: Out) -> None:
            for name, inner in rows:
                item = value.get(name)
                if item is not None:
                    inner(item, out)

        return write

    def _list(self, shape: Shape, name: str) -> Write:
        item = self.compile(shape.member, name if shape.flattened else shape.member.location_name or "member")
        start, end = f"<{name}{namespace(shape)}>", f"</{name}>"

        def write_items(value: Any, out: Out) -> None:
            for each in value:
                item("" if each is None else each, out)

        def write(value: Any, out: Out) -> None:
            out.append(start)
            write_items(value, out)
            out.append(end)

        return write_items if shape.flattened else write

    def _map(self, shape: Shape, name: str) -> Write:
        key = self.compile(shape.key, shape.key.location_name or "key")
        item = self.compile(shape.value, shape.value.location_name or "value")
        entry = name if shape.flattened else "entry"
        start, end = f"<{name}{namespace(shape)}>", f"</{name}>"
        entry_start, entry_end = f"<{entry}>", f"</{entry}>"

        def write_entries(value: Any, out: Out) -> None:
            for name, each in value.items():
                out.append(entry_start)
                key(name, out)
                if each is not None:
                    item(each, out)
                out.append(entry_end)

        def write(value: Any, out: Out) -> None:
            out.append(start)
            write_entries(value, out)
            out.append(end)

        return write_entries if shape.flattened else write


def element_name(member: Shape, name: str) -> str:
    """A flattened list goes by the name of its members where they have one."""
    if member.type == "list" and member.flattened and member.member.location_name:
        return member.member.location_name
    return member.location_name or name


def namespace(shape: Shape) -> str:
    """` xmlns="…"` of an element, or nothing."""
    found = shape.xml_namespace
    if not found:
        return ""
    if isinstance(found, str):
        return f' xmlns="{escape_attribute(found)}"'
    prefix = f":{found['prefix']}" if found.get("prefix") else ""
    return f' xmlns{prefix}="{escape_attribute(found.get("uri", ""))}"'


def _attributes(shape: Shape) -> Callable[[Any], str] | None:
    rows = tuple(
        (name, member.location_name or name, text_writer(member, "iso8601"))
        for name, member in shape.members.items()
        if member.xml_attribute
    )
    if not rows:
        return None

    def write(value: Any) -> str:
        present = ((label, convert(value[name])) for name, label, convert in rows if value.get(name) is not None)
        return "".join(f' {label}="{escape_attribute(text)}"' for label, text in present)

    return write
