"""HTTP APIs before functions: events held to AWS's documented samples, answers, stages, CORS, limits, failures."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.conftest import wait_until
from tests.http_api_support import ACCOUNT, ECHO, Answer, HttpApi, make_function, send

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def echo(region: Any) -> str:
    return make_function(region, "echo", ECHO)


@pytest.fixture(scope="module")
def api(region: Any, echo: str) -> HttpApi:
    """Routes of both payload formats, on `$default` and, with variables, on `dev`."""
    api = HttpApi(region)
    two, one = api.function("echo"), api.function("echo", "1.0")
    api.route("POST /my/{parameter1}", two)
    api.route("GET /one/{parameter1}", one)
    api.route("ANY /files/{proxy+}", two)
    api.stage()
    api.stage("dev", StageVariables={"stageVariable1": "value1"})
    return api


def error(answer: Answer) -> tuple[int, Any]:
    assert answer.header("content-type") == "application/json"
    assert answer.header("apigw-requestid")
    return answer.status, answer.json()


def wish(result: Any) -> dict[str, str]:
    return {"X-Wish": result if isinstance(result, str) else json.dumps(result)}


# ---- events ----------------------------------------------------------------------------------------------------------


def test_the_event_of_format_2_is_awss_sample(api: HttpApi) -> None:
    answer = api.send(
        "POST",
        "/dev/my/path%20x?parameter1=value1&parameter1=value2&parameter2=value",
        body=b"Hello from Lambda",
        headers={
            "Cookie": "cookie1=a; cookie2=b",
            "Header1": "value1",
            "Content-Type": "text/plain",
            "User-Agent": "agent",
        },
    )
    assert answer.status == 200
    event = answer.json()
    context = event["requestContext"]
    trace = event["headers"].pop("x-amzn-trace-id")
    assert trace.startswith("Root=1-")
    assert context.pop("requestId") == answer.header("apigw-requestid")
    assert abs(context.pop("timeEpoch") // 1000 - api.client.get_api(ApiId=api.id)["CreatedDate"].timestamp()) < 600
    assert context.pop("time").endswith(" +0000")
    port = api.host.partition(":")[2]
    assert event == {
        "version": "2.0",
        "routeKey": "POST /my/{parameter1}",
        "rawPath": "/dev/my/path x",
        "rawQueryString": "parameter1=value1&parameter1=value2&parameter2=value",
        "cookies": ["cookie1=a", "cookie2=b"],
        "headers": {
            "accept-encoding": "identity",
            "content-length": "17",
            "content-type": "text/plain",
            "header1": "value1",
            "host": api.host,
            "user-agent": "agent",
            "x-forwarded-for": "127.0.0.1",
            "x-forwarded-port": port,
            "x-forwarded-proto": "http",
        },
        "queryStringParameters": {"parameter1": "value1,value2", "parameter2": "value"},
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": api.id,
            "domainName": api.host.partition(":")[0],
            "domainPrefix": api.id,
            "http": {
                "method": "POST",
                "path": "/dev/my/path x",
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": "agent",
            },
            "routeKey": "POST /my/{parameter1}",
            "stage": "dev",
        },
        "body": "Hello from Lambda",
        "pathParameters": {"parameter1": "path x"},
        "isBase64Encoded": False,
        "stageVariables": {"stageVariable1": "value1"},
    }


def test_the_event_of_format_1_is_awss_sample(api: HttpApi) -> None:
    answer = api.send("GET", "/one/my-path?a=1&a=2", headers={"Header1": "value1", "User-Agent": "user-agent"})
    event = answer.json()
    context = event["requestContext"]
    for name in ("requestId", "extendedRequestId", "requestTime", "requestTimeEpoch"):
        assert context.pop(name)
    headers = event.pop("headers")
    assert headers["header1"] == "value1"
    assert event.pop("multiValueHeaders") == {name: [value] for name, value in headers.items()}
    assert event == {
        "version": "1.0",
        "resource": "/one/{parameter1}",
        "path": "/one/my-path",
        "httpMethod": "GET",
        "queryStringParameters": {"a": "2"},
        "multiValueQueryStringParameters": {"a": ["1", "2"]},
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": api.id,
            "authorizer": {"claims": None, "scopes": None},
            "domainName": api.host.partition(":")[0],
            "domainPrefix": api.id,
            "httpMethod": "GET",
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
            "path": "/one/my-path",
            "protocol": "HTTP/1.1",
            "resourceId": None,
            "resourcePath": "/one/{parameter1}",
            "stage": "$default",
        },
        "pathParameters": {"parameter1": "my-path"},
        "stageVariables": None,
        "body": None,
        "isBase64Encoded": False,
    }


def test_the_stage_is_part_of_the_path_in_format_1_too(api: HttpApi) -> None:
    event = api.send("GET", "/dev/one/x").json()
    assert (event["path"], event["requestContext"]["path"]) == ("/dev/one/x", "/dev/one/x")
    assert event["requestContext"]["resourcePath"] == "/one/{parameter1}"


def test_bodies_that_are_no_text_come_in_base64(api: HttpApi) -> None:
    data = bytes(range(256))
    event = api.send("POST", "/files/x", body=data, headers={"Content-Type": "image/png"}).json()
    assert (base64.b64decode(event["body"]), event["isBase64Encoded"]) == (data, True)


@pytest.mark.parametrize(
    ("path", "raw", "proxy"),
    [
        ("/files/%2e%2e/%2E%2E/etc", "/files/../../etc", "../../etc"),
        ("/files//a//b/", "/files//a//b/", "/a//b/"),
        ("/files/a%2Fb", "/files/a/b", "a/b"),
        ("/files/caf%C3%A9", "/files/caf%C3%A9", "café"),
        ("/files/../my/x", "/files/../my/x", "../my/x"),
        ("/files/%00%ff", "/files/\0%ff", "\0�"),
    ],
)
def test_no_path_leads_elsewhere_by_its_encoding(api: HttpApi, path: str, raw: str, proxy: str) -> None:
    event = api.send("GET", path).json()
    assert (event["rawPath"], event["pathParameters"]["proxy"]) == (raw, proxy)


# ---- stages and forms of addresses -----------------------------------------------------------------------------------


def test_every_form_of_an_address_leads_to_the_same_stage(region: Any, api: HttpApi) -> None:
    own = region.url.removeprefix("http://")
    for host, prefix, stage in (
        (api.host, "", "$default"),
        (api.host, "/dev", "dev"),
        (f"{api.id}.execute-api.us-east-1.localhost.localstack.cloud", "/dev", "dev"),
        (own, f"/_aws/execute-api/{api.id}/dev", "dev"),
        (own, f"/_aws/execute-api/{api.id}/$default", "$default"),
        (own, f"/_aws/execute-api/{api.id}/%24default", "$default"),
        (own, f"/restapis/{api.id}/dev/_user_request_", "dev"),
    ):
        event = send(region, host, "GET", f"{prefix}/files/x").json()
        assert event["requestContext"]["stage"] == stage
        assert event["rawPath"] == ("/files/x" if stage == "$default" else "/dev/files/x")


def test_what_no_route_takes_is_not_found(api: HttpApi) -> None:
    for method, path in (("GET", "/"), ("GET", "/dev"), ("PUT", "/my/x"), ("GET", "/files"), ("GET", "/nostage/my/x")):
        assert error(api.send(method, path)) == (404, {"message": "Not Found"})


def test_a_stage_shows_what_is_deployed_to_it_alone(region: Any, echo: str) -> None:
    api = HttpApi(region)
    api.stage("prod", AutoDeploy=False)
    route = api.route("GET /a", api.function("echo"))
    assert error(api.send("GET", "/prod/a"))[0] == 404
    deployment = api.client.create_deployment(ApiId=api.id, StageName="prod")["DeploymentId"]
    assert api.send("GET", "/prod/a").status == 200
    api.client.delete_route(ApiId=api.id, RouteId=route)
    assert api.send("GET", "/prod/a").status == 200
    api.client.update_api(ApiId=api.id, DisableExecuteApiEndpoint=True)
    assert error(api.send("GET", "/prod/a"))[0] == 404
    api.client.update_api(ApiId=api.id, DisableExecuteApiEndpoint=False)
    assert deployment
    api.client.delete_api(ApiId=api.id)
    assert api.send("GET", "/prod/a").json() == {"message": "Forbidden"}


def test_stage_variables_choose_the_function(region: Any, echo: str) -> None:
    api = HttpApi(region)
    api.route("$default", api.function("${stageVariables.name}"))
    api.stage("good", StageVariables={"name": "echo"})
    api.stage("bad", StageVariables={"name": "nothere"})
    event = api.send("GET", "/good/x").json()
    assert event["routeKey"] == "$default"
    assert "pathParameters" not in event
    assert error(api.send("GET", "/bad/x")) == (500, {"message": "Internal Server Error"})


# ---- answers ---------------------------------------------------------------------------------------------------------


def test_answers_of_format_2_are_inferred_or_taken_at_their_word(api: HttpApi) -> None:
    answer = api.send("GET", "/files/x", headers=wish({"message": "Hello"}))
    assert (answer.status, answer.header("content-type"), answer.json()) == (
        200,
        "application/json",
        {"message": "Hello"},
    )
    result = {
        "statusCode": 201,
        "headers": {"X-A": "b", "Content-Type": "text/html"},
        "cookies": ["a=1", "b=2"],
        "body": base64.b64encode(b"<p>").decode(),
        "isBase64Encoded": True,
    }
    answer = api.send("GET", "/files/x", headers=wish(result))
    assert (answer.status, answer.body) == (201, b"<p>")
    assert answer.all("set-cookie") == ["a=1", "b=2"]
    assert (answer.header("x-a"), answer.header("content-type")) == ("b", "text/html")


def test_answers_of_format_1_have_many_values_and_need_a_status(api: HttpApi) -> None:
    result = {"statusCode": 200, "multiValueHeaders": {"X-A": ["1", "2"]}, "headers": {"X-B": "3"}, "body": "é"}
    answer = api.send("GET", "/one/x", headers=wish(result))
    assert (answer.all("x-a"), answer.header("x-b"), answer.body.decode()) == (["1", "2"], "3", "é")
    assert error(api.send("GET", "/one/x", headers=wish({"message": "no status"}))) == (
        500,
        {"message": "Internal Server Error"},
    )


@pytest.mark.parametrize(
    "result",
    [
        {"statusCode": "abc"},
        {"statusCode": 99},
        {"statusCode": 200, "headers": {"a\r\nb": "c"}},
        {"statusCode": 200, "headers": {"a": "b\r\nc: d"}},
        {"statusCode": 200, "body": {"no": "text"}},
        {"statusCode": 200, "cookies": "a=b"},
        "raise",
    ],
)
def test_functions_that_fail_or_answer_nonsense_are_a_server_error(api: HttpApi, result: Any) -> None:
    assert error(api.send("GET", "/files/x", headers=wish(result))) == (500, {"message": "Internal Server Error"})


def test_without_permission_the_function_is_not_called(region: Any, echo: str) -> None:
    make_function(region, "closed", ECHO, allow=False)
    api = HttpApi(region, Target="arn:aws:lambda:us-east-1:000000000000:function:closed")
    assert error(api.send("GET", "/x")) == (500, {"message": "Internal Server Error"})
    # Quick create adds no permission by itself; this is the one that AWS's guide adds.
    permission = {"FunctionName": "closed", "Action": "lambda:InvokeFunction", "Principal": "apigateway.amazonaws.com"}
    region.client("lambda").add_permission(
        **permission,
        StatementId="one",
        SourceArn=f"arn:aws:execute-api:us-east-1:{ACCOUNT}:{api.id}/*/$default",
    )
    assert api.send("GET", "/x").status == 200


def test_the_source_arn_of_a_route_is_its_key(region: Any) -> None:
    make_function(region, "narrow", ECHO, allow=False)
    api = HttpApi(region)
    target = api.function("narrow")
    for key in ("GET /pets/{id}", "POST /pets/{id}", "ANY /any/{proxy+}"):
        api.route(key, target)
    api.stage()
    for number, pattern in enumerate(("*/GET/pets/*", "*/*/any/{proxy+}")):
        region.client("lambda").add_permission(
            FunctionName="narrow",
            StatementId=str(number),
            Action="lambda:InvokeFunction",
            Principal="apigateway.amazonaws.com",
            SourceArn=f"arn:aws:execute-api:us-east-1:{ACCOUNT}:{api.id}/{pattern}",
        )
    assert api.send("GET", "/pets/1").status == 200
    assert api.send("POST", "/pets/1").status == 500
    assert api.send("DELETE", "/any/x/y").status == 200


def test_a_function_that_takes_too_long_is_unavailable(region: Any, echo: str) -> None:
    api = HttpApi(region)
    api.route("$default", api.function("echo", TimeoutInMillis=100))
    api.stage()
    assert error(api.send("GET", "/", headers=wish("sleep1"))) == (503, {"message": "Service Unavailable"})


def test_a_route_without_an_integration_is_a_server_error(region: Any) -> None:
    api = HttpApi(region)
    api.route("$default", None)
    api.stage()
    assert error(api.send("GET", "/")) == (500, {"message": "Internal Server Error"})


def test_a_body_beyond_what_lambda_takes_is_too_long(api: HttpApi) -> None:
    text = {"Content-Type": "text/plain"}
    assert error(api.send("POST", "/files/x", body=b"x" * (7 << 20), headers=text)) == (
        413,
        {"message": "Request Too Long"},
    )
    assert api.send("POST", "/files/x", body=b"x" * 100_000, headers=text).status == 200


def test_throttles_answer_too_many_requests_route_by_route(region: Any, echo: str) -> None:
    api = HttpApi(region)
    target = api.function("echo")
    for key in ("GET /free", "GET /tight", "GET /closed"):
        api.route(key, target)
    tight = {"ThrottlingBurstLimit": 2, "ThrottlingRateLimit": 0.001}
    closed = {"ThrottlingBurstLimit": 0, "ThrottlingRateLimit": 0}
    api.stage(RouteSettings={"GET /tight": tight, "GET /closed": closed})
    assert [api.send("GET", "/tight").status for _ in range(4)] == [200, 200, 429, 429]
    assert error(api.send("GET", "/closed")) == (429, {"message": "Too Many Requests"})
    assert api.send("GET", "/free").status == 200


# ---- CORS ------------------------------------------------------------------------------------------------------------


def test_cors_is_the_apis_own_matter(region: Any, echo: str) -> None:
    cors = {
        "AllowOrigins": ["https://www.example.com"],
        "AllowMethods": ["GET", "POST"],
        "AllowHeaders": ["authorization", "x-a"],
        "ExposeHeaders": ["date"],
        "MaxAge": 300,
        "AllowCredentials": True,
    }
    api = HttpApi(region, CorsConfiguration=cors)
    api.route("GET /x", api.function("echo"))
    api.stage()
    origin = {"Origin": "https://www.example.com"}
    preflight = api.send("OPTIONS", "/anything", headers={**origin, "Access-Control-Request-Method": "GET"})
    assert (preflight.status, preflight.body) == (204, b"")
    assert preflight.header("access-control-allow-origin") == "https://www.example.com"
    assert preflight.header("access-control-allow-methods") == "GET,POST"
    assert preflight.header("access-control-allow-headers") == "authorization,x-a"
    assert preflight.header("access-control-max-age") == "300"
    assert preflight.header("access-control-allow-credentials") == "true"
    # What the function says of CORS is not sent.
    own = {"statusCode": 200, "headers": {"access-control-allow-origin": "*", "access-control-max-age": "1"}}
    answer = api.send("GET", "/x", headers={**origin, **wish(own)})
    assert answer.header("access-control-allow-origin") == "https://www.example.com"
    assert answer.header("access-control-expose-headers") == "date"
    assert answer.header("access-control-max-age") is None
    assert api.send("GET", "/nothere", headers=origin).header("access-control-allow-origin")
    stranger = api.send("GET", "/x", headers={"Origin": "https://evil.example"})
    assert stranger.header("access-control-allow-origin") is None
    bare = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    assert api.send("OPTIONS", "/x", headers=bare).header("access-control-allow-origin") is None
    api.client.delete_cors_configuration(ApiId=api.id)
    assert api.send("OPTIONS", "/x", headers=bare).status == 404


# ---- access logs -----------------------------------------------------------------------------------------------------


def test_access_logs_tell_of_each_request(region: Any, echo: str) -> None:
    names = [
        *("requestId", "routeKey", "stage", "status", "httpMethod", "path", "integrationStatus", "integration.status"),
        *("responseLength", "error.message", "identity.sourceIp", "protocol", "apiId", "nothing"),
    ]
    template = json.dumps({name: f"$context.{name}" for name in names})
    group = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/apis/access"
    api = HttpApi(region)
    api.route("GET /x", api.function("echo"))
    api.stage("dev", AccessLogSettings={"DestinationArn": group, "Format": template})
    good = api.send("GET", "/dev/x", headers=wish({"statusCode": 202, "body": "hello"}))
    api.send("GET", "/dev/nothere")
    api.send("GET", "/dev/x", headers=wish("raise"))
    logs = region.client("logs")

    def lines() -> list[dict[str, str]]:
        found = logs.filter_log_events(logGroupName="/apis/access")["events"]
        return [json.loads(event["message"]) for event in found] if len(found) == 3 else []

    first, second, third = wait_until(lines, what="three lines in the access log")
    assert first == {
        "requestId": good.header("apigw-requestid"),
        "routeKey": "GET /x",
        "stage": "dev",
        "status": "202",
        "httpMethod": "GET",
        "path": "/dev/x",
        "integrationStatus": "200",
        "integration.status": "202",
        "responseLength": "5",
        "error.message": "-",
        "identity.sourceIp": "127.0.0.1",
        "protocol": "HTTP/1.1",
        "apiId": api.id,
        "nothing": "-",
    }
    assert (second["status"], second["routeKey"], second["error.message"]) == ("404", "-", "Not Found")
    assert third["status"] == "500"
    assert "as told" in third["error.message"]
