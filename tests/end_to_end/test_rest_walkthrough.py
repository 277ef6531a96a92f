"""The classic walk-through: a REST API before a function, deployed to `prod`, its URL opened: Hello, World!

By boto3 and by the stock `aws` CLI, on a region whose one function is the Node example.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.roles import ROLE

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"
CLI = next((path for path in ("/usr/bin/aws", shutil.which("aws")) if path and Path(path).exists()), None)
HELLO = (200, b'"Hello, World!"')


@pytest.fixture(scope="module")
def function(region: Any) -> str:
    """The ARN of the Node example."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as package:
        package.write(EXAMPLES / "hello-node" / "index.js", "index.js")
    client = region.client("lambda")
    created = client.create_function(
        FunctionName="hello",
        Runtime="nodejs20.x",
        Role=ROLE,
        Handler="index.handler",
        Code={"ZipFile": archive.getvalue()},
    )
    client.get_waiter("function_active_v2").wait(FunctionName="hello", WaiterConfig={"Delay": 0, "MaxAttempts": 200})
    return str(created["FunctionArn"])


def urls_of(region: Any, api: str, path: str = "/hello") -> Iterator[tuple[str, dict[str, str]]]:
    """Path and headers of the same resource in each form that clients use."""
    port = urlsplit(region.url).port
    for suffix in ("localhost", "localhost.localstack.cloud", "amazonaws.com"):
        yield f"/prod{path}", {"Host": f"{api}.execute-api.us-east-1.{suffix}:{port}"}
    yield f"/restapis/{api}/prod/_user_request_{path}", {}
    yield f"/_aws/execute-api/{api}/prod{path}", {}


def assert_says_hello(region: Any, api: str) -> None:
    for path, headers in urls_of(region, api):
        answer = region.request("GET", path, headers=headers)
        assert (answer.status, answer.body) == HELLO, (path, answer, region.log())
        assert answer.headers["content-type"] == "application/json"


def test_the_walk_through_by_boto3(region: Any, function: str) -> None:
    apis = region.client("apigateway")
    api = apis.create_rest_api(name="hello")["id"]
    (root,) = apis.get_resources(restApiId=api)["items"]
    resource = apis.create_resource(restApiId=api, parentId=root["id"], pathPart="hello")["id"]
    apis.put_method(restApiId=api, resourceId=resource, httpMethod="GET", authorizationType="NONE")
    apis.put_integration(
        restApiId=api,
        resourceId=resource,
        httpMethod="GET",
        type="AWS_PROXY",
        integrationHttpMethod="POST",
        uri=f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function}/invocations",
    )
    apis.create_deployment(restApiId=api, stageName="prod")

    # Without the function's permission the API may not call it, and says nothing about why.
    refused = region.request("GET", f"/restapis/{api}/prod/_user_request_/hello")
    assert (refused.status, refused.json()) == (500, {"message": "Internal server error"})
    assert refused.headers["x-amzn-errortype"] == "InternalServerErrorException"

    region.client("lambda").add_permission(
        FunctionName="hello",
        StatementId="api",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=f"arn:aws:execute-api:us-east-1:000000000000:{api}/*/GET/hello",
    )
    assert_says_hello(region, api)

    tested = apis.test_invoke_method(restApiId=api, resourceId=resource, httpMethod="GET")
    assert (tested["status"], tested["body"]) == (200, '"Hello, World!"')
    assert "Successfully completed execution" in tested["log"]

    missing = region.request("GET", f"/restapis/{api}/prod/_user_request_/nothing")
    assert (missing.status, missing.json()) == (403, {"message": "Missing Authentication Token"})
    apis.delete_rest_api(restApiId=api)
    gone = region.request("GET", f"/restapis/{api}/prod/_user_request_/hello")
    assert (gone.status, gone.json()) == (403, {"message": "Forbidden"})


def test_a_deployed_api_outlives_its_region(region: Any, function: str) -> None:
    apis = region.client("apigateway")
    api = apis.create_rest_api(name="again")["id"]
    (root,) = apis.get_resources(restApiId=api)["items"]
    apis.put_method(restApiId=api, resourceId=root["id"], httpMethod="ANY", authorizationType="NONE")
    apis.put_integration(
        restApiId=api,
        resourceId=root["id"],
        httpMethod="ANY",
        type="AWS_PROXY",
        integrationHttpMethod="POST",
        uri=f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function}/invocations",
    )
    apis.create_deployment(restApiId=api, stageName="prod")
    region.client("lambda").add_permission(
        FunctionName="hello",
        StatementId="again",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=f"arn:aws:execute-api:us-east-1:000000000000:{api}/*/*/",
    )
    region.kill()
    region.start()
    answer = region.request("PUT", f"/restapis/{api}/prod/_user_request_/")
    assert (answer.status, answer.body) == HELLO


@pytest.mark.skipif(CLI is None, reason="the aws CLI is not installed")
def test_the_walk_through_by_the_cli(region: Any, function: str) -> None:
    lines = subprocess.check_output(
        [sys.executable, "-m", "lambent.cli", "env", "--data-dir", str(region.data_dir)], text=True
    ).splitlines()
    exported = dict(line.removeprefix("export ").split("=", 1) for line in lines if line.startswith("export "))
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environ |= {name: value.strip("'\"") for name, value in exported.items()}
    environ |= {"AWS_PAGER": "", "HOME": str(region.data_dir.parent)}

    def aws(*arguments: str) -> Any:
        assert CLI is not None
        done = subprocess.run(
            [CLI, "--endpoint-url", environ["AWS_ENDPOINT_URL"], "--output", "json", *arguments],
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    api = aws("apigateway", "create-rest-api", "--name", "by cli")["id"]
    root = aws("apigateway", "get-resources", "--rest-api-id", api)["items"][0]["id"]
    made = aws(
        *("apigateway", "create-resource", "--rest-api-id", api, "--parent-id", root, "--path-part", "hello"),
    )
    method = ("--rest-api-id", api, "--resource-id", made["id"], "--http-method", "GET")
    aws("apigateway", "put-method", *method, "--authorization-type", "NONE")
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function}/invocations"
    aws(
        *("apigateway", "put-integration", *method, "--type", "AWS_PROXY"),
        *("--integration-http-method", "POST", "--uri", uri),
    )
    aws(
        *("lambda", "add-permission", "--function-name", "hello", "--statement-id", "cli"),
        *("--action", "lambda:InvokeFunction", "--principal", "apigateway.amazonaws.com"),
        *("--source-arn", f"arn:aws:execute-api:us-east-1:000000000000:{api}/*/GET/hello"),
    )
    aws("apigateway", "create-deployment", "--rest-api-id", api, "--stage-name", "prod")
    assert_says_hello(region, api)
    tested = aws("apigateway", "test-invoke-method", *method)
    assert (tested["status"], tested["body"]) == (200, '"Hello, World!"')
