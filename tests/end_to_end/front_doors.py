"""The three front doors before a function, each made as its users make it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit


def function_url(region: Any, name: str) -> str:
    client = region.client("lambda")
    public = {"FunctionName": name, "Principal": "*"}
    client.add_permission(**public, StatementId="url", Action="lambda:InvokeFunctionUrl", FunctionUrlAuthType="NONE")
    client.add_permission(**public, StatementId="any", Action="lambda:InvokeFunction", InvokedViaFunctionUrl=True)
    return str(client.create_function_url_config(FunctionName=name, AuthType="NONE")["FunctionUrl"])


def rest_api(region: Any, name: str) -> str:
    """A proxy resource that takes everything, deployed to the stage `prod`."""
    client = region.client("apigateway")
    function = region.client("lambda").get_function_configuration(FunctionName=name)["FunctionArn"]
    api = client.create_rest_api(name=name, binaryMediaTypes=["*/*"])["id"]
    root = client.get_resources(restApiId=api)["items"][0]["id"]
    proxy = client.create_resource(restApiId=api, parentId=root, pathPart="{proxy+}")["id"]
    method = {"restApiId": api, "resourceId": proxy, "httpMethod": "ANY"}
    client.put_method(**method, authorizationType="NONE")
    client.put_integration(
        **method,
        type="AWS_PROXY",
        integrationHttpMethod="POST",
        uri=f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function}/invocations",
    )
    client.create_deployment(restApiId=api, stageName="prod")
    allow_api(region, name, "rest", api)
    return f"http://{api}.execute-api.us-east-1.localhost:{urlsplit(region.url).port}/prod"


def http_api(region: Any, name: str) -> str:
    """Quick create: one route for everything, the stage `$default`."""
    function = region.client("lambda").get_function_configuration(FunctionName=name)["FunctionArn"]
    api = region.client("apigatewayv2").create_api(Name=name, ProtocolType="HTTP", Target=function)
    allow_api(region, name, "http", api["ApiId"])
    return str(api["ApiEndpoint"])


def allow_api(region: Any, name: str, statement: str, api: str) -> None:
    region.client("lambda").add_permission(
        FunctionName=name,
        StatementId=statement,
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=f"arn:aws:execute-api:us-east-1:000000000000:{api}/*",
    )


#: Each makes a front door for a function and answers its URL.
DOORS: dict[str, Callable[[Any, str], str]] = {
    "function URL": function_url,
    "REST API": rest_api,
    "HTTP API": http_api,
}
