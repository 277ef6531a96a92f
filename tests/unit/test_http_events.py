"""Events of requests and answers of results: AWS's documented samples, field by field, and what functions get wrong."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from lambent.edge.doors import Address
from lambent.edge.http_events import cors, payload_v1, payload_v2, responses
from lambent.edge.http_events.bodies import BinaryMediaTypes, by_content_type
from lambent.edge.http_events.payload_v2 import ApiFacts
from lambent.edge.http_events.request_facts import Facts
from lambent.request import Request, Response

#: 12/Mar/2020:19:03:58 +0000, of AWS's sample.
NOW = 1584039838.390

FORWARDED = {
    "x-amzn-trace-id": "Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e",
    "x-forwarded-for": "192.0.2.1",
    "x-forwarded-port": "443",
    "x-forwarded-proto": "https",
}


def request(
    method: str = "GET",
    path: bytes = b"/my/path",
    query: bytes = b"",
    headers: dict[str, Any] | None = None,
    body: bytes = b"",
) -> Request:
    names = {"Host": "id.execute-api.us-east-1.amazonaws.com", "User-Agent": "agent", **(headers or {})}
    pairs = [
        (name.encode(), text.encode())
        for name, values in names.items()
        for text in (values if isinstance(values, list) else [values])
    ]
    sent = [(b"X-Amzn-Trace-Id", FORWARDED["x-amzn-trace-id"].encode()), *pairs]
    return Request(
        method=method,
        raw_path=path,
        query=query,
        headers=[(name.lower(), value) for name, value in sent],
        header_names=[name for name, _ in sent],
        body=body,
        id="id",
        client_host="192.0.2.1",
        scheme="https",
    )


def facts(*given: Any, **named: Any) -> Facts:
    made = request(*given, **named)
    return Facts.of(made, Address("api-id", "id.execute-api.us-east-1.amazonaws.com", made.raw_path), NOW)


API = ApiFacts("123456789012", "api-id", "id.execute-api.us-east-1.amazonaws.com", "id")

SAMPLE = {
    "method": "POST",
    "query": b"parameter1=value1&parameter1=value2&parameter2=value",
    "headers": {
        "Header1": "value1",
        "Header2": ["value1", "value2"],
        "Cookie": "cookie1; cookie2",
        "Content-Type": "text/plain",
    },
    "body": b"Hello from Lambda",
}


def test_format_2_equals_the_documented_sample() -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html"""
    event = json.loads(
        payload_v2.event(
            facts(**SAMPLE),
            api=API,
            route_key="$default",
            stage="$default",
            path_parameters={"parameter1": "value1"},
            stage_variables={"stageVariable1": "value1", "stageVariable2": "value2"},
            authorizer={"jwt": {"claims": {"claim1": "value1", "claim2": "value2"}, "scopes": ["scope1", "scope2"]}},
        )
    )
    assert event == {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/my/path",
        "rawQueryString": "parameter1=value1&parameter1=value2&parameter2=value",
        "cookies": ["cookie1", "cookie2"],
        "headers": {
            "host": "id.execute-api.us-east-1.amazonaws.com",
            "user-agent": "agent",
            "header1": "value1",
            "header2": "value1,value2",
            "content-type": "text/plain",
            **FORWARDED,
        },
        "queryStringParameters": {"parameter1": "value1,value2", "parameter2": "value"},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "api-id",
            "authorizer": {"jwt": {"claims": {"claim1": "value1", "claim2": "value2"}, "scopes": ["scope1", "scope2"]}},
            "domainName": "id.execute-api.us-east-1.amazonaws.com",
            "domainPrefix": "id",
            "http": {
                "method": "POST",
                "path": "/my/path",
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "agent",
            },
            "requestId": "id",
            "routeKey": "$default",
            "stage": "$default",
            "time": "12/Mar/2020:19:03:58 +0000",
            "timeEpoch": 1584039838390,
        },
        "body": "Hello from Lambda",
        "pathParameters": {"parameter1": "value1"},
        "isBase64Encoded": False,
        "stageVariables": {"stageVariable1": "value1", "stageVariable2": "value2"},
    }


def test_format_2_leaves_out_what_there_is_none_of() -> None:
    event = json.loads(payload_v2.event(facts(), api=API))
    assert event.keys() == {
        "version",
        "routeKey",
        "rawPath",
        "rawQueryString",
        "headers",
        "requestContext",
        "isBase64Encoded",
    }
    assert event["rawQueryString"] == ""
    assert "authorizer" not in event["requestContext"]


def v1(made: Facts, **changes: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "api": API,
        "resource": "/my/path",
        "path": "/my/path",
        "context_path": "/my/path",
        "stage": "$default",
        "extended_request_id": "request-id",
    }
    event: dict[str, Any] = json.loads(payload_v1.event(made, **{**settings, **changes}))
    return event


def test_format_1_of_http_apis_equals_the_documented_sample() -> None:
    made = facts(**{**SAMPLE, "query": b"parameter1=value1&parameter1=value2&parameter2=value"})
    event = v1(made, version="1.0", authorizer={"claims": None, "scopes": None})
    headers = {
        "host": ["id.execute-api.us-east-1.amazonaws.com"],
        "user-agent": ["agent"],
        "header1": ["value1"],
        "header2": ["value1", "value2"],
        "cookie": ["cookie1; cookie2"],
        "content-type": ["text/plain"],
        **{name: [value] for name, value in FORWARDED.items()},
    }
    assert event == {
        "version": "1.0",
        "resource": "/my/path",
        "path": "/my/path",
        "httpMethod": "POST",
        "headers": {name: values[-1] for name, values in headers.items()},
        "multiValueHeaders": headers,
        "queryStringParameters": {"parameter1": "value2", "parameter2": "value"},
        "multiValueQueryStringParameters": {"parameter1": ["value1", "value2"], "parameter2": ["value"]},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "api-id",
            "authorizer": {"claims": None, "scopes": None},
            "domainName": "id.execute-api.us-east-1.amazonaws.com",
            "domainPrefix": "id",
            "extendedRequestId": "request-id",
            "httpMethod": "POST",
            "identity": {
                "accessKey": None,
                "accountId": None,
                "caller": None,
                "cognitoAuthenticationProvider": None,
                "cognitoAuthenticationType": None,
                "cognitoIdentityId": None,
                "cognitoIdentityPoolId": None,
                "principalOrgId": None,
                "sourceIp": "192.0.2.1",
                "user": None,
                "userAgent": "agent",
                "userArn": None,
            },
            "path": "/my/path",
            "protocol": "HTTP/1.1",
            "requestId": "id",
            "requestTime": "12/Mar/2020:19:03:58 +0000",
            "requestTimeEpoch": 1584039838390,
            "resourceId": None,
            "resourcePath": "/my/path",
            "stage": "$default",
        },
        "pathParameters": None,
        "stageVariables": None,
        "body": "Hello from Lambda",
        "isBase64Encoded": False,
    }


def test_format_1_of_rest_apis_keeps_the_case_of_header_names() -> None:
    event = v1(facts(headers={"X-CamelCase": ["a", "b"], "accept": "*/*"}), binary=BinaryMediaTypes())
    assert "version" not in event
    assert event["multiValueHeaders"]["X-CamelCase"] == ["a", "b"]
    assert event["headers"].items() >= {
        ("X-CamelCase", "b"),
        ("accept", "*/*"),
        ("Host", "id.execute-api.us-east-1.amazonaws.com"),
        ("X-Forwarded-Proto", "https"),
    }
    assert (event["body"], event["queryStringParameters"], event["pathParameters"]) == (None, None, None)


def test_headers_of_the_connection_are_not_of_the_event() -> None:
    event = json.loads(
        payload_v2.event(facts(headers={"Connection": "close", "TE": "trailers", "Accept": "x"}), api=API)
    )
    assert event["headers"].keys() == {"host", "user-agent", "accept", *FORWARDED}


def test_forwarded_addresses_are_appended_to() -> None:
    made = facts(headers={"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "gopher"})
    headers = dict(made.headers)
    assert headers["x-forwarded-for"] == "203.0.113.9, 192.0.2.1"
    assert headers["x-forwarded-proto"] == "https"


def test_queries_are_decoded_and_kept_as_sent() -> None:
    event = json.loads(payload_v2.event(facts(path=b"/caf%C3%A9/%2F", query=b"a=1+2&b=%C3%A9&c&d=%ff&=e"), api=API))
    assert event["rawPath"] == "/caf%C3%A9/%2F"
    assert event["rawQueryString"] == "a=1+2&b=%C3%A9&c&d=%ff&=e"
    assert event["queryStringParameters"] == {"a": "1 2", "b": "é", "c": "", "d": "�", "": "e"}


@pytest.mark.parametrize(
    ("path", "decoded"),
    [
        (b"/plain", "/plain"),
        (b"/a%2Fb%20c%3f%23%40", "/a/b c?#@"),
        (b"/%E6%9D%B1/%41", "/%E6%9D%B1/A"),
        (b"/100%", "/100%"),
        (b"/%zz%4", "/%zz%4"),
        (b"/%%34%31", "/%41"),
    ],
)
def test_http_apis_hand_on_a_decoded_path(path: bytes, decoded: str) -> None:
    assert facts(path=path).decoded_path == decoded


# ---- bodies ----


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("text/plain", b"hi", ("hi", False)),
        ("application/json; charset=utf-8", "é".encode(), ("é", False)),
        ("application/vnd.api+json", b"{}", ("{}", False)),
        ("image/svg+xml", b"<svg/>", ("<svg/>", False)),
        ("application/javascript", b"1", ("1", False)),
        ("application/json", b"\xff", ("/w==", True)),
        ("application/x-www-form-urlencoded", b"a=b", ("YT1i", True)),
        ("multipart/form-data; boundary=text/xml", b"--", ("LS0=", True)),
        ("application/octet-stream", b"hi", ("aGk=", True)),
        (None, b"hi", ("aGk=", True)),
        ("image/png", b"", ("", False)),
    ],
)
def test_bodies_are_text_where_their_type_says_so(content_type: str | None, body: bytes, expected: Any) -> None:
    assert by_content_type(body, content_type) == expected


@pytest.mark.parametrize(
    ("types", "content_type", "binary"),
    [
        ([], "image/png", False),
        (["image/png"], "image/png; x=y", True),
        (["image/*"], "IMAGE/GIF", True),
        (["image/*"], "imagery/gif", False),
        (["*/*"], None, True),
        (["application/octet-stream"], None, False),
    ],
)
def test_binary_media_types(types: list[str], content_type: str | None, binary: bool) -> None:
    assert BinaryMediaTypes(types).match(content_type) is binary


def test_the_first_accepted_type_decides_about_a_binary_answer() -> None:
    types = BinaryMediaTypes(["image/png"])
    assert types.accepted("image/png;q=0.9, text/html")
    assert not types.accepted("text/html, image/png")
    assert not types.accepted(None)


# ---- answers ----


def inferred(result: Any) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    response = responses.infer_v2(json.dumps(result).encode())
    return response.status, response.headers, response.body


JSON = (b"content-type", b"application/json")


@pytest.mark.parametrize(
    ("result", "body"),
    [
        ({"hello": "world"}, b'{"hello":"world"}'),
        (["hello", 3, True], b'["hello",3,true]'),
        ("hello", b"hello"),
        (3, b"3"),
        (3.1, b"3.1"),
        (True, b"true"),
        (None, b"null"),
        ({"body": "no status"}, b'{"body":"no status"}'),
    ],
)
def test_a_result_without_status_is_the_body(result: Any, body: bytes) -> None:
    """As recorded from AWS for function URLs."""
    assert inferred(result) == (200, [JSON], body)


def test_a_result_with_status_is_taken_at_its_word() -> None:
    result = {
        "statusCode": 201,
        "headers": {"Content-Type": "text/plain", "X-Number": 1, "X-Flag": True},
        "cookies": ["a=b; Path=/", "c=d"],
        "body": base64.b64encode(b"\x00\xff").decode(),
        "isBase64Encoded": True,
    }
    assert inferred(result) == (
        201,
        [
            (b"content-type", b"text/plain"),
            (b"x-number", b"1"),
            (b"x-flag", b"true"),
            (b"set-cookie", b"a=b; Path=/"),
            (b"set-cookie", b"c=d"),
        ],
        b"\x00\xff",
    )
    assert inferred({"statusCode": "418", "body": "i'm a teapot"}) == (418, [JSON], b"i'm a teapot")
    assert inferred({"statusCode": 204, "headers": None}) == (204, [JSON], b"")


def test_headers_of_the_connection_are_not_a_functions_to_set() -> None:
    result = {"statusCode": 200, "headers": {"Content-Length": "9", "Connection": "close", "Transfer-Encoding": "x"}}
    assert inferred(result)[1] == [JSON]
    response = responses.infer_v2(
        json.dumps({"statusCode": 401, "headers": {"WWW-Authenticate": "Basic", "Date": "now"}}).encode(), remap=True
    )
    assert response.headers[1:] == [
        (b"x-amzn-remapped-www-authenticate", b"Basic"),
        (b"x-amzn-remapped-date", b"now"),
    ]


MALFORMED = {
    "no number": {"statusCode": "fine"},
    "no status of an answer": {"statusCode": 99},
    "a switch of protocols": {"statusCode": 101},
    "a status of more digits than a number may have": {"statusCode": "2" * 5000},
    "a flag for a status": {"statusCode": True},
    "a list of headers": {"statusCode": 200, "headers": ["a"]},
    "an object for a value": {"statusCode": 200, "headers": {"a": {}}},
    "a line break in a value": {"statusCode": 200, "headers": {"a": "b\r\nset-cookie: evil"}},
    "a line break in a name": {"statusCode": 200, "headers": {"a\r\nb": "c"}},
    "a space in a name": {"statusCode": 200, "headers": {"a b": "c"}},
    "no name": {"statusCode": 200, "headers": {"": "c"}},
    "an object for a body": {"statusCode": 200, "body": {"a": 1}},
    "no base64": {"statusCode": 200, "body": "a", "isBase64Encoded": True},
}


@pytest.mark.parametrize("result", MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_answer_is_refused(result: Any) -> None:
    payload = json.dumps(result).encode()
    with pytest.raises(responses.MalformedProxyResponse):
        responses.infer_v2(payload)
    with pytest.raises(responses.MalformedProxyResponse):
        responses.proxy_v1(payload)


def test_a_line_break_in_a_cookie_is_refused() -> None:
    with pytest.raises(responses.MalformedProxyResponse):
        inferred({"statusCode": 200, "cookies": ["a=b\r\nx: y"]})


@pytest.mark.parametrize("payload", [b"{}", b'"hello"', b"null", b"[1]", b"not json", b'{"body":"x"}'])
def test_format_1_needs_a_status(payload: bytes) -> None:
    with pytest.raises(responses.MalformedProxyResponse):
        responses.proxy_v1(payload)


def test_only_rest_apis_mind_members_that_they_do_not_know() -> None:
    payload = b'{"statusCode":200,"body":"x","cookies":["a=b"]}'
    assert responses.proxy_v1(payload).body == b"x"
    with pytest.raises(responses.MalformedProxyResponse):
        responses.proxy_v1(payload, strict=True)


def test_half_a_character_goes_out_as_a_question_mark() -> None:
    assert responses.infer_v2(rb'{"statusCode":200,"body":"cut \ud83d"}').body == b"cut ?"
    assert responses.infer_v2(rb'"cut \ud83d"').body == b"cut ?"
    assert responses.infer_v2(rb'["cut \ud83d"]').body == rb'["cut \ud83d"]'
    with pytest.raises(responses.MalformedProxyResponse):
        responses.infer_v2(b"NaN")


def test_format_1_sends_every_value_of_a_header_once() -> None:
    result = {
        "statusCode": 200,
        "headers": {"A": "1", "B": "2"},
        "multiValueHeaders": {"Set-Cookie": ["a=b", "c=d"], "a": ["1", "3"]},
        "body": "aGk=",
        "isBase64Encoded": True,
    }
    response = responses.proxy_v1(json.dumps(result).encode(), decode_base64=False)
    assert response.headers == [
        JSON,
        (b"set-cookie", b"a=b"),
        (b"set-cookie", b"c=d"),
        (b"a", b"1"),
        (b"a", b"3"),
        (b"b", b"2"),
    ]
    assert response.body == b"aGk="
    assert responses.proxy_v1(json.dumps(result).encode()).body == b"hi"


# ---- CORS ----

RULES = cors.CorsRules(
    allow_origins=("https://example.com", "http://*.local:8080"),
    allow_methods=("GET", "POST"),
    allow_headers=("content-type",),
    expose_headers=("x-id",),
    max_age=300,
    allow_credentials=True,
)


def preflight(origin: str, method: str = "POST") -> dict[bytes, bytes]:
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    made = request("OPTIONS", headers=asked)
    assert cors.is_preflight(made)
    return dict(cors.preflight(RULES, made).headers)


def test_a_preflight_of_an_allowed_origin_is_told_the_rules() -> None:
    assert preflight("https://example.com") == {
        b"access-control-allow-origin": b"https://example.com",
        b"access-control-allow-credentials": b"true",
        b"vary": b"Origin",
        b"access-control-allow-methods": b"GET,POST",
        b"access-control-allow-headers": b"content-type",
        b"access-control-max-age": b"300",
    }
    assert preflight("http://app.local:8080")


@pytest.mark.parametrize("origin", ["https://example.com.evil", "http://example.com", "http://.local:80801", "null"])
def test_a_preflight_of_another_origin_is_told_nothing(origin: str) -> None:
    assert preflight(origin) == {}


def test_a_preflight_for_another_method_is_told_nothing() -> None:
    assert preflight("https://example.com", "DELETE") == {}


def test_the_rules_take_the_place_of_the_functions_headers() -> None:
    response = Response(200, [(b"access-control-allow-origin", b"*"), (b"x-id", b"1")])
    made = request(headers={"Origin": "https://example.com"})
    assert dict(cors.apply(RULES, made, response).headers) == {
        b"x-id": b"1",
        b"access-control-allow-origin": b"https://example.com",
        b"access-control-allow-credentials": b"true",
        b"vary": b"Origin",
        b"access-control-expose-headers": b"x-id",
    }
    any_origin = cors.CorsRules(allow_origins=("*",))
    assert cors.apply(any_origin, made, Response(200)).headers == [(b"access-control-allow-origin", b"*")]
    assert cors.apply(any_origin, request(), Response(200)).headers == []
