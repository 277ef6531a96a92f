"""rest-xml requests: members in URI, query and headers; the rest in an XML body, or one member as the whole body."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

from lambent.errors import SerializationException
from lambent.wire.api_model import OperationModel, Shape
from lambent.wire.parse.http_bindings import compile_rest
from lambent.wire.parse.protocol import BodyReader, Parse, body_members, read_raw_payload
from lambent.wire.text import text_reader

Element = ElementTree.Element
Read = Callable[[Element], Any]
#: Adds what one child element says to the members of a structure.
Add = Callable[[Element, dict[str, Any]], None]

_DEEPEST = 100


class RestXmlParser:
    def __init__(self) -> None:
        self._structures: dict[str, Read] = {}

    def compile(self, operation: OperationModel) -> Parse:
        return compile_rest(operation, self._body)

    def _body(self, shape: Shape) -> BodyReader | None:
        if not shape.payload:
            members = body_members(shape)
            if not members:
                return None
            read = self._structure(shape, members)
            return lambda body, params: params.update(read(parse_xml(body)) if body else {})
        name, member = shape.payload, shape.members[shape.payload]
        if member.type in {"blob", "string"}:
            return read_raw_payload(name, member)
        read_payload = self._compile(member)

        def read_body(body: bytes, params: dict[str, Any]) -> None:
            if body:
                params[name] = read_payload(parse_xml(body))

        return read_body

    def _compile(self, shape: Shape) -> Read:
        if shape.type == "structure":
            return self._structure(shape)
        if shape.type == "list":
            item, inner = self._compile(shape.member), shape.member.location_name or "member"
            return lambda node: [item(child) for child in node if _local(child.tag) == inner]
        if shape.type == "map":
            entry = self._entry(shape)
            return lambda node: dict(entry(child) for child in node if _local(child.tag) == "entry")
        convert = text_reader(shape)
        return lambda node: convert(node.text or "")

    def _structure(self, shape: Shape, members: frozenset[str] | None = None) -> Read:
        if members is None and shape.name in self._structures:
            return self._structures[shape.name]
        rows: dict[str, Add] = {}
        attributes = tuple(
            ((member.location_name or name).rpartition(":")[2], name, text_reader(member))
            for name, member in shape.members.items()
            if member.xml_attribute
        )

        def read(node: Element) -> dict[str, Any]:
            out: dict[str, Any] = {}
            for child in node:
                add = rows.get(_local(child.tag))
                if add is not None:
                    add(child, out)
            for attribute, name, convert in attributes:
                found = next((text for key, text in node.attrib.items() if _local(key) == attribute), None)
                if found is not None:
                    out[name] = convert(found)
            return out

        if members is None:
            self._structures[shape.name] = read
        for name, member in shape.members.items():
            if (members is None or name in members) and not member.xml_attribute:
                wire_name, add = self._member(name, member)
                rows[wire_name] = add
        return read

    def _member(self, name: str, member: Shape) -> tuple[str, Add]:
        wire_name = member.location_name or name
        if member.flattened and member.type == "list":
            item = self._compile(member.member)
            item_name = member.member.location_name or wire_name
            return item_name, lambda child, out: out.setdefault(name, []).append(item(child))
        if member.flattened and member.type == "map":
            entry = self._entry(member)
            return wire_name, lambda child, out: out.setdefault(name, {}).update([entry(child)])
        convert = self._compile(member)
        return wire_name, lambda child, out: out.__setitem__(name, convert(child))

    def _entry(self, shape: Shape) -> Callable[[Element], tuple[Any, Any]]:
        key, value = self._compile(shape.key), self._compile(shape.value)
        key_name, value_name = shape.key.location_name or "key", shape.value.location_name or "value"

        def read(node: Element) -> tuple[Any, Any]:
            found = {_local(child.tag): child for child in node}
            if key_name not in found or value_name not in found:
                raise SerializationException("A map has an entry without a key or a value.")
            return key(found[key_name]), value(found[value_name])

        return read


def _local(tag: str) -> str:
    """A name without its namespace: AWS takes elements with and without theirs."""
    return tag.rpartition("}")[2]


class _Builder(ElementTree.TreeBuilder):
    """Refuses what lets a small document grow without bounds: document types (entities) and deep nesting."""

    _depth = 0

    def doctype(self, _name: str, _public: str | None, _system: str | None) -> None:
        raise SerializationException("The XML you provided has a document type.")

    def start(self, tag: Any, attrs: Any) -> Element:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise SerializationException("The XML you provided is nested too deeply.")
        return super().start(tag, attrs)

    def end(self, tag: str) -> Element:
        self._depth -= 1
        return super().end(tag)


def parse_xml(body: bytes) -> Element:
    parser = ElementTree.XMLParser(target=_Builder())  # noqa: S314 (the builder refuses entities)
    try:
        parser.feed(body)
        root: Element = parser.close()
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise SerializationException(
            "The XML you provided was not well-formed or did not validate against our published schema"
        ) from error
    return root
