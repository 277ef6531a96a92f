"""What functions may reach, as two nftables tables: the gateway's, which decides, and the host's, which shields it.

The gateway's namespace is one that no function can enter. The host's table closes the host itself, whatever addresses
it has now or later: it knows what came from the gateway by its interface alone. Python 3.8 syntax.
"""

import socket
from typing import List, Sequence

from lambent.sandbox import closed_networks, nftables
from lambent.sandbox.netlink import Message
from lambent.sandbox.nftables import (
    accept,
    comes_faster_than,
    comes_from,
    comes_from_one_of,
    drop,
    from_network,
    goes_to,
    is_established,
    is_ipv4,
    is_new,
    jump,
    masquerade,
    reject,
    rule,
    source_comes_faster_than,
    source_has_more_connections_than,
    to_network,
    to_one_of,
    to_port,
    untracked,
    was_redirected,
)
from lambent.sandbox.spec import NetworkAccess

#: The gateway's table, in a namespace of its own.
TABLE = "lambent"
UPLINK = "up0"
#: Where functions ask for names: an address of the gateway's.
RESOLVER = "169.254.100.2"
DNS_PORT = 53
#: Tracked connections of one sandbox, and of all together: each also takes a place in the host's table.
CONNECTIONS = 1024
ALL_CONNECTIONS = 32768
#: New ones of one sandbox in a second, after as many at once as it may have: those that ended are remembered for two
#: minutes and count no more. Of all together one for so many that they may have.
NEW_CONNECTIONS = 100
_PACE_OF_ALL = 32
#: Of the host's interfaces, those that Lambent made forward.
FORWARDING = "forwarding"
#: Addresses of the host.
HOST = "host"
_FILTER, _SOURCE_NAT = 0, 100
#: Before connections are tracked.
_RAW = -300
#: Before the filters of others, so that none of them sees what is closed.
_EARLY = -10


def network_of(number: int) -> str:
    """Addresses of the sandboxes with the access of that number; `address_of` gives each its own."""
    return f"100.{64 + number}.0.0/16"


def address_of(number: int, slot: int) -> str:
    return f"100.{64 + number}.{slot >> 8}.{slot & 0xFF}"


def gateway_table(accesses: Sequence[NetworkAccess], most_connections: int) -> List[Message]:
    """The filter between sandboxes and the uplink, and their disguise as the gateway."""
    messages = [
        nftables.table(TABLE),
        nftables.counting_set(TABLE, "sources", 3),
        nftables.counting_set(TABLE, "paces", 4),
        nftables.addresses_set(TABLE, HOST),
        nftables.base_chain(TABLE, "forward", "filter", nftables.FORWARD, _FILTER, drops=True),
        nftables.base_chain(TABLE, "input", "filter", nftables.INPUT, _FILTER, drops=True),
        nftables.base_chain(TABLE, "disguise", "nat", nftables.POSTROUTING, _SOURCE_NAT),
        rule(TABLE, "forward", is_ipv4(unless=True), drop()),
        rule(TABLE, "forward", is_established(), accept()),
        # What belongs to no connection would keep the sandbox's address.
        rule(TABLE, "forward", is_new(unless=True), drop()),
        # Neither from outside nor to another sandbox.
        rule(TABLE, "forward", comes_from(UPLINK), drop()),
        rule(TABLE, "forward", goes_to(UPLINK, unless=True), drop()),
        rule(TABLE, "forward", to_one_of(HOST), reject()),
        rule(TABLE, "forward", source_has_more_connections_than(CONNECTIONS, "sources"), drop()),
        rule(TABLE, "forward", nftables.has_more_connections_than(most_connections), drop()),
        rule(TABLE, "forward", source_comes_faster_than(NEW_CONNECTIONS, CONNECTIONS, "paces"), drop()),
        rule(TABLE, "forward", comes_faster_than(max(1, most_connections // _PACE_OF_ALL), most_connections), drop()),
        rule(TABLE, "disguise", goes_to(UPLINK), masquerade()),
        rule(TABLE, "input", is_ipv4(unless=True), drop()),
        rule(TABLE, "input", comes_from(UPLINK), drop()),
    ]
    for protocol in (socket.IPPROTO_UDP, socket.IPPROTO_TCP):
        asks = to_port(protocol, DNS_PORT)
        messages.append(rule(TABLE, "input", to_network(f"{RESOLVER}/32"), asks, accept()))
    messages += _untracked_questions()
    for number, access in enumerate(accesses):
        messages += _access_chain(f"access-{number}", access)
        messages.append(rule(TABLE, "forward", from_network(network_of(number)), jump(f"access-{number}")))
    return nftables.transaction(messages)


def _untracked_questions() -> List[Message]:
    """Each would take a place in the table that all sandboxes share, at any rate that one asks."""
    return [
        nftables.base_chain(TABLE, "questions", "filter", nftables.PREROUTING, _RAW),
        nftables.base_chain(TABLE, "answers", "filter", nftables.OUTPUT, _RAW),
        rule(TABLE, "questions", is_ipv4(), to_network(f"{RESOLVER}/32"), untracked()),
        rule(TABLE, "answers", is_ipv4(), from_network(f"{RESOLVER}/32"), untracked()),
    ]


def _access_chain(name: str, access: NetworkAccess) -> List[Message]:
    messages = [nftables.chain(TABLE, name)]
    messages += [rule(TABLE, name, to_network(each), accept()) for each in access.allowed if ":" not in each]
    if not access.internet:
        return [*messages, rule(TABLE, name, reject())]
    closed = [each for each in closed_networks.CLOSED if ":" not in each]
    messages += [rule(TABLE, name, to_network(each), reject()) for each in closed]
    return [*messages, rule(TABLE, name, accept())]


def host_table(name: str, flags: int, uplink: str, source: str) -> List[Message]:
    """`uplink`: the host's end of the way to the gateway, whose address is `source`."""
    messages = [
        nftables.table(name, flags),
        nftables.names_set(name, FORWARDING),
        nftables.base_chain(name, "input", "filter", nftables.INPUT, _EARLY),
        nftables.base_chain(name, "forward", "filter", nftables.FORWARD, _EARLY),
        nftables.base_chain(name, "disguise", "nat", nftables.POSTROUTING, _SOURCE_NAT),
        rule(name, "input", comes_from(uplink), drop()),
        rule(name, "forward", comes_from(uplink), is_ipv4(unless=True), drop()),
        rule(name, "forward", comes_from(uplink), from_network(f"{source}/32", unless=True), drop()),
        # A published port of a container's, for one: the host's own address by another way.
        rule(name, "forward", comes_from(uplink), was_redirected(), drop()),
        rule(name, "forward", goes_to(uplink), is_established(), accept()),
        rule(name, "forward", goes_to(uplink), drop()),
        # These forward for the gateway's sake: that makes the host nobody else's router.
        rule(name, "forward", is_ipv4(), comes_from_one_of(FORWARDING), is_new(), was_redirected(unless=True), drop()),
        rule(name, "disguise", is_ipv4(), from_network(f"{source}/32"), goes_to(uplink, unless=True), masquerade()),
    ]
    return nftables.transaction(messages)
