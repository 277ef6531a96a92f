"""A definition as it was sent: its version, its parts under one name for both versions, and references followed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from lambent.services.apigateway.errors import BadRequestException

Node = Mapping[str, Any]

#: References of references that are followed; more can only be a circle.
_DEPTH = 20
_METHODS = ("get", "put", "post", "delete", "patch", "options", "head")
EXTENSION = "x-amazon-apigateway-"
ANY_METHOD = f"{EXTENSION}any-method"


class Definition:
    """Read-only. Raises BadRequestException for what is no definition."""

    def __init__(self, body: bytes) -> None:
        self.root = _loaded(body)
        self.is_swagger = "swagger" in self.root
        version = str(self.root.get("swagger") or self.root.get("openapi") or "")
        if version != "2.0" and not version.startswith("3.0"):
            raise BadRequestException(
                f"Invalid API definition: version '{version}' is neither Swagger 2.0 nor OpenAPI 3.0"
            )
        self.info = self._part("info")

    @property
    def title(self) -> str:
        return str(self.info.get("title") or "")

    def extension(self, name: str, node: Node | None = None) -> Any:
        """`x-amazon-apigateway-<name>` of the whole definition or of a part of it."""
        return self.resolved((self.root if node is None else node).get(EXTENSION + name))

    def schemas(self) -> Node:
        return self._part("definitions") if self.is_swagger else self._component("schemas")

    def security_schemes(self) -> Node:
        return self._part("securityDefinitions") if self.is_swagger else self._component("securitySchemes")

    def operations(self) -> Iterator[tuple[str, str, Node]]:
        """Path, HTTP method in capitals and operation, the path's own parameters put into it."""
        for path, item in self._part("paths").items():
            shared = self.resolved(item)
            if not isinstance(shared, dict):
                raise BadRequestException(f"Invalid API definition: the path {path} is not an object")
            for name in (*_METHODS, ANY_METHOD):
                operation = self.resolved(shared.get(name))
                if isinstance(operation, dict):
                    parameters = [*(shared.get("parameters") or ()), *(operation.get("parameters") or ())]
                    method = "ANY" if name == ANY_METHOD else name.upper()
                    yield path, method, {**operation, "parameters": [self.resolved(one) for one in parameters]}

    def base_path(self) -> str:
        """`/v1` of Swagger's basePath or of the first server; "" without."""
        if self.is_swagger:
            return str(self.root.get("basePath") or "").rstrip("/")
        servers = self.root.get("servers") or [{}]
        url = str(servers[0].get("url") or "")
        for name, variable in (servers[0].get("variables") or {}).items():
            url = url.replace(f"{{{name}}}", str(variable.get("default") or ""))
        path = "/" + url.split("://", 1)[-1].partition("/")[2]
        return path.rstrip("/")

    def resolved(self, node: Any) -> Any:
        """`node`, or what its `$ref` into the definition leads to."""
        for _ in range(_DEPTH):
            if not isinstance(node, dict) or not isinstance(node.get("$ref"), str):
                return node
            node = self._at(node["$ref"])
        raise BadRequestException("Invalid API definition: references lead in a circle")

    def _at(self, reference: str) -> Any:
        if not reference.startswith("#/"):
            raise BadRequestException(f"Invalid API definition: the reference {reference} leads out of it")
        node: Any = self.root
        for part in reference[2:].split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(node, dict) or key not in node:
                raise BadRequestException(f"Invalid API definition: nothing is at {reference}")
            node = node[key]
        return node

    def _component(self, name: str) -> Node:
        return _object(self._part("components").get(name), f"components/{name}")

    def _part(self, name: str) -> Node:
        return _object(self.root.get(name), name)


def _loaded(body: bytes) -> dict[str, Any]:
    try:
        root = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequestException(
            "Invalid API definition: it is not JSON. This Lambent region reads no YAML; convert it first."
        ) from None
    if not isinstance(root, dict):
        raise BadRequestException("Invalid API definition: it is not a JSON object")
    return root


def _object(node: Any, name: str) -> Node:
    if node is None:
        return {}
    if not isinstance(node, dict):
        raise BadRequestException(f"Invalid API definition: {name} is not an object")
    return node
