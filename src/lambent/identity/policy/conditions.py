"""The Condition element: operators compiled to tests of context values.

Every operator compares one value of the request with one of the policy; `Condition` says how many must match and what
holds where the key is not there. An operator, or a literal value, of unknown form is a MalformedPolicy.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import operator
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any

from lambent.identity.policy.dates import instant_of, number_of
from lambent.identity.policy.faults import LEGACY, MalformedPolicy
from lambent.identity.policy.patterns import ArnPattern, Pattern, tokens_of
from lambent.identity.policy.question import Context

#: Does this value of the request match?
Test = Callable[[str, Context], bool]


class Quantifier(Enum):
    NONE = ""
    ALL = "forallvalues:"
    ANY = "foranyvalue:"


@dataclass(frozen=True, slots=True)
class Operator:
    """`compile` makes the test of one value in the policy; raises MalformedPolicy where it takes no such value."""

    compile: Callable[[str, bool], tuple[Test, frozenset[str]]]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator on one key: holds where a value of the request matches one of the policy (negated: where none)."""

    #: Lower-case.
    key: str
    tests: tuple[Test, ...]
    negated: bool
    quantifier: Quantifier
    if_exists: bool
    #: Every context key that it looks at, those of variables too.
    keys: frozenset[str]

    def holds(self, context: Context) -> bool:
        values = context.get(self.key)
        if not values:
            return self._holds_without()
        if self.quantifier is Quantifier.NONE:
            return self._is_any_among(values, context) is not self.negated
        if self.quantifier is Quantifier.ANY:
            return any(self._is_any_among((value,), context) is not self.negated for value in values)
        # AWS counts an empty value as none, and "all of none" holds.
        return not any(values) or all(self._is_any_among((value,), context) is not self.negated for value in values)

    def _is_any_among(self, values: Sequence[str], context: Context) -> bool:
        for value in values:
            for test in self.tests:
                if test(value, context):
                    return True
        return False

    def _holds_without(self) -> bool:
        if self.if_exists or self.quantifier is Quantifier.ALL:
            return True
        return self.quantifier is Quantifier.NONE and self.negated


@dataclass(frozen=True, slots=True)
class Null:
    """Holds where the key is missing (`true`) or there (`false`)."""

    key: str
    accepts_missing: bool
    accepts_present: bool
    keys: frozenset[str]

    def holds(self, context: Context) -> bool:
        return self.accepts_present if any(context.get(self.key) or ()) else self.accepts_missing


AnyCondition = Condition | Null


def compile_conditions(element: Mapping[str, Any], *, variables: bool) -> tuple[AnyCondition, ...]:
    """The Condition element, all of whose conditions must hold. `variables`: policies of 2012-10-17 have them."""
    conditions: list[AnyCondition] = []
    for name, keys in element.items():
        if not isinstance(keys, Mapping) or not all(isinstance(text, str) for text in (name, *keys)):
            raise MalformedPolicy
        for key, values in keys.items():
            conditions.append(_condition(name, key, _texts(values), variables))
        if not keys:
            # Says nothing, but an operator that nobody knows must not pass unseen.
            _condition(name, "", [], variables)
    return tuple(conditions)


def _condition(name: str, key: str, values: Sequence[str], variables: bool) -> AnyCondition:
    lowered = name.lower()
    key = key.lower()
    if lowered == "null":
        wanted = {_truth(value) for value in values}
        return Null(key, True in wanted, False in wanted, frozenset((key,)))
    quantifier = next((q for q in (Quantifier.ALL, Quantifier.ANY) if lowered.startswith(q.value)), Quantifier.NONE)
    base = lowered.removeprefix(quantifier.value)
    known = OPERATORS.get(base.removesuffix("ifexists"))
    if known is None:
        raise MalformedPolicy
    compiled = [known.compile(value, variables) for value in values]
    keys = frozenset((key,)).union(*(used for _, used in compiled))
    tests = tuple(test for test, _ in compiled)
    return Condition(key, tests, known.negated, quantifier, base.endswith("ifexists"), keys)


def _texts(values: Any) -> list[str]:
    """One value or a list of them; JSON's numbers and booleans as their texts."""
    texts = []
    for value in values if isinstance(values, list | tuple) else (values,):
        if isinstance(value, bool):
            texts.append("true" if value else "false")
        elif isinstance(value, str | int | float):
            texts.append(str(value))
        else:
            raise MalformedPolicy
    return texts


# ---- operators -----------------------------------------------------------------------------------------------------


def _string(value: str, variables: bool) -> tuple[Test, frozenset[str]]:
    pattern = Pattern(tokens_of(value, wildcards=False, variables=variables))
    return pattern.matches, pattern.keys


def _string_ignoring_case(value: str, variables: bool) -> tuple[Test, frozenset[str]]:
    pattern = Pattern(tokens_of(value, wildcards=False, variables=variables)).lowered()

    def test(text: str, context: Context) -> bool:
        lowered = {key: [entry.lower() for entry in entries] for key in pattern.keys if (entries := context.get(key))}
        return pattern.matches(text.lower(), lowered)

    return test, pattern.keys


def _string_like(value: str, variables: bool) -> tuple[Test, frozenset[str]]:
    pattern = Pattern(tokens_of(value, variables=variables))
    return pattern.matches, pattern.keys


def _arn(value: str, variables: bool) -> tuple[Test, frozenset[str]]:
    pattern = ArnPattern(tokens_of(value, variables=variables))
    return pattern.matches, pattern.keys


def _bool(value: str, _variables: bool) -> tuple[Test, frozenset[str]]:
    wanted = "true" if _truth(value) else "false"
    return lambda text, _context: text.lower() == wanted, frozenset()


def _binary(value: str, _variables: bool) -> tuple[Test, frozenset[str]]:
    wanted = _decoded(value)
    if wanted is None:
        raise MalformedPolicy(LEGACY)
    return lambda text, _context: _decoded(text) == wanted, frozenset()


def _address(value: str, _variables: bool) -> tuple[Test, frozenset[str]]:
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise MalformedPolicy(LEGACY) from None
    family = socket.AF_INET if network.version == 4 else socket.AF_INET6
    first = int(network.network_address)
    mask = int(network.netmask)

    def test(text: str, _context: Context) -> bool:
        try:
            # A tenth of the time that an ip_address takes.
            return int.from_bytes(socket.inet_pton(family, text)) & mask == first
        except (OSError, ValueError):
            return False

    return test, frozenset()


def _ordered(
    read: Callable[[str], Decimal | None], compare: Callable[[Decimal, Decimal], bool]
) -> Callable[[str, bool], tuple[Test, frozenset[str]]]:
    def compile_value(value: str, _variables: bool) -> tuple[Test, frozenset[str]]:
        bound = read(value)
        if bound is None:
            raise MalformedPolicy(LEGACY)

        def test(text: str, _context: Context) -> bool:
            found = read(text)
            return found is not None and compare(found, bound)

        return test, frozenset()

    return compile_value


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise MalformedPolicy(LEGACY)
    return text.lower() == "true"


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _family(name: str, read: Callable[[str], Decimal | None]) -> dict[str, Operator]:
    return {
        f"{name}equals": Operator(_ordered(read, operator.eq)),
        f"{name}notequals": Operator(_ordered(read, operator.eq), negated=True),
        f"{name}lessthan": Operator(_ordered(read, operator.lt)),
        f"{name}lessthanequals": Operator(_ordered(read, operator.le)),
        f"{name}greaterthan": Operator(_ordered(read, operator.gt)),
        f"{name}greaterthanequals": Operator(_ordered(read, operator.ge)),
    }


#: Lower-case names, without set prefix and IfExists. Null is a matter of its own.
OPERATORS = {
    "stringequals": Operator(_string),
    "stringnotequals": Operator(_string, negated=True),
    "stringequalsignorecase": Operator(_string_ignoring_case),
    "stringnotequalsignorecase": Operator(_string_ignoring_case, negated=True),
    "stringlike": Operator(_string_like),
    "stringnotlike": Operator(_string_like, negated=True),
    **_family("numeric", number_of),
    **_family("date", instant_of),
    "bool": Operator(_bool),
    "binaryequals": Operator(_binary),
    "ipaddress": Operator(_address),
    "notipaddress": Operator(_address, negated=True),
    # AWS: ArnEquals and ArnLike behave identically.
    "arnequals": Operator(_arn),
    "arnlike": Operator(_arn),
    "arnnotequals": Operator(_arn, negated=True),
    "arnnotlike": Operator(_arn, negated=True),
}
