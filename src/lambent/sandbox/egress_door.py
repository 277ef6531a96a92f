"""A sandbox's link to the gateway (`egress`), made by a builder. Python 3.8 syntax."""

import contextlib
import os

from lambent.sandbox import egress_filter, routing, syscalls
from lambent.sandbox.netlink import ROUTE, Netlink

#: Of eth0 in each sandbox; 1 is loopback.
_INDEX = 2
#: Of the gateway's ends: the slot is added.
_FIRST_INDEX = 16


class Door:
    """A builder's side of the gateway: it gives each new sandbox a link, in the namespace that the caller is in."""

    def __init__(self, namespace_fd: int, home_fd: int, mtu: int, proc_fd: int) -> None:
        self._namespace_fd = namespace_fd
        self._mtu = mtu
        self._proc_fd = proc_fd
        syscalls.setns(namespace_fd, syscalls.CLONE_NEWNET)
        try:
            self._gateway = Netlink(ROUTE)
        finally:
            syscalls.setns(home_fd, syscalls.CLONE_NEWNET)

    def join(self, number: int, slot: int) -> None:
        """`number`: of what the sandbox may reach."""
        address = egress_filter.address_of(number, slot)
        theirs = _FIRST_INDEX + slot
        self._refuse_ipv6()
        with Netlink(ROUTE) as sandbox:
            sandbox.ask(
                [
                    routing.pair("eth0", _INDEX, f"s{slot}", theirs, self._namespace_fd, self._mtu),
                    routing.address(_INDEX, address, 32),
                    routing.up(_INDEX),
                ]
            )
            self._gateway.ask([routing.up(theirs), routing.route(theirs, address, None)])
            sandbox.ask([routing.route(_INDEX, None, egress_filter.RESOLVER)])

    def _refuse_ipv6(self) -> None:
        """No addresses of IPv6 for links to come: it leads nowhere, and would only make noise."""
        with contextlib.suppress(OSError):
            fd = os.open("sys/net/ipv6/conf/default/disable_ipv6", os.O_WRONLY | os.O_CLOEXEC, dir_fd=self._proc_fd)
            try:
                os.write(fd, b"1")
            finally:
                os.close(fd)
