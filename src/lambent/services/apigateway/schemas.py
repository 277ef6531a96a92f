"""JSON Schema itself, apart because its library takes a tenth of a second to load: imported at its first use."""

from __future__ import annotations

from typing import Any

from jsonschema import Draft4Validator
from jsonschema.exceptions import SchemaError


def problem(schema: Any) -> str:
    """What is wrong with `schema` as one of draft 4; "" where nothing is."""
    if not isinstance(schema, dict):
        return "A schema is a JSON object."
    try:
        Draft4Validator.check_schema(schema)
    except SchemaError as error:
        return f"{error.json_path}: {error.message}"
    return ""
