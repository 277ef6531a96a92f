"""HTTP APIs before HTTP servers, parameter mapping, and the quick create of AWS's guide by the `aws` CLI."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.http_api_support import ECHO, Answer, HttpApi, Server, make_function, send, server

pytestmark = pytest.mark.slow

CLI = next((path for path in ("/usr/bin/aws", shutil.which("aws")) if path and Path(path).exists()), None)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Server]:
    with server() as running:
        yield running


@pytest.fixture(scope="module")
def echo(region: Any) -> str:
    return make_function(region, "echo", ECHO)


def headers_of(answer: Answer) -> dict[str, str]:
    return dict(answer.json()["headers"])


def test_a_request_is_handed_on_and_its_answer_back(region: Any, upstream: Server) -> None:
    api = HttpApi(region)
    api.route("ANY /pets/{id}", api.server(f"{upstream.url}/store/{{id}}?own=1"))
    api.stage("dev")
    answer = api.send(
        "POST",
        "/dev/pets/a%2Fb?x=%20y&x=2",
        body=b"\xff\x00body",
        headers={"X-Status": "201", "X-Custom": "1", "Connection": "x-hop", "X-Hop": "mine", "Cookie": "a=b"},
    )
    assert answer.status == 201
    request = answer.json()
    assert (request["method"], request["path"]) == ("POST", "/store/a%2Fb?own=1&x=%20y&x=2")
    assert request["body"].encode("latin-1") == b"\xff\x00body"
    received = dict(request["headers"])
    assert received["host"] == upstream.url.removeprefix("http://")
    assert (received["x-custom"], received["cookie"]) == ("1", "a=b")
    assert "x-hop" not in received
    assert received["forwarded"] == f"for=127.0.0.1;host={api.host};proto=http"
    assert (received["x-forwarded-for"], received["via"]) == ("127.0.0.1", "HTTP/1.1 AmazonAPIGateway")
    assert answer.all("set-cookie") == ["a=1", "b=2"]
    assert answer.header("x-private") is None
    assert answer.header("apigw-requestid")


def test_greedy_and_default_routes_hand_their_path_on(region: Any, upstream: Server) -> None:
    api = HttpApi(region, Target=f"{upstream.url}/base")
    api.route("GET /p/{proxy+}", api.server(f"{upstream.url}/deep/{{proxy}}/end", IntegrationMethod="PUT"))
    assert api.send("GET", "/p/a/b").json()["path"] == "/deep/a/b/end"
    assert api.send("GET", "/p/a/b").json()["method"] == "PUT"
    assert api.send("DELETE", "/x/y?z=1").json()["path"] == "/base/x/y?z=1"
    assert api.send("HEAD", "/x").body == b""


def test_an_api_may_stand_before_another_one_of_the_region(region: Any, echo: str) -> None:
    inner = HttpApi(region, Target=echo)
    outer = HttpApi(region, Target=f"http://{inner.host}/inner")
    event = outer.send("GET", "/x?a=1").json()
    assert (event["requestContext"]["apiId"], event["rawPath"]) == (inner.id, "/inner/x")
    inner.client.update_api(ApiId=inner.id, Target=f"http://{outer.host}/")
    assert outer.send("GET", "/for/ever").status == 500


def test_stage_variables_choose_the_server(region: Any, upstream: Server) -> None:
    api = HttpApi(region)
    host = upstream.url.removeprefix("http://")
    api.route("GET /x", api.server("http://${stageVariables.server}/v/${stageVariables.path}"))
    api.stage("dev", StageVariables={"server": host, "path": "a"})
    assert api.send("GET", "/dev/x").json()["path"] == "/v/a"


def test_servers_that_do_not_answer_are_unavailable_or_too_late(region: Any, upstream: Server) -> None:
    api = HttpApi(region)
    api.route("GET /none", api.server("http://127.0.0.1:1/"))
    api.route("GET /slow", api.server(f"{upstream.url}/slow", TimeoutInMillis=100))
    api.route("GET /large", api.server(f"{upstream.url}/large"))
    api.stage()
    expected = {
        "none": (503, "Service Unavailable"),
        "slow": (504, "Gateway Timeout"),
        "large": (500, "Internal Server Error"),
    }
    for path, (status, message) in expected.items():
        answer = api.send("GET", f"/{path}")
        assert (answer.status, answer.json()) == (status, {"message": message})


def test_parameters_are_mapped_on_their_way_to_the_server_and_back(region: Any, upstream: Server) -> None:
    api = HttpApi(region)
    target = api.server(
        f"{upstream.url}/ignored",
        RequestParameters={
            "append:header.header1": "$context.requestId",
            "overwrite:header.x-b": "<${request.header.x-a}>",
            "remove:header.x-a": "''",
            "append:querystring.stage": "$stageVariables.name",
            "overwrite:querystring.q": "$request.querystring.r",
            "remove:querystring.r": "''",
            "append:header.pet": "$request.path.id",
            "append:header.member": "$request.body.a.b",
            "append:header.route": "$context.routeKey",
            "append:header.absent": "$request.header.absent",
            "overwrite:path": "/v2${request.path}",
        },
        ResponseParameters={
            "200": {
                "append:header.header1": "$context.requestId",
                "overwrite:header.content-type": "text/plain",
                "append:header.path": "$response.body.path",
                "remove:header.set-cookie": "''",
            },
            "500": {"overwrite:statuscode": "403"},
        },
    )
    api.route("POST /pets/{id}", target)
    api.stage("dev", StageVariables={"name": "one"})
    answer = api.send(
        "POST",
        "/dev/pets/7?q=1&q=2&r=3",
        body=b'{"a": {"b": "c"}}',
        headers={"X-A": "1", "X-B": "2", "Content-Type": "application/json"},
    )
    received = headers_of(answer)
    request_id = answer.header("apigw-requestid")
    assert answer.json()["path"] == "/v2/pets/7?stage=one&q=3"
    assert (received["header1"], received["x-b"], received["pet"]) == (request_id, "<1>", "7")
    assert (received["member"], received["route"]) == ("c", "POST /pets/{id}")
    assert "x-a" not in received
    assert "absent" not in received
    assert answer.header("header1") == request_id
    assert (answer.header("content-type"), answer.header("path")) == ("text/plain", "/v2/pets/7?stage=one&q=3")
    assert answer.all("set-cookie") == []
    assert api.send("POST", "/dev/pets/7", headers={"X-Status": "500"}).status == 403
    # A value of a client never ends the header that it is put into.
    split = api.send("POST", "/dev/pets/a%0d%0ax:y").json()
    assert ["x", "y"] not in split["headers"]


def test_parameters_are_mapped_for_functions_too(region: Any, echo: str) -> None:
    api = HttpApi(region)
    api.route(
        "GET /x",
        api.function(
            "echo",
            RequestParameters={
                "append:header.added": "$context.stage",
                "overwrite:querystring.a": "b c",
                "overwrite:path": "/other",
            },
            ResponseParameters={"200": {"overwrite:statuscode": "202"}},
        ),
    )
    api.stage()
    answer = api.send("GET", "/x?a=1&d=2")
    event = answer.json()
    assert (answer.status, event["headers"]["added"], event["rawPath"]) == (202, "$default", "/other")
    assert (event["queryStringParameters"], event["rawQueryString"]) == ({"d": "2", "a": "b c"}, "d=2&a=b%20c")


@pytest.mark.skipif(CLI is None, reason="the aws CLI is not installed")
def test_quick_create_by_the_aws_cli_answers_at_once(region: Any, echo: str) -> None:
    key = region.key
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_ACCESS_KEY_ID": key.access_key,
        "AWS_SECRET_ACCESS_KEY": key.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
    }

    def aws(*arguments: str) -> Any:
        # Older releases of version 2 do not read AWS_ENDPOINT_URL.
        command = [str(CLI), "--endpoint-url", region.url, *arguments, "--output", "json"]
        return json.loads(subprocess.check_output(command, env=environment, text=True))

    created = aws("apigatewayv2", "create-api", "--name", "cli", "--protocol-type", "HTTP", "--target", echo)
    host = created["ApiEndpoint"].removeprefix("http://")
    answer = send(region, host, "GET", "/hello?name=you")
    assert (answer.status, answer.json()["queryStringParameters"]) == (200, {"name": "you"})
    assert [each["ApiId"] for each in aws("apigatewayv2", "get-apis")["Items"]].count(created["ApiId"]) == 1


def test_queries_of_clients_are_not_in_the_regions_log(region: Any, upstream: Server) -> None:
    api = HttpApi(region, Target=upstream.url)
    assert api.send("GET", "/login?token=of-somebody").status == 200
    assert "of-somebody" not in region.log()
