"""Functions that tell tenants apart: no two share an environment, whoever asks and however often."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from lambda_helpers import zipped

PYTHON = """
import os
seen = []
def handler(event, context):
    seen.append(context.tenant_id)
    path = "/tmp/secret"
    found = open(path).read() if os.path.exists(path) else None
    open(path, "w").write(context.tenant_id)
    return {"seen": seen, "tmp": found, "tenant": context.tenant_id}
"""
NODE = """
const seen = [];
exports.handler = async (event, context) => {
  seen.push(context.tenantId);
  return { seen, tenant: context.tenantId };
};
"""
MISSING = (
    "The invoked function is enabled with tenancy configuration. Add a valid tenant ID in your request and try again."
)
NEEDLESS = (
    "The invoked function is not enabled with tenancy configuration. "
    "Remove the tenant ID from your request and try again."
)

Create = Callable[..., dict[str, Any]]


@pytest.fixture
def tenants(create: Create, name: str) -> str:
    create(Code={"ZipFile": zipped({"app.py": PYTHON})}, TenancyConfig={"TenantIsolationMode": "PER_TENANT"})
    return name


def invoke(client: Any, name: str, tenant: str) -> Any:
    return json.loads(client.invoke(FunctionName=name, TenantId=tenant)["Payload"].read())


def test_no_two_tenants_share_an_environment(client: Any, tenants: str) -> None:
    for turn in range(1, 4):
        for tenant in ("blue", "green", "Blue", "a b@c/d:e=f+g-h.i_j"):
            answer = invoke(client, tenants, tenant)
            assert answer == {"seen": [tenant] * turn, "tmp": tenant if turn > 1 else None, "tenant": tenant}


def test_node_functions_learn_of_their_tenant(client: Any, create: Create, name: str) -> None:
    tenancy = {"TenantIsolationMode": "PER_TENANT"}
    create(
        Runtime="nodejs20.x",
        Handler="index.handler",
        Code={"ZipFile": zipped({"index.js": NODE})},
        TenancyConfig=tenancy,
    )
    for tenant in ("blue", "green"):
        assert invoke(client, name, tenant) == {"seen": [tenant], "tenant": tenant}


def test_the_mode_is_told_and_kept_by_versions(client: Any, tenants: str) -> None:
    published = client.publish_version(FunctionName=tenants)
    for found in (
        published,
        client.get_function_configuration(FunctionName=tenants),
        client.get_function_configuration(FunctionName=tenants, Qualifier="1"),
    ):
        assert found["TenancyConfig"] == {"TenantIsolationMode": "PER_TENANT"}
    client.get_waiter("published_version_active").wait(FunctionName=tenants, Qualifier="1", WaiterConfig={"Delay": 0})
    assert invoke(client, f"{tenants}:1", "blue")["seen"] == ["blue"]


@pytest.mark.parametrize("kind", ["RequestResponse", "Event"])
def test_a_tenant_must_be_named(client: Any, tenants: str, refused: Any, kind: str) -> None:
    assert refused(client.invoke, FunctionName=tenants, InvocationType=kind) == (
        400,
        "InvalidParameterValueException",
        MISSING,
    )


def test_a_tenant_id_has_a_form(client: Any, tenants: str, refused: Any) -> None:
    for tenant in ("bl*e", "ü", "x" * 257):
        status, code, message = refused(client.invoke, FunctionName=tenants, TenantId=tenant)
        assert (status, code) == (400, "ValidationException")
        assert "'tenantId'" in message


def test_other_functions_take_no_tenant(client: Any, create: Create, name: str, refused: Any) -> None:
    create()
    assert refused(client.invoke, FunctionName=name, TenantId="blue") == (
        400,
        "InvalidParameterValueException",
        NEEDLESS,
    )


def test_neither_urls_nor_provisioned_concurrency(client: Any, tenants: str, refused: Any) -> None:
    client.publish_version(FunctionName=tenants)
    for call, params in (
        (client.create_function_url_config, {"AuthType": "NONE"}),
        (client.put_provisioned_concurrency_config, {"Qualifier": "1", "ProvisionedConcurrentExecutions": 1}),
    ):
        status, code, message = refused(call, FunctionName=tenants, **params)
        assert (status, code) == (400, "InvalidParameterValueException")
        assert "tenancy configuration" in message


def test_a_rest_api_says_for_whom_it_asks(client: Any, region: Any, tenants: str) -> None:
    arn = client.get_function_configuration(FunctionName=tenants)["FunctionArn"]
    client.add_permission(
        FunctionName=tenants, StatementId="api", Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com"
    )
    gateway = region.client("apigateway")
    api = gateway.create_rest_api(name=tenants)["id"]
    root = gateway.get_resources(restApiId=api)["items"][0]["id"]
    method = {"restApiId": api, "resourceId": root, "httpMethod": "GET"}
    gateway.put_method(**method, authorizationType="NONE", requestParameters={"method.request.header.customer": False})
    gateway.put_integration(
        **method,
        type="AWS_PROXY",
        integrationHttpMethod="POST",
        uri=f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{arn}/invocations",
        requestParameters={"integration.request.header.X-Amz-Tenant-Id": "method.request.header.customer"},
    )
    gateway.create_deployment(restApiId=api, stageName="test")
    host = f"{api}.execute-api.us-east-1.localhost:{urlsplit(region.url).port}"
    assert region.request("GET", "/test/", headers={"Host": host}).status == 500
    # What the function returns is no answer to a browser; that it ran is seen below.
    assert region.request("GET", "/test/", headers={"Host": host, "Customer": "blue"}).status == 502
    assert invoke(client, tenants, "blue")["seen"] == ["blue", "blue"]
