"""HTTP integrations reach no link-local address, whatever name led there."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lambent.edge.http_client import _refuse_link_local
from lambent.edge.http_proxy import ProxyUnreachable


class Stream:
    def __init__(self, address: str) -> None:
        self.address = address
        self.closed = False

    def get_extra_info(self, name: str) -> Any:
        assert name == "server_addr"
        return (self.address, 80)

    async def aclose(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.170.2",
        "::ffff:169.254.169.254",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "fd20:ce::254",
        "100.100.100.200",
        "168.63.129.16",
    ],
)
def test_connections_to_link_local_addresses_are_dropped_before_anything_is_sent(address: str) -> None:
    stream = Stream(address)
    with pytest.raises(ProxyUnreachable, match="link-local"):
        asyncio.run(_refuse_link_local("connection.connect_tcp.complete", {"return_value": stream}))
    assert stream.closed


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "192.0.2.7", "2001:db8::1", "::1", "fd00::1"])
def test_all_others_may_be_reached(address: str) -> None:
    stream = Stream(address)
    asyncio.run(_refuse_link_local("connection.connect_tcp.complete", {"return_value": stream}))
    asyncio.run(_refuse_link_local("http11.send_request_headers.started", {}))
    assert not stream.closed
