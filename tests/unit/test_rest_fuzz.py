"""Whatever a client sends, a REST API answers it, and never by a fault of its own."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_api_helpers import API, AUTHORIZER, World, get, proxy_to, uri_of

from lambent.edge.doors import Address
from lambent.request import Request
from lambent.services.apigateway.domain import (
    AccessLog,
    Authorizer,
    GatewayResponse,
    Integration,
    IntegrationResponse,
    Method,
    MethodResponse,
    MethodSettings,
    Model,
    RequestValidator,
)

MAPPED = {
    "integration.request.header.A": "method.request.header.X-A",
    "integration.request.querystring.b": "method.request.querystring.q",
    "integration.request.path.rest": "method.request.path.rest",
    "integration.request.header.C": "method.request.body.a.b[0]",
}
WORLD = World(
    {
        "/": get(),
        "/{proxy+}": {"ANY": Method("ANY", integration=proxy_to())},
        "/http/{rest+}": {
            "ANY": Method(
                "ANY",
                integration=Integration(
                    "HTTP_PROXY", http_method="ANY", uri="http://pets.example/{rest}", request_parameters=MAPPED
                ),
            )
        },
        "/mock": {
            "ANY": Method(
                "ANY",
                responses={"200": MethodResponse("200")},
                integration=Integration(
                    "MOCK",
                    responses={
                        "200": IntegrationResponse(
                            "200", parameters={"method.response.header.X": "method.request.querystring.q"}
                        )
                    },
                ),
            )
        },
        "/guarded": {"ANY": Method("ANY", "CUSTOM", authorizer_id="a", integration=proxy_to())},
        "/checked": {
            "ANY": Method(
                "ANY",
                integration=proxy_to(),
                request_validator_id="v",
                request_parameters={"method.request.querystring.q": True},
                request_models={"$default": "Any"},
            )
        },
    },
    authorizers=(
        Authorizer(
            "a",
            "a",
            "REQUEST",
            uri_of(AUTHORIZER),
            identity_source="method.request.header.X-A,method.request.querystring.q",
        ),
    ),
    validators={"v": RequestValidator("v", "v", True, True)},
    models={"Any": Model("m", "Any", schema='{"type":"object"}')},
    gateway_responses={
        "DEFAULT_4XX": GatewayResponse(
            "DEFAULT_4XX",
            parameters={"gatewayresponse.header.X": "method.request.querystring.q"},
            templates={"application/json": "$context.error.message $context.path ${method.request.header.X-A}"},
        )
    },
    binary_media_types=("image/*",),
    minimum_compression_size=0,
    stage={
        "access_log": AccessLog(
            '{"a":"$context.path","b":"$context.identity.userAgent"}',
            "arn:aws:logs:us-east-1:123456789012:log-group:access",
        ),
        "method_settings": {"*/*": MethodSettings(logging_level="INFO", data_trace_enabled=True)},
    },
)

RAW = st.binary(max_size=40).map(lambda raw: raw.translate(None, b"\r\n\0 #?"))
PATHS = st.one_of(
    RAW,
    st.builds(
        lambda start, end: start + end,
        st.sampled_from([b"/prod", b"/prod/mock", b"/prod/http/", b"/prod/guarded", b"/prod/checked", b"/prod/x%"]),
        RAW,
    ),
)
VALUES = st.binary(max_size=30).map(lambda raw: raw.translate(None, b"\r\n\0"))
NAMES = st.sampled_from(
    b"x-a accept accept-encoding content-type content-encoding authorization user-agent cookie x-forwarded-for "
    b"x-amzn-trace-id origin referer".split()
)


@pytest.mark.slow
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    method=st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "PATCH"]),
    path=PATHS,
    query=st.one_of(RAW, RAW.map(lambda raw: b"q=" + raw)),
    headers=st.lists(st.tuples(NAMES, VALUES), max_size=6),
    body=st.one_of(
        st.binary(max_size=60), st.sampled_from([b"{}", b'{"a":{"b":["x\\r\\ny"]}}', b'{"statusCode":200}'])
    ),
)
def test_every_request_is_answered_in_whole_lines(
    method: str, path: bytes, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    WORLD.functions.answers[AUTHORIZER] = {"principalId": "a", "policyDocument": {"Statement": []}}
    sent = [(b"host", b"x"), *headers]
    request = Request(method, path, query, sent, body, "id", "192.0.2.7", header_names=[name for name, _ in sent])
    log = WORLD.logs.lines.setdefault(("123456789012", "us-east-1", "access"), [])
    del log[:]
    WORLD.clock.advance(1)
    response = asyncio.run(WORLD.gateway.answer(request, Address(API, "x", path)))
    assert response.status in (200, 400, 401, 403, 413, 415, 500)
    if response.status == 500:
        # A body that is no template, or an authorizer that says nothing: never a fault of the gateway itself.
        assert b"/mock" in path or b"/guarded" in path, (path, response)
    for name, value in response.headers:
        assert not set(value) & {0, 10, 13}, (name, value)
    assert len(log) <= 1
    for line in log:
        json.loads(line)
