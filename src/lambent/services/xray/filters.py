"""Filter expressions of GetTraceSummaries: parsed once, then asked of each trace.

https://docs.aws.amazon.com/xray/latest/devguide/xray-console-filters.html. What is here: boolean, number and string
keywords, annotations, `service()` and `edge()` with `id()` and conditions in braces, AND, OR, `!`, parentheses. Root
causes and groups are refused.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lambent.services.xray.errors import InvalidRequestException
from lambent.services.xray.summary import Trace
from lambent.services.xray.tree import Node, mapping, number, text

#: Expressions within one another.
_DEEPEST = 50

Value = str | float | bool
#: Whether something about a trace is so; of one node, where the expression stands in the braces of a service or edge.
Test = Callable[[Trace, Node | None], bool]
#: The values that a keyword has there.
Read = Callable[[Trace, Node | None], Iterable[Value]]

_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<number>-?\d+(?:\.\d+)?)|(?P<sign>!=|>=|<=|[=<>!(){},:\[\]])"""
    r"""|(?P<word>[A-Za-z_][\w.\-]*))"""
)
_COMPARED: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_OF_TEXT: Mapping[str, Callable[[str, str], bool]] = {
    "CONTAINS": lambda value, part: part in value,
    "BEGINSWITH": str.startswith,
    "ENDSWITH": str.endswith,
}


def parse(expression: str) -> Test:
    """Raises InvalidRequestException."""
    parser = _Parser(list(_tokens(expression)))
    test = parser.any_of(0)
    parser.expect_end()
    return test


# ---- words ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


def _tokens(expression: str) -> Iterator[_Token]:
    at, end = 0, len(expression.rstrip())
    while at < end:
        found = _TOKEN.match(expression, at)
        if found is None:
            raise _refused(f"there is no meaning in {expression[at : at + 20].strip()!r}")
        kind = str(found.lastgroup)
        yield _Token(kind, found[kind])
        at = found.end()


def _refused(reason: str) -> InvalidRequestException:
    return InvalidRequestException(f"Invalid filter expression: {reason}.")


# ---- grammar --------------------------------------------------------------------------------------------------------


class _Parser:
    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0
        #: Within the braces of a service or edge.
        self._in_braces = False

    def any_of(self, depth: int) -> Test:
        if depth > _DEEPEST:
            raise _refused("it is nested too deep")
        tests = [self._all_of(depth)]
        while self._take_word("OR"):
            tests.append(self._all_of(depth))
        return tests[0] if len(tests) == 1 else lambda trace, node: any(test(trace, node) for test in tests)

    def expect_end(self) -> None:
        if self._at < len(self._tokens):
            raise _refused(f"{self._tokens[self._at].text!r} is not expected there")

    def _all_of(self, depth: int) -> Test:
        tests = [self._one(depth)]
        # Two conditions side by side must both be true.
        while self._take_word("AND") or self._goes_on():
            tests.append(self._one(depth))
        return tests[0] if len(tests) == 1 else lambda trace, node: all(test(trace, node) for test in tests)

    def _goes_on(self) -> bool:
        token = self._peek()
        return token is not None and (token.text in ("!", "(") or (token.kind == "word" and token.text != "OR"))

    def _one(self, depth: int) -> Test:
        if depth > _DEEPEST:
            raise _refused("it is nested too deep")
        if self._take("!") or self._take_word("NOT"):
            test = self._one(depth + 1)
            return lambda trace, node: not test(trace, node)
        if self._take("("):
            test = self.any_of(depth + 1)
            self._expect(")")
            return test
        word = self._word()
        if word in ("service", "edge"):
            return self._complex(word, depth)
        return self._condition(word)

    def _condition(self, word: str) -> Test:
        read, kind = self._keyword(word)
        token = self._peek()
        if token is not None and (token.text in _COMPARED or token.text.upper() in _OF_TEXT):
            self._at += 1
            return _comparison(read, kind, token.text.upper(), self._value())
        if kind not in (bool, object):
            raise _refused(f"{word} is compared with something")
        if kind is object:
            return lambda trace, node: any(True for _ in read(trace, node))
        return lambda trace, node: any(read(trace, node))

    def _keyword(self, word: str) -> tuple[Read, type]:
        lowered = word.lower()
        for table, kind in ((_FLAGS, bool), (_NUMBERS, float), (_TEXTS, str)):
            found = table.get(lowered)
            if found is not None:
                return found, kind
        if lowered.startswith("annotation.") and len(word) > len("annotation."):
            return _annotation(word[len("annotation.") :]), object
        if lowered == "annotation" and self._take("["):
            key = self._next("word" if self._peek_is("word") else "string")
            self._expect("]")
            return _annotation(_unquoted(key)), object
        raise _refused(f"{word} is not a keyword that is served here")

    def _complex(self, word: str, depth: int) -> Test:
        if self._in_braces:
            # Each would ask all services again for each that the one around it asks: time without end.
            raise _refused(f"{word} stands in the braces of another")
        sides: list[Matches] = []
        if self._take("("):
            while not self._take(")"):
                if sides:
                    self._expect(",")
                sides.append(self._side())
        condition = None
        if self._take("{"):
            self._in_braces = True
            condition = self.any_of(depth + 1)
            self._in_braces = False
            self._expect("}")
        if word == "service":
            if len(sides) > 1:
                raise _refused("service takes one name")
            return _service(sides[0] if sides else _anything, condition)
        if len(sides) not in (0, 2):
            raise _refused("edge takes two names")
        source, target = sides or (_anything, _anything)
        return _edge(source, target, condition)

    def _side(self) -> Matches:
        """A name, or id(name: "…", type: "…")."""
        if self._peek_is("string"):
            name = _unquoted(self._next("string"))
            return lambda node: node.name == name
        if self._word().lower() != "id":
            raise _refused("a service is a name in quotes, or id()")
        self._expect("(")
        wanted: dict[str, str] = {}
        while not self._take(")"):
            if wanted:
                self._expect(",")
            member = self._word().lower()
            if member not in ("name", "type", "account.id"):
                raise _refused(f"id() takes name, type and account.id, not {member}")
            self._expect(":")
            wanted[member] = _unquoted(self._next("string"))
        return lambda node: all(_ID[member](node) == value for member, value in wanted.items())

    def _value(self) -> Value:
        token = self._peek()
        if token is None:
            raise _refused("it ends where a value is expected")
        self._at += 1
        if token.kind == "number":
            return float(token.text)
        if token.kind == "string":
            return _unquoted(token.text)
        if token.text.lower() in ("true", "false"):
            return token.text.lower() == "true"
        raise _refused(f"{token.text!r} is not a value")

    # ---- small parts

    def _peek(self) -> _Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _peek_is(self, kind: str) -> bool:
        token = self._peek()
        return token is not None and token.kind == kind

    def _take(self, sign: str) -> bool:
        token = self._peek()
        if token is None or token.kind != "sign" or token.text != sign:
            return False
        self._at += 1
        return True

    def _take_word(self, word: str) -> bool:
        token = self._peek()
        if token is None or token.kind != "word" or token.text.upper() != word:
            return False
        self._at += 1
        return True

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            raise _refused(f"{sign!r} is missing")

    def _next(self, kind: str) -> str:
        token = self._peek()
        if token is None or token.kind != kind:
            raise _refused(f"a {kind} is missing")
        self._at += 1
        return token.text

    def _word(self) -> str:
        return self._next("word")


def _unquoted(token: str) -> str:
    return re.sub(r"\\(.)", r"\1", token[1:-1]) if token.startswith('"') else token


def _comparison(read: Read, kind: type, sign: str, value: Value) -> Test:
    if sign in _OF_TEXT:
        if kind not in (str, object) or not isinstance(value, str):
            raise _refused(f"{sign} is of texts")
        holds = _OF_TEXT[sign]
        return lambda trace, node: any(isinstance(each, str) and holds(each, value) for each in read(trace, node))
    if kind is bool and (not isinstance(value, bool) or sign not in ("=", "!=")):
        raise _refused("true and false are equal to something or not")
    if kind is not object and type(value) is not kind:
        raise _refused(f"{value!r} is not what that keyword is compared with")
    if not isinstance(value, float) and sign not in ("=", "!="):
        raise _refused(f"{sign} is of numbers")
    compare = _COMPARED[sign]
    return lambda trace, node: any(_same_kind(each, value) and compare(each, value) for each in read(trace, node))


def _same_kind(one: Value, other: Value) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return isinstance(one, bool) and isinstance(other, bool)
    return isinstance(one, str) == isinstance(other, str)


# ---- keywords -------------------------------------------------------------------------------------------------------


def _flag(name: str) -> Read:
    return lambda trace, node: (node.flag(name) if node is not None else trace.root_flag(name),)


def _throttle(trace: Trace, node: Node | None) -> Iterator[Value]:
    yield node.flag("throttle") if node is not None else trace.any("throttle")


def _ok(trace: Trace, node: Node | None) -> Iterator[Value]:
    one = node or trace.root
    yield one is not None and not any(one.flag(name) for name in ("error", "fault", "throttle"))


def _partial(trace: Trace, node: Node | None) -> Iterator[Value]:
    yield node.ended_at is None if node is not None else trace.is_partial()


def _duration(trace: Trace, node: Node | None) -> Iterator[Value]:
    yield node.duration if node is not None else trace.duration


def _response_time(trace: Trace, node: Node | None) -> Iterator[Value]:
    yield node.duration if node is not None else trace.response_time


def _status(trace: Trace, node: Node | None) -> Iterator[Value]:
    one = node or trace.root
    if one is not None:
        found = number(mapping(one.part("http").get("response")).get("status"))
        if found is not None:
            yield found


def _request(member: str) -> Read:
    def read(trace: Trace, node: Node | None) -> Iterator[Value]:
        one = node or trace.root
        found = text(mapping(one.part("http").get("request")).get(member)) if one is not None else ""
        if found:
            yield found

    return read


def _of_nodes(member: str) -> Read:
    """Of any segment of the trace."""

    def read(trace: Trace, node: Node | None) -> Iterator[Value]:
        for each in trace.segments if node is None else (node,):
            found = text(each.fields.get(member))
            if found:
                yield found

    return read


def _annotation(key: str) -> Read:
    return lambda trace, node: (value for name, value, _ in trace.annotations_of(node) if name == key)


_FLAGS: Mapping[str, Read] = {
    "ok": _ok,
    "error": _flag("error"),
    "fault": _flag("fault"),
    "throttle": _throttle,
    "partial": _partial,
}
_NUMBERS: Mapping[str, Read] = {"responsetime": _response_time, "duration": _duration, "http.status": _status}
_TEXTS: Mapping[str, Read] = {
    "http.url": _request("url"),
    "http.method": _request("method"),
    "http.useragent": _request("user_agent"),
    "http.clientip": _request("client_ip"),
    "user": _of_nodes("user"),
    "name": _of_nodes("name"),
    "type": _of_nodes("origin"),
    "resource.arn": _of_nodes("resource_arn"),
}

# ---- services and edges ---------------------------------------------------------------------------------------------

Matches = Callable[[Node], bool]
_ID: Mapping[str, Callable[[Node], str]] = {
    "name": lambda node: node.name,
    "type": lambda node: node.origin,
    "account.id": lambda node: text(node.part("aws").get("account_id")),
}


def _anything(node: Node) -> bool:
    return True


def _service(matches: Matches, condition: Test | None) -> Test:
    return lambda trace, _: any(
        matches(node) and (condition is None or condition(trace, node)) for node in trace.segments
    )


def _edge(source: Matches, target: Matches, condition: Test | None) -> Test:
    def test(trace: Trace, _: Node | None) -> bool:
        for one in trace.segments:
            if not source(one):
                continue
            for node in one.walk():
                for other in node.children:
                    if not other.inside and target(other) and (condition is None or condition(trace, other)):
                        return True
        return False

    return test
