"""Rules of models: names, JSON Schema as API Gateway takes it, and references between models. Pure functions."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from lambent.services.apigateway import identifiers, patterns
from lambent.services.apigateway.domain import Model, RestApi
from lambent.services.apigateway.errors import BadRequestException, ConflictException, NotFoundException
from lambent.services.apigateway.patches import Rules, field

_NAME = re.compile(r"[a-zA-Z0-9]+")
_REFERENCE = re.compile(r"https://apigateway\.amazonaws\.com/restapis/[^/]+/models/([a-zA-Z0-9]+)")
#: Levels of objects and lists in a schema; reading it again must never run out of stack.
_DEEPEST = 100
_DRAFT = "http://json-schema.org/draft-04/schema#"


def defaults() -> dict[str, Model]:
    """The models that every new API has."""
    error = {
        "$schema": _DRAFT,
        "title": "Error Schema",
        "type": "object",
        "properties": {"message": {"type": "string"}},
    }
    empty = {"$schema": _DRAFT, "title": "Empty Schema", "type": "object"}
    rows = (
        ("Empty", "This is a default empty schema model", empty),
        ("Error", "This is a default error schema model", error),
    )
    return {
        name: Model(id=identifiers.short_id(), name=name, description=description, schema=json.dumps(schema, indent=2))
        for name, description, schema in rows
    }


def find(api: RestApi, name: str) -> Model:
    found = api.models.get(name)
    if found is None:
        raise NotFoundException(f"Invalid model name specified: {name}")
    return found


def check_name(api: RestApi, name: str) -> None:
    if not name:
        raise BadRequestException("Model name must be non-empty")
    if not _NAME.fullmatch(name):
        raise BadRequestException(f"Model name must be alphanumeric: {name}")
    if name in api.models:
        raise ConflictException("Model name already exists for this REST API")


def check_schema(content_type: str, text: str) -> None:
    """Raises what AWS does for a schema that is none. Takes some milliseconds, so keep it off the event loop."""
    if not text.strip() or text.strip() == "{}":
        raise BadRequestException("Model schema must have at least 1 property or array items defined")
    if content_type.partition(";")[0].strip() != "application/json":
        return
    try:
        schema = json.loads(text)
        # By name, so that a region without models never pays for loading it.
        problem = importlib.import_module("lambent.services.apigateway.schemas").problem(schema)
    except (ValueError, RecursionError):
        raise _invalid("Invalid model schema specified") from None
    if problem:
        raise _invalid(f"Invalid model schema specified. {problem}")
    for reference in references(schema):
        if not reference.startswith("#") and not _REFERENCE.fullmatch(reference):
            raise _invalid("Model reference must be in canonical form")
    for pattern in _patterns(schema):
        patterns.check(pattern)


def check_references(api: RestApi, model: Model) -> None:
    """The models that a schema names must be there."""
    for name in named_by(model):
        if name not in api.models and name != model.name:
            raise _invalid(f"Invalid model identifier specified: {name}")


def references(schema: Any) -> list[str]:
    """Every `$ref` of a schema."""
    return [node["$ref"] for node in _objects(schema) if isinstance(node.get("$ref"), str)]


def _patterns(schema: Any) -> list[str]:
    """Every regular expression that texts or names are checked with."""
    found = []
    for node in _objects(schema):
        names = node.get("patternProperties")
        found += [node["pattern"]] if isinstance(node.get("pattern"), str) else []
        found += names if isinstance(names, dict) else ()
    return found


def _objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Every object of a schema. Raises BadRequestException for one nested deeper than anybody writes."""
    waiting = [(schema, 0)]
    while waiting:
        node, depth = waiting.pop()
        if depth > _DEEPEST:
            raise _invalid("Invalid model schema specified")
        if isinstance(node, dict):
            yield node
            waiting += [(item, depth + 1) for item in node.values()]
        elif isinstance(node, list):
            waiting += [(item, depth + 1) for item in node]


def named_by(model: Model) -> set[str]:
    """Names of the models that a schema refers to."""
    try:
        schema = json.loads(model.schema)
    except ValueError:
        return set()
    matches = (_REFERENCE.fullmatch(reference) for reference in references(schema))
    return {match[1] for match in matches if match}


def flattened(models: Mapping[str, Model], name: str) -> dict[str, Any]:
    """The schema of `name` with every model that it reaches in its `definitions`: nothing else is needed to use it."""
    schema: dict[str, Any] = _localised(json.loads(models[name].schema))
    definitions: dict[str, Any] = {}
    waiting = named_by(models[name])
    while waiting:
        one = waiting.pop()
        if one in definitions or one not in models:
            continue
        definitions[one] = _localised(json.loads(models[one].schema))
        waiting |= named_by(models[one])
    if definitions:
        schema["definitions"] = {**schema.get("definitions", {}), **definitions}
    return schema


def _localised(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_localised(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {key: _localised(item) for key, item in schema.items()}
    match = _REFERENCE.fullmatch(schema["$ref"]) if isinstance(schema.get("$ref"), str) else None
    if match:
        changed["$ref"] = f"#/definitions/{match[1]}"
    return changed


def _invalid(problem: str) -> BadRequestException:
    return BadRequestException(f"Invalid model specified: Validation Result: warnings : [], errors : [{problem}]")


RULES: Rules[Model] = Rules({"/description": field("description"), "/schema": field("schema")}, named=True)
