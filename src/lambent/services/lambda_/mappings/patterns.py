"""What an event pattern may look like, as EventBridge defines it. No I/O, and nothing is matched here."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def is_pattern(text: str) -> bool:
    """Whether `text` is a JSON object of fields and the lists of values that they may have."""
    try:
        pattern = json.loads(text)
        return isinstance(pattern, dict) and _is_object(pattern)
    except (ValueError, RecursionError):
        # Nested as deep as 4096 characters can be, it is nobody's pattern.
        return False


def _is_object(pattern: dict[str, Any]) -> bool:
    return all(_is_alternatives(value) if name == "$or" else _is_field(value) for name, value in pattern.items())


def _is_alternatives(value: Any) -> bool:
    """`$or`: several patterns; a list of values where a field happens to have that name."""
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return all(_is_object(item) for item in value) or _is_field(value)
    return _is_field(value)


def _is_field(value: Any) -> bool:
    if isinstance(value, dict):
        return bool(value) and _is_object(value)
    return isinstance(value, list) and bool(value) and all(_is_scalar(item) or _is_operator(item) for item in value)


def _is_operator(item: Any) -> bool:
    if not isinstance(item, dict) or len(item) != 1:
        return False
    (name, operand), *_ = item.items()
    check = _OPERATORS.get(name)
    return check is not None and check(operand)


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_affix(value: Any) -> bool:
    return _is_text(value) or (
        isinstance(value, dict) and list(value) == ["equals-ignore-case"] and _is_text(value["equals-ignore-case"])
    )


def _is_comparison(value: Any) -> bool:
    """`[">", 0, "<=", 5]`."""
    if not isinstance(value, list) or len(value) not in (2, 4):
        return False
    return all(sign in ("<", "<=", "=", ">", ">=") for sign in value[::2]) and all(
        isinstance(number, int | float) and not isinstance(number, bool) for number in value[1::2]
    )


def _is_exception(value: Any) -> bool:
    """The operand of `anything-but`: values, or one operator on texts."""
    if isinstance(value, list):
        return bool(value) and all(_is_scalar(item) for item in value)
    if not isinstance(value, dict):
        return _is_scalar(value)
    if len(value) != 1:
        return False
    (name, operand), *_ = value.items()
    texts = operand if isinstance(operand, list) else [operand]
    return name in ("prefix", "suffix", "equals-ignore-case", "wildcard") and bool(texts) and all(map(_is_text, texts))


_OPERATORS: dict[str, Callable[[Any], bool]] = {
    "prefix": _is_affix,
    "suffix": _is_affix,
    "equals-ignore-case": _is_text,
    "wildcard": _is_text,
    "cidr": _is_text,
    "exists": lambda value: isinstance(value, bool),
    "numeric": _is_comparison,
    "anything-but": _is_exception,
}
