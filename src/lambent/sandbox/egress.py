"""The way out of sandboxes: a network namespace between them and the host, whose filter no function can touch.

    sandbox eth0 ── s<slot> [gateway: filter, disguise, resolver] up0 ── lb-<region> [host: shield, disguise] ── outside

`Gateway` makes it at the region's start and takes it away at its end; `egress_door` gives sandboxes
their links. What may be reached is `egress_filter`, what changes on the host `egress_host`. Python 3.8 syntax.
"""

import contextlib
import errno
import os
import socket
from typing import Any, Callable, Dict, Set

from lambent.sandbox import commands, egress_filter, egress_helpers, egress_host, network, nftables, routing, syscalls
from lambent.sandbox.netlink import NETFILTER, ROUTE, Message, Netlink
from lambent.sandbox.spec import NetworkAccess, SandboxError, as_sandbox_error, sandbox_error

_UPLINK_INDEX = 2
_TABLE_PREFIX = "lambent-"
#: Seconds.
_RESOLVER_AFTER = 0.7
_BOTH_WAYS = (nftables.comes_from, nftables.goes_to)
#: In the gateway: what comes from a sandbox has the sandbox's address, no route of its own, and earns no redirect. Its
#: table of connections forgets those that were idle longer than a sandbox lives.
_SETTINGS = (
    ("ipv4/conf/all/rp_filter", "1"),
    ("ipv4/conf/default/rp_filter", "1"),
    ("ipv4/conf/all/accept_source_route", "0"),
    ("ipv4/conf/all/accept_redirects", "0"),
    ("ipv4/conf/default/accept_redirects", "0"),
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
    ("ipv4/conf/all/arp_ignore", "0"),
    ("ipv4/conf/default/arp_ignore", "0"),
    ("ipv4/conf/all/arp_filter", "0"),
    ("ipv4/conf/default/arp_filter", "0"),
    # What is prohibited is answered at once, however often, and out of no budget of the host's.
    ("ipv4/icmp_ratemask", "0"),
    ("ipv4/ip_forward", "1"),
)
_OPTIONAL_SETTINGS = (
    ("ipv6/conf/default/disable_ipv6", "1"),
    ("netfilter/nf_conntrack_tcp_timeout_established", "3600"),
)


class Gateway:
    """`tag` names the region, `accesses` what its functions may reach: the n-th is that of network n."""

    def __init__(self, tag: str, accesses: "tuple[NetworkAccess, ...]", is_root: bool, loop: Any) -> None:
        self._tag = tag
        self._accesses = accesses
        self._is_root = is_root
        self._loop = loop
        self._allowed = [network for access in accesses for network in access.allowed]
        self._link = f"lb-{tag[-12:]}"
        self._table = f"{_TABLE_PREFIX}{tag[-12:]}"
        self.mtu = 1500
        self.namespace_fd = -1
        self._closing = contextlib.ExitStack()
        self._forwarding: "egress_host.Forwarding | None" = None
        #: The owner of the host's table, which goes with it.
        self._host_filter: "Netlink | None" = None
        self._filter: "Netlink | None" = None
        self._watcher: "Netlink | None" = None
        self._shielded: Set[str] = set()
        self._forwards: Set[str] = set()
        self.on_trouble: Callable[[SandboxError], None] = lambda error: None

    def open(self, uid: int, has_groups: bool) -> None:
        """Make it; `uid` is whom its resolver becomes. Raises SandboxError, and then nothing of it is left."""
        try:
            self._open(uid, has_groups)
        except (SandboxError, OSError) as error:
            self.close()
            raise _explained(as_sandbox_error(error)) from error

    def _open(self, uid: int, has_groups: bool) -> None:
        self.mtu = egress_host.smallest_mtu(egress_host.interfaces_outside(self._link, self._allowed))
        fds = _make_namespace()
        for fd in fds.values():
            self._closing.callback(os.close, fd)
        self.namespace_fd = fds["namespace"]
        self._filter = self._kept(Netlink(NETFILTER, os.dup(fds["filter"])))
        most = egress_host.most_connections(egress_filter.ALL_CONNECTIONS)
        self._filter.ask(egress_filter.gateway_table(self._accesses, most))
        if self._is_root:
            self._join_host(fds["routes"])
        else:
            self._join_by_program()
        # Questions wait in its sockets meanwhile; the region's start has more urgent things to do.
        self._helper(egress_helpers.dns(self._loop, fds, uid, has_groups), _RESOLVER_AFTER)
        self._watcher = self._kept(Netlink(ROUTE, groups=routing.ADDRESSES | routing.ROUTES))
        self._loop.watch(self._watcher.sock, self._on_host_changed)
        self._closing.callback(self._loop.forget, self._watcher.sock)
        self._look_at_host()

    def close(self) -> None:
        """Take it away, and what it changed on the host."""
        self._closing.close()
        self.namespace_fd = -1

    def _kept(self, conversation: Netlink) -> Netlink:
        self._closing.callback(conversation.close)
        return conversation

    def _helper(self, helper: egress_helpers.Helper, after: float = 0.0) -> None:
        helper.on_trouble = lambda error: self.on_trouble(error)
        self._loop.later(after, helper.start)
        self._closing.callback(helper.close)

    # ---- the uplink -------------------------------------------------------------------------------------------------

    def _join_host(self, gateway_routes_fd: int) -> None:
        """Root's: a pair of links, behind a table that was there before them."""
        ours, theirs = egress_host.free_pair(self._tag)
        self._shield_host(theirs)
        self._pass_firewalls()
        self._forwarding = egress_host.Forwarding()
        self._closing.callback(self._forwarding.close)
        host = self._kept(Netlink(ROUTE))
        with contextlib.suppress(OSError, SandboxError):
            # Of a region that was killed just now.
            host.ask([routing.delete(socket.if_nametoindex(self._link))])
        host.ask([routing.pair(self._link, 0, egress_filter.UPLINK, _UPLINK_INDEX, self.namespace_fd, self.mtu)])
        index = socket.if_nametoindex(self._link)
        self._closing.callback(_delete_link, host, index)
        egress_host.disable_ipv6(self._link)
        egress_host.forward(self._link)
        host.ask([routing.address(index, ours, 31), routing.up(index)])
        with Netlink(ROUTE, os.dup(gateway_routes_fd)) as gateway:
            gateway.ask(
                [
                    routing.address(_UPLINK_INDEX, theirs, 31),
                    routing.up(_UPLINK_INDEX),
                    routing.route(_UPLINK_INDEX, None, ours),
                ]
            )

    def _shield_host(self, source: str) -> None:
        self._host_filter = self._kept(Netlink(NETFILTER))
        sweep(self._host_filter)
        try:
            # It outlives a killed supervisor, so that what that leaves forwarding stays shielded until the next start.
            flags = nftables.OWNED | nftables.PERSISTENT
            self._host_filter.ask(egress_filter.host_table(self._table, flags, self._link, source))
        except SandboxError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
            # Linux before 6.9
            self._host_filter.ask(egress_filter.host_table(self._table, nftables.OWNED, self._link, source))
        self._closing.callback(_try, self._host_filter, nftables.delete_table(self._table))

    def _pass_firewalls(self) -> None:
        """Where the host drops what it does not know (Docker and ufw have it so): it knows the uplink from now on.

        A rule behind all of theirs: what they drop by name they still drop. Our own chain has decided before.
        """
        assert self._host_filter is not None
        for chain in nftables.closing_chains(self._host_filter):
            wanted = [nftables.pass_in(chain, self._table, way(self._link), nftables.accept()) for way in _BOTH_WAYS]
            self._host_filter.ask(nftables.transaction(wanted))
        self._closing.callback(_leave_firewalls, self._host_filter, self._table)

    def _join_by_program(self) -> None:
        uplink = egress_helpers.user_mode_uplink(self._loop, self.namespace_fd, egress_filter.UPLINK, self.mtu)
        if uplink is None:
            hint = "Install slirp4netns: a region of an ordinary user needs it for a way out."
            raise SandboxError("egress", "slirp4netns", 0, hint)
        self._helper(uplink)

    # ---- the host as it is now --------------------------------------------------------------------------------------

    def _on_host_changed(self) -> None:
        assert self._watcher is not None
        self._watcher.discard()
        try:
            self._look_at_host()
        except (SandboxError, OSError) as error:
            self.on_trouble(as_sandbox_error(error))

    def _look_at_host(self) -> None:
        """Close its addresses in the gateway already, and see to it that its ways out forward."""
        assert self._watcher is not None
        assert self._filter is not None
        with Netlink(ROUTE) as conversation:
            addresses = set(routing.addresses(conversation))
        changes = [
            nftables.add_address(egress_filter.TABLE, egress_filter.HOST, each) for each in addresses - self._shielded
        ]
        gone = self._shielded - addresses
        changes += [nftables.delete_address(egress_filter.TABLE, egress_filter.HOST, each) for each in gone]
        if changes:
            self._filter.ask(nftables.transaction(changes))
        self._shielded = addresses
        if self._forwarding is None or self._host_filter is None:
            return
        outside = egress_host.interfaces_outside(self._link, self._allowed)
        # One that comes back is not told any more.
        self._forwards &= outside
        for name in outside - self._forwards:
            if self._forwarding.enable(name):
                element = nftables.add_name(self._table, egress_filter.FORWARDING, name)
                self._host_filter.ask(nftables.transaction([element]))
            self._forwards.add(name)


def sweep(conversation: Netlink) -> None:
    """Delete the tables of regions that were killed: nobody owns them. Their rules among others' go too."""
    tables = nftables.tables(conversation)
    for chain in nftables.closing_chains(conversation):
        living = [name for name, is_owned in tables if is_owned]
        for rule in nftables.noted_rules(conversation, chain, _TABLE_PREFIX):
            if not any(rule in nftables.noted_rules(conversation, chain, name) for name in living):
                _try(conversation, nftables.delete_rule(rule))
    for name, is_owned in tables:
        if name.startswith(_TABLE_PREFIX) and not is_owned:
            _try(conversation, nftables.delete_table(name))


def _leave_firewalls(conversation: Netlink, note: str) -> None:
    for chain in nftables.closing_chains(conversation):
        for rule in nftables.noted_rules(conversation, chain, note):
            _try(conversation, nftables.delete_rule(rule))


def _try(conversation: Netlink, message: Message) -> None:
    """What others may have done meanwhile."""
    with contextlib.suppress(SandboxError):
        conversation.ask(nftables.transaction([message]))


def _delete_link(host: Netlink, index: int) -> None:
    with contextlib.suppress(SandboxError):
        host.ask([routing.delete(index)])


def _explained(error: SandboxError) -> SandboxError:
    if error.errno in (errno.EOPNOTSUPP, errno.ENOENT, errno.EPROTONOSUPPORT):
        hint = f"{error.hint} The kernel lacks it (veth and nftables are needed).".strip()
        return SandboxError(error.call, error.target, error.errno, hint)
    return error


# ---- the gateway's namespace ----------------------------------------------------------------------------------------


def _make_namespace() -> Dict[str, int]:
    """Descriptors of all that is there. A child makes it: who is not the host's root could not come back from it."""
    ours, theirs = commands.socket_pair()
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            parts = _furnish_namespace()
            commands.send(theirs, {"fds": list(parts)}, list(parts.values()))
        except (SandboxError, OSError) as error:
            commands.send(theirs, {"error": as_sandbox_error(error).to_json()})
        finally:
            os._exit(0)
    theirs.close()
    with ours:
        received = commands.receive(ours)
    os.waitpid(pid, 0)
    if received is None:
        raise SandboxError("make", "the gateway", 0, "The process that makes it was killed.")
    message, fds = received
    if "error" in message:
        raise sandbox_error(message["error"])
    return dict(zip(message["fds"], fds))


def _furnish_namespace() -> Dict[str, int]:
    syscalls.unshare(syscalls.CLONE_NEWNET)
    for name, value in _SETTINGS:
        _set(name, value)
    for name, value in _OPTIONAL_SETTINGS:
        with contextlib.suppress(OSError):
            _set(name, value)
    routes = Netlink(ROUTE)
    routes.ask([routing.up(1), routing.address(1, egress_filter.RESOLVER, 32)])
    where = (egress_filter.RESOLVER, egress_filter.DNS_PORT)
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(where)
    return {
        "namespace": os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC),
        "routes": routes.sock.detach(),
        "filter": Netlink(NETFILTER).sock.detach(),
        "datagrams": datagrams.detach(),
        "listener": network.listen(*where).detach(),
    }


def _set(name: str, value: str) -> None:
    with open(f"/proc/sys/net/{name}", "w", encoding="ascii") as file:
        file.write(value)
