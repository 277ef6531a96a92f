"""A sandbox's link to the gateway (`egress`), made by a builder. Python 3.8 syntax."""

import os
import socket
import struct

from lambent.sandbox import egress_filter, routing, syscalls
from lambent.sandbox.netlink import ROUTE, Netlink, pack, quietly

#: Of eth0 in each sandbox; 1 is loopback.
_INDEX = 2
#: Of the gateway's ends: the slot is added.
_FIRST_INDEX = 16


#: What stands in the prepared messages for a sandbox's own values; neither is found anywhere else in them.
_SLOT, _ACCESS = 0xBABE, 0x5A


class Door:
    """A builder's side of the gateway: it gives each new sandbox a link, in the namespace that the caller is in.

    Its messages are prepared: what a builder does after it forked an init costs a copy of every page that it touches.
    """

    def __init__(self, namespace_fd: int, home_fd: int, mtu: int, proc_fd: int) -> None:
        wanted = [routing.pair("eth0", _INDEX, _name(_SLOT), _FIRST_INDEX + _SLOT, namespace_fd, mtu)]
        if _exists("self/net/if_inet6", proc_fd):
            wanted.append(routing.without_ipv6(_INDEX))
        address = egress_filter.address_of(_ACCESS, _SLOT)
        wanted += [
            routing.address(_INDEX, address, 32),
            routing.up(_INDEX),
            routing.route(_INDEX, None, egress_filter.RESOLVER),
        ]
        self._inside = pack(quietly(wanted))
        self._last_inside = len(wanted)
        theirs = _FIRST_INDEX + _SLOT
        self._outside = pack(quietly([routing.up(theirs), routing.route(theirs, address, None)]))
        syscalls.setns(namespace_fd, syscalls.CLONE_NEWNET)
        try:
            self._gateway = Netlink(ROUTE)
        finally:
            syscalls.setns(home_fd, syscalls.CLONE_NEWNET)

    def join(self, number: int, slot: int) -> None:
        """`number`: of what the sandbox may reach."""
        with Netlink(ROUTE) as sandbox:
            sandbox.tell(_filled(self._inside, number, slot), self._last_inside, "a link to the gateway")
        self._gateway.tell(_filled(self._outside, number, slot), 2, "the gateway's link to a sandbox")


def _filled(prepared: bytes, number: int, slot: int) -> bytes:
    for theirs, own in zip(_values(_ACCESS, _SLOT), _values(number, slot)):
        prepared = prepared.replace(theirs, own)
    return prepared


def _values(number: int, slot: int) -> "tuple[bytes, bytes, bytes]":
    """Name and index of the gateway's end, and the sandbox's address."""
    address = socket.inet_aton(egress_filter.address_of(number, slot))
    return _name(slot).encode(), struct.pack("=I", _FIRST_INDEX + slot), address


def _name(slot: int) -> str:
    return f"s{slot:05d}"


def _exists(path: str, folder_fd: int) -> bool:
    try:
        os.stat(path, dir_fd=folder_fd)
    except OSError:
        return False
    return True
