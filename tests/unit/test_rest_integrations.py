"""HTTP, HTTP_PROXY and MOCK integrations, gateway responses, and tests of methods."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from rest_api_helpers import ACCOUNT, API, AUTHORIZER, FUNCTION, World, get, proxy_to, result_of, uri_of

from lambent.edge.http_proxy import ProxyResponseTooLarge, ProxyTimeout, ProxyUnreachable
from lambent.request import Response
from lambent.services.apigateway.domain import (
    Authorizer,
    GatewayResponse,
    Integration,
    IntegrationResponse,
    Method,
    MethodResponse,
    Model,
    RequestValidator,
)
from lambent.services.apigateway.tester import TestRequest

FAILED = b'{"message": "Internal server error"}'


def method(integration: Integration, *statuses: str, http_method: str = "GET", **more: Any) -> dict[str, Method]:
    responses = {status: MethodResponse(status) for status in statuses or ("200",)}
    return {http_method: Method(http_method, responses=responses, integration=integration, **more)}


# ---- MOCK: the CORS set-up ----------------------------------------------------------------------------------------

CORS = Integration(
    "MOCK",
    request_templates={"application/json": '{"statusCode": 200}'},
    responses={
        "200": IntegrationResponse(
            "200",
            parameters={
                "method.response.header.Access-Control-Allow-Origin": "'*'",
                "method.response.header.Access-Control-Allow-Methods": "'GET,OPTIONS'",
                "method.response.header.X-Request": "context.requestId",
                "method.response.header.X-Stage": "stageVariables.colour",
                "method.response.header.X-Nothing": "context.nothing",
            },
            templates={"application/json": ""},
        )
    },
)


def test_a_mock_answers_preflight_requests() -> None:
    world = World({"/x": method(CORS, http_method="OPTIONS")}, stage={"variables": {"colour": "blue"}})
    answer = world.send("OPTIONS", "/prod/x", {"Origin": "https://a.example"})
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-methods"] == "GET,OPTIONS"
    assert answer.headers["x-request"] == "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
    assert answer.headers["x-stage"] == "blue"
    assert "x-nothing" not in answer.headers
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("template", "status", "body"),
    [
        ('{"statusCode": 404}', 404, b'{"no":"pet"}'),
        ("{statusCode: 200}", 200, b"fine"),
        ('{ "statusCode" : "204" }', 200, b"fine"),
        ("{}", 500, FAILED),
        ("", 500, FAILED),
    ],
)
def test_a_mock_chooses_its_answer_by_the_status_of_its_template(template: str, status: int, body: bytes) -> None:
    integration = Integration(
        "MOCK",
        request_templates={"application/json": template},
        responses={
            "200": IntegrationResponse("200", templates={"text/plain": "fine"}),
            "404": IntegrationResponse("404", r"4\d\d", templates={"application/json": '{"no":"pet"}'}),
        },
    )
    answer = World({"/x": method(integration, "200", "404")}).get("/prod/x")
    assert (answer.status, answer.body) == (status, body)


def test_an_answer_needs_an_integration_response_and_a_method_response() -> None:
    without = Integration("MOCK", request_templates={"application/json": '{"statusCode": 200}'})
    assert World({"/x": method(without)}).get("/prod/x").status == 500
    assert World({"/x": method(CORS, "201")}).get("/prod/x").status == 500


@pytest.mark.parametrize(("behavior", "status"), [("NEVER", 415), ("WHEN_NO_TEMPLATES", 415), ("WHEN_NO_MATCH", 200)])
def test_bodies_of_other_types_pass_as_they_may(behavior: str, status: int) -> None:
    integration = Integration(
        "MOCK",
        request_templates={"application/json": '{"statusCode": 200}'},
        passthrough_behavior=behavior,
        responses={"200": IntegrationResponse("200", templates={"application/json": "fine"})},
    )
    world = World({"/x": method(integration, http_method="POST")})
    answer = world.send("POST", "/prod/x", {"Content-Type": "text/x"}, b"statusCode: 200")
    assert answer.status == status
    if status == 415:
        assert answer.json() == {"message": "Unsupported Media Type"}


# ---- HTTP_PROXY and HTTP ------------------------------------------------------------------------------------------


def test_an_http_proxy_passes_all_on_and_the_answer_back() -> None:
    integration = Integration(
        "HTTP_PROXY",
        http_method="ANY",
        uri="https://${stageVariables.host}/base/{rest}",
        request_parameters={
            "integration.request.path.rest": "method.request.path.proxy",
            "integration.request.header.X-Fixed": "'fixed'",
            "integration.request.header.X-From-Body": "method.request.body.pet.names[1]",
            "integration.request.querystring.id": "context.requestId",
            "integration.request.querystring.gone": "method.request.querystring.gone",
        },
        timeout_ms=5000,
    )
    world = World({"/{proxy+}": method(integration, http_method="ANY")}, stage={"variables": {"host": "pets.example"}})
    cookies = [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
    world.proxy.answer = Response(418, [*cookies, (b"www-authenticate", b"Basic")], b"teapot")
    body = b'{"pet":{"names":["Rex","Max"]}}'
    answer = world.send("PUT", "/prod/a/b%20c/%3Fd?q=1&q=2&id=old", {"X-Fixed": "old", "X-Mine": "1"}, body)
    assert (answer.status, answer.body) == (418, b"teapot")
    assert ("set-cookie", "a=1") in answer.pairs
    assert ("set-cookie", "b=2") in answer.pairs
    assert answer.headers["x-amzn-remapped-www-authenticate"] == "Basic"
    (sent,) = world.proxy.sent
    assert sent["method"] == "PUT"
    assert sent["url"] == ("https://pets.example/base/a/b%20c/%3Fd?q=1&q=2&id=c6af9ac6-7b61-11e6-9a41-93e8deadbeef")
    assert sent["body"] == body
    assert sent["timeout"] == 5.0
    assert sent["headers"]["x-fixed"] == "fixed"
    assert sent["headers"]["x-mine"] == "1"
    assert sent["headers"]["x-from-body"] == "Max"
    assert sent["headers"]["x-amzn-apigateway-api-id"] == API
    assert sent["headers"]["x-forwarded-for"] == "192.0.2.7"
    assert "host" not in sent["headers"]


def test_values_of_clients_become_neither_headers_nor_segments_of_their_own() -> None:
    integration = Integration(
        "HTTP_PROXY",
        http_method="GET",
        uri="http://pets.example/{id}/toys",
        request_parameters={
            "integration.request.path.id": "method.request.path.id",
            "integration.request.header.X-Q": "method.request.querystring.q",
        },
    )
    world = World({"/{id}": method(integration)})
    assert world.get("/prod/a%2F..%2Fb?q=1%0d%0aX-Evil:+2").status == 200
    (sent,) = world.proxy.sent
    assert sent["url"].startswith("http://pets.example/a%2F..%2Fb/toys?")
    assert sent["headers"]["x-q"] == "1X-Evil: 2"


def test_http_sends_what_is_mapped_and_maps_what_comes_back() -> None:
    integration = Integration(
        "HTTP",
        http_method="POST",
        uri="http://pets.example/pets",
        request_parameters={"integration.request.querystring.kind": "method.request.querystring.kind"},
        request_templates={"application/json": '{"literal": true}'},
        responses={
            "200": IntegrationResponse(
                "200",
                parameters={
                    "method.response.header.X-Kind": "integration.response.header.Content-Type",
                    "method.response.header.X-Name": "integration.response.body.name",
                    "method.response.header.X-Evil": "method.request.querystring.kind",
                },
            ),
            "404": IntegrationResponse("404", "404", templates={"application/json": '{"gone":true}'}),
            "502": IntegrationResponse("502", r"5\d{2}"),
        },
    )
    world = World({"/x": method(integration, "200", "404", "502")})
    world.proxy.answer = Response(201, [(b"content-type", b"application/json"), (b"server", b"x")], b'{"name":"Rex"}')
    answer = world.get("/prod/x?kind=dog&other=1", X_Mine="1")
    assert (answer.status, answer.body) == (200, b'{"name":"Rex"}')
    assert (answer.headers["x-kind"], answer.headers["x-name"]) == ("application/json", "Rex")
    assert "server" not in answer.headers
    (sent,) = world.proxy.sent
    assert (sent["method"], sent["url"]) == ("POST", "http://pets.example/pets?kind=dog")
    assert sent["body"] == b'{"literal": true}'
    assert "x-mine" not in sent["headers"]
    assert sent["headers"]["user-agent"] == f"AmazonAPIGateway_{API}"
    world.proxy.answer = Response(404, [], b"nothing")
    assert (world.get("/prod/x").status, world.get("/prod/x").body) == (404, b'{"gone":true}')
    world.proxy.answer = Response(503, [(b"content-type", b"text/plain")], b"down")
    assert (world.get("/prod/x").status, world.get("/prod/x").body) == (502, b"down")


def test_bytes_and_text_are_converted_as_integrations_say() -> None:
    integration = Integration(
        "HTTP",
        http_method="POST",
        uri="http://pets.example/",
        content_handling="CONVERT_TO_TEXT",
        responses={"200": IntegrationResponse("200", content_handling="CONVERT_TO_BINARY")},
    )
    world = World({"/x": method(integration, http_method="POST")}, binary_media_types=("image/png",))
    world.proxy.answer = Response(200, [(b"content-type", b"text/plain")], base64.b64encode(b"\x00\x01"))
    answer = world.send("POST", "/prod/x", {"Content-Type": "image/png"}, b"\x89PNG")
    assert answer.body == b"\x00\x01"
    assert world.proxy.sent[0]["body"] == base64.b64encode(b"\x89PNG")
    world.proxy.answer = Response(200, [], b"no base64!")
    assert world.send("POST", "/prod/x", {}, b"").status == 500


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (ProxyTimeout("slow"), 504, b'{"message": "Endpoint request timed out"}'),
        (ProxyUnreachable("gone"), 504, b'{"message": "Network error communicating with endpoint"}'),
        (ProxyResponseTooLarge("much"), 500, FAILED),
    ],
)
def test_servers_that_do_not_answer_are_failures(error: Exception, status: int, body: bytes) -> None:
    world = World({"/x": method(Integration("HTTP_PROXY", http_method="GET", uri="http://pets.example"))})
    world.proxy.answer = error
    assert (world.get("/prod/x").status, world.get("/prod/x").body) == (status, body)


def test_addresses_must_be_of_http() -> None:
    uri = "${stageVariables.x}://pets.example"
    world = World(
        {"/x": method(Integration("HTTP_PROXY", http_method="GET", uri=uri))}, stage={"variables": {"x": "file"}}
    )
    assert (world.get("/prod/x").status, world.proxy.sent) == (500, [])


# ---- gateway responses --------------------------------------------------------------------------------------------


def test_owners_say_what_failures_look_like() -> None:
    own = GatewayResponse(
        "MISSING_AUTHENTICATION_TOKEN",
        "404",
        parameters={
            "gatewayresponse.header.Access-Control-Allow-Origin": "'*'",
            "gatewayresponse.header.X-Path": "method.request.querystring.q",
            "gatewayresponse.header.X-Id": "context.requestId",
        },
        templates={
            "application/json": '{"m":$context.error.messageString,"t":"${context.error.responseType}","x":"$context.n"}',  # noqa: E501
            "text/html": "<p>$context.error.message</p>",
        },
    )
    world = World({"/x": get()}, gateway_responses={own.type: own})
    answer = world.get("/prod/y?q=a%0d%0ab")
    assert answer.status == 404
    assert answer.json() == {"m": "Missing Authentication Token", "t": "MISSING_AUTHENTICATION_TOKEN", "x": ""}
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["x-path"] == "ab"
    assert answer.headers["x-id"] == "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
    assert answer.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"
    page = world.get("/prod/y", Accept="text/html,application/json")
    assert (page.body, page.headers["content-type"]) == (b"<p>Missing Authentication Token</p>", "text/html")


def test_defaults_stand_in_for_all_failures_of_their_kind() -> None:
    headers = {"gatewayresponse.header.X-Kind": "context.error.responseType"}
    world = World(
        {"/x": get(), "/y": get(authorization_type="CUSTOM")},
        gateway_responses={
            "DEFAULT_4XX": GatewayResponse("DEFAULT_4XX", parameters=headers),
            "DEFAULT_5XX": GatewayResponse("DEFAULT_5XX", "503", templates={"application/json": "down"}),
        },
    )
    answer = world.get("/prod/nowhere")
    assert (answer.status, answer.headers["x-kind"]) == (403, "MISSING_AUTHENTICATION_TOKEN")
    assert answer.json() == {"message": "Missing Authentication Token"}
    world.functions.answers[FUNCTION] = {"nothing": 1}
    assert (world.get("/prod/x").status, world.get("/prod/x").body) == (503, b"down")
    assert world.get("/prod/y").status == 503


def test_validation_errors_can_be_told() -> None:
    template = "$context.error.message: $context.error.validationErrorString"
    own = GatewayResponse("BAD_REQUEST_BODY", templates={"application/json": template})
    checked = Method(
        "POST", integration=proxy_to(), request_validator_id="v", request_models={"application/json": "Pet"}
    )
    world = World(
        {"/x": {"POST": checked}},
        gateway_responses={own.type: own},
        validators={"v": RequestValidator("v", "body", validates_body=True)},
        models={"Pet": Model("m", "Pet", schema='{"required":["name"],"properties":{"age":{"type":"integer"}}}')},
    )
    assert world.send("POST", "/prod/x", {}, b'{"age":"old"}').body.decode() == (
        'Invalid request body: [object has missing required properties (["name"]), '
        'instance type (string) does not match any allowed primitive type (allowed: ["integer"])]'
    )


# ---- tests of methods and authorizers -----------------------------------------------------------------------------


def test_a_method_is_tested_as_it_stands_without_authorization() -> None:
    world = World({"/pets/{id}": get(authorization_type="AWS_IAM")})
    resource = world.definition.resources["r0"]
    request = TestRequest("test-id", "/pets/7?a=1", {"X-Mine": ["1", "2"]}, "", {"v": "1"})
    result = asyncio.run(world.gateway.tester.test_method(world.definition, resource, resource.methods["GET"], request))
    assert (result.status, result.body) == (200, "hello")
    assert result.headers["Content-Type"] == ["application/json"]
    lines = result.log.splitlines()
    assert lines[0] == "Execution log for request test-id"
    assert lines[1].endswith("UTC 2025 : Starting execution for request: test-id")
    assert lines[-1].endswith(" : AWS Integration Endpoint RequestId : lambda-request-id")
    assert any(line.endswith(" : Method completed with status: 200") for line in lines)
    (event,) = world.functions.events_of(FUNCTION)
    context = event["requestContext"]
    assert context["stage"] == "test-invoke-stage"
    assert (context["path"], event["path"]) == ("/pets/7", "/pets/7")
    assert (context["domainName"], context["domainPrefix"]) == ("testPrefix.testDomainName", "testPrefix")
    assert context["identity"]["sourceIp"] == "test-invoke-source-ip"
    assert context["identity"]["apiKey"] == "test-invoke-api-key"
    assert context["identity"]["accountId"] == ACCOUNT
    assert event["headers"] == {"X-Mine": "2"}
    assert (event["pathParameters"], event["stageVariables"]) == ({"id": "7"}, {"v": "1"})
    assert world.functions.askers[0].source_arn.endswith("/test-invoke-stage/GET/pets/*")


def test_a_test_that_fails_says_why_in_its_log() -> None:
    world = World({"/x": get()})
    world.functions.answers[FUNCTION] = result_of({"errorMessage": "boom"}, function_error="Unhandled")
    resource = world.definition.resources["r0"]
    result = asyncio.run(
        world.gateway.tester.test_method(world.definition, resource, resource.methods["GET"], TestRequest("id", "/x"))
    )
    assert (result.status, result.body.encode()) == (502, FAILED)
    assert "Lambda execution failed with status 200 due to customer function error: boom" in result.log


def test_an_authorizer_is_tested_past_its_cache() -> None:
    authorizer = Authorizer("a", "t", "TOKEN", uri_of(AUTHORIZER), identity_source="method.request.header.T")
    world = World({"/x": get()}, authorizers=(authorizer,))
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    world.functions.answers[AUTHORIZER] = {"principalId": "ann", "policyDocument": document, "context": {"n": 1}}

    def test(**headers: list[str]) -> Any:
        request = TestRequest("id", "/", headers)
        return asyncio.run(world.gateway.tester.test_authorizer(world.definition, authorizer, request, {}))

    for _ in range(2):
        result = test(T=["secret"])
        assert (result.status, result.principal_id, result.claims) == (200, "ann", {"n": "1"})
        assert json.loads(result.policy) == document
    assert [event["methodArn"] for event in world.functions.events_of(AUTHORIZER)] == [
        f"arn:aws:execute-api:us-east-1:{ACCOUNT}:{API}/ESTestInvoke-stage/GET/"
    ] * 2
    assert test().status == 401
    world.functions.answers[AUTHORIZER] = {"principalId": "ann"}
    assert test(T=["secret"]).status == 500
    assert world.get("/prod/x").status == 200
