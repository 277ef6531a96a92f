"""A host and an internet of the test's own: network namespaces that no packet leaves.

Helper of the tests of egress; run as root, in a process that may move into new namespaces. `Internet` answers at each
of its addresses: TCP 80 with the address that it was asked from, UDP 7777 with what it got, and DNS at 10.53.0.53.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import selectors
import signal
import socket
import struct
import subprocess
from pathlib import Path
from typing import Any

import supervisor_harness

from lambent.sandbox import egress_host, levels, nftables, routing, syscalls
from lambent.sandbox.netlink import NETFILTER, ROUTE, Netlink

#: The host's own addresses there, its public one first.
HOST = ("203.0.113.2", "10.20.30.40")
ROUTER = "203.0.113.1"
PUBLIC = "198.51.100.10"
RESOLVER = "10.53.0.53"
CLOSED = ("10.9.0.5", "192.168.7.7", "172.16.5.5", "100.100.100.200", "169.254.169.254", "168.63.129.16", "192.0.0.192")
NAME = "service.example"
_ORDINARY = 61234


def claim_outside(data_dir: str) -> socket.socket:
    """A region's sign of life for those outside, whose sweep would not see it from another network namespace."""
    sign = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sign.bind("\0" + levels.region_tag(data_dir))
    return sign


def new_host(resolv_conf: str = f"nameserver {RESOLVER}\n") -> int:
    """Move this process into a host of its own, joined to an internet; the pid that is the internet.

    Its resolver is what `resolv_conf` says.
    """
    syscalls.unshare(syscalls.CLONE_NEWNET | syscalls.CLONE_NEWNS)
    syscalls.mount("none", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
    path = f"/tmp/resolv-{os.getpid()}"
    with open(path, "w") as file:
        file.write(resolv_conf)
    os.close(os.open(path, os.O_RDONLY))
    tree = syscalls.clone_tree(path)
    syscalls.attach_tree(tree, os.path.realpath("/etc/resolv.conf"))
    os.close(tree)
    os.unlink(path)
    for name in ("ip_forward", "conf/default/forwarding"):
        with open(f"/proc/sys/net/ipv4/{name}", "w") as file:
            file.write("0")
    read_end, write_end = os.pipe()
    # Held by this process as long as it lives; a signal of its death would not reach the other once it is no root.
    life, living = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(living)
            _be_internet(write_end, life)
        finally:
            os._exit(1)
    os.read(read_end, 1)
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    with Netlink(ROUTE) as host:
        host.ask([routing.up(1), routing.pair("wan0", 10, "inet0", 10, namespace, 1500)])
        host.ask([routing.address(10, HOST[0], 24), routing.address(10, HOST[1], 32), routing.up(10)])
    os.close(namespace)
    os.kill(pid, signal.SIGUSR1)
    os.read(read_end, 1)
    with Netlink(ROUTE) as host:
        host.ask([routing.route(10, None, ROUTER)])
    os.close(read_end)
    os.close(write_end)
    os.environ["INTERNET"] = str(pid)
    return pid


def _be_internet(ready: int, life: int) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    syscalls.unshare(syscalls.CLONE_NEWNET)
    os.write(ready, b"1")
    signal.sigwait([signal.SIGUSR1])
    with Netlink(ROUTE) as routes:
        routes.ask([routing.up(1), routing.address(10, ROUTER, 24), routing.up(10)])
        routes.ask([routing.address(1, each, 32) for each in (PUBLIC, RESOLVER, *CLOSED)])
        # So that nothing but a filter keeps answers from coming back.
        routes.ask([routing.route(10, None, HOST[0])])
    _serve(ready, life)


def _serve(ready: int, life: int) -> None:
    ports = ((socket.SOCK_STREAM, 80), (socket.SOCK_DGRAM, 7777), (socket.SOCK_STREAM, 53), (socket.SOCK_DGRAM, 53))
    selector = selectors.DefaultSelector()
    for kind, port in ports:
        sock = socket.socket(socket.AF_INET, kind)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(({53: RESOLVER, 7777: PUBLIC}.get(port, ""), port))
        if kind == socket.SOCK_STREAM:
            sock.listen(64)
        selector.register(sock, selectors.EVENT_READ, port)
    selector.register(life, selectors.EVENT_READ)
    os.write(ready, b"1")
    os.close(ready)
    while True:
        for key, _ in selector.select():
            if key.fileobj == life:
                return
            assert isinstance(key.fileobj, socket.socket)
            _answer(key.fileobj, key.data)


def _answer(sock: socket.socket, port: int) -> None:
    if sock.type == socket.SOCK_DGRAM:
        data, client = sock.recvfrom(65535)
        sock.sendto(_resolve(data) if port == 53 else data, client)
        return
    connection, client = sock.accept()
    with connection:
        if port == 53:
            size = int.from_bytes(connection.recv(2), "big")
            answer = _resolve(connection.recv(size))
            connection.sendall(len(answer).to_bytes(2, "big") + answer)
        else:
            connection.sendall(client[0].encode())


def _resolve(question: bytes) -> bytes:
    """The public server's address, whatever the name; none of IPv6."""
    at = 12
    while question[at]:
        at += 1 + question[at]
    body = question[12 : at + 5]
    wants_address = question[at + 1 : at + 3] == b"\0\1"
    answer = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(PUBLIC) if wants_address else b""
    return question[:2] + struct.pack(">HHHHH", 0x8180, 1, int(wants_address), 0, 0) + body + answer


def listen_on_host(port: int) -> socket.socket:
    """Something of the host's that functions are not to reach, at all its addresses."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("", port))
    sock.listen(64)
    return sock


def connects(address: str, port: int = 80, source: str = "") -> str:
    """Source of a program for a probe: what came over a connection, or why there was none."""
    return f"""
def attempt():
    sock = socket.socket()
    sock.settimeout(0.5)
    try:
        if {source!r}:
            sock.bind(({source!r}, 0))
        sock.connect(({address!r}, {port}))
        return sock.recv(100).decode()
    except OSError as error:
        return type(error).__name__
result = attempt()
"""


UDP = f"""
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(2)
sock.sendto(b"ping", ({PUBLIC!r}, 7777))
result = sock.recv(100).decode()
"""

LISTEN = """
import builtins
builtins.listener = socket.create_server(("", 5000))
threading.Thread(target=lambda: builtins.listener.accept()[0].sendall(b"reached"), daemon=True).start()
"""

OWN_ADDRESS = f"""
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.connect(({PUBLIC!r}, 9))
result = sock.getsockname()[0]
"""

#: Many more connections than one sandbox may have: a datagram to each of many ports.
FLOOD = f"""
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for port in range(10000, 14000):
    try:
        sock.sendto(b"x", ({PUBLIC!r}, port))
    except OSError:
        pass
"""

#: One after another and each closed at once, more than the kernel would forget of them meanwhile.
CHURN = f"""
for _ in range(2500):
    try:
        with socket.create_connection(({PUBLIC!r}, 80), 0.3) as connection:
            connection.recv(100)
    except OSError:
        break
"""

#: What is no question, from so many ports.
QUESTIONS = """
for port in range(20000, 24000):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind(("", port))
            sock.sendto(b"x", ("169.254.100.2", 53))
        except OSError:
            pass
"""


def ask_by_tcp(kind: int) -> str:
    """A program that asks the sandbox's resolver for a name over a connection: the address, or "" without an answer."""
    return f"""
import struct
sock = socket.socket()
sock.settimeout(2)
sock.connect(("169.254.100.2", 53))
labels = b"".join(bytes([len(part)]) + part for part in {NAME.encode()!r}.split(b"."))
question = struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + labels + struct.pack(">BHH", 0, {kind}, 1)
sock.sendall(struct.pack(">H", len(question)) + question)
try:
    answer = sock.recv(1000)
except ConnectionResetError:
    answer = b""
result = socket.inet_ntoa(answer[-4:]) if answer[2:4] == b"\\0\\7" else ""
"""


#: A function that does the same with the address that its event is.
HANDLER = """
import socket

def handler(event, context):
    try:
        with socket.create_connection((event, 80), 0.5) as connection:
            return connection.recv(100).decode()
    except OSError as error:
        return type(error).__name__
"""


def become_ordinary(folder: Path) -> None:
    """A user without privilege, who owns `folder`."""
    os.chown(folder, _ORDINARY, _ORDINARY)
    os.setgroups([])
    os.setgid(_ORDINARY)
    os.setuid(_ORDINARY)


def hide(program: str) -> None:
    """It cannot be run in this process's mount namespace."""
    if os.path.exists(program):
        tree = syscalls.clone_tree("/dev/null")
        syscalls.attach_tree(tree, program)
        os.close(tree)


def has_link(supervisor: int) -> bool:
    """Whether the program that stands for the host's network is there, with the link that it makes."""
    for pid in (supervisor, *supervisor_harness.children(supervisor)):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/net/dev") as file:
            if "up0:" in file.read():
                return True
        for name in os.listdir(f"/proc/{pid}/fd") if os.access(f"/proc/{pid}/fd", os.R_OK) else ():
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/fd/{name}") == "/dev/net/tun":
                    return True
    return False


def uplink_addresses() -> list[str]:
    """The two ends of the way to the gateway."""
    with Netlink(ROUTE) as host:
        ours = next(each for each in routing.addresses(host) if each.startswith("169.254."))
    first = int(ipaddress.IPv4Address(ours)) & ~1
    return [str(ipaddress.IPv4Address(first)), str(ipaddress.IPv4Address(first + 1))]


def redirect(address: str, target: str) -> None:
    """What publishes a container's port does: the host changes the destination before it routes."""
    rule = f"ip daddr {address} dnat ip to {target}"
    chain = "{ type nat hook prerouting priority dstnat; }"
    for command in ("add table inet other", f"add chain inet other pre {chain}", f"add rule inet other pre {rule}"):
        subprocess.run(["/usr/sbin/nft", command], check=True)


def close_forwarding(forbidden: str) -> None:
    """A firewall of the host that forwards nothing, and drops what is `forbidden` before that."""
    chain = "{ type filter hook forward priority filter; policy drop; }"
    rule = f"ip daddr {forbidden} drop"
    for command in (
        "add table ip filter",
        f"add chain ip filter FORWARD {chain}",
        f"add rule ip filter FORWARD {rule}",
    ):
        subprocess.run(["/usr/sbin/nft", command], check=True)


def rules() -> str:
    """Of that firewall."""
    command = ["/usr/sbin/nft", "list", "chain", "ip", "filter", "FORWARD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def has_accepted(listener: socket.socket) -> int:
    listener.setblocking(False)
    try:
        listener.accept()
    except BlockingIOError:
        return 0
    return 1


def tracked() -> int:
    """Connections that the host's kernel keeps in mind."""
    with open("/proc/sys/net/netfilter/nf_conntrack_count") as file:
        return int(file.read())


def tracked_by_gateway(supervisor: int) -> int:
    """The same of the region's gateway, whose namespace the supervisor has open."""
    links = [f"/proc/{supervisor}/fd/{name}" for name in os.listdir(f"/proc/{supervisor}/fd")]
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    namespace = os.open(next(link for link in links if os.readlink(link).startswith("net:")), os.O_RDONLY)
    syscalls.setns(namespace, syscalls.CLONE_NEWNET)
    try:
        return tracked()
    finally:
        syscalls.setns(home, syscalls.CLONE_NEWNET)
        os.close(home)
        os.close(namespace)


def passes_through() -> str:
    """What somebody outside gets who sends packets through the host to what is behind it."""
    pid = os.fork()
    if pid == 0:
        os._exit(_behind())
    os.waitpid(pid, 0)
    with open(f"/tmp/through-{pid}") as file:
        answer = file.read()
    os.unlink(f"/tmp/through-{pid}")
    return answer


def _behind() -> int:
    """A network behind the host with a server, and a client outside of it."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    syscalls.unshare(syscalls.CLONE_NEWNET)
    with Netlink(ROUTE) as behind:
        behind.ask([routing.up(1), routing.pair("lan0", 10, "lan1", 30, home, 1500)])
        behind.ask([routing.address(10, "192.0.2.2", 24), routing.up(10), routing.route(10, None, "192.0.2.1")])
    server = socket.create_server(("", 80))
    syscalls.setns(home, syscalls.CLONE_NEWNET)
    with Netlink(ROUTE) as host:
        host.ask([routing.address(30, "192.0.2.1", 24), routing.up(30)])
    with open("/proc/sys/net/ipv4/conf/lan1/forwarding", "w") as file:
        file.write("1")
    outside = os.open(f"/proc/{os.environ['INTERNET']}/ns/net", os.O_RDONLY)
    syscalls.setns(outside, syscalls.CLONE_NEWNET)
    answer = "reached"
    try:
        socket.create_connection(("192.0.2.2", 80), 0.5)
    except OSError as error:
        answer = type(error).__name__
    server.close()
    with open(f"/tmp/through-{os.getpid()}", "w") as file:
        file.write(answer)
    return 0


def left() -> dict[str, Any]:
    """What of the region is to be seen on the host."""
    with Netlink(NETFILTER) as conversation:
        tables = [name for name, _ in nftables.tables(conversation)]
    with open("/proc/sys/net/ipv4/conf/wan0/forwarding") as file:
        forwarding = file.read().strip()
    return {
        "links": sorted(name for _, name in socket.if_nameindex() if name != "lan1"),
        "tables": tables,
        "forwarding": forwarding,
        "run": os.path.exists(egress_host.forwarding_file()),
    }
