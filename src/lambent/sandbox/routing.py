"""Links, addresses and routes by rtnetlink, as messages for `netlink.Netlink.ask`. IPv4 alone. Python 3.8 syntax."""

import socket
import struct
from typing import List, Optional

from lambent.sandbox.netlink import (
    ACK,
    CREATE,
    DUMP,
    EXCLUSIVE,
    Message,
    Netlink,
    attribute,
    attributes,
    nested,
    number,
    text,
)

#: Multicast groups that tell of addresses and routes that come and go.
ADDRESSES, ROUTES = 0x10, 0x40

_NEW_LINK, _DELETE_LINK, _NEW_ADDRESS, _GET_ADDRESS, _NEW_ROUTE = 16, 17, 20, 22, 24
_LINK = struct.Struct("=BxHiII")
_UP = 1
_NAME, _MTU, _LINK_INFO, _OF_FAMILIES, _NAMESPACE_FD = 3, 4, 18, 26, 28
_ADDRESS_MODE, _NO_ADDRESS = 8, 1
_INFO_KIND, _INFO_DATA, _PEER = 1, 2, 1
_ADDRESS, _LOCAL = 1, 2
_DESTINATION, _OUT_LINK, _GATEWAY = 1, 4, 5
_MAIN_TABLE, _BY_STATIC, _UNIVERSE, _TO_LINK, _UNICAST, _ONLINK = 254, 4, 0, 253, 1, 4


def pair(name: str, index: int, peer: str, peer_index: int, peer_namespace: int, mtu: int) -> Message:
    """A veth pair, down: `name` here, `peer` in the network namespace of that descriptor; 0 as index means any."""
    other = _link(peer_index, 0) + text(_NAME, peer) + number(_MTU, mtu) + number(_NAMESPACE_FD, peer_namespace)
    info = nested(_LINK_INFO, text(_INFO_KIND, "veth"), nested(_INFO_DATA, attribute(_PEER, other)))
    body = _link(index, 0) + text(_NAME, name) + number(_MTU, mtu) + info
    return Message(_NEW_LINK, ACK | CREATE | EXCLUSIVE, body, f"veth {name}")


def up(index: int) -> Message:
    return Message(_NEW_LINK, ACK, _link(index, _UP), f"link {index} up")


def without_ipv6(index: int) -> Message:
    """No link-local address for it: IPv6 leads nowhere. Cheaper than a setting below /proc/sys."""
    mode = nested(socket.AF_INET6, attribute(_ADDRESS_MODE, bytes([_NO_ADDRESS])))
    body = _LINK.pack(socket.AF_UNSPEC, 0, index, 0, 0) + nested(_OF_FAMILIES, mode)
    return Message(_NEW_LINK, ACK, body, f"link {index} without IPv6")


def delete(index: int) -> Message:
    return Message(_DELETE_LINK, ACK, _link(index, 0), f"delete link {index}")


def address(index: int, host: str, prefix: int) -> Message:
    packed = socket.inet_aton(host)
    body = struct.pack("=BBBBi", socket.AF_INET, prefix, 0, _UNIVERSE, index)
    body += attribute(_LOCAL, packed) + attribute(_ADDRESS, packed)
    return Message(_NEW_ADDRESS, ACK | CREATE | EXCLUSIVE, body, f"address {host}/{prefix}")


def addresses(conversation: Netlink) -> List[str]:
    """Every IPv4 address of the host's, of whatever link."""
    body = struct.pack("=BBBBi", socket.AF_INET, 0, 0, 0, 0)
    found = []
    for _, answer in conversation.ask([Message(_GET_ADDRESS, DUMP, body, "addresses")]):
        fields = dict(attributes(answer[8:]))
        packed = fields.get(_LOCAL) or fields.get(_ADDRESS)
        if answer[0] == socket.AF_INET and packed:
            found.append(socket.inet_ntoa(packed))
    return found


def route(index: int, destination: Optional[str], gateway: Optional[str]) -> Message:
    """To one host over that link, or (None) to everything through `gateway`, which is on that link by decree."""
    scope = _UNIVERSE if gateway else _TO_LINK
    bits = 32 if destination else 0
    flags = _ONLINK if gateway else 0
    body = struct.pack("=BBBBBBBBI", socket.AF_INET, bits, 0, 0, _MAIN_TABLE, _BY_STATIC, scope, _UNICAST, flags)
    if destination:
        body += attribute(_DESTINATION, socket.inet_aton(destination))
    if gateway:
        body += attribute(_GATEWAY, socket.inet_aton(gateway))
    body += number(_OUT_LINK, index)
    return Message(_NEW_ROUTE, ACK | CREATE | EXCLUSIVE, body, f"route to {destination or 'everything'}")


def _link(index: int, flags: int) -> bytes:
    return _LINK.pack(socket.AF_UNSPEC, 0, index, flags, _UP)
