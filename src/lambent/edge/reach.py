"""Which servers the region itself talks to when somebody's API asks for it: HTTP integrations and issuers of tokens.

They run on the host's network, so the private networks, the host and its clouds' metadata are closed to them as they
are to functions, unless the operator says otherwise (`--network-allow`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from lambent.sandbox import closed_networks


class Reach:
    def __init__(self, allowed: Iterable[str] = (), own_port: int = 0) -> None:
        """`own_port`: where this region listens; its own APIs may be reached on loopback."""
        self._allowed = closed_networks.parse(allowed)
        self._own_port = own_port

    @classmethod
    def everything(cls) -> Reach:
        """For URLs that the operator names."""
        return cls(("0.0.0.0/0", "::/0"))

    def has(self, address: str, port: int) -> bool:
        parsed = _plain(address)
        if parsed.is_loopback and port == self._own_port:
            return True
        return closed_networks.is_open(parsed, self._allowed)

    def has_host(self, address: str, port: int) -> bool:
        """The same for an address that turned out to be one of this host's own."""
        parsed = _plain(address)
        return port == self._own_port or any(parsed in network for network in self._allowed)


def _plain(address: str) -> closed_networks.Address:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    return getattr(parsed, "ipv4_mapped", None) or parsed
