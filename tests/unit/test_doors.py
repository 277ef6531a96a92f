"""Which requests are for function URLs and deployed APIs, and which are not."""

from __future__ import annotations

import pytest

from lambent.edge.doors import Address, Doors
from lambent.edge.guard import BrowserGuard
from lambent.request import Request, Response


class Door:
    body_limit = 1

    async def answer(self, request: Request, address: Address) -> Response:
        raise AssertionError("not asked")

    def too_large(self, request: Request, address: Address) -> Response:
        raise AssertionError("not asked")


URLS, APIS = Door(), Door()
ID = "abcdefghij"


def find(host: str, path: str = "/a%2Fb", doors: Doors | None = None) -> tuple[Door, Address] | None:
    doors = doors or Doors({"lambda-url": URLS, "execute-api": APIS}, ("apis.example.org",))
    request = Request("GET", path.encode(), b"", [(b"host", host.encode("latin-1"))], b"", "id")
    found = doors.find(request)
    assert doors.find(request) == found
    return found  # type: ignore[return-value]


@pytest.mark.parametrize(
    "host",
    [
        f"{ID}.lambda-url.us-east-1.localhost:4566",
        f"{ID}.lambda-url.eu-west-3.localhost.localstack.cloud",
        f"{ID}.lambda-url.us-east-1.on.aws:443",
        f"{ID}.lambda-url.us-east-1.apis.example.org",
        f"{ID}.Lambda-URL.us-east-1.LOCALHOST.",
    ],
)
def test_a_host_leads_to_its_door(host: str) -> None:
    name = host.partition(":")[0].rstrip(".").lower()
    assert find(host) == (URLS, Address(ID, name, b"/a%2Fb"))


@pytest.mark.parametrize(
    "host",
    [
        f"{ID}.execute-api.eu-west-3.localhost",
        # As LocalStack writes them.
        f"{ID}.execute-api.localhost.localstack.cloud:4566",
        f"{ID}.execute-api.localhost",
    ],
)
def test_the_host_of_an_api_may_lack_the_region(host: str) -> None:
    assert find(host) == (APIS, Address(ID, host.partition(":")[0], b"/a%2Fb"))


@pytest.mark.parametrize(
    "host",
    [
        "localhost:4566",
        "",
        ":4566",
        "[::1]:4566",
        "lambda-url.us-east-1.localhost",
        ".lambda-url.us-east-1.localhost",
        f"{ID}.lambda-url.us-east-1.evil.example",
        f"{ID}.lambda-url.us-east-1.notlocalhost",
        f"{ID}.lambda-url.localhost",
        f"{ID}.execute-api.notlocalhost",
        f"{ID}.execute-api.evil.example",
        f"{ID}.s3.us-east-1.localhost",
        "\xff.\xfe",
    ],
)
def test_another_host_leads_to_none(host: str) -> None:
    assert find(host) is None


@pytest.mark.parametrize(
    ("path", "door", "rest"),
    [
        (f"/_aws/lambda-url/{ID}", URLS, b"/"),
        (f"/_aws/lambda-url/{ID}/", URLS, b"/"),
        (f"/_aws/lambda-url/{ID}//x/%2e%2e/y", URLS, b"//x/%2e%2e/y"),
        (f"/_aws/execute-api/{ID}/prod/pets", APIS, b"/prod/pets"),
        (f"/restapis/{ID}/prod/_user_request_/pets", APIS, b"/prod/pets"),
        (f"/restapis/{ID}/prod/_user_request_", APIS, b"/prod"),
    ],
)
def test_a_path_leads_to_its_door(path: str, door: Door, rest: bytes) -> None:
    assert find("127.0.0.1:4566", path) == (door, Address(ID, "127.0.0.1", rest))
    assert find("[::1]:4566", path) == (door, Address(ID, "::1", rest))


@pytest.mark.parametrize(
    "path", ["/_aws/", "/_aws/lambda-url", "/_aws/sqs/messages", f"/restapis/{ID}", f"/restapis/{ID}/stages/prod"]
)
def test_other_paths_lead_to_none(path: str) -> None:
    assert find("127.0.0.1:4566", path) is None


def test_a_name_that_a_page_bound_to_this_machine_reaches_no_path_form_where_no_key_protects() -> None:
    doors = Doors({"lambda-url": URLS}, (), BrowserGuard("127.0.0.1").allows)
    path = f"/_aws/lambda-url/{ID}/"
    assert find("evil.example:4566", path, doors) is None
    assert find("localhost:4566", path, doors) is not None


def test_hosts_without_number_are_not_remembered_without_end() -> None:
    doors = Doors({"lambda-url": URLS})
    for number in range(5000):
        find(f"{number}.lambda-url.us-east-1.localhost", doors=doors)
    assert len(doors._hosts) <= 1024


def test_hosts_as_long_as_a_head_are_not_remembered() -> None:
    doors = Doors({"execute-api": APIS})
    assert find(f"{ID}.execute-api.{'a' * 100_000}.localhost", doors=doors) is not None
    assert not doors._hosts
    guard = BrowserGuard("127.0.0.1")
    guard.check(Request("GET", b"/", b"", [(b"host", b"a" * 100_000 + b".localhost")], b"", "id"))
    assert not guard._known
