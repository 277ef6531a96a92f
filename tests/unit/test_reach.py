"""HTTP integrations reach neither this host nor its networks, whatever name leads there, but for what is allowed."""

from __future__ import annotations

import asyncio
import http.server
import socket
import threading
from collections.abc import Iterator

import pytest

from lambent.edge.http_proxy import HttpProxy, ProxyUnreachable
from lambent.edge.reach import Reach


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "0.0.0.0",
        "10.0.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "169.254.169.254",
        "172.31.255.255",
        "192.168.1.1",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:0a00:0001::1",
        "2001:0:7f00:1::",
        "fd00:ec2::254",
        "fe80::1%eth0",
        "ff02::1",
    ],
)
def test_addresses_of_this_host_and_of_private_networks_are_closed(address: str) -> None:
    assert not Reach().has(address, 80)


@pytest.mark.parametrize("address", ["192.0.2.7", "203.0.113.1", "8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"])
def test_those_of_the_internet_are_open(address: str) -> None:
    assert Reach().has(address, 80)


def test_what_is_allowed_is_open_and_nothing_beside_it() -> None:
    reach = Reach(["10.1.0.0/16", "fd00:1::/32"])
    assert reach.has("10.1.2.3", 80)
    assert reach.has("::ffff:10.1.2.3", 80)
    assert reach.has("fd00:1::1", 80)
    assert not reach.has("10.2.0.1", 80)
    assert not reach.has("fd00:2::1", 80)


def test_the_region_reaches_itself_at_its_own_port_alone() -> None:
    reach = Reach((), 4566)
    assert reach.has("127.0.0.1", 4566)
    assert not reach.has("127.0.0.1", 4567)
    assert not reach.has("10.0.0.1", 4566)


def test_a_public_address_that_is_the_hosts_own_is_closed_unless_allowed() -> None:
    assert not Reach().has_host("203.0.113.5", 80)
    assert Reach(["203.0.113.0/24"]).has_host("203.0.113.5", 80)
    assert Reach((), 4566).has_host("203.0.113.5", 4566)


class _Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Server) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def _ask(reach: Reach, url: str) -> int:
    async def ask() -> int:
        proxy = HttpProxy(reach)
        try:
            return (await proxy.send("GET", url, [], b"", 5.0)).status
        finally:
            await proxy.stop()

    return asyncio.run(ask())


def test_no_connection_is_made_to_what_is_closed(port: int) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(0.05)
        for name in ("127.0.0.1", "localhost", "api.localhost"):
            with pytest.raises(ProxyUnreachable, match="may not reach"):
                _ask(Reach(), f"http://{name}:{listener.getsockname()[1]}/")
        with pytest.raises(TimeoutError):
            listener.accept()


def test_a_server_that_is_allowed_answers(port: int) -> None:
    assert _ask(Reach(["127.0.0.0/8"]), f"http://127.0.0.1:{port}/") == 200
    assert _ask(Reach((), port), f"http://region.localhost:{port}/") == 200


def test_a_name_that_nobody_knows_is_unreachable() -> None:
    with pytest.raises(ProxyUnreachable):
        _ask(Reach(), "http://name.invalid/")
