"""Parameter mapping of HTTP APIs: what is accepted, and what templates come to."""

from __future__ import annotations

import pytest

from lambent.edge.execute_api.http.parameters import body_lookup
from lambent.services.apigatewayv2.errors import BadRequestException
from lambent.services.apigatewayv2.rules.mappings import compile_request, compile_response, parse_template

VALUES = {"request.header.a": "1", "request.querystring.Q": "2", "stageVariables.s": "3", "request.path": "/p"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("static", "static"),
        ("", ""),
        ("$request.header.A", "1"),
        ("${request.header.a}", "1"),
        ("$request.querystring.Q", "2"),
        ("$request.querystring.q", None),
        ("$request.path", "/p"),
        ("/v1${request.path}/${stageVariables.s}", "/v1/p/3"),
        ("<${request.header.none}>", "<>"),
    ],
)
def test_templates_take_their_values_from_the_request(text: str, expected: str | None) -> None:
    assert parse_template(text, "request").render(VALUES.get) == expected


@pytest.mark.parametrize(
    "entries",
    [
        {"set:header.a": "b"},
        {"append:header": "b"},
        {"append:header.": "b"},
        {"append:header.a b": "b"},
        {"overwrite:body": "b"},
        {"append:path": "b"},
        {"overwrite:path.x": "b"},
        {"overwrite:statuscode": "200"},
        {"append:header.a": "$request.nonsense.x"},
        {"append:header.a": "$request.header."},
        {"append:header.a": "$response.header.b"},
        *({f"append:header.{name}": "b"} for name in ("Authorization", "X-Amz-Date", "Via", "access-control-max-age")),
        *({f"overwrite:header.{name}": "b"} for name in ("Content-Length", "transfer-encoding", "X-Forwarded-For")),
    ],
)
def test_what_is_no_mapping_of_requests_is_refused(entries: dict[str, str]) -> None:
    with pytest.raises(BadRequestException):
        compile_request(entries)


@pytest.mark.parametrize(
    "entries",
    [
        {"abc": {"append:header.a": "b"}},
        {"700": {"append:header.a": "b"}},
        {"200": {"append:querystring.a": "b"}},
        {"200": {"overwrite:statuscode": "ok"}},
        {"200": {"overwrite:statuscode": "99"}},
        {"200": {"append:header.a": "$request.header.b"}},
    ],
)
def test_what_is_no_mapping_of_answers_is_refused(entries: dict[str, dict[str, str]]) -> None:
    with pytest.raises(BadRequestException):
        compile_response(entries)


def test_members_of_json_bodies_are_found_by_path() -> None:
    look_up = body_lookup(b'{"a": {"b": [1, {"c": "x"}]}, "t": true, "n": null}')
    assert [look_up(path) for path in ("a.b[1].c", "a.b[0]", "t", "n", "a.b[7]", "a.x.y", "t.z")] == [
        "x",
        "1",
        "true",
        None,
        None,
        None,
        None,
    ]
    assert look_up("a.b") == '[1,{"c":"x"}]'
    assert body_lookup(b"not json")("a") is None
    assert body_lookup(b"not json")("") == "not json"
