"""Real web frameworks, unchanged, behind each front door: what their users' browsers and clients do."""

from __future__ import annotations

import hashlib
import http.client
import json
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from framework_bundles import BUNDLES, packed, runtime_of
from front_doors import DOORS

from tests.roles import ROLE

pytestmark = pytest.mark.slow


class Answer(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def json(self) -> Any:
        assert self.status == 200, self
        return json.loads(self.body)

    def all(self, name: str) -> list[str]:
        return [value for header, value in self.headers if header.lower() == name]


class Site:
    """An application behind a front door."""

    def __init__(self, region: Any, url: str) -> None:
        self._address = urlsplit(region.url).netloc
        parts = urlsplit(url)
        self._host = parts.netloc
        self._base = parts.path.rstrip("/")
        #: A REST API, which is always called below its stage.
        self.is_format_1 = bool(self._base)
        self.decodes_paths = ".execute-api." in url and not self._base

    def send(self, method: str, path: str, body: bytes = b"", headers: Any = ()) -> Answer:
        connection = http.client.HTTPConnection(self._address, timeout=30)
        try:
            connection.putrequest(method, self._base + path, skip_host=True, skip_accept_encoding=True)
            connection.putheader("Host", self._host)
            for name, value in headers:
                connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            return Answer(response.status, response.getheaders(), response.read())
        finally:
            connection.close()

    def get(self, path: str, *headers: tuple[str, str]) -> Answer:
        return self.send("GET", path, headers=headers)


@pytest.fixture(scope="module", params=BUNDLES, ids=lambda name: name.replace(" ", "-"))
def function(region: Any, request: pytest.FixtureRequest) -> Iterator[str]:
    bundle = BUNDLES[request.param]
    name = bundle.source.partition(".")[0]
    client = region.client("lambda")
    client.create_function(
        FunctionName=name,
        Runtime=runtime_of(bundle),
        Handler=bundle.handler,
        Role=ROLE,
        Code={"ZipFile": packed(bundle)},
        Timeout=20,
        MemorySize=512,
    )
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 200})
    yield name
    client.delete_function(FunctionName=name)


@pytest.fixture(scope="module", params=DOORS, ids=lambda name: name.replace(" ", "-"))
def site(region: Any, function: str, request: pytest.FixtureRequest) -> Site:
    return Site(region, DOORS[request.param](region, function))


def test_a_file_is_uploaded(site: Site) -> None:
    data = bytes(range(256)) * 1000
    boundary = "----boundary7MA4YWxkTrZu0gW"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="note"\r\n\r\nfor café\r\n--{boundary}\r\n'
    file = 'Content-Disposition: form-data; name="file"; filename="all.bin"\r\nContent-Type: image/png\r\n\r\n'
    body = (head + file).encode() + data + f"\r\n--{boundary}--\r\n".encode()
    answer = site.send("POST", "/upload", body, [("Content-Type", f"multipart/form-data; boundary={boundary}")])
    assert answer.json() == {
        "note": "for café",
        "name": "all.bin",
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def test_cookies_are_set_and_come_back(site: Site) -> None:
    answer = site.get("/cookies")
    assert answer.json() == {}
    pairs = [cookie.partition(";")[0] for cookie in answer.all("set-cookie")]
    assert sorted(pairs) == ["first=1", "second=2"]
    assert site.get("/cookies", ("Cookie", "; ".join(pairs))).json() == {"first": "1", "second": "2"}


def test_a_redirect_names_its_target(site: Site) -> None:
    answer = site.get("/redirect")
    assert answer.status == 302
    assert answer.all("location") == ["/target?from=redirect"]


def test_a_binary_file_is_downloaded(site: Site) -> None:
    answer = site.get("/download", ("Accept", "application/octet-stream"))
    assert answer.status == 200
    assert answer.body == bytes(range(256)) * 400
    assert answer.all("content-type") == ["application/octet-stream"]
    assert answer.all("content-length") == ["102400"]


def test_repeated_headers_and_parameters_all_arrive(site: Site, function: str) -> None:
    answer = site.get("/echo?tag=a&tag=b%26c&q=%C3%A9+x%2By", ("X-Many", "one"), ("x-many", "two"))
    last_only = any(bundle.last_header_only for bundle in BUNDLES.values() if bundle.source.startswith(function))
    many = "two" if last_only and site.is_format_1 else "one,two"
    assert answer.json() == {"tags": ["a", "b&c"], "q": "é x+y", "many": many}
    values = [value.strip() for text in answer.all("x-answer") for value in text.split(",")]
    assert values == ["one", "two"]


@pytest.mark.parametrize("name", ["東京", "a b", "ünï", "100%"])
def test_names_in_paths_are_decoded_once(site: Site, name: str) -> None:
    if site.decodes_paths and name == "100%":
        pytest.skip("HTTP APIs decode paths, so that no framework can tell this from a broken escape, on AWS neither")
    encoded = "".join(f"%{byte:02X}" for byte in name.encode())
    assert site.get(f"/names/{encoded}").json() == {"name": name}


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_other_methods_bring_their_bodies(site: Site, method: str) -> None:
    answer = site.send(method, "/method", "grüße".encode(), [("Content-Type", "text/plain; charset=utf-8")])
    assert answer.json() == {"method": method, "body": "grüße"}


def test_what_is_not_there_is_not_found(site: Site) -> None:
    assert site.get("/nothing-here").status == 404
