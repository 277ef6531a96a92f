"""PATCH: lists of `{op, path, value}` on values, by a table of the paths that each noun lets change.

A path is a JSON pointer (`~1` for `/`, `~0` for `~`); `{}` in a table stands for any one segment, `{*}` for one or
more. What a change means together with the rest (an authorizer that must exist) is checked by the caller afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from lambent.services.apigateway.errors import BadRequestException, NotFoundException

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patch:
    op: str
    path: str
    #: "" where none was given, which AWS does not tell apart.
    value: str
    #: Segments of the path, unescaped.
    parts: tuple[str, ...]

    @property
    def name(self) -> str:
        """The last segment: which entry of a map."""
        return self.parts[-1]

    @property
    def flag(self) -> bool:
        """As Java reads a Boolean: whatever is not `true` is false."""
        return self.value.lower() == "true"

    def bad_path(self) -> BadRequestException:
        return BadRequestException(f"Invalid patch path {self.path}")


class Rule(NamedTuple, Generic[T]):
    """How a path may be changed."""

    ops: tuple[str, ...]
    apply: Callable[[T, Patch], T]


class Rules(Generic[T]):
    """The paths of one noun. `named`: nouns whose refusals list the paths that may be replaced; `refusal`: those whose
    refusals have one text of their own, which begins with the path."""

    def __init__(self, rules: Mapping[str, Rule[T]], *, named: bool = False, refusal: str = "") -> None:
        self._rules = {tuple(path.split("/")[1:]): rule for path, rule in rules.items()}
        self.paths = tuple(rules)
        self._named = named
        self._refusal = refusal

    def apply(self, thing: T, operations: Sequence[Mapping[str, Any]] | None) -> T:
        for patch in read(operations):
            thing = self._rule(patch).apply(thing, patch)
        return thing

    def _rule(self, patch: Patch) -> Rule[T]:
        rule = next((rule for pattern, rule in self._rules.items() if _matches(pattern, patch.parts)), None)
        if rule is not None and patch.op in rule.ops:
            return rule
        if self._refusal:
            raise BadRequestException(self._refusal.format(patch.path))
        if self._named:
            allowed = f"Must be one of: [{', '.join(self.paths)}]"
            advice = allowed if patch.op == "replace" else "Please choose supported operations"
            raise BadRequestException(f"Invalid patch path  '{patch.path}' specified for op '{patch.op}'. {advice}")
        if rule is None:
            raise patch.bad_path()
        if rule.ops == _ALL:
            raise BadRequestException("Invalid patch operation specified. Must be 'add'|'remove'|'replace'")
        raise BadRequestException(f"Invalid patch operation specified. Must be one of: [{', '.join(rule.ops)}]")


def read(operations: Sequence[Mapping[str, Any]] | None) -> list[Patch]:
    return [_read(operation) for operation in operations or ()]


def _read(operation: Mapping[str, Any]) -> Patch:
    path = operation.get("path")
    if path is None or not path.startswith("/"):
        raise BadRequestException(f"Invalid patch path {'null' if path is None else path}")
    parts = tuple(part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:])
    return Patch(operation.get("op") or "", path, operation.get("value") or "", parts)


def _matches(pattern: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    if "{*}" in pattern:
        at = pattern.index("{*}")
        behind = pattern[at + 1 :]
        return (
            len(parts) >= len(pattern)
            and _matches(pattern[:at], parts[:at])
            and _matches(behind, parts[len(parts) - len(behind) :])
        )
    return len(pattern) == len(parts) and all(
        want in ("{}", got) and got != "" for want, got in zip(pattern, parts, strict=True)
    )


# ---- rules of common shapes ----------------------------------------------------------------------------------------

_ALL = ("add", "remove", "replace")


def field(
    name: str, convert: Callable[[Patch], Any] = lambda patch: patch.value, ops: tuple[str, ...] = ("replace",)
) -> Rule[Any]:
    """One member; `remove` puts what `convert` makes of no value."""
    return Rule(ops, lambda thing, patch: msgspec.structs.replace(thing, **{name: convert(patch)}))


def entry(
    name: str,
    *,
    missing: str,
    convert: Callable[[Patch], Any] = lambda patch: patch.value,
    check: Callable[[Patch], None] = lambda patch: None,
) -> Rule[Any]:
    """One entry of a map; `missing` is what AWS says of an entry that is to be replaced or removed and is not there."""

    def apply(thing: Any, patch: Patch) -> Any:
        entries = dict(getattr(thing, name))
        if patch.op != "add" and patch.name not in entries:
            raise NotFoundException(missing)
        if patch.op == "remove":
            del entries[patch.name]
        else:
            check(patch)
            entries[patch.name] = convert(patch)
        return msgspec.structs.replace(thing, **{name: entries})

    return Rule(_ALL, apply)


def element(name: str) -> Rule[Any]:
    """One text of a list, which the path itself names; `replace` puts `value` in its place."""

    def apply(thing: Any, patch: Patch) -> Any:
        texts = [text for text in getattr(thing, name) if text != patch.name]
        if patch.op != "remove":
            texts.append(patch.value if patch.op == "replace" else patch.name)
        return msgspec.structs.replace(thing, **{name: tuple(dict.fromkeys(texts))})

    return Rule(_ALL, apply)


def number(patch: Patch, message: str) -> int:
    """The value as a whole number of 32 bits. Raises BadRequestException with `message`."""
    try:
        value = int(patch.value)
    except ValueError:
        raise BadRequestException(message) from None
    if abs(value) >= 1 << 31:
        raise BadRequestException(message)
    return value


NO_PARAMETER = "Invalid parameter name specified"
NO_CONTENT_TYPE = "Content-Type specified was not found"
