"""query requests: a form of flattened names, `Tags.member.1.Key=a`, read into a tree and then by the shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lambent.errors import SerializationException
from lambent.request import Request
from lambent.wire.api_model import OperationModel, Shape
from lambent.wire.parse.protocol import Parse, read_nothing
from lambent.wire.text import parse_query, text_reader

#: A value, or the names below this one.
Node = Any
Read = Callable[[Node], Any]

#: AWS's own limit of nesting is far below; deeper names are an attack on the stack.
_DEEPEST = 40


class QueryParser:
    def __init__(self, path_member: str | None = None) -> None:
        """`path_member` is a member that clients may give as the request's URL instead."""
        self._path_member = path_member
        self._structures: dict[str, Read] = {}

    def compile(self, operation: OperationModel) -> Parse:
        if operation.input is None:
            return read_nothing
        read = self._structure(operation.input)
        path_member = self._path_member if self._path_member in operation.input.members else None

        def parse(request: Request, _uri_params: Mapping[str, str]) -> dict[str, Any]:
            parsed: dict[str, Any] = read(form_tree(request))
            if path_member and path_member not in parsed and request.raw_path != b"/":
                host = (request.header(b"host") or b"").decode("latin-1")
                parsed[path_member] = f"{request.scheme}://{host}{request.raw_path.decode('latin-1')}"
            return parsed

        return parse

    def _compile(self, shape: Shape) -> Read:
        if shape.type == "structure":
            return self._structure(shape)
        if shape.type == "list":
            return self._list(shape)
        if shape.type == "map":
            return self._map(shape)
        return _scalar(shape)

    def _structure(self, shape: Shape) -> Read:
        if shape.name in self._structures:
            return self._structures[shape.name]
        rows: list[tuple[str, str, Read]] = []

        def read(node: Node) -> dict[str, Any]:
            out: dict[str, Any] = {}
            if type(node) is dict:
                for wire_name, name, convert in rows:
                    child = node.get(wire_name)
                    if child is not None:
                        out[name] = convert(child)
            return out

        self._structures[shape.name] = read
        rows += [(form_name(member, name), name, self._compile(member)) for name, member in shape.members.items()]
        return read

    def _list(self, shape: Shape) -> Read:
        item = self._compile(shape.member)
        inner = None if shape.flattened else shape.member.location_name or "member"

        def read(node: Node) -> list[Any]:
            # `Names=` is how clients write an empty list.
            if type(node) is not dict:
                if node:
                    raise SerializationException("Expected list or null")
                return []
            children = node if inner is None else node.get(inner)
            return [item(child) for child in _numbered(children)]

        return read

    def _map(self, shape: Shape) -> Read:
        key, item = self._compile(shape.key), self._compile(shape.value)
        key_name, item_name = shape.key.location_name or "key", shape.value.location_name or "value"
        inner = None if shape.flattened else "entry"

        def read(node: Node) -> dict[str, Any]:
            if type(node) is not dict:
                return {}
            out: dict[str, Any] = {}
            for entry in _numbered(node if inner is None else node.get(inner)):
                if type(entry) is not dict or entry.get(key_name) is None:
                    raise SerializationException("A map has an entry without a key.")
                value = entry.get(item_name)
                out[key(entry[key_name])] = None if value is None else item(value)
            return out

        return read


def form_name(member: Shape, name: str) -> str:
    """A flattened list goes by the name of its members where they have one."""
    if member.type == "list" and member.flattened and member.member.location_name:
        return member.member.location_name
    return member.location_name or name


def _scalar(shape: Shape) -> Read:
    convert = text_reader(shape)

    def read(node: Node) -> Any:
        if type(node) is dict:
            raise SerializationException("Start of structure or map found where not expected")
        return convert(node)

    return read


def _numbered(children: Node) -> list[Node]:
    """The children `1`, `2`, … in their order; gaps are closed."""
    if type(children) is not dict:
        return []
    try:
        return [children[name] for name in sorted(children, key=int)]
    except ValueError as error:
        raise SerializationException("The members of a list must be numbered.") from error


def form_tree(request: Request) -> dict[str, Node]:
    """The form's fields (of the body, else of the query string) as a tree along their dots."""
    root: dict[str, Node] = {}
    for source in (request.query, request.body):
        for name, values in parse_query(source).items():
            _plant(root, name.split("."), values[-1])
    return root


def _plant(root: dict[str, Node], path: list[str], value: str) -> None:
    if len(path) > _DEEPEST:
        raise SerializationException("A parameter's name is nested too deeply.")
    node = root
    for part in path[:-1]:
        child = node.get(part)
        if type(child) is not dict:
            child = node[part] = {}
        node = child
    if type(node.get(path[-1])) is not dict:
        node[path[-1]] = value
