"""A web page of another origin, under `--auth off`: what a browser says of a request decides, and it can do nothing."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

pytestmark = pytest.mark.slow

REGION_OPTIONS = ("--auth", "off")

LIST = ("GET", "/2015-03-31/functions/", b"")
HEALTH = ("GET", "/_lambent/health", b"")
RESET = ("POST", "/_lambent/reset", b"")
STS = ("POST", "/", b"Action=GetCallerIdentity&Version=2011-06-15")
REQUESTS = {"ListFunctions": LIST, "reset": RESET, "GetCallerIdentity": STS}

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def send(region: Any) -> Callable[..., tuple[int, dict[str, str], bytes]]:
    def send(request: tuple[str, str, bytes], headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        method, path, body = request
        connection = http.client.HTTPConnection(urlsplit(region.url).netloc, timeout=30)
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in {**(FORM if body else {}), **headers, "Content-Length": str(len(body))}.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        answer = response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
        connection.close()
        return answer

    return send


FOREIGN = {
    "cross-site": {"Sec-Fetch-Site": "cross-site"},
    "cross-site navigation": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    "foreign origin": {"Origin": "https://evil.example"},
    "foreign origin of the same port": {"Origin": "http://evil.example:{port}"},
    "origin null": {"Origin": "null"},
    "origin that begins like ours": {"Origin": "http://127.0.0.1.evil.example"},
    "origin that ends like ours": {"Origin": "http://evil-localhost"},
    "rebound host name": {"Host": "evil.example"},
    "rebound host name with our port": {"Host": "evil.example:{port}"},
    "host that begins like ours": {"Host": "localhost.evil.example:{port}"},
    "host that ends like ours": {"Host": "notlocalhost:{port}"},
    "rebound host and its own origin": {
        "Host": "evil.example:{port}",
        "Origin": "http://evil.example:{port}",
        "Sec-Fetch-Site": "same-origin",
    },
}


@pytest.mark.parametrize("operation", REQUESTS)
@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_page_is_refused(send: Any, region: Any, kind: str, operation: str) -> None:
    port = urlsplit(region.url).port
    headers = {name: value.format(port=port) for name, value in FOREIGN[kind].items()}
    status, answer_headers, _ = send(REQUESTS[operation], headers)
    assert status == 403
    assert "access-control-allow-origin" not in answer_headers


#: Pages of this machine, but not of the region: a development server's, or one that a function serves.
NEAR = {
    "another port of this machine": {"Origin": "http://localhost:1"},
    "a function's own page": {
        "Origin": "http://abc.lambda-url.us-east-1.localhost:{port}",
        "Sec-Fetch-Site": "same-site",
    },
}


@pytest.mark.parametrize("operation", ["reset", "GetCallerIdentity"])
@pytest.mark.parametrize("kind", NEAR)
def test_a_page_of_another_server_here_changes_nothing(send: Any, region: Any, kind: str, operation: str) -> None:
    port = urlsplit(region.url).port
    headers = {name: value.format(port=port) for name, value in NEAR[kind].items()}
    assert send(REQUESTS[operation], headers)[0] == 403


@pytest.mark.parametrize("kind", NEAR)
def test_a_page_of_another_server_here_cannot_read_an_answer(send: Any, region: Any, kind: str) -> None:
    port = urlsplit(region.url).port
    headers = {name: value.format(port=port) for name, value in NEAR[kind].items()}
    assert "access-control-allow-origin" not in send(LIST, headers)[1]


@pytest.mark.parametrize("operation", REQUESTS)
def test_a_foreign_preflight_allows_nothing(send: Any, operation: str) -> None:
    _, path, _ = REQUESTS[operation]
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    status, headers, _ = send(("OPTIONS", path, b""), {"Origin": "https://evil.example", **asked})
    assert status >= 400
    assert not [name for name in headers if name.startswith("access-control-allow")]


def test_a_foreign_page_creates_no_function(send: Any) -> None:
    body = json.dumps({"FunctionName": "planted", "Role": "x", "Code": {}}).encode()
    status, _, _ = send(("POST", "/2015-03-31/functions", body), {"Origin": "https://evil.example"})
    assert status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "localhost:{port}"},
        {"Host": "127.0.0.1:{port}"},
        {"Host": "localhost.localstack.cloud:{port}"},
        {"Host": "lambda.us-east-1.localhost.localstack.cloud:{port}"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:{port}"},
    ],
    ids=str,
)
def test_clients_of_this_machine_are_served(send: Any, region: Any, headers: dict[str, str]) -> None:
    port = urlsplit(region.url).port
    status, _, body = send(LIST, {name: value.format(port=port) for name, value in headers.items()})
    assert status == 200, body
    assert json.loads(body)["Functions"] == []


def test_a_reset_of_this_machine_is_served(send: Any) -> None:
    assert send(RESET, {})[0] == 200


def test_an_api_is_no_way_around_to_the_operators_calls(region: Any) -> None:
    # What a function may not send, it could otherwise send through an API that it makes.
    api = region.client("apigatewayv2").create_api(Name="around", ProtocolType="HTTP", Target=region.url)["ApiId"]
    for path in ("/_lambent/accounts", "/_lambent/reset", "/_localstack/state/reset"):
        answer = region.request("POST", f"/_aws/execute-api/{api}/$default{path}", b"{}")
        assert answer.status == 403, path
        assert b"An API cannot make this call" in answer.body
    assert region.request("GET", f"/_aws/execute-api/{api}/$default/metrics").status == 403
    assert region.request("GET", f"/_aws/execute-api/{api}/$default/_lambent/health").status == 200
