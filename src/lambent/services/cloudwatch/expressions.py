"""Metric math: the text of an expression parsed once, then evaluated over the series of other queries.

Numbers, ids, + - * / ^, comparisons and functions, over scalars, time series and arrays of them, by the rules of
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html. Where two series meet, only the
times at which both have data count. What is not built (SEARCH, SELECT, anomaly bands) is refused by name.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from lambent.services.cloudwatch import functions
from lambent.services.cloudwatch.functions import MathError, Scope, Series, Value

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)|(?P<name>[A-Za-z][A-Za-z0-9_]*)"
    r"|(?P<text>\"[^\"]*\"|'[^']*')|(?P<sign>==|!=|<=|>=|&&|\|\||[-+*/^(),<>\[\]]))"
)
#: Brackets in brackets, and chains of operators, must not end in a stack of Python's.
_DEPTH = 50
_TOKENS = 800


def _divide(left: float, right: float) -> float | None:
    return left / right if right else None


def _power(left: float, right: float) -> float | None:
    try:
        result = left**right
    except (OverflowError, ZeroDivisionError):
        return None
    return result if isinstance(result, float) and isfinite(result) else None


def _truth(test: Callable[[float, float], object]) -> Callable[[float, float], float | None]:
    return lambda left, right: 1.0 if test(left, right) else 0.0


#: By precedence, the loosest first.
_LEVELS: Sequence[Mapping[str, Callable[[float, float], float | None]]] = (
    {"||": _truth(lambda a, b: a or b), "OR": _truth(lambda a, b: a or b)},
    {"&&": _truth(lambda a, b: a and b), "AND": _truth(lambda a, b: a and b)},
    {"==": _truth(operator.eq), "!=": _truth(operator.ne)},
    {"<": _truth(operator.lt), ">": _truth(operator.gt), "<=": _truth(operator.le), ">=": _truth(operator.ge)},
    {"+": operator.add, "-": operator.sub},
    {"*": operator.mul, "/": _divide},
)


class Node:
    """A part of an expression."""

    def value(self, scope: Scope) -> Value:
        raise NotImplementedError

    def ids(self) -> set[str]:
        """The queries that it speaks of."""
        return set()


@dataclass(frozen=True, slots=True)
class Number(Node):
    number: float

    def value(self, scope: Scope) -> Value:
        return self.number


@dataclass(frozen=True, slots=True)
class Text(Node):
    text: str

    def value(self, scope: Scope) -> Value:
        return self.text


@dataclass(frozen=True, slots=True)
class Id(Node):
    id: str

    def value(self, scope: Scope) -> Value:
        return scope.value_of(self.id)

    def ids(self) -> set[str]:
        return {self.id}


@dataclass(frozen=True, slots=True)
class Operation(Node):
    act: Callable[[float, float], float | None]
    left: Node
    right: Node

    def value(self, scope: Scope) -> Value:
        return scope.charged(functions.combined(self.act, self.left.value(scope), self.right.value(scope)))

    def ids(self) -> set[str]:
        return self.left.ids() | self.right.ids()


@dataclass(frozen=True, slots=True)
class Call(Node):
    name: str
    arguments: tuple[Node, ...]

    def value(self, scope: Scope) -> Value:
        arguments = [scope.charged(each.value(scope)) for each in self.arguments]
        return functions.FUNCTIONS[self.name](scope, *arguments)

    def ids(self) -> set[str]:
        return set().union(*(each.ids() for each in self.arguments))


@dataclass(frozen=True, slots=True)
class Several(Node):
    """`[m1, m2]`"""

    members: tuple[Node, ...]

    def value(self, scope: Scope) -> Value:
        return [one for each in self.members for one in functions.as_series(each.value(scope))]

    def ids(self) -> set[str]:
        return set().union(*(each.ids() for each in self.members))


def parse(text: str) -> Node:
    """Raises MathError with what is wrong."""
    return _Parser(text).whole()


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._at = 0
        self._depth = 0

    def whole(self) -> Node:
        node = self._level(0)
        if self._at < len(self._tokens):
            raise MathError(f"Unexpected {self._tokens[self._at][1]!r}")
        return node

    def _level(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self._signed()
        self._depth += 1
        if self._depth > _DEPTH * len(_LEVELS):
            raise MathError("The expression is nested too deeply")
        node = self._level(level + 1)
        while (sign := self._peek()) in _LEVELS[level]:
            self._at += 1
            node = Operation(_LEVELS[level][sign], node, self._level(level + 1))
        self._depth -= 1
        return node

    def _signed(self) -> Node:
        negative = False
        while self._peek() in ("-", "+"):
            negative ^= self._take() == "-"
        node = self._raised()
        return Operation(operator.mul, Number(-1.0), node) if negative else node

    def _raised(self) -> Node:
        base = self._atom()
        if self._peek() != "^":
            return base
        self._at += 1
        return Operation(_power, base, self._atom())

    def _atom(self) -> Node:
        if self._at >= len(self._tokens):
            raise MathError("The expression ends too early")
        kind, word = self._tokens[self._at]
        self._at += 1
        if kind == "number":
            return Number(float(word))
        if kind == "text":
            return Text(word[1:-1])
        if kind == "name":
            return self._named(word)
        if word == "(":
            node = self._level(0)
            self._expect(")")
            return node
        if word == "[":
            return Several(self._list("]"))
        raise MathError(f"Unexpected {word!r}")

    def _named(self, name: str) -> Node:
        if self._peek() != "(":
            return Text(name) if name in functions.WORDS else Id(name)
        upper = name.upper()
        if upper not in functions.FUNCTIONS:
            raise MathError(f"The function {upper} is not supported")
        self._at += 1
        call = Call(upper, self._list(")"))
        least, most = functions.ARGUMENTS[upper]
        if not least <= len(call.arguments) <= most:
            raise MathError(f"The function {upper} takes {least} to {most} arguments")
        return call

    def _list(self, end: str) -> tuple[Node, ...]:
        nodes: list[Node] = []
        while self._peek() != end:
            if nodes:
                self._expect(",")
            nodes.append(self._level(0))
        self._at += 1
        return tuple(nodes)

    def _peek(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        self._at += 1
        return token

    def _expect(self, sign: str) -> None:
        if self._take() != sign:
            raise MathError(f"{sign!r} is missing")


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, at, end = [], 0, len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None:
            raise MathError(f"Unexpected {text[at:].strip()[:1]!r}")
        kind = found.lastgroup or ""
        tokens.append((kind, found[kind]))
        at = found.end()
    if len(tokens) > _TOKENS:
        raise MathError("The expression is too long")
    return tokens


__all__ = ["MathError", "Node", "Scope", "Series", "Value", "parse"]
