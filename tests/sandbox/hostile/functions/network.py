"""Attempts on the network: the host's ports and sockets, other machines, and packets made by hand."""

import contextlib
import http.client
import os
import socket
import struct
import subprocess
import sys

RTM_NEWADDR, NLM_F_REQUEST_ACK_CREATE = 20, 0x405


def connect(host, port):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(2)
        client.connect((host, port))
        return client.recv(64).decode("latin-1")


def send_datagram(host, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(1)
        client.connect((host, port))
        client.send(b"from the sandbox")
        return client.recv(64).decode("latin-1")


def connect_unix(path):
    """`path` starts with @ for an abstract name."""
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(2)
        client.connect(address)
        return client.recv(64).decode("latin-1")


def route_to(host):
    """connect() on a datagram socket finds a route and sends nothing."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect((host, 9))
        return client.getsockname()[0]


def interfaces():
    return sorted(name for _, name in socket.if_nameindex())


def open_socket(family, kind, protocol=0):
    socket.socket(getattr(socket, family, None) or int(family), getattr(socket, kind), protocol).close()
    return "opened"


def add_address():
    """RTM_NEWADDR over netlink: what `ip addr add` does."""
    body = struct.pack("BBBBI", socket.AF_INET, 32, 0, 0, 1) + struct.pack("HH4s", 8, 2, bytes([192, 0, 2, 7]))
    header = struct.pack("IHHII", 16 + len(body), RTM_NEWADDR, NLM_F_REQUEST_ACK_CREATE, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
        netlink.send(header + body)
        answer = netlink.recv(4096)
    code = struct.unpack_from("i", answer, 16)[0]
    if code != 0:
        raise OSError(-code, os.strerror(-code))
    return "added"


def post(port, path, host="127.0.0.1", headers=None):
    """The status that the region gives to an unsigned POST from inside."""
    connection = http.client.HTTPConnection(host, port, timeout=5)
    connection.request("POST", path, b"", headers or {})
    return connection.getresponse().status


def get(port, path, host="127.0.0.1"):
    connection = http.client.HTTPConnection(host, port, timeout=2)
    connection.request("GET", path)
    return connection.getresponse().status


def listening():
    """Local addresses of listening TCP sockets that /proc/net shows."""
    found = []
    # tcp6 is there where the kernel has IPv6.
    for name in filter(lambda name: os.path.exists(f"/proc/net/{name}"), ("tcp", "tcp6")):
        with open(f"/proc/net/{name}") as file:
            for line in list(file)[1:]:
                fields = line.split()
                if fields[3] == "0A":
                    found.append(int(fields[1].rpartition(":")[2], 16))
    return sorted(found)


def abstract_names():
    with open("/proc/net/unix") as file:
        return [line.split()[-1] for line in file if "@" in line]


HOLDER = """
import socket, sys, time
held = []
try:
    while True:
        s = socket.socket(); s.settimeout(2); s.connect((sys.argv[1], int(sys.argv[2]))); held.append(s)
except OSError:
    pass
print(len(held), flush=True)
time.sleep(float(sys.argv[3]))
"""


def hold_connections(host, port, processes, seconds):
    """Connections that say nothing, up to every process's limit; they stay for `seconds`."""
    holders = [
        subprocess.Popen(
            [sys.executable or "/usr/bin/python3", "-S", "-c", HOLDER, host, str(port), str(seconds)],
            stdout=subprocess.PIPE,
        )
        for _ in range(processes)
    ]
    return sum(int(holder.stdout.readline() or 0) for holder in holders)


def bind_everywhere(port):
    """A listener of one's own on the port that the region has outside."""
    with contextlib.closing(socket.socket()) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind(("0.0.0.0", port))
        server.listen()
        return "listening"
