"""nftables by nfnetlink: tables, chains, rules and sets as messages, sent as one transaction. Python 3.8 syntax.

A rule is a list of expressions; those here are what `egress_filter` needs, each named as `nft` would print it.
"""

import ipaddress
import socket
import struct
from typing import List, NamedTuple, Sequence, Tuple

from lambent.sandbox import netlink
from lambent.sandbox.netlink import Message, attribute, nested, text

INET, IPV4 = 1, 2
_BEGIN, _END, _SUBSYSTEM = 16, 17, 10
_NEW_TABLE, _GET_TABLE, _DELETE_TABLE = 0, 1, 2
_NEW_CHAIN, _GET_CHAIN, _NEW_RULE, _GET_RULE, _DELETE_RULE = 3, 4, 6, 7, 8
_NEW_SET, _NEW_ELEMENTS, _DELETE_ELEMENTS = 9, 12, 14

OWNED, PERSISTENT = 2, 4
PREROUTING, INPUT, FORWARD, OUTPUT, POSTROUTING = 0, 1, 2, 3, 4
_DROP, _ACCEPT, _JUMP = 0, 1, -3

_REGISTER = 1
_VERDICT_REGISTER = 0
_IIFNAME, _OIFNAME, _PROTOCOL_OF_NETWORK, _PROTOCOL = 6, 7, 15, 16
_CT_STATE, _CT_STATUS = 0, 2
_ESTABLISHED, _RELATED, _NEW = 2, 4, 8
_DESTINATION_CHANGED = 1 << 5
_NAME_KIND, _ADDRESS_KIND = 41, 7
_EQUAL, _UNEQUAL = 0, 1

Expression = bytes


def number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack(">i" if value < 0 else ">I", value))


def _message(kind: int, flags: int, family: int, body: bytes, what: str) -> Message:
    return Message(_SUBSYSTEM << 8 | kind, flags, struct.pack("=BBH", family, 0, 0) + body, what)


def transaction(messages: Sequence[Message]) -> List[Message]:
    """All of them or none."""
    frame = struct.pack("=BBH", socket.AF_UNSPEC, 0, socket.htons(_SUBSYSTEM))
    return [Message(_BEGIN, 0, frame, "nftables"), *messages, Message(_END, 0, frame, "nftables")]


# ---- tables, chains, sets -------------------------------------------------------------------------------------------


def table(name: str, flags: int = 0) -> Message:
    body = text(1, name) + number(2, flags)
    return _message(_NEW_TABLE, netlink.ACK | netlink.CREATE | netlink.EXCLUSIVE, INET, body, f"nftables table {name}")


def delete_table(name: str) -> Message:
    return _message(_DELETE_TABLE, netlink.ACK, INET, text(1, name), f"delete nftables table {name}")


def tables(conversation: netlink.Netlink) -> List[Tuple[str, bool]]:
    """Names of the tables of our family, each with whether a living process owns it."""
    found = []
    for _, body in conversation.ask([_message(_GET_TABLE, netlink.DUMP, INET, b"", "nftables tables")]):
        fields = dict(netlink.attributes(body[4:]))
        found.append((fields[1].rstrip(b"\0").decode(), 7 in fields))
    return found


def chain(table: str, name: str) -> Message:
    """One that others jump to."""
    flags = netlink.ACK | netlink.CREATE
    return _message(_NEW_CHAIN, flags, INET, text(1, table) + text(3, name), f"nftables chain {name}")


def base_chain(table: str, name: str, kind: str, hook: int, priority: int, drops: bool = False) -> Message:
    body = text(1, table) + text(3, name) + nested(4, number(1, hook), number(2, priority))
    body += number(5, _DROP if drops else _ACCEPT) + text(7, kind)
    return _message(_NEW_CHAIN, netlink.ACK | netlink.CREATE, INET, body, f"nftables chain {name}")


def names_set(table: str, name: str) -> Message:
    """A set of interfaces' names."""
    return _set(table, name, 1, number(3, 0) + number(4, _NAME_KIND) + number(5, 16))


def addresses_set(table: str, name: str) -> Message:
    return _set(table, name, 2, number(3, 0) + number(4, _ADDRESS_KIND) + number(5, 4))


def counting_set(table: str, name: str, identity: int) -> Message:
    """A set of addresses that rules fill and each of whose elements counts for itself."""
    dynamic = 0x20
    size = nested(9, number(1, 65536))
    return _set(table, name, identity, number(3, dynamic) + number(4, _ADDRESS_KIND) + number(5, 4) + size)


def _set(table: str, name: str, identity: int, fields: bytes) -> Message:
    body = text(1, table) + text(2, name) + fields + number(10, identity)
    return _message(_NEW_SET, netlink.ACK | netlink.CREATE, INET, body, f"nftables set {name}")


def add_name(table: str, name: str, element: str) -> Message:
    return _element(_NEW_ELEMENTS, table, name, _padded(element))


def add_address(table: str, name: str, address: str) -> Message:
    return _element(_NEW_ELEMENTS, table, name, socket.inet_aton(address))


def delete_address(table: str, name: str, address: str) -> Message:
    return _element(_DELETE_ELEMENTS, table, name, socket.inet_aton(address))


def _element(kind: int, table: str, name: str, key: bytes) -> Message:
    body = text(1, table) + text(2, name) + nested(3, nested(1, nested(1, attribute(1, key))))
    flags = netlink.ACK | (netlink.CREATE if kind == _NEW_ELEMENTS else 0)
    return _message(kind, flags, INET, body, f"an element of the nftables set {name}")


def rule(table: str, chain: str, *parts: List[Expression]) -> Message:
    """What its last part says, for packets of which all the parts before are true."""
    expressions = [nested(1, expression) for part in parts for expression in part]
    body = text(1, table) + text(2, chain) + nested(4, *expressions)
    return _message(_NEW_RULE, netlink.ACK | netlink.CREATE | netlink.APPEND, INET, body, f"nftables rule in {chain}")


# ---- chains of others ------------------------------------------------------------------------------------------------


class Place(NamedTuple):
    """A rule's, or with handle 0 a chain's."""

    family: int
    table: str
    chain: str
    handle: int = 0


def closing_chains(conversation: netlink.Netlink) -> List[Place]:
    """Chains that drop what the host forwards unless one of their rules takes it."""
    found = []
    for family in (INET, IPV4):
        for _, body in conversation.ask([_message(_GET_CHAIN, netlink.DUMP, family, b"", "nftables chains")]):
            fields = dict(netlink.attributes(body[4:]))
            hook = dict(netlink.attributes(fields.get(4, b"")))
            drops = fields.get(5) == struct.pack(">I", _DROP)
            if drops and hook.get(1) == struct.pack(">I", FORWARD):
                found.append(Place(family, _string(fields[1]), _string(fields[3])))
    return found


def pass_in(place: Place, note: str, *parts: List[Expression]) -> Message:
    """A rule behind all that are there."""
    expressions = [nested(1, expression) for part in parts for expression in part]
    comment = note.encode() + b"\0"
    body = text(1, place.table) + text(2, place.chain) + nested(4, *expressions)
    body += attribute(7, bytes([0, len(comment)]) + comment)
    flags = netlink.ACK | netlink.CREATE | netlink.APPEND
    return _message(_NEW_RULE, flags, place.family, body, f"nftables rule in {place.table} {place.chain}")


def noted_rules(conversation: netlink.Netlink, chain: Place, note: str) -> List[Place]:
    """Those in that chain which `pass_in` put there with a note that begins so."""
    body = text(1, chain.table) + text(2, chain.chain)
    found = []
    for _, answer in conversation.ask([_message(_GET_RULE, netlink.DUMP, chain.family, body, "nftables rules")]):
        fields = dict(netlink.attributes(answer[4:]))
        if _string(fields.get(2, b"")) == chain.chain and fields.get(7, b"")[2:].startswith(note.encode()):
            found.append(chain._replace(handle=struct.unpack(">Q", fields[3])[0]))
    return found


def delete_rule(rule: Place) -> Message:
    body = text(1, rule.table) + text(2, rule.chain) + attribute(3, struct.pack(">Q", rule.handle))
    return _message(_DELETE_RULE, netlink.ACK, rule.family, body, f"delete a nftables rule in {rule.chain}")


def _string(value: bytes) -> str:
    return value.rstrip(b"\0").decode()


# ---- expressions ----------------------------------------------------------------------------------------------------


def _expression(name: str, *fields: bytes) -> Expression:
    return text(1, name) + nested(2, *fields)


def _compare(value: bytes, operator: int = _EQUAL) -> Expression:
    return _expression("cmp", number(1, _REGISTER), number(2, operator), nested(3, attribute(1, value)))


def _padded(name: str) -> bytes:
    return name.encode().ljust(16, b"\0")


def _meta(key: int) -> Expression:
    return _expression("meta", number(1, _REGISTER), number(2, key))


def comes_from(interface: str, unless: bool = False) -> List[Expression]:
    return [_meta(_IIFNAME), _compare(_padded(interface), _UNEQUAL if unless else _EQUAL)]


def goes_to(interface: str, unless: bool = False) -> List[Expression]:
    return [_meta(_OIFNAME), _compare(_padded(interface), _UNEQUAL if unless else _EQUAL)]


def comes_from_one_of(names: str) -> List[Expression]:
    return [_meta(_IIFNAME), _expression("lookup", text(1, names), number(2, _REGISTER))]


def to_one_of(addresses: str) -> List[Expression]:
    load = _expression("payload", number(1, _REGISTER), number(2, 1), number(3, 16), number(4, 4))
    return [load, _expression("lookup", text(1, addresses), number(2, _REGISTER))]


def is_ipv4(unless: bool = False) -> List[Expression]:
    return [_meta(_PROTOCOL_OF_NETWORK), _compare(bytes([socket.AF_INET]), _UNEQUAL if unless else _EQUAL)]


def to_port(protocol: int, port: int) -> List[Expression]:
    base, offset = 2, 2
    return [_meta(_PROTOCOL), _compare(bytes([protocol])), *_field(base, offset, struct.pack(">H", port))]


def from_network(network: str, unless: bool = False) -> List[Expression]:
    return _in_network(network, 12, unless)


def to_network(network: str) -> List[Expression]:
    return _in_network(network, 16)


def _in_network(network: str, offset: int, unless: bool = False) -> List[Expression]:
    """IPv4's header holds the address there; the rule has made sure that it is IPv4's."""
    parsed = ipaddress.IPv4Network(network)
    return _field(1, offset, parsed.network_address.packed, parsed.netmask.packed, unless)


def _field(base: int, offset: int, value: bytes, mask: bytes = b"", unless: bool = False) -> List[Expression]:
    size = len(value)
    load = _expression("payload", number(1, _REGISTER), number(2, base), number(3, offset), number(4, size))
    compare = _compare(value, _UNEQUAL if unless else _EQUAL)
    return [load, _masked(mask), compare] if mask.strip(b"\xff") else [load, compare]


def _masked(mask: bytes) -> Expression:
    fields = (number(1, _REGISTER), number(2, _REGISTER), number(3, len(mask)))
    return _expression("bitwise", *fields, nested(4, attribute(1, mask)), nested(5, attribute(1, bytes(len(mask)))))


def _ct(key: int, mask: int, none_of: bool = False) -> List[Expression]:
    load = _expression("ct", number(1, _REGISTER), number(2, key))
    compare = _compare(bytes(4), _EQUAL if none_of else _UNEQUAL)
    return [load, _masked(struct.pack("=I", mask)), compare]


def is_established() -> List[Expression]:
    return _ct(_CT_STATE, _ESTABLISHED | _RELATED)


def is_new(unless: bool = False) -> List[Expression]:
    return _ct(_CT_STATE, _NEW, none_of=unless)


def was_redirected(unless: bool = False) -> List[Expression]:
    """Some rule of the host's changed its destination."""
    return _ct(_CT_STATUS, _DESTINATION_CHANGED, none_of=unless)


def has_more_connections_than(count: int) -> List[Expression]:
    return [_connections(count)]


def source_has_more_connections_than(count: int, addresses: str) -> List[Expression]:
    return _each_source(addresses, _connections(count))


def comes_faster_than(rate: int, burst: int) -> List[Expression]:
    """More packets than `rate` in a second, once there were `burst` beyond it."""
    return [_pace(rate, burst)]


def source_comes_faster_than(rate: int, burst: int, addresses: str) -> List[Expression]:
    return _each_source(addresses, _pace(rate, burst))


def _each_source(addresses: str, expression: Expression) -> List[Expression]:
    load = _expression("payload", number(1, _REGISTER), number(2, 1), number(3, 12), number(4, 4))
    add = 0
    return [
        load,
        _expression("dynset", text(1, addresses), number(3, add), number(4, _REGISTER), nested(7, expression)),
    ]


def _pace(rate: int, burst: int) -> Expression:
    by_packets, over, second = 0, 1, 1
    each = attribute(1, struct.pack(">Q", rate)), attribute(2, struct.pack(">Q", second))
    return _expression("limit", *each, number(3, burst), number(4, by_packets), number(5, over))


def _connections(count: int) -> Expression:
    over = 1
    return _expression("connlimit", number(1, count), number(2, over))


def _verdict(code: int, *more: bytes) -> Expression:
    return _expression("immediate", number(1, _VERDICT_REGISTER), nested(2, nested(2, number(1, code), *more)))


def accept() -> List[Expression]:
    return [_verdict(_ACCEPT)]


def drop() -> List[Expression]:
    return [_verdict(_DROP)]


def jump(chain: str) -> List[Expression]:
    return [_verdict(_JUMP, text(2, chain))]


def reject() -> List[Expression]:
    """Answer that it is prohibited, so that whoever asked need not wait."""
    by_icmp, prohibited = 2, 3
    return [_expression("reject", number(1, by_icmp), attribute(2, bytes([prohibited])))]


def untracked() -> List[Expression]:
    return [_expression("notrack")]


def masquerade() -> List[Expression]:
    return [_expression("masq")]
