"""What the model demands of values (required, length, range, pattern, enumeration), and AWS's words where they fail.

Two halves: `CheckCompiler` makes predicates that only say yes or no, for every request; `validation_error` walks the
model to find and word what is wrong, and runs only after a no.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from lambent.errors import AwsError, UncodedError, ValidationException
from lambent.wire.api_model import Shape
from lambent.wire.dialects import Dialect
from lambent.wire.patterns import compile_pattern

Check = Callable[[Any], bool]

_NOT_NULL = "Member must not be null"


class CheckCompiler:
    """Compiles the checks of one service; recursive shapes meet themselves through `_done`."""

    def __init__(self) -> None:
        self._done: dict[str, Check | None] = {}

    def compile(self, shape: Shape) -> Check | None:
        """None: nothing about such a value can be wrong."""
        if shape.type == "structure":
            return self._structure(shape)
        if shape.type == "list":
            return self._list(shape)
        if shape.type == "map":
            return self._map(shape)
        return _scalar(shape)

    def _structure(self, shape: Shape) -> Check | None:
        if shape.name in self._done:
            return self._done[shape.name]
        cell: list[Check] = []
        self._done[shape.name] = lambda value: cell[0](value)
        required = frozenset(shape.required)
        checks = ((name, name in required, self.compile(member)) for name, member in shape.members.items())
        rows = tuple((name, must, check or _anything) for name, must, check in checks if must or check)
        if not rows or shape.data.document:
            # A shape that contains itself alone may keep the lambda above, which then says yes.
            cell.append(_anything)
            self._done[shape.name] = None
            return None

        def check(value: dict[str, Any]) -> bool:
            for name, must, inner in rows:
                member = value.get(name)
                if member is None:
                    if must:
                        return False
                elif not inner(member):
                    return False
            return True

        cell.append(check)
        self._done[shape.name] = check
        return check

    def _list(self, shape: Shape) -> Check:
        length, inner = _length(shape), self.compile(shape.member)

        def check(value: list[Any]) -> bool:
            if None in value or (length and not length(value)):
                return False
            return inner is None or all(map(inner, value))

        return check

    def _map(self, shape: Shape) -> Check:
        length, key, inner = _length(shape), self.compile(shape.key), self.compile(shape.value)

        def check(value: dict[str, Any]) -> bool:
            values = value.values()
            if None in values or (length and not length(value)) or (key and not all(map(key, value))):
                return False
            return inner is None or all(map(inner, values))

        return check


def _anything(_value: Any) -> bool:
    return True


def _length(shape: Shape) -> Check | None:
    low, high = shape.data.min, shape.data.max
    if low is None and high is None:
        return None
    least = 0 if low is None else low
    most = float("inf") if high is None else high
    return lambda value: least <= len(value) <= most


def _scalar(shape: Shape) -> Check | None:
    data = shape.data
    if shape.type in _NUMBERS:
        low = float("-inf") if data.min is None else data.min
        high = float("inf") if data.max is None else data.max
        return None if data.min is None and data.max is None else lambda value: low <= value <= high
    if shape.type not in {"string", "blob", "character"} or shape.jsonvalue:
        return None
    checks: list[Callable[[Any], object]] = [check for check in (_length(shape),) if check]
    if shape.type == "string" and data.enum:
        checks.append(frozenset(data.enum).__contains__)
    if shape.type == "string" and data.pattern:
        checks.append(_bounded(compile_pattern(data.pattern), data.max))
    if len(checks) < 2:
        return (lambda value, only=checks[0]: bool(only(value))) if checks else None  # type: ignore[misc]
    first, second = checks[0], checks[1]
    if len(checks) == 2:
        return lambda value: bool(first(value) and second(value))
    return lambda value: all(check(value) for check in checks)


def _bounded(matches: Callable[[str], object], longest: float | None) -> Callable[[str], object]:
    """No pattern is tried on a text far beyond its longest: some of AWS's take time exponential in a hostile one."""
    limit = 4 * longest if longest else 65_536
    return lambda value: matches(value) if len(value) <= limit else True


_NUMBERS = frozenset({"integer", "long", "float", "double"})


# ---- words ---------------------------------------------------------------------------------------------------------


def validation_error(shape: Shape, value: Mapping[str, Any], dialect: Dialect) -> AwsError:
    """The error that AWS gives for `value`, which failed the check of `shape`."""
    absent = next((name for name in shape.required if value.get(name) is None), None)
    if dialect.missing and absent:
        return UncodedError(dialect.missing[0], dialect.missing[1].format(absent))
    code = dialect.validation_code
    failures = _describe_structure(shape, value, "")
    count = len(failures)
    words = "; ".join(failure.text(shows_values=dialect.shows_values) for failure in failures)
    text = f"{count} validation error{'' if count == 1 else 's'} detected: {words}"
    return ValidationException(text) if code == "ValidationException" else UncodedError(code, text)


class _Failure(NamedTuple):
    value: Any
    shape: Shape
    path: str
    demand: str

    def text(self, *, shows_values: bool) -> str:
        # AWS keeps the values of sensitive members out of its messages.
        if self.value is None:
            shown = "Value null"
        elif self.shape.data.sensitive or not shows_values:
            shown = "Value"
        else:
            shown = f"Value '{_text(self.shape, self.value)}'"
        return f"{shown} at '{self.path}' failed to satisfy constraint: {self.demand}"


def _describe_structure(shape: Shape, value: Mapping[str, Any], prefix: str) -> list[_Failure]:
    failures: list[_Failure] = []
    for name, member in shape.members.items():
        path = prefix + name[:1].lower() + name[1:]
        found = value.get(name)
        if found is not None:
            failures += _describe(member, found, path)
        elif name in shape.required:
            failures.append(_Failure(None, member, path, _NOT_NULL))
    return failures


def _describe(shape: Shape, value: Any, path: str) -> list[_Failure]:
    own = [_Failure(value, shape, path, demand) for demand, met in _demands(shape) if not met(value)]
    return own + _describe_inside(shape, value, path)


def _describe_inside(shape: Shape, value: Any, path: str) -> list[_Failure]:
    if shape.type == "structure":
        return [] if shape.data.document else _describe_structure(shape, value, path + ".")
    if shape.type == "list":
        return _describe_parts(shape, shape.member, list(enumerate(value, 1)), value, path, "Member")
    if shape.type == "map":
        keys = [] if _meets(shape.key, value) else [_Failure(value, shape, path, _all_of("Map keys", shape.key))]
        return keys + _describe_parts(shape, shape.value, list(value.items()), value, path, "Map value")
    return []


def _describe_parts(
    whole: Shape, part: Shape, items: list[tuple[Any, Any]], value: Any, path: str, noun: str
) -> list[_Failure]:
    """The whole answers for what is asked of each of its parts; what is asked inside of a part has its own path."""
    present = [item for _, item in items if item is not None]
    failures = [] if _meets(part, present) else [_Failure(value, whole, path, _all_of(noun, part))]
    for place, item in items:
        inner = f"{path}.{place}.member"
        if item is None:
            failures.append(_Failure(None, part, inner, _NOT_NULL))
        else:
            failures += _describe_inside(part, item, inner)
    return failures


def _meets(shape: Shape, values: Iterable[Any]) -> bool:
    demands = _demands(shape)
    return all(met(value) for value in values for _, met in demands)


def _all_of(noun: str, part: Shape) -> str:
    return f"{noun} must satisfy constraint: [{', '.join(demand for demand, _ in _demands(part))}]"


def _demands(shape: Shape) -> list[tuple[str, Check]]:
    """What is asked of a value itself, not of its parts: AWS's words and the test of each."""
    data, demands = shape.data, []
    if shape.jsonvalue:
        return []
    if shape.type in _NUMBERS:
        measure: Callable[[Any], Any] = _same
        noun = "value"
    elif shape.type in {"string", "blob", "list", "map", "character"}:
        measure = len
        noun = "length"
    else:
        return []
    low, high = data.min, data.max
    if high is not None:
        text = f"Member must have {noun} less than or equal to {_bound(shape, high)}"
        demands.append((text, lambda value: bool(measure(value) <= high)))
    if low is not None:
        text = f"Member must have {noun} greater than or equal to {_bound(shape, low)}"
        demands.append((text, lambda value: bool(measure(value) >= low)))
    if shape.type == "string" and data.pattern:
        matches = _bounded(compile_pattern(data.pattern), high)
        text = f"Member must satisfy regular expression pattern: {data.pattern}"
        demands.append((text, lambda value: bool(matches(value))))
    if shape.type == "string" and data.enum:
        text = f"Member must satisfy enum value set: [{', '.join(data.enum)}]"
        demands.append((text, lambda value: value in data.enum))
    return demands


def _bound(shape: Shape, number: float) -> str:
    """A limit as Java prints it: `1.0` where the value is a double."""
    return str(float(number)) if shape.type in {"float", "double"} else f"{number:.15g}"


def _same(value: Any) -> Any:
    return value


def _text(shape: Shape, value: Any) -> str:
    """A value as Java prints it, which is how AWS quotes it."""
    if value is None:
        return "null"
    if shape.type == "list":
        return f"[{', '.join(_text(shape.member, item) for item in value)}]"
    if shape.type == "map":
        return f"{{{', '.join(f'{key}={_text(shape.value, item)}' for key, item in value.items())}}}"
    if shape.type == "structure" and isinstance(value, Mapping):
        members = (
            f"{name[:1].lower()}{name[1:]}={_text(member, value.get(name))}" for name, member in shape.members.items()
        )
        return f"{shape.name}({', '.join(members)})"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"
    if isinstance(value, datetime):
        return value.strftime("%a %b %d %H:%M:%S UTC %Y")
    return str(value)
