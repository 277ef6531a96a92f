"""Filter patterns of FilterLogEvents: which messages each matches, and what is refused."""

from __future__ import annotations

import time

import pytest

from lambent.services.logs.errors import InvalidParameterException
from lambent.services.logs.filters import compile_pattern


def matches(pattern: str, message: str) -> bool:
    compiled = compile_pattern(pattern)
    return compiled.matches is None or compiled.matches(message.encode())


TERMS = [
    ("", "anything", True),
    ("   ", "anything", True),
    ("ERROR", "[ERROR] it failed", True),
    ("ERROR", "an error", False),
    ("ERROR failed", "[ERROR] it failed", True),
    ("ERROR failed", "[ERROR] it worked", False),
    ('"it failed"', "[ERROR] it failed", True),
    ('"it failed"', "failed it", False),
    ('"say \\"hi\\""', 'they say "hi" now', True),
    ("?ERROR ?WARN", "[WARN] hm", True),
    ("?ERROR ?WARN", "[INFO] hm", False),
    ('?"two words" ?WARN', "here two words", True),
    ("-DEBUG", "[INFO] hm", True),
    ("-DEBUG", "[DEBUG] hm", False),
    ("ERROR -timeout", "ERROR: refused", True),
    ("ERROR -timeout", "ERROR: timeout", False),
    ('-"not this"', "but not this", False),
    ("?ERROR request", "request without the other", True),
    ("?ERROR request", "ERROR only", False),
    ("a - b", "a b", False),
    ("grün", "alles grün", True),
]

JSON = [
    ('{ $.level = "ERROR" }', '{"level": "ERROR"}', True),
    ("{ $.level = ERROR }", '{"level": "ERROR"}', True),
    ('{ $.level = "ERROR" }', '{"level": "INFO"}', False),
    ('{ $.level = "ERROR" }', "ERROR, but no JSON", False),
    ('{ $.level = "E*R" }', '{"level": "ERROR"}', True),
    ('{ $.level = "E*X*R" }', '{"level": "ERROR"}', False),
    ('{ $.level != "ERROR" }', '{"level": "INFO"}', True),
    ('{ $.level != "ERROR" }', '{"other": "INFO"}', False),
    ("{ $.code = 400 }", '{"code": 400}', True),
    ("{ $.code >= 400 }", '{"code": 399.5}', False),
    ("{ $.code < 4e2 }", '{"code": 399.5}', True),
    ("{ $.code > 1 }", '{"code": true}', False),
    ("{ $.user.id = 1 }", '{"user": {"id": 1}}', True),
    ("{ $.items[1].id = 2 }", '{"items": [{"id": 1}, {"id": 2}]}', True),
    ("{ $.items[2].id = 2 }", '{"items": [{"id": 1}, {"id": 2}]}', False),
    ("{ $.items[*].id = 2 }", '{"items": [{"id": 1}, {"id": 2}]}', True),
    ("{ $.*.id = 2 }", '{"a": {"id": 1}, "b": {"id": 2}}', True),
    ("{ $.['a b'] = 1 }", '{"a b": 1}', True),
    ("{ $.x IS NULL }", '{"x": null}', True),
    ("{ $.x IS NULL }", "{}", False),
    ("{ $.x IS TRUE }", '{"x": true}', True),
    ("{ $.x IS FALSE }", '{"x": true}', False),
    ("{ $.x NOT EXISTS }", "{}", True),
    ("{ $.x NOT EXISTS }", '{"x": null}', False),
    ("{ $.x EXISTS }", '{"x": null}', True),
    ("{ $.a = 1 && $.b = 2 }", '{"a": 1, "b": 2}', True),
    ("{ $.a = 1 && $.b = 2 }", '{"a": 1, "b": 3}', False),
    ("{ $.a = 2 || $.b = 2 }", '{"a": 1, "b": 2}', True),
    ("{ ($.a = 1) && (($.b = 3) || ($.b = 2)) }", '{"a": 1, "b": 2}', True),
    ("{ $.a = 9 || $.b = 2 && $.a = 1 }", '{"a": 1, "b": 2}', True),
    ('{ $.msg = "a \\"quoted\\" word" }', '{"msg": "a \\"quoted\\" word"}', True),
    ("{ $.a = 1 }", "[" * 100_000, False),
]

FIELDS = [
    ("[level, text]", "ERROR failed", True),
    ("[level, text]", "ERROR failed twice", False),
    ("[level = ERROR, ...]", "ERROR failed twice", True),
    ("[level = ERROR, ...]", "INFO failed twice", False),
    ("[..., status = 4*, size]", "a b c 404 12", True),
    ("[..., status = 4*, size]", "a b c 500 12", False),
    ("[ip, ..., size > 10]", "1.2.3.4 x y 12", True),
    ("[ip, ..., size > 10]", "1.2.3.4 x y 9", False),
    ("[ip, user, time, request, status = 200, size]", '1.2.3.4 me [10/Oct/2000 13:55] "GET / HTTP/1.0" 200 23', True),
    ("[a, b = 4* || b = 5*]", "x 503", True),
    ("[a, b = 4* || b = 5*]", "x 303", False),
    ("[a, b >= 400 && b != 404]", "x 404", False),
    ("[a != x]", "y", True),
]


@pytest.mark.parametrize(("pattern", "message", "expected"), TERMS + JSON + FIELDS)
def test_pattern_matches_as_documented(pattern: str, message: str, expected: bool) -> None:
    assert matches(pattern, message) is expected


@pytest.mark.parametrize(
    "pattern",
    [
        '"not closed',
        "%ERROR%",
        "{ $.level }",
        "{ level = 1 }",
        "{ $.a = 1 && }",
        "{ ($.a = 1 }",
        "{ $.a = 1 ) }",
        "{ $.a > text }",
        "{ $.a IS 3 }",
        "{ $.a ~ 3 }",
        "{ $.a = %regex% }",
        "{ }",
        "[]",
        "[a, ..., b, ...]",
        "[a b]",
        "{ " + "(" * 400 + "$.a = 1" + ")" * 400 + " }",
        "{ $" + ".a" * 400 + " = 1 }",
    ],
)
def test_malformed_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidParameterException, match="Invalid filter pattern: "):
        compile_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("[a, b]", "[ " * 500_000),
        ("[a, b]", '" ' * 500_001),
        ("{ $.a = *a*a*a*a*a*b }", '{"a": "' + "a" * 1_000_000 + '"}'),
    ],
)
def test_hostile_message_costs_no_more_than_its_length(pattern: str, message: str) -> None:
    start = time.process_time()
    assert not matches(pattern, message)
    assert time.process_time() - start < 2


def test_terms_that_must_appear_are_named_for_skipping_runs() -> None:
    assert compile_pattern('ERROR "two words" -not ?any').required == (b"ERROR", b"two words")
    assert compile_pattern("?a ?b").required == ()
