"""What the way out changes on the host, looked up, made and undone: forwarding of its interfaces, and nothing for good.

An interface passes packets on only where the host says so. Those that lead outside are told to, if they do not yet, and
told otherwise by the last region that ends; a file below /run remembers them meanwhile. Python 3.8 syntax.
"""

import contextlib
import fcntl
import hashlib
import ipaddress
import os
import socket
import struct
from typing import Iterable, List, NamedTuple, Set, Tuple

from lambent.sandbox import closed_networks

RUN = "/run/lambent"
_CONF = "/proc/sys/net/ipv4/conf"
_SIOCGIFMTU = 0x8921
_SO_NETNS_COOKIE = 71
_DEFAULT_MTU = 1500
#: Of link-local addresses, the pairs at the two ends of uplinks: not those that clouds or sandboxes use.
_PAIRS = ipaddress.IPv4Network("169.254.0.0/16")
_KEPT = tuple(ipaddress.IPv4Network(f"169.254.{third}.0/24") for third in (0, 100, 169, 170, 171, 254, 255))


class Route(NamedTuple):
    interface: str
    network: ipaddress.IPv4Network


def routes() -> List[Route]:
    """The main table of the host."""
    found = []
    with open("/proc/self/net/route", encoding="ascii") as file:
        for line in list(file)[1:]:
            name, destination, _, flags, _, _, _, mask = line.split()[:8]
            if int(flags, 16) & 1:
                packed = [socket.inet_ntoa(struct.pack("=I", int(word, 16))) for word in (destination, mask)]
                found.append(Route(name, ipaddress.IPv4Network(f"{packed[0]}/{packed[1]}", strict=False)))
    return found


def interfaces_outside(own: str, allowed: Iterable[str]) -> Set[str]:
    """Those that lead to the internet, or to what is allowed beside it."""
    wanted = [network for network in closed_networks.parse(allowed) if isinstance(network, ipaddress.IPv4Network)]
    found = set()
    for route in routes():
        is_wanted = route.network.prefixlen == 0 or any(route.network.overlaps(network) for network in wanted)
        if is_wanted and route.interface not in (own, "lo") and not route.interface.startswith("lb-"):
            found.add(route.interface)
    return found


def smallest_mtu(interfaces: Iterable[str]) -> int:
    sizes = [_DEFAULT_MTU]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for name in interfaces:
            with contextlib.suppress(OSError):
                answer = fcntl.ioctl(control, _SIOCGIFMTU, struct.pack("16sI12x", name.encode(), 0))
                sizes.append(struct.unpack("16sI12x", answer)[1])
    # Less no IPv4 path has; a smaller answer is some other thing's.
    return max(576, min(sizes))


def free_pair(tag: str) -> Tuple[str, str]:
    """Addresses of the two ends of an uplink, the host's first: the same for a region unless the host knows them."""
    taken = {route.network for route in routes() if route.network.prefixlen > 16}
    start = int(hashlib.sha256(tag.encode()).hexdigest()[:8], 16)
    for step in range(1 << 15):
        first = _PAIRS.network_address + 2 * ((start + step) % (1 << 15))
        network = ipaddress.IPv4Network(f"{first}/31")
        if not any(network.overlaps(other) for other in (*_KEPT, *taken)):
            return str(first), str(first + 1)
    raise OSError("No pair of link-local addresses is free.")


def most_connections(wanted: int) -> int:
    """No more than half of those that the kernel tracks: the host has connections of its own."""
    limit = _read("/proc/sys/net/netfilter/nf_conntrack_max")
    return min(wanted, int(limit) // 2) if limit.isdigit() and int(limit) else wanted


def disable_ipv6(interface: str) -> None:
    # Where there is no IPv6 there is nothing to disable.
    with contextlib.suppress(OSError):
        _write(f"/proc/sys/net/ipv6/conf/{interface}/disable_ipv6", "1")


def forward(interface: str) -> None:
    _write(f"{_CONF}/{interface}/forwarding", "1")


def forwarding_file() -> str:
    """Of this network namespace. By its cookie, since the number of its inode may be another one's tomorrow."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            cookie = struct.unpack("=Q", sock.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8))[0]
        except OSError:  # Linux before 5.14
            cookie = os.stat("/proc/self/ns/net").st_ino
    return f"{RUN}/forwarding-{cookie}"


class Forwarding:
    """The host's interfaces that Lambent told to forward, shared by all regions of a network namespace."""

    def __init__(self) -> None:
        os.makedirs(RUN, mode=0o755, exist_ok=True)
        self._path = forwarding_file()
        self._fd = self._open()
        if self._is_alone():
            # Left by regions that were killed.
            self._undo()
        fcntl.flock(self._fd, fcntl.LOCK_SH)

    def _open(self) -> int:
        while True:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            fcntl.flock(fd, fcntl.LOCK_SH)
            # A region that ends may have removed it in between.
            if os.fstat(fd).st_nlink:
                return fd
            os.close(fd)

    def enable(self, interface: str) -> bool:
        """True: it forwards for Lambent's sake alone."""
        is_ours = interface in self._enabled()
        if _read(f"{_CONF}/{interface}/forwarding") != "0":
            return is_ours
        if not is_ours:
            os.pwrite(self._fd, f"{interface}\n".encode(), os.fstat(self._fd).st_size)
        forward(interface)
        return True

    def close(self) -> None:
        if self._is_alone():
            self._undo()
            with contextlib.suppress(OSError):
                os.unlink(self._path)
                os.rmdir(RUN)
        os.close(self._fd)

    def _enabled(self) -> List[str]:
        return os.pread(self._fd, 1 << 16, 0).decode().split()

    def _is_alone(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _undo(self) -> None:
        # Whoever made the whole host a router since then means these too.
        if _read(f"{_CONF}/all/forwarding") == "0":
            for interface in self._enabled():
                with contextlib.suppress(OSError):
                    _write(f"{_CONF}/{interface}/forwarding", "0")
        os.ftruncate(self._fd, 0)


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def _write(path: str, value: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(value)
