"""What tests of HTTP APIs share: functions to call, a client for hosts, a local server and a token issuer."""

from __future__ import annotations

import http.client
import http.server
import io
import json
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.roles import ROLE

ACCOUNT = "000000000000"

#: Returns its event, or does what a header says.
ECHO = """
import json, time

def handler(event, context):
    wish = (event.get("headers") or {}).get("x-wish", "")
    if wish == "raise":
        raise RuntimeError("as told")
    if wish.startswith("sleep"):
        time.sleep(float(wish[5:]))
    if wish.startswith("{") or wish.startswith("["):
        return json.loads(wish)
    return event if event["version"] == "2.0" else {"statusCode": 200, "body": json.dumps(event)}
"""

#: Lets in whom the token names; how often it was asked is in the context.
AUTHORIZER = """
import json
asked = 0

def handler(event, context):
    global asked
    asked += 1
    token = (event["identitySource"] or ["none"])[0] if event["version"] == "2.0" else event["authorizationToken"]
    if token == "raise":
        raise RuntimeError("as told")
    if token == "nonsense":
        return {"hello": 1}
    if token.startswith("simple"):
        return {"isAuthorized": token == "simple-yes", "context": {"asked": asked, "event": json.dumps(event)}}
    arn = event["routeArn"] if event["version"] == "2.0" else event["methodArn"]
    resource = arn.rsplit("/", 2)[0] + "/GET/open" if token == "open" else "*"
    return {
        "principalId": token,
        "policyDocument": {"Version": "2012-10-17", "Statement": [{
            "Effect": "Deny" if token == "deny" else "Allow", "Action": "execute-api:Invoke", "Resource": resource}]},
        "context": {"asked": asked, "key": "value", "yes": True, "event": json.dumps(event)},
    }
"""


class Answer(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def all(self, name: str) -> list[str]:
        return [value for header, value in self.headers if header.lower() == name]

    def header(self, name: str) -> str | None:
        values = self.all(name)
        assert len(values) < 2, (name, values)
        return values[0] if values else None


def send(
    region: Any,
    host: str,
    method: str = "GET",
    path: str = "/",
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    sign: Credentials | None = None,
) -> Answer:
    """A request to the region for `host`, over a connection of its own; signed for execute-api with `sign`."""
    headers = {"Host": host, **(headers or {})}
    if sign is not None:
        request = AWSRequest(method, f"http://{host}{path}", headers=headers, data=body)
        SigV4Auth(sign, "execute-api", region.name).add_auth(request)
        headers = dict(request.headers.items())
    connection = http.client.HTTPConnection(urlsplit(region.url).netloc, timeout=30)
    try:
        connection.request(method, path, body=body or None, headers=headers)
        response = connection.getresponse()
        return Answer(response.status, response.getheaders(), response.read())
    finally:
        connection.close()


class HttpApi:
    """One HTTP API and a client for it."""

    def __init__(self, region: Any, **params: Any) -> None:
        self.region = region
        self.client = region.client("apigatewayv2")
        created = self.client.create_api(Name="api", ProtocolType="HTTP", **params)
        self.id: str = created["ApiId"]
        self.host: str = urlsplit(created["ApiEndpoint"]).netloc

    def send(self, method: str = "GET", path: str = "/", **options: Any) -> Answer:
        return send(self.region, self.host, method, path, **options)

    def function(self, name: str, version: str = "2.0", **params: Any) -> str:
        """An integration with the function; `integrations/<id>`."""
        answer = self.client.create_integration(
            ApiId=self.id,
            IntegrationType="AWS_PROXY",
            IntegrationUri=function_arn(name),
            PayloadFormatVersion=version,
            **params,
        )
        return f"integrations/{answer['IntegrationId']}"

    def server(self, url: str, **params: Any) -> str:
        answer = self.client.create_integration(
            ApiId=self.id,
            IntegrationType="HTTP_PROXY",
            IntegrationUri=url,
            PayloadFormatVersion="1.0",
            **{"IntegrationMethod": "ANY", **params},
        )
        return f"integrations/{answer['IntegrationId']}"

    def route(self, key: str, target: str | None, **params: Any) -> str:
        if target is not None:
            params["Target"] = target
        return str(self.client.create_route(ApiId=self.id, RouteKey=key, **params)["RouteId"])

    def stage(self, name: str = "$default", **params: Any) -> None:
        self.client.create_stage(ApiId=self.id, StageName=name, **{"AutoDeploy": True, **params})


def function_arn(name: str) -> str:
    return f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{name}"


def make_function(region: Any, name: str, code: str, *, allow: bool = True, timeout: int = 10, role: str = ROLE) -> str:
    """An active Python function that every API may call; its ARN."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", code)
    client = region.client("lambda")
    client.create_function(
        FunctionName=name,
        Role=role,
        Runtime="python3.12",
        Handler="app.handler",
        Timeout=timeout,
        Code={"ZipFile": buffer.getvalue()},
    )
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 200})
    if allow:
        client.add_permission(
            FunctionName=name,
            StatementId="apis",
            Action="lambda:InvokeFunction",
            Principal="apigateway.amazonaws.com",
            SourceArn=f"arn:aws:execute-api:us-east-1:{ACCOUNT}:*",
        )
    return function_arn(name)


class Server(http.server.ThreadingHTTPServer):
    """Answers with what it was asked; documents that are put into `pages` as they are."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.pages: dict[str, Any] = {}
        self.asked: list[str] = []


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.path.startswith("/slow"):
            time.sleep(2)
        page = self.server.pages.get(self.path)
        if page is None:
            page = {
                "method": self.command,
                "path": self.path,
                "headers": [[name.lower(), value] for name, value in self.headers.items()],
                "body": body.decode("latin-1"),
            }
        data = json.dumps(page).encode()
        if self.path.startswith("/large"):
            data = b"x" * (10 * 1024 * 1024 + 1)
        self.send_response(int(self.headers.get("x-status", "200")))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Connection", "keep-alive, x-private")
        self.send_header("X-Private", "of this connection")
        self.send_header("Set-Cookie", "a=1")
        self.send_header("Set-Cookie", "b=2")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_GET  # noqa: N815 - names of the base class

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def server() -> Iterator[Server]:
    running = Server()
    thread = threading.Thread(target=running.serve_forever, name="upstream", daemon=True)
    thread.start()
    try:
        yield running
    finally:
        running.shutdown()
        running.server_close()
        thread.join()
