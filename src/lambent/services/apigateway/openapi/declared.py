"""What an operation of a definition declares beside its integration: parameters, bodies and responses."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from lambent.services.apigateway.domain import MethodResponse
from lambent.services.apigateway.openapi.document import Definition, Node

_PLACES = {"path": "path", "query": "querystring", "header": "header"}
_JSON = "application/json"

#: Takes a schema; gives the name of the model that is, or has been made, of it.
Named = Callable[[Node], str]


def request_parameters(operation: Node) -> dict[str, bool]:
    return {
        f"method.request.{_PLACES[one['in']]}.{one['name']}": bool(one.get("required"))
        for one in operation["parameters"]
        if one.get("in") in _PLACES and one.get("name")
    }


def request_models(definition: Definition, operation: Node, named: Named) -> dict[str, str]:
    if not definition.is_swagger:
        return _content(definition.resolved(operation.get("requestBody")), named)
    body: Node = next((one for one in operation["parameters"] if one.get("in") == "body"), {})
    if not body.get("schema"):
        return {}
    consumes = operation.get("consumes") or definition.root.get("consumes") or (_JSON,)
    return _each(consumes, named(body["schema"]))


def responses(definition: Definition, operation: Node, named: Named) -> dict[str, MethodResponse]:
    """Those with a status of their own; `default` and ranges declare nothing that a method could have."""
    found = {}
    for code, node in (operation.get("responses") or {}).items():
        response = definition.resolved(node)
        if str(code).isdigit() and isinstance(response, dict):
            found[str(code)] = MethodResponse(
                status_code=str(code),
                parameters={f"method.response.header.{name}": False for name in response.get("headers") or {}},
                models=_response_models(definition, operation, response, named),
            )
    return found


def unsupported_parameters(operation: Node) -> list[str]:
    return [str(one["in"]) for one in operation["parameters"] if one.get("in") in ("formData", "cookie")]


def _response_models(definition: Definition, operation: Node, response: Node, named: Named) -> dict[str, str]:
    if not definition.is_swagger:
        return _content(response, named)
    if not response.get("schema"):
        return {}
    produces = operation.get("produces") or definition.root.get("produces") or (_JSON,)
    return _each(produces, named(response["schema"]))


def _content(node: Any, named: Named) -> dict[str, str]:
    content = (node or {}).get("content") or {}
    return {name: named(media["schema"]) for name, media in content.items() if media and media.get("schema")}


def _each(content_types: Iterable[str], model: str) -> dict[str, str]:
    return dict.fromkeys(content_types, model)
