"""Which route of an HTTP API takes a request, by AWS's order."""

from __future__ import annotations

import pytest

from lambent.edge.execute_api.http.routes import RouteTable
from lambent.services.apigatewayv2.errors import BadRequestException
from lambent.services.apigatewayv2.rules.routes import parse_key

KEYS = (
    "GET /",
    "GET /pets/dog/1",
    "GET /pets/dog/{id}",
    "GET /pets/{proxy+}",
    "ANY /pets/dog/{id}",
    "ANY /{proxy+}",
    "POST /a/b",
    "GET /a/{x}",
    "GET /greedy/{rest+}",
    "GET /{kind}/{id}",
    "GET /café",
    "$default",
)


@pytest.fixture(scope="module")
def table() -> RouteTable[str]:
    return RouteTable((parse_key(key), key) for key in KEYS)


@pytest.mark.parametrize(
    ("method", "path", "expected", "parameters"),
    [
        # The documented example.
        ("GET", "/pets/dog/1", "GET /pets/dog/1", {}),
        ("GET", "/pets/dog/2", "GET /pets/dog/{id}", {"id": "2"}),
        ("GET", "/pets/cat/1", "GET /pets/{proxy+}", {"proxy": "cat/1"}),
        ("POST", "/test/5", "ANY /{proxy+}", {"proxy": "test/5"}),
        # METHOD before ANY, a full match with ANY before a greedy one with METHOD.
        ("PUT", "/pets/dog/2", "ANY /pets/dog/{id}", {"id": "2"}),
        # A literal segment without the method gives way to a variable with it.
        ("GET", "/a/b", "GET /a/{x}", {"x": "b"}),
        ("POST", "/a/b", "POST /a/b", {}),
        # A full match beats a greedy route with a longer literal path.
        ("GET", "/greedy/x", "GET /{kind}/{id}", {"kind": "greedy", "id": "x"}),
        ("GET", "/greedy/x/y", "GET /greedy/{rest+}", {"rest": "x/y"}),
        ("GET", "/", "GET /", {}),
        # A greedy variable is never empty.
        ("POST", "/", "$default", {}),
        ("DELETE", "/greedy/", "ANY /{proxy+}", {"proxy": "greedy/"}),
        # Decoded after the split: an encoded slash stays in its segment, an encoded letter is that letter.
        ("GET", "/pets/dog/a%2Fb", "GET /pets/dog/{id}", {"id": "a/b"}),
        ("GET", "/p%65ts/dog/1", "GET /pets/dog/1", {}),
        ("GET", "/caf%C3%A9", "GET /café", {}),
        ("GET", "/pets/dog/%2e%2e", "GET /pets/dog/{id}", {"id": ".."}),
        ("GET", "/pets/dog/%ff", "GET /pets/dog/{id}", {"id": "�"}),
        # Variables are never empty, and slashes count.
        ("GET", "/pets/dog/", "GET /pets/{proxy+}", {"proxy": "dog/"}),
        ("GET", "//pets", "ANY /{proxy+}", {"proxy": "/pets"}),
    ],
)
def test_requests_take_the_most_specific_route(
    table: RouteTable[str], method: str, path: str, expected: str, parameters: dict[str, str]
) -> None:
    match = table.match(method, path)
    assert match is not None
    assert (match.target, match.parameters) == (expected, parameters)


def test_without_a_default_route_what_no_key_takes_is_taken_by_none() -> None:
    table = RouteTable([(parse_key("GET /pets/{id}"), "pets")])
    assert table.match("GET", "/pets") is None
    assert table.match("POST", "/pets/1") is None


def test_variables_of_one_shape_may_differ_by_method() -> None:
    table = RouteTable((parse_key(key), key) for key in ("GET /x/{a}", "PUT /x/{b}"))
    found = table.match("PUT", "/x/1")
    assert found is not None
    assert found.parameters == {"b": "1"}


@pytest.mark.parametrize(
    "key",
    [
        "GET",
        "GET pets",
        "get /pets",
        "TRACE /pets",
        "/pets",
        "GET /a/{b+}/c",
        "GET /a{b}",
        "GET /{}",
        "GET /{a}/{a}",
        "GET /a?b=c",
        "GET /{a b}",
        "",
    ],
)
def test_what_is_no_route_key_is_refused(key: str) -> None:
    with pytest.raises(BadRequestException):
        parse_key(key)
