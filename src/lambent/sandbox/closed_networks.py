"""Which addresses are nobody's business outside: of use to the sandbox's filter and to the region's own HTTP client.

Standard library alone, and no state. Python 3.8 syntax.
"""

import ipaddress
from typing import Iterable, List, Tuple, Union

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]

#: Closed unless the operator allows a part of them.
CLOSED = (
    "0.0.0.0/8",  # this host
    "10.0.0.0/8",
    "100.64.0.0/10",  # behind carriers' NAT; Alibaba's metadata
    "127.0.0.0/8",
    "168.63.129.16/32",  # Azure's agent for its machines
    "169.254.0.0/16",  # link-local; the metadata of most clouds
    "172.16.0.0/12",
    "192.0.0.0/24",  # protocol assignments; Oracle's metadata
    "192.88.99.0/24",  # relays of 6to4
    "192.168.0.0/16",
    "198.18.0.0/15",  # benchmarks, and what proxies make up
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, broadcast
    "::/96",  # unspecified, loopback, IPv4-compatible
    "64:ff9b:1::/48",  # NAT64 of one's own
    "100::/64",  # discarded
    "2001::/23",  # Teredo, ORCHID and other assignments
    "fc00::/7",  # of one's own; the metadata of AWS and Google
    "fe80::/10",
    "fec0::/10",  # site-local, as it was
    "ff00::/8",
)
#: What stands for an IPv4 address: where its bits begin.
_EMBEDDING = (("::ffff:0:0/96", 0), ("::ffff:0:0:0/96", 0), ("64:ff9b::/96", 0), ("2002::/16", 80))


def parse(networks: Iterable[str]) -> Tuple[Network, ...]:
    """Raises ValueError that names the one that is no network."""
    parsed: List[Network] = []
    for network in networks:
        try:
            parsed.append(ipaddress.ip_network(network.strip()))
        except ValueError:
            try:
                hint = f" Its network is {ipaddress.ip_network(network.strip(), strict=False)}."
            except ValueError:
                hint = ""
            raise ValueError(f"{network!r} is not a network such as 10.1.0.0/16.{hint}") from None
    return tuple(parsed)


_CLOSED = parse(CLOSED)


def is_open(address: Address, allowed: Iterable[Network]) -> bool:
    """Whether that address is of the public internet or `allowed`."""
    if isinstance(address, ipaddress.IPv6Address):
        for prefix, shift in _EMBEDDING:
            if address in ipaddress.ip_network(prefix):
                address = ipaddress.IPv4Address((int(address) >> shift) & 0xFFFFFFFF)
                break
    return any(address in network for network in allowed) or not any(address in network for network in _CLOSED)
