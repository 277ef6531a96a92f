"""Signed callers of function URLs, REST APIs and HTTP APIs: their policies decide, together with the resource's."""

from __future__ import annotations

import http.client
import io
import json
import zipfile
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.roles import ACCOUNT, ROLE, allowing, make_role

pytestmark = pytest.mark.slow

FUNCTION = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:behind"
APIS = f"arn:aws:execute-api:us-east-1:{ACCOUNT}"
CODE = "def handler(event, context):\n    return {'statusCode': 200, 'body': 'hello'}\n"


@pytest.fixture(scope="module", autouse=True)
def _function(region: Any) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", CODE)
    client = region.client("lambda")
    client.create_function(
        FunctionName="behind",
        Runtime="python3.12",
        Handler="app.handler",
        Role=ROLE,
        Code={"ZipFile": buffer.getvalue()},
    )
    client.get_waiter("function_active_v2").wait(FunctionName="behind", WaiterConfig={"Delay": 1})
    client.add_permission(
        FunctionName="behind",
        StatementId="gateway",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
    )


def a_user(region: Any, name: str, *policies: str) -> Credentials:
    iam = region.client("iam")
    iam.create_user(UserName=name)
    for number, policy in enumerate(policies):
        iam.put_user_policy(UserName=name, PolicyName=f"p{number}", PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return Credentials(key["AccessKeyId"], key["SecretAccessKey"])


def get(region: Any, path: str, service: str, key: Credentials) -> tuple[int, Any]:
    request = AWSRequest("GET", region.url + path)
    SigV4Auth(key, service, region.name).add_auth(request)
    connection = http.client.HTTPConnection(urlsplit(region.url).netloc, timeout=30)
    try:
        connection.request("GET", path, headers=dict(request.headers.items()))
        response = connection.getresponse()
        body = response.read()
        return response.status, body.decode() if response.status == 200 else json.loads(body)
    finally:
        connection.close()


def statuses(region: Any, path: str, service: str, keys: Iterable[Credentials]) -> list[int]:
    return [get(region, path, service, key)[0] for key in keys]


def test_a_url_is_open_to_whoever_may_invoke_it_and_the_function(region: Any) -> None:
    made = region.client("lambda").create_function_url_config(FunctionName="behind", AuthType="AWS_IAM")
    path = f"/_aws/lambda-url/{urlsplit(made['FunctionUrl']).netloc.partition('.')[0]}/"
    by_url, itself = "lambda:InvokeFunctionUrl", "lambda:InvokeFunction"
    condition = json.loads(allowing(by_url, itself, resource=FUNCTION))
    condition["Statement"][0]["Condition"] = {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}
    both = a_user(region, "url-both", allowing(by_url, itself, resource=FUNCTION))
    at_home = a_user(region, "url-home", json.dumps(condition))
    one = a_user(region, "url-one", allowing(by_url))
    other = a_user(region, "url-other", allowing(by_url, itself, resource=f"{FUNCTION}-2"))
    assert statuses(region, path, "lambda", [region.key, both, at_home, one, other]) == [200, 200, 200, 403, 403]
    assert get(region, path, "lambda", one)[1]["Message"].startswith("Forbidden")


def rest_api(region: Any, policy: str | None = None) -> str:
    client = region.client("apigateway")
    api = client.create_rest_api(name="signed", **({"policy": policy} if policy else {}))["id"]
    root = client.get_resources(restApiId=api)["items"][0]["id"]
    method = {"restApiId": api, "resourceId": root, "httpMethod": "GET"}
    client.put_method(**method, authorizationType="AWS_IAM")
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{FUNCTION}/invocations"
    client.put_integration(**method, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
    client.create_deployment(restApiId=api, stageName="prod")
    return str(api)


def test_a_rest_api_is_open_to_whom_identity_or_resource_let_in(region: Any) -> None:
    api = rest_api(region)
    path = f"/_aws/execute-api/{api}/prod/"
    caller = a_user(region, "rest-caller", allowing("execute-api:Invoke", resource=f"{APIS}:{api}/prod/GET/"))
    nobody = a_user(region, "rest-nobody")
    assert statuses(region, path, "execute-api", [region.key, caller]) == [200, 200]
    assert get(region, path, "execute-api", nobody) == (
        403,
        {
            "Message": f"User: arn:aws:iam::{ACCOUNT}:user/rest-nobody is not authorized to perform: "
            "execute-api:Invoke "
            f"on resource: arn:aws:execute-api:us-east-1:********0000:{api}/prod/GET/ "
            "because no identity-based policy allows the execute-api:Invoke action"
        },
    )
    who = {"AWS": f"arn:aws:iam::{ACCOUNT}:user/rest-nobody"}
    statement = {"Effect": "Allow", "Principal": who, "Action": "execute-api:Invoke", "Resource": "execute-api:/*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    opened = f"/_aws/execute-api/{rest_api(region, policy)}/prod/"
    assert statuses(region, opened, "execute-api", [nobody, caller]) == [200, 403]


def test_an_http_api_is_open_to_whom_their_policies_let_in(region: Any) -> None:
    client = region.client("apigatewayv2")
    api = client.create_api(Name="signed", ProtocolType="HTTP")["ApiId"]
    target = client.create_integration(
        ApiId=api, IntegrationType="AWS_PROXY", IntegrationUri=FUNCTION, PayloadFormatVersion="2.0"
    )["IntegrationId"]
    client.create_route(ApiId=api, RouteKey="GET /a", AuthorizationType="AWS_IAM", Target=f"integrations/{target}")
    client.create_stage(ApiId=api, StageName="prod", AutoDeploy=True)
    caller = a_user(region, "http-caller", allowing("execute-api:Invoke", resource=f"{APIS}:{api}/prod/GET/a"))
    other = a_user(region, "http-other", allowing("execute-api:Invoke", resource=f"{APIS}:{api}/prod/POST/*"))
    path = f"/_aws/execute-api/{api}/prod/a"
    assert statuses(region, path, "execute-api", [region.key, caller, other]) == [200, 200, 403]
    assert get(region, path, "execute-api", other)[1] == {"message": "Forbidden"}


def test_a_rest_api_calls_its_function_as_the_role_of_its_integration(region: Any) -> None:
    client = region.client("apigateway")
    api = client.create_rest_api(name="credentials")["id"]
    root = client.get_resources(restApiId=api)["items"][0]["id"]
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{FUNCTION}/invocations"
    roles = {
        "GET": make_role(region, "gateway-calls", inline=allowing("lambda:InvokeFunction", resource=FUNCTION)),
        "POST": make_role(region, "gateway-may-not", inline=allowing("lambda:GetFunction")),
        "PUT": make_role(region, "gateway-not-trusted", inline=allowing("lambda:*"), services=["lambda.amazonaws.com"]),
    }
    for verb, role in roles.items():
        method = {"restApiId": api, "resourceId": root, "httpMethod": verb}
        client.put_method(**method, authorizationType="NONE")
        client.put_integration(**method, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri, credentials=role)
    client.create_deployment(restApiId=api, stageName="prod")
    assert region.request("GET", f"/_aws/execute-api/{api}/prod/").status == 200
    assert region.request("POST", f"/_aws/execute-api/{api}/prod/").status == 500
    assert region.request("PUT", f"/_aws/execute-api/{api}/prod/").status == 500
