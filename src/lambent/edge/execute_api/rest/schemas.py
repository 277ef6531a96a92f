"""The only importer of jsonschema: models of REST APIs as validators. Loaded by `validation` at its first body."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jsonschema
import msgspec
import referencing
import referencing.exceptions
import referencing.jsonschema

from lambent.services.apigateway.domain import Model, RestApi
from lambent.services.apigateway.expressions import Expression, TooHard

#: Errors told of one body at most.
MAX_ERRORS = 20


class ModelValidator:
    def __init__(self, api: RestApi, model: Model) -> None:
        """Raises ValueError where the model is not JSON."""
        prefix = f"https://apigateway.amazonaws.com/restapis/{api.id}/models/"
        resources = [
            (prefix + name, referencing.jsonschema.DRAFT4.create_resource(_read(other)))
            for name, other in api.models.items()
        ]
        # A registry of its own also keeps the library from fetching references that it does not know.
        registry: referencing.Registry[Any] = referencing.Registry().with_resources(resources)
        self._validator = _bounded()(_read(model), registry=registry)

    def errors(self, body: bytes) -> tuple[str, ...]:
        """What is wrong with `body`, empty where nothing is."""
        try:
            document = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return ("the body is not JSON",)
        try:
            found = self._validator.iter_errors(document)
            return tuple(_worded(error) for error, _ in zip(found, range(MAX_ERRORS), strict=False))
        except referencing.exceptions.Unresolvable as error:
            return (f"the model refers to {error.ref}, which there is not",)
        except RecursionError:
            return ("the body is nested too deeply",)


def _bounded() -> Any:
    """The library's validator but for what it leaves to Python's expressions, which may take for ever."""
    expressions: dict[str, Expression | None] = {}

    def found(pattern: str, text: str) -> bool:
        if pattern not in expressions:
            try:
                expressions[pattern] = Expression(pattern)
            except (re.error, TooHard):
                expressions[pattern] = None
        expression = expressions[pattern]
        return expression is not None and expression.search(text)

    keywords = _Keywords(found)
    changed = {
        "pattern": keywords.pattern,
        "patternProperties": keywords.pattern_properties,
        "additionalProperties": keywords.additional_properties,
    }
    extend: Any = jsonschema.validators.extend
    return extend(jsonschema.Draft4Validator, changed)


class _Keywords:
    """What the library calls for keywords that have patterns."""

    def __init__(self, found: Callable[[str, str], bool]) -> None:
        """`found`: is there the pattern in the text?"""
        self._found = found

    def pattern(self, validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[Any]:
        if validator.is_type(instance, "string") and not self._found(pattern, instance):
            yield jsonschema.ValidationError(f"{instance!r} does not match {pattern!r}")

    def pattern_properties(
        self, validator: Any, patterns: Mapping[str, Any], instance: Any, _schema: Any
    ) -> Iterator[Any]:
        if not validator.is_type(instance, "object"):
            return
        for pattern, below in patterns.items():
            for name, value in instance.items():
                if self._found(pattern, name):
                    yield from validator.descend(value, below, path=name, schema_path=pattern)

    def additional_properties(
        self, validator: Any, allowed: Any, instance: Any, schema: Mapping[str, Any]
    ) -> Iterator[Any]:
        if not validator.is_type(instance, "object"):
            return
        known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
        extras = [
            name
            for name in instance
            if name not in known and not any(self._found(pattern, name) for pattern in patterns)
        ]
        if validator.is_type(allowed, "object"):
            for name in extras:
                yield from validator.descend(instance[name], allowed, path=name)
        elif not allowed and extras:
            names = ", ".join(repr(name) for name in extras)
            verb = "was" if len(extras) == 1 else "were"
            yield jsonschema.ValidationError(f"Additional properties are not allowed ({names} {verb} unexpected)")


def _read(model: Model) -> Any:
    return json.loads(model.schema or "{}")


def _worded(error: jsonschema.ValidationError) -> str:
    """The commonest two in AWS's words."""
    if error.validator == "required" and isinstance(error.instance, Mapping):
        wanted: Any = error.validator_value
        missing = sorted(name for name in wanted if name not in error.instance)
        return f"object has missing required properties ({json.dumps(missing, separators=(',', ':'))})"
    if error.validator == "type":
        wanted = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
        allowed = json.dumps(wanted, separators=(",", ":"))
        kind = _type_of(error.instance)
        return f"instance type ({kind}) does not match any allowed primitive type (allowed: {allowed})"
    return str(error.message)


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"
