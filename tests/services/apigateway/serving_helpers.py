"""A deployed REST API before a real function: what its handlers do, and how requests reach it."""

from __future__ import annotations

import http.client
import io
import zipfile
from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tests.roles import ROLE

ACCOUNT = "000000000000"
#: What it does is said by the first segment of the path; by default its answer is its event.
HANDLER = """
import json, time

def handler(event, context):
    if event.get("type") == "TOKEN" or event.get("type") == "REQUEST":
        return authorize(event)
    action = event["path"].strip("/").partition("/")[0]
    if action == "raise":
        raise ValueError("boom")
    if action == "sleep":
        time.sleep(0.5)
    if action == "raw":
        return json.loads(event["body"])
    if action == "exit":
        import os
        os._exit(3)
    return {"statusCode": 200, "body": json.dumps(event), "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"]}}

def authorize(event):
    token = event.get("authorizationToken") or event["headers"].get("X-Key", "")
    if token == "unknown":
        raise Exception("Unauthorized")
    effect = "Allow" if token == "let-me-in" else "Deny"
    resource = event["methodArn"].rpartition("/")[0] + "/*"
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}
    return {
        "principalId": "ann",
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": {"event": json.dumps(event), "time": str(time.time())},
    }
"""


class Answer(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for given, value in self.headers if given.lower() == name), None)


def make_function(region: Any, name: str, source: str = HANDLER) -> str:
    """Its ARN, once it is active; anybody of API Gateway may call it."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as package:
        package.writestr("app.py", source)
    client = region.client("lambda")
    arn = client.create_function(
        FunctionName=name,
        Runtime="python3.12",
        Role=ROLE,
        Handler="app.handler",
        Timeout=10,
        Code={"ZipFile": archive.getvalue()},
    )["FunctionArn"]
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 200})
    client.add_permission(
        FunctionName=name,
        StatementId="apis",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=f"arn:aws:execute-api:us-east-1:{ACCOUNT}:*/*",
    )
    return str(arn)


def uri_of(arn: str) -> str:
    return f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{arn}/invocations"


class Deployed:
    """One API with methods of one's own, deployed to `prod`."""

    def __init__(self, region: Any, **settings: Any) -> None:
        self.region = region
        self.client = region.client("apigateway")
        created = self.client.create_rest_api(name="served", **settings)
        self.id, self.root = created["id"], created["rootResourceId"]
        self.host = f"{self.id}.execute-api.us-east-1.localhost"

    def resource(self, *parts: str) -> str:
        parent: str = self.root
        for part in parts:
            created = self.client.create_resource(restApiId=self.id, parentId=parent, pathPart=part)
            parent = created["id"]
        return parent

    def method(self, resource: str, method: str = "ANY", **settings: Any) -> dict[str, str]:
        at = {"restApiId": self.id, "resourceId": resource, "httpMethod": method}
        self.client.put_method(**at, **{"authorizationType": "NONE", **settings})
        return at

    def proxy(self, arn: str, *parts: str, method: str = "ANY", timeout: int = 29_000, **settings: Any) -> None:
        at = self.method(self.resource(*parts), method, **settings)
        self.client.put_integration(
            **at, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri_of(arn), timeoutInMillis=timeout
        )

    def deploy(self, **settings: Any) -> None:
        self.client.create_deployment(restApiId=self.id, stageName="prod", **settings)

    def send(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        headers: Iterable[tuple[str, str]] = (),
        *,
        host: str | None = None,
    ) -> Answer:
        """The request as written, nothing added but Host and Content-Length."""
        address = urlsplit(self.region.url)
        connection = http.client.HTTPConnection(address.netloc, timeout=30)
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            connection.putheader("Host", host or f"{self.host}:{address.port}")
            for name, value in headers:
                connection.putheader(name, value)
            if body:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body or None)
            response = connection.getresponse()
            return Answer(response.status, response.getheaders(), response.read())
        finally:
            connection.close()
