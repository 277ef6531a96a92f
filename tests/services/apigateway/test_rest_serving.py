"""Deployed REST APIs over real sockets, before real functions and servers."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from serving_helpers import ACCOUNT, Deployed, make_function, uri_of

from tests.conftest import wait_until
from tests.roles import ROLE

pytestmark = pytest.mark.slow

#: What access logs tell.
ACCESS = ("requestId", "identity.sourceIp", "httpMethod", "resourcePath", "status")
FAILED = b'{"message": "Internal server error"}'


@pytest.fixture(scope="module")
def function(region: Any) -> str:
    return make_function(region, "served")


@pytest.fixture(scope="module")
def api(region: Any, function: str) -> Deployed:
    """One API for most tests: a function behind everything, and methods that only some may ask."""
    api = Deployed(region, binaryMediaTypes=["image/png"])
    api.proxy(function)
    api.proxy(function, "{proxy+}")
    api.proxy(function, "sleep", timeout=100)
    api.proxy(function, "pets", "{id}", method="GET")
    common = {"restApiId": api.id, "authorizerUri": uri_of(function)}
    token = api.client.create_authorizer(
        **common, name="t", type="TOKEN", identitySource="method.request.header.Authorization"
    )
    request = api.client.create_authorizer(
        **common, name="r", type="REQUEST", identitySource="method.request.header.X-Key"
    )
    api.proxy(function, "token", authorizationType="CUSTOM", authorizerId=token["id"])
    api.proxy(function, "request", authorizationType="CUSTOM", authorizerId=request["id"])
    api.proxy(function, "signed", authorizationType="AWS_IAM")
    api.deploy(variables={"colour": "blue"})
    return api


# ---- events -------------------------------------------------------------------------------------------------------


def test_events_are_those_of_awss_sample_field_by_field(api: Deployed) -> None:
    headers = [("header1", "value1"), ("Header2", "a"), ("Header2", "b"), ("User-Agent", "user-agent")]
    before = int(time.time() * 1000)
    answer = api.send(
        "POST", "/prod/my/path?parameter1=value1&parameter1=value2&parameter2=value", b"Hello from Lambda!", headers
    )
    assert answer.status == 200, answer
    event = json.loads(answer.body)
    context = event["requestContext"]
    port = str(urlsplit(api.region.url).port)
    assert before - 1 <= context.pop("requestTimeEpoch") <= time.time() * 1000
    trace = event["headers"]["X-Amzn-Trace-Id"]
    assert answer.header("x-amzn-requestid") == context.pop("requestId")
    assert answer.header("x-amz-apigw-id") == context.pop("extendedRequestId")
    assert time.strptime(context.pop("requestTime"), "%d/%b/%Y:%H:%M:%S +0000")
    assert len(context.pop("deploymentId")) == 6
    assert len(context.pop("resourceId")) in (6, 10)
    common = {
        "header1": "value1",
        "User-Agent": "user-agent",
        "Host": f"{api.host}:{port}",
        "X-Amzn-Trace-Id": trace,
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Port": port,
        "X-Forwarded-Proto": "http",
    }
    assert event == {
        "resource": "/{proxy+}",
        "path": "/my/path",
        "httpMethod": "POST",
        "headers": {**common, "Header2": "b"},
        "multiValueHeaders": {name: [value] for name, value in common.items()} | {"Header2": ["a", "b"]},
        "queryStringParameters": {"parameter1": "value2", "parameter2": "value"},
        "multiValueQueryStringParameters": {"parameter1": ["value1", "value2"], "parameter2": ["value"]},
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": api.id,
            "domainName": api.host,
            "domainPrefix": api.id,
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
                "sourceIp": "127.0.0.1",
                "user": None,
                "userAgent": "user-agent",
                "userArn": None,
            },
            "path": "/prod/my/path",
            "protocol": "HTTP/1.1",
            "resourcePath": "/{proxy+}",
            "stage": "prod",
        },
        "pathParameters": {"proxy": "my/path"},
        "stageVariables": {"colour": "blue"},
        "body": "Hello from Lambda!",
        "isBase64Encoded": False,
    }
    assert [value for name, value in answer.headers if name.lower() == "set-cookie"] == ["a=1", "b=2"]


def test_what_a_request_lacks_is_null(api: Deployed) -> None:
    event = json.loads(api.send("GET", "/prod").body)
    for name in ("queryStringParameters", "multiValueQueryStringParameters", "pathParameters", "body"):
        assert event[name] is None, name
    assert (event["resource"], event["path"]) == ("/", "/")


def test_authorizers_get_awss_request_event_and_functions_what_they_said(api: Deployed) -> None:
    answer = api.send("GET", "/prod/request?q=1", headers=[("X-Key", "let-me-in"), ("User-Agent", "agent")])
    assert answer.status == 200, answer
    authorizer = json.loads(answer.body)["requestContext"]["authorizer"]
    asked = json.loads(authorizer["event"])
    assert authorizer["principalId"] == "ann"
    assert authorizer["integrationLatency"] >= 0
    assert {name: asked[name] for name in asked if name not in ("headers", "multiValueHeaders", "requestContext")} == {
        "type": "REQUEST",
        "methodArn": f"arn:aws:execute-api:us-east-1:{ACCOUNT}:{api.id}/prod/GET/request",
        "resource": "/request",
        "path": "/request",
        "httpMethod": "GET",
        "queryStringParameters": {"q": "1"},
        "multiValueQueryStringParameters": {"q": ["1"]},
        "pathParameters": {},
        "stageVariables": {"colour": "blue"},
    }
    assert asked["headers"]["X-Key"] == "let-me-in"
    sample = {
        "path",
        "accountId",
        "resourceId",
        "stage",
        "requestId",
        "identity",
        "resourcePath",
        "httpMethod",
        "apiId",
    }
    assert sample <= set(asked["requestContext"])
    assert "authorizer" not in asked["requestContext"]


# ---- who may ask --------------------------------------------------------------------------------------------------


def test_tokens_open_and_close_and_answers_are_kept(api: Deployed) -> None:
    def asked(token: str) -> Any:
        return api.send("GET", "/prod/token", headers=[("Authorization", token)])

    assert api.send("GET", "/prod/token").body == b'{"message":"Unauthorized"}'
    assert (asked("unknown").status, asked("unknown").body) == (401, b'{"message":"Unauthorized"}')
    denied = asked("wrong")
    assert (denied.status, denied.header("x-amzn-errortype")) == (403, "AccessDeniedException")
    assert json.loads(denied.body) == {
        "Message": "User is not authorized to access this resource with an explicit deny"
    }
    first, second = (json.loads(asked("let-me-in").body)["requestContext"]["authorizer"] for _ in range(2))
    assert first["time"] == second["time"]
    api.client.flush_stage_authorizers_cache(restApiId=api.id, stageName="prod")
    assert json.loads(asked("let-me-in").body)["requestContext"]["authorizer"]["time"] != first["time"]


def test_signed_requests_pass_and_others_do_not(api: Deployed) -> None:
    target = f"/restapis/{api.id}/prod/_user_request_/signed?a=b%20c"
    answer = api.region.request("POST", target, b"body", {"X-Mine": "1"}, sign="execute-api")
    assert answer.status == 200, answer
    identity = answer.json()["requestContext"]["identity"]
    assert identity["userArn"] == f"arn:aws:iam::{ACCOUNT}:root"
    assert identity["accessKey"] == api.region.key.access_key
    unsigned = api.region.request("GET", target)
    assert (unsigned.status, unsigned.json()) == (403, {"message": "Missing Authentication Token"})
    other = api.region.request("GET", target, sign="lambda")
    assert (other.status, other.headers["x-amzn-errortype"]) == (403, "InvalidSignatureException")
    assert other.json()["message"].startswith("Credential should be scoped to correct service: 'execute-api'")
    bearer = api.send("GET", "/prod/signed", headers=[("Authorization", "Bearer x")])
    assert (bearer.status, bearer.header("x-amzn-errortype")) == (403, "IncompleteSignatureException")


def test_a_resource_policy_closes_an_api_to_all_but_whom_it_names(region: Any, function: str) -> None:
    statement = {"Principal": "*", "Action": "execute-api:Invoke"}
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {**statement, "Effect": "Allow", "Resource": "execute-api:/*"},
            {**statement, "Effect": "Deny", "Resource": "execute-api:/prod/*/secret"},
            {
                **statement,
                "Effect": "Deny",
                "Resource": "execute-api:/*",
                "Condition": {"NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}},
            },
        ],
    }
    api = Deployed(region, policy=json.dumps(policy))
    api.proxy(function, "{proxy+}")
    api.deploy()
    assert api.send("GET", "/prod/open").status == 200
    refused = api.send("GET", "/prod/secret")
    assert (refused.status, refused.header("x-amzn-errortype")) == (403, "AccessDeniedException")
    assert json.loads(refused.body)["Message"] == (
        "User: anonymous is not authorized to perform: execute-api:Invoke on resource: "
        f"arn:aws:execute-api:us-east-1:********0000:{api.id}/prod/GET/secret with an explicit deny"
    )


# ---- paths, bodies, methods ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "resource", "path", "parameters"),
    [
        ("/prod/pets/a%2Fb", "/pets/{id}", "/pets/a%2Fb", {"id": "a%2Fb"}),
        ("/prod/pets/%2e%2e", "/pets/{id}", "/pets/%2e%2e", {"id": "%2e%2e"}),
        ("/prod/x/../pets", "/{proxy+}", "/x/../pets", {"proxy": "x/../pets"}),
        ("/prod//pets/1/", "/pets/{id}", "//pets/1/", {"id": "1"}),
        ("/prod/a//b", "/{proxy+}", "/a//b", {"proxy": "a//b"}),
    ],
)
def test_tricks_with_paths_are_data(api: Deployed, target: str, resource: str, path: str, parameters: Any) -> None:
    answer = api.send("GET", target)
    assert answer.status == 200, answer
    event = json.loads(answer.body)
    assert (event["resource"], event["path"], event["pathParameters"]) == (resource, path, parameters)


def test_no_trick_leaves_the_stage(api: Deployed) -> None:
    for target in ("/prod/../dev/x", "/%2e%2e/prod/x", "//prod/x", "/dev/x", "/"):
        answer = api.send("GET", target)
        if answer.status == 200:
            assert json.loads(answer.body)["requestContext"]["stage"] == "prod"
            assert target.startswith("/prod/")
        else:
            assert (answer.status, answer.body) == (403, b'{"message":"Forbidden"}'), target


def test_heads_have_the_length_of_what_they_leave_out(api: Deployed) -> None:
    answer = api.send("HEAD", "/prod/x")
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.header("content-length") or 0) > 100


def test_bytes_travel_both_ways(api: Deployed) -> None:
    sent = api.send("PUT", "/prod/x", b"\x89PNG\r\n\x00\xff", [("Content-Type", "image/png")])
    event = json.loads(sent.body)
    assert (event["body"], event["isBase64Encoded"]) == ("iVBORw0KAP8=", True)
    raw = {
        "statusCode": 201,
        "body": "iVBORw0KAP8=",
        "isBase64Encoded": True,
        "headers": {"Content-Type": "image/png"},
    }
    body = json.dumps(raw).encode()
    assert api.send("POST", "/prod/raw", body, [("Accept", "image/png,*/*")]).body == b"\x89PNG\r\n\x00\xff"
    assert api.send("POST", "/prod/raw", body, [("Accept", "*/*")]).body == b"iVBORw0KAP8="


# ---- what goes wrong ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "text",
        [],
        {},
        {"statusCode": "x"},
        {"statusCode": 1},
        {"statusCode": 200, "body": {"a": 1}},
        {"statusCode": 200, "headers": []},
        {"statusCode": 200, "headers": {"a": {"b": 1}}},
        {"statusCode": 200, "headers": {"bad name": "x"}},
        {"statusCode": 200, "headers": {"a": "b\r\nc: d"}},
        {"statusCode": 200, "headers": {"Content-Length": "5", "Transfer-Encoding": "chunked"}, "body": {}},
        {"statusCode": 200, "members": "unknown"},
    ],
)
def test_malformed_answers_of_functions_are_bad_gateways(api: Deployed, answer: Any) -> None:
    found = api.send("POST", "/prod/raw", json.dumps(answer).encode())
    assert (found.status, found.body) == (502, FAILED)
    assert found.header("x-amzn-errortype") == "InternalServerErrorException"


def test_headers_that_belong_to_the_connection_do_not_break_it(api: Deployed) -> None:
    headers = {
        "Content-Length": "1",
        "Transfer-Encoding": "chunked",
        "Connection": "close",
        "WWW-Authenticate": "Basic",
    }
    raw = {"statusCode": 401, "headers": headers, "body": "whole body"}
    answer = api.send("POST", "/prod/raw", json.dumps(raw).encode())
    assert (answer.status, answer.body) == (401, b"whole body")
    assert answer.header("x-amzn-remapped-www-authenticate") == "Basic"
    assert answer.header("www-authenticate") is None


def test_functions_that_fail_hang_or_die_are_answered_for(api: Deployed) -> None:
    for path, status in (("raise", 502), ("exit", 502)):
        answer = api.send("GET", f"/prod/{path}")
        assert (answer.status, answer.body) == (status, FAILED)
    late = api.send("GET", "/prod/sleep")
    assert (late.status, late.body) == (504, b'{"message": "Endpoint request timed out"}')


def test_a_body_that_is_too_large_is_refused_before_it_is_read(api: Deployed) -> None:
    address = urlsplit(api.region.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(
            f"POST /prod/x HTTP/1.1\r\nHost: {api.host}\r\nContent-Length: {11 * 1024 * 1024}\r\n\r\nx".encode()
        )
        answer = b""
        while b"\r\n\r\n" not in answer or not answer.endswith(b"}"):
            part = connection.recv(4096)
            assert part, answer
            answer += part
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.endswith(b'{"message":"Request Too Long"}')


# ---- other integrations -------------------------------------------------------------------------------------------


class Backend(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"method": self.command, "path": self.path, "headers": dict(self.headers)}).encode()
        self.send_response(202 if "missing" not in self.path else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_PATCH = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Quietly."""


@pytest.fixture(scope="module")
def backend() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_servers_stand_behind_methods_as_well_as_functions(region: Any, backend: str) -> None:
    api = Deployed(region)
    passing = api.method(api.resource("proxy", "{rest+}"), requestParameters={"method.request.path.rest": True})
    api.client.put_integration(
        **passing,
        type="HTTP_PROXY",
        integrationHttpMethod="ANY",
        uri=f"{backend}/base/{{rest}}",
        requestParameters={"integration.request.path.rest": "method.request.path.rest"},
    )
    mapped = api.method(api.resource("mapped"), "GET", requestParameters={"method.request.querystring.q": False})
    api.client.put_integration(
        **mapped,
        type="HTTP",
        integrationHttpMethod="GET",
        uri=f"{backend}/mapped",
        requestParameters={"integration.request.querystring.query": "method.request.querystring.q"},
    )
    api.client.put_method_response(
        **mapped, statusCode="200", responseParameters={"method.response.header.X-Kind": True}
    )
    api.client.put_integration_response(
        **mapped,
        statusCode="200",
        responseParameters={"method.response.header.X-Kind": "integration.response.header.Content-Type"},
    )
    nowhere = api.method(api.resource("metadata"), "GET")
    api.client.put_integration(
        **nowhere,
        type="HTTP_PROXY",
        integrationHttpMethod="GET",
        uri="http://169.254.169.254/latest",
        timeoutInMillis=500,
    )
    api.deploy()
    answer = api.send("PATCH", "/prod/proxy/a%20b/c?x=1", headers=[("X-Mine", "yes")])
    assert answer.status == 202
    seen = json.loads(answer.body)
    assert (seen["method"], seen["path"]) == ("PATCH", "/base/a%20b/c?x=1")
    assert {name.lower(): value for name, value in seen["headers"].items()}["x-mine"] == "yes"
    assert api.send("PATCH", "/prod/proxy/missing").status == 404
    answer = api.send("GET", "/prod/mapped?q=a&other=b", headers=[("X-Mine", "no")])
    assert (answer.status, answer.header("x-kind")) == (200, "application/json")
    seen = json.loads(answer.body)
    assert seen["path"] == "/mapped?query=a"
    assert "x-mine" not in {name.lower() for name in seen["headers"]}
    assert api.send("GET", "/prod/metadata").status == 504


@pytest.mark.parametrize("kind", ["HTTP_PROXY", "HTTP"])
def test_an_api_that_leads_to_itself_is_refused_soon(region: Any, kind: str) -> None:
    api = Deployed(region)
    at = api.method(api.resource("round"), "GET")
    uri = f"{region.url}/restapis/{api.id}/prod/_user_request_/round"
    # A name of our own in the place of what counts the APIs changes nothing.
    counted = {"integration.request.header.x-lambent-forwarded": "'0'"}
    api.client.put_integration(**at, type=kind, integrationHttpMethod="GET", uri=uri, requestParameters=counted)
    if kind == "HTTP":
        api.client.put_method_response(**at, statusCode="200")
        api.client.put_integration_response(**at, statusCode="200")
    api.deploy()
    began = time.monotonic()
    assert api.send("GET", "/prod/round").status == (504 if kind == "HTTP_PROXY" else 200)
    assert time.monotonic() - began < 10


def test_cors_is_set_up_by_a_mock_and_gateway_responses(region: Any) -> None:
    api = Deployed(region)
    at = api.method(api.resource("cors"), "OPTIONS")
    api.client.put_integration(**at, type="MOCK", requestTemplates={"application/json": '{"statusCode": 204}'})
    names = ("Origin", "Methods", "Headers")
    declared = {f"method.response.header.Access-Control-Allow-{name}": True for name in names}
    api.client.put_method_response(**at, statusCode="204", responseParameters=declared)
    values = dict(zip(declared, ("'*'", "'GET,OPTIONS'", "'Authorization'"), strict=True))
    api.client.put_integration_response(**at, statusCode="204", responseParameters=values)
    api.client.put_gateway_response(
        restApiId=api.id,
        responseType="DEFAULT_4XX",
        responseParameters={"gatewayresponse.header.Access-Control-Allow-Origin": "'*'"},
        responseTemplates={"application/json": '{"error":$context.error.messageString}'},
    )
    api.deploy()
    answer = api.send("OPTIONS", "/prod/cors", headers=[("Origin", "https://a.example")])
    assert answer.status == 204
    assert [answer.header(f"access-control-allow-{name.lower()}") for name in names] == [
        "*",
        "GET,OPTIONS",
        "Authorization",
    ]
    refused = api.send("GET", "/prod/cors")
    assert (refused.status, refused.body) == (403, b'{"error":"Missing Authentication Token"}')
    assert refused.header("access-control-allow-origin") == "*"


def test_validators_refuse_what_models_do_not_allow(region: Any, function: str) -> None:
    api = Deployed(region)
    api.client.create_model(
        restApiId=api.id,
        name="Pet",
        contentType="application/json",
        schema='{"type":"object","required":["name"],"properties":{"name":{"type":"string"}}}',
    )
    validator = api.client.create_request_validator(
        restApiId=api.id, name="all", validateRequestBody=True, validateRequestParameters=True
    )["id"]
    api.proxy(
        function,
        "pets",
        method="POST",
        requestValidatorId=validator,
        requestModels={"application/json": "Pet"},
        requestParameters={"method.request.querystring.kind": True, "method.request.header.X-Kind": True},
    )
    api.deploy()
    kind = [("X-Kind", "dog"), ("Content-Type", "application/json")]
    missing = api.send("POST", "/prod/pets", b"{}")
    assert (missing.status, missing.header("x-amzn-errortype")) == (400, "BadRequestException")
    assert json.loads(missing.body)["message"].startswith("Missing required request parameters: [")
    invalid = api.send("POST", "/prod/pets?kind=dog", b'{"name":1}', kind)
    assert (invalid.status, invalid.body) == (400, b'{"message":"Invalid request body"}')
    assert api.send("POST", "/prod/pets?kind=dog", b'{"name":"Rex"}', kind).status == 200


# ---- logs ---------------------------------------------------------------------------------------------------------


def test_access_and_execution_logs_appear_in_cloudwatch(region: Any, function: str) -> None:
    api = Deployed(region)
    api.proxy(function, "logged")
    logs = region.client("logs")
    logs.create_log_group(logGroupName="access")
    patch = [{"op": "replace", "path": "/cloudwatchRoleArn", "value": ROLE}]
    api.client.update_account(patchOperations=patch)
    api.deploy()
    api.client.update_stage(
        restApiId=api.id,
        stageName="prod",
        patchOperations=[
            {"op": "replace", "path": "/*/*/logging/loglevel", "value": "INFO"},
            {"op": "replace", "path": "/*/*/logging/dataTrace", "value": "true"},
            {
                "op": "replace",
                "path": "/accessLogSettings/destinationArn",
                "value": f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:access",
            },
            {
                "op": "replace",
                "path": "/accessLogSettings/format",
                "value": " ".join(f"$context.{name}" for name in ACCESS),
            },
        ],
    )
    answer = api.send("GET", "/prod/logged", headers=[("Authorization", "secret-token")])

    def lines(group: str) -> list[str]:
        try:
            return [event["message"] for event in logs.filter_log_events(logGroupName=group)["events"]]
        except logs.exceptions.ResourceNotFoundException:
            return []

    found = wait_until(lambda: lines("access"), what="the access log")
    assert found == [f"{answer.header('x-amzn-requestid')} 127.0.0.1 GET /logged 200"]
    steps = wait_until(lambda: lines(f"API-Gateway-Execution-Logs_{api.id}/prod"), what="the execution log")
    assert all(step.startswith(f"({answer.header('x-amzn-requestid')}) ") for step in steps)
    assert any("Method completed with status: 200" in step for step in steps)
    assert not any("secret-token" in step.partition("Method request headers")[2] for step in steps)


def test_stages_hold_their_rates(region: Any) -> None:
    api = Deployed(region)
    at = api.method(api.resource("slow"), "GET")
    api.client.put_integration(**at, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'})
    api.client.put_method_response(**at, statusCode="200")
    api.client.put_integration_response(**at, statusCode="200")
    api.deploy()
    assert api.send("GET", "/prod/slow").status == 200
    patch = [
        {"op": "replace", "path": "/*/*/throttling/rateLimit", "value": "0.001"},
        {"op": "replace", "path": "/*/*/throttling/burstLimit", "value": "1"},
    ]
    api.client.update_stage(restApiId=api.id, stageName="prod", patchOperations=patch)
    assert [api.send("GET", "/prod/slow").status for _ in range(3)] == [200, 429, 429]
    assert api.send("GET", "/prod/slow").body == b'{"message":"Too Many Requests"}'
