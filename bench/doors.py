"""Front doors to measure: a function URL and an HTTP API before the function that is also invoked directly."""

from __future__ import annotations

from urllib.parse import urlsplit

from bench.region import Region

#: One answer for every kind of event, so that all ways to it do the same work.
HELLO = {"app.py": 'def handler(event, context):\n    return {"message": "Hello!"}\n'}

#: How a request is sent: (path, headers).
Target = tuple[str, dict[str, str]]


def function_url(region: Region, name: str) -> Target:
    url = region.lambda_.create_function_url_config(FunctionName=name, AuthType="NONE")["FunctionUrl"]
    public = {"FunctionName": name, "Principal": "*"}
    region.lambda_.add_permission(
        **public, StatementId="url", Action="lambda:InvokeFunctionUrl", FunctionUrlAuthType="NONE"
    )
    region.lambda_.add_permission(
        **public, StatementId="invoke", Action="lambda:InvokeFunction", InvokedViaFunctionUrl=True
    )
    return _target(url)


def http_api(region: Region, name: str) -> Target:
    function = region.lambda_.get_function_configuration(FunctionName=name)["FunctionArn"]
    client = region.client("apigatewayv2")
    api = client.create_api(Name=name, ProtocolType="HTTP", Target=function)
    region.lambda_.add_permission(
        FunctionName=name,
        StatementId="http-api",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=f"arn:aws:execute-api:{region.name}:000000000000:{api['ApiId']}/*",
    )
    return _target(api["ApiEndpoint"])


def _target(url: str) -> Target:
    """Names below localhost need not resolve everywhere: the host goes into the header, the connection to the port."""
    parts = urlsplit(url)
    return parts.path or "/", {"Host": parts.netloc, "Content-Type": "application/json"}
