"""What the operations of all nouns share: changing one entry of an API, and AWS's words where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from lambent.services.apigatewayv2.changes import Apis
from lambent.services.apigatewayv2.errors import NotFoundException

Params = dict[str, Any]
Result = dict[str, Any]
T = TypeVar("T")


class Operations:
    def __init__(self, apis: Apis) -> None:
        self._apis = apis


def found(entries: Mapping[str, T], kind: str, key: str) -> T:
    """Raises NotFoundException."""
    entry = entries.get(key)
    if entry is None:
        raise missing(kind, key)
    return entry


def missing(kind: str, key: str) -> NotFoundException:
    by = "name" if kind == "Stage" else "ID"
    return NotFoundException(f"Unable to find {kind} by {by} {key}", ResourceType=kind)


def without(entries: Mapping[str, T], key: str) -> dict[str, T]:
    return {name: entry for name, entry in entries.items() if name != key}
