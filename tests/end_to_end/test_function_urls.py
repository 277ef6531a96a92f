"""Function URLs as their callers see them: any HTTP client, by host and by path, with and without a signature."""

from __future__ import annotations

import base64
import http.client
import io
import json
import socket
import sys
import zipfile
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.roles import ROLE

pytestmark = pytest.mark.slow

#: Returns what the request's body says, or else the event.
CODE = """
import json, time

def handler(event, context):
    if event["rawPath"].endswith("/raise"):
        raise RuntimeError("as told")
    if event["rawPath"].endswith("/sleep"):
        time.sleep(60)
    if event.get("headers", {}).get("content-type") == "application/x-result":
        import base64
        return json.loads(base64.b64decode(event["body"]))
    return {"statusCode": 200, "body": json.dumps({"event": event, "version": context.function_version,
                                                  "arn": context.invoked_function_arn, "id": context.aws_request_id})}
"""
FORBIDDEN = {
    "Message": "Forbidden. For troubleshooting Function URL authorization issues, see: "
    "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"
}


class Answer(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def all(self, name: str) -> list[str]:
        return [value for header, value in self.headers if header.lower() == name]

    def header(self, name: str) -> str:
        values = self.all(name)
        assert len(values) == 1, (name, values)
        return values[0]


class Url:
    """One function URL and a client for it."""

    def __init__(self, region: Any, function_url: str) -> None:
        self.region = region
        self.host = urlsplit(function_url).netloc
        self.id = self.host.partition(".")[0]

    def send(
        self,
        method: str = "GET",
        path: str = "/",
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        sign: Credentials | None = None,
        service: str = "lambda",
        region: str = "us-east-1",
    ) -> Answer:
        headers = {"Host": self.host, **(headers or {})}
        if sign is not None:
            request = AWSRequest(method, f"http://{self.host}{path}", headers=headers, data=body)
            SigV4Auth(sign, service, region).add_auth(request)
            headers = dict(request.headers.items())
        connection = http.client.HTTPConnection(urlsplit(self.region.url).netloc, timeout=30)
        try:
            connection.request(method, path, body=body or None, headers=headers)
            response = connection.getresponse()
            return Answer(response.status, response.getheaders(), response.read())
        finally:
            connection.close()

    def event(self, *given: Any, **named: Any) -> dict[str, Any]:
        answer = self.send(*given, **named)
        assert answer.status == 200, answer
        event: dict[str, Any] = answer.json()["event"]
        return event

    def result(self, result: Any) -> Answer:
        """The answer for what the function returns."""
        return self.send("POST", "/", json.dumps(result).encode(), {"Content-Type": "application/x-result"})


@pytest.fixture(scope="module")
def lambda_client(region: Any) -> Any:
    return region.client("lambda")


@pytest.fixture(scope="module")
def make_url(region: Any, lambda_client: Any) -> Callable[..., Url]:
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("app.py", CODE)

    def make(name: str, auth: str = "NONE", public: bool = True, qualifier: str = "", **settings: Any) -> Url:
        lambda_client.create_function(
            FunctionName=name,
            Runtime=f"python3.{sys.version_info.minor}",
            Role=ROLE,
            Handler="app.handler",
            Code={"ZipFile": package.getvalue()},
            Timeout=1,
        )
        lambda_client.get_waiter("function_active_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 400}
        )
        named: dict[str, Any] = {"FunctionName": name}
        if qualifier:
            version = lambda_client.publish_version(FunctionName=name)["Version"]
            lambda_client.create_alias(FunctionName=name, Name=qualifier, FunctionVersion=version)
            named["Qualifier"] = qualifier
        url = lambda_client.create_function_url_config(AuthType=auth, **named, **settings)["FunctionUrl"]
        if public:
            grant(lambda_client, **named)
        return Url(region, url)

    return make


def grant(client: Any, **named: Any) -> None:
    """Both permissions that the public needs."""
    client.add_permission(
        StatementId="url", Action="lambda:InvokeFunctionUrl", Principal="*", FunctionUrlAuthType="NONE", **named
    )
    client.add_permission(
        StatementId="invoke", Action="lambda:InvokeFunction", Principal="*", InvokedViaFunctionUrl=True, **named
    )


@pytest.fixture(scope="module")
def url(make_url: Callable[..., Url]) -> Url:
    return make_url("public")


@pytest.fixture(scope="module")
def signed_url(make_url: Callable[..., Url]) -> Url:
    return make_url("signed", auth="AWS_IAM", public=False)


def test_an_anonymous_request_becomes_the_documented_event(url: Url) -> None:
    answer = url.send(
        "POST",
        "/my/path?parameter1=value1&parameter1=value2&parameter2=value",
        b"Hello from client!",
        {"Header1": "value1", "Cookie": "cookie1; cookie2", "Content-Type": "text/plain", "User-Agent": "agent"},
    )
    event = answer.json()["event"]
    context = event["requestContext"]
    assert answer.header("x-amzn-requestid") == context["requestId"] == answer.json()["id"]
    assert answer.header("x-amzn-trace-id") == event["headers"]["x-amzn-trace-id"]
    headers = {name: value for name, value in event["headers"].items() if name != "x-amzn-trace-id"}
    name, _, port = url.host.partition(":")
    assert headers == {
        "accept-encoding": "identity",
        "content-length": "18",
        "content-type": "text/plain",
        "header1": "value1",
        "host": url.host,
        "user-agent": "agent",
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-port": port,
        "x-forwarded-proto": "http",
    }
    del event["headers"], event["requestContext"]
    assert event == {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/my/path",
        "rawQueryString": "parameter1=value1&parameter1=value2&parameter2=value",
        "cookies": ["cookie1", "cookie2"],
        "queryStringParameters": {"parameter1": "value1,value2", "parameter2": "value"},
        "body": "Hello from client!",
        "isBase64Encoded": False,
    }
    assert isinstance(context.pop("timeEpoch"), int)
    assert context.pop("time").endswith(" +0000")
    del context["requestId"]
    assert context == {
        "accountId": "anonymous",
        "apiId": url.id,
        "domainName": name,
        "domainPrefix": url.id,
        "http": {
            "method": "POST",
            "path": "/my/path",
            "protocol": "HTTP/1.1",
            "sourceIp": "127.0.0.1",
            "userAgent": "agent",
        },
        "routeKey": "$default",
        "stage": "$default",
    }


@pytest.mark.parametrize("path", ["/", "//", "/a%2Fb", "/%2e%2e/x", "/../x", "/caf%C3%A9", "/a;b=c", "/?", "/%"])
def test_paths_reach_the_function_as_sent(url: Url, path: str) -> None:
    assert url.event(path=path)["rawPath"] == path.partition("?")[0]
    here = {"Host": urlsplit(url.region.url).netloc}
    assert url.event(path=f"/_aws/lambda-url/{url.id}{path}", headers=here)["rawPath"] == path.partition("?")[0]


def test_what_a_function_returns_is_inferred(url: Url) -> None:
    for result, body in (({"a": 1}, b'{"a":1}'), (["hello", 3, True], b'["hello",3,true]'), ("hello", b"hello")):
        answer = url.result(result)
        assert (answer.status, answer.header("content-type"), answer.body) == (200, "application/json", body)


def test_an_answer_with_status_headers_cookies_and_bytes_goes_out_as_it_is(url: Url) -> None:
    answer = url.result(
        {
            "statusCode": 201,
            "headers": {"Content-Type": "image/png", "My-Custom-Header": "Custom Value", "WWW-Authenticate": "Basic"},
            "cookies": ["a=1; Path=/; HttpOnly", "b=2"],
            "body": base64.b64encode(bytes(range(256))).decode(),
            "isBase64Encoded": True,
        }
    )
    assert (answer.status, answer.body) == (201, bytes(range(256)))
    assert answer.all("set-cookie") == ["a=1; Path=/; HttpOnly", "b=2"]
    assert answer.header("content-type") == "image/png"
    assert answer.header("my-custom-header") == "Custom Value"
    assert answer.header("x-amzn-remapped-www-authenticate") == "Basic"
    assert not answer.all("www-authenticate")


def test_bytes_arrive_in_base64_and_the_method_as_it_is(url: Url) -> None:
    event = url.event("PATCH", body=b"\xff\x00", headers={"Content-Type": "image/png"})
    assert (event["body"], event["isBase64Encoded"]) == ("/wA=", True)
    assert event["requestContext"]["http"]["method"] == "PATCH"


def test_the_answer_to_head_has_no_body(url: Url) -> None:
    answer = url.send("HEAD", "/")
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.header("content-length")) > 100


@pytest.mark.parametrize("path", ["/raise", "/sleep"])
def test_a_function_that_fails_is_a_bad_gateway(url: Url, path: str) -> None:
    answer = url.send(path=path)
    assert (answer.status, answer.body) == (502, b"Internal Server Error")


@pytest.mark.parametrize(
    "result",
    [
        {"statusCode": "fine"},
        {"statusCode": 200, "headers": {"a": "b\r\nSet-Cookie: evil=1"}},
        {"statusCode": 200, "body": {"a": 1}},
        {"statusCode": 200, "body": "a", "isBase64Encoded": True},
    ],
    ids=str,
)
def test_an_answer_that_is_none_is_a_bad_gateway(url: Url, result: Any) -> None:
    answer = url.result(result)
    assert (answer.status, answer.body) == (502, b"Internal Server Error")
    assert not answer.all("set-cookie")


def test_a_url_that_does_not_exist_is_forbidden(region: Any) -> None:
    answer = Url(region, "http://0123456789abcdefghijklmnopqrstuv.lambda-url.us-east-1.localhost/").send()
    assert (answer.status, answer.body) == (403, b'{"Message":null}')
    assert answer.header("content-type") == "application/json"
    assert answer.header("x-amzn-errortype") == "AccessDeniedException"


def test_a_url_needs_both_permissions(make_url: Callable[..., Url], lambda_client: Any) -> None:
    url = make_url("needs-both", public=False)
    assert url.send().status == 403
    grant(lambda_client, FunctionName="needs-both")
    assert url.send().status == 200
    lambda_client.remove_permission(FunctionName="needs-both", StatementId="invoke")
    answer = url.send()
    assert (answer.status, answer.json()) == (403, FORBIDDEN)
    assert answer.header("x-amzn-errortype") == "AccessDeniedException"


def test_too_much_is_refused_before_it_is_read(url: Url) -> None:
    with socket.create_connection(("127.0.0.1", urlsplit(url.region.url).port)) as client:
        client.sendall(f"POST / HTTP/1.1\r\nHost: {url.host}\r\nContent-Length: {7 << 20}\r\n\r\n".encode())
        answer = client.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"Request must be smaller than 6291456 bytes" in answer
    # Less than the limit, but more than it in base64.
    answer = url.send("POST", body=b"\xff" * (5 << 20), headers={"Content-Type": "image/png"})
    assert answer.status == 413
    answer = url.send("POST", "/raise", b"x" * (5 << 20), {"Content-Type": "text/plain"})
    assert answer.status == 502


def test_a_function_without_concurrency_throttles(make_url: Callable[..., Url], lambda_client: Any) -> None:
    url = make_url("throttled")
    lambda_client.put_function_concurrency(FunctionName="throttled", ReservedConcurrentExecutions=0)
    answer = url.send()
    assert answer.status == 429
    assert answer.header("x-amzn-errortype") == "TooManyRequestsException"


def test_a_url_of_an_alias_invokes_its_version(make_url: Callable[..., Url], lambda_client: Any) -> None:
    url = make_url("with-alias", qualifier="live")
    answer = url.send().json()
    assert (answer["version"], answer["arn"].rpartition(":")[2]) == ("1", "live")
    lambda_client.delete_alias(FunctionName="with-alias", Name="live")
    assert url.send().status == 403


# ---- CORS ----


def test_the_url_answers_preflights_and_not_the_function(make_url: Callable[..., Url], lambda_client: Any) -> None:
    rules = {
        "AllowOrigins": ["https://example.com"],
        "AllowMethods": ["GET", "POST"],
        "AllowHeaders": ["x-token"],
        "MaxAge": 60,
        "AllowCredentials": True,
    }
    url = make_url("with-cors", Cors=rules)
    asked = {"Origin": "https://example.com", "Access-Control-Request-Method": "POST"}
    answer = url.send("OPTIONS", "/raise", headers=asked)
    assert (answer.status, answer.body) == (200, b"")
    assert answer.header("access-control-allow-origin") == "https://example.com"
    assert answer.header("access-control-allow-methods") == "GET,POST"
    assert answer.header("access-control-allow-headers") == "x-token"
    assert answer.header("access-control-max-age") == "60"
    assert not url.send("OPTIONS", headers={**asked, "Origin": "https://evil.example"}).all(
        "access-control-allow-origin"
    )
    answer = url.send(headers={"Origin": "https://example.com"})
    assert answer.header("access-control-allow-credentials") == "true"
    # Also what is refused may be read by pages that are allowed to ask.
    answer = url.send(path="/raise", headers={"Origin": "https://example.com"})
    assert (answer.status, answer.header("access-control-allow-origin")) == (502, "https://example.com")


def test_without_cors_the_function_answers_preflights(url: Url) -> None:
    headers = {"Origin": "https://example.com", "Access-Control-Request-Method": "POST"}
    event = url.event("OPTIONS", headers=headers)
    assert event["requestContext"]["http"]["method"] == "OPTIONS"


# ---- AWS_IAM ----


def test_a_signed_request_tells_the_function_who_asks(signed_url: Url, region: Any) -> None:
    event = signed_url.event("POST", "/a%20b/%C3%A9?x=1%2B1&a=b", b"{}", sign=region.key)
    assert event["requestContext"]["accountId"] == "000000000000"
    assert event["requestContext"]["authorizer"] == {
        "iam": {
            "accessKey": region.key.access_key,
            "accountId": "000000000000",
            "callerId": "000000000000",
            "cognitoIdentity": None,
            "principalOrgId": None,
            "userArn": "arn:aws:iam::000000000000:root",
            "userId": "000000000000",
        }
    }


def test_a_large_signed_request_is_verified(signed_url: Url, region: Any) -> None:
    body = b"x" * 400_000
    event = signed_url.event("POST", body=body, headers={"Content-Type": "text/plain"}, sign=region.key)
    assert len(event["body"]) == len(body)


def test_a_request_without_signature_is_forbidden(signed_url: Url) -> None:
    answer = signed_url.send()
    assert (answer.status, answer.json()) == (403, FORBIDDEN)
    assert answer.header("x-amzn-errortype") == "AccessDeniedException"


def test_a_signature_that_does_not_hold_is_told_why(signed_url: Url, region: Any) -> None:
    wrong = Credentials(region.key.access_key, "x" * 40)
    answer = signed_url.send(sign=wrong)
    assert (answer.status, answer.header("x-amzn-errortype")) == (403, "InvalidSignatureException")
    assert "signature we calculated does not match" in answer.json()["message"]
    answer = signed_url.send(sign=region.key, service="execute-api")
    assert "Credential should be scoped to correct service: 'lambda'" in answer.json()["message"]
    answer = signed_url.send(sign=region.key, region="eu-west-1")
    assert (answer.status, answer.header("x-amzn-errortype")) == (403, "InvalidSignatureException")
    answer = signed_url.send(sign=Credentials("AKIANOBODYKNOWSTHIS0", "x" * 40))
    assert (answer.status, answer.header("x-amzn-errortype")) == (403, "UnrecognizedClientException")


# ---- bad input ----


@pytest.mark.parametrize(
    "head",
    [
        "Host: {host}\r\nHost: {host}\r\n",
        "Host: {host}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Host: {host}\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
        "",
    ],
)
def test_smuggled_requests_reach_no_function(url: Url, head: str) -> None:
    with socket.create_connection(("127.0.0.1", urlsplit(url.region.url).port), 10) as client:
        client.sendall(f"POST / HTTP/1.1\r\n{head}\r\n0\r\n\r\n".format(host=url.host).encode())
        assert client.recv(4096).startswith(b"HTTP/1.1 400 ")


def test_pages_of_other_names_reach_no_function_under_auth_off(start_region: Callable[..., Any]) -> None:
    region = start_region("--auth", "off")
    path = "/_aws/lambda-url/0123456789abcdefghijklmnopqrstuv/"
    refused = region.request("GET", path, headers={"Host": "evil.example"})
    assert (refused.status, b"evil.example" in refused.body) == (403, True)
    # One of ours gets as far as the door.
    assert region.request("GET", path, headers={"Host": "localhost"}).body == b'{"Message":null}'
