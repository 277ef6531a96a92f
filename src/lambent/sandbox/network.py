"""A sandbox's network: nothing but loopback, and on it the two sockets that the server listens on.

They are made inside the network namespace and handed out, so no bridge, route or interface joins it to the host.
"""

import fcntl
import socket
import struct

#: As Lambda.
RUNTIME_API_HOST = "169.254.100.1"
RUNTIME_API_PORT = 9001
#: Of the X-Ray daemon, at the same address, over UDP.
XRAY_DAEMON_PORT = 2000
XRAY_DAEMON = "%s:%d" % (RUNTIME_API_HOST, XRAY_DAEMON_PORT)
LOOPBACK = "127.0.0.1"
#: Without a way out nobody answers for names, and nobody waits for it.
NO_RESOLVER = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"

_SIOCSIFFLAGS = 0x8914
_SIOCSIFADDR = 0x8916
_SIOCSIFNETMASK = 0x891C
_IFF_UP = 1
_BACKLOG = 128


def bring_up() -> None:
    """Loopback with the Runtime API's address on it; the kernel makes the netns with loopback down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))
        for request, address in ((_SIOCSIFADDR, RUNTIME_API_HOST), (_SIOCSIFNETMASK, "255.255.255.255")):
            where = struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(address))
            fcntl.ioctl(control, request, struct.pack("16s16s", b"lo:1", where))


def unconnected() -> socket.socket:
    """A TCP socket of the network namespace that the caller is in, to be connected by whom it is handed to."""
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM)


def listen_on_loopback(port: int) -> socket.socket:
    """A listening TCP socket at every address of loopback, and of no other interface.

    SDKs take credentials from 127.0.0.1 (or addresses of containers' agents) alone, never from the Runtime API's.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
        listener.bind(("", port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def take_datagrams(host: str, port: int) -> socket.socket:
    """A UDP socket in the network namespace that the caller is in; port 0 means any."""
    taker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        taker.bind((host, port))
    except OSError:
        taker.close()
        raise
    return taker


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket in the network namespace that the caller is in; port 0 means any."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
