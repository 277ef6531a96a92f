"""How server, supervisor, builders and templates talk: one JSON object a packet, descriptors beside it.

`Link` never blocks: what the socket does not take now waits in order until it is writable again.
"""

import array
import collections
import json
import os
import socket
from typing import Any, Deque, Dict, List, Optional, Sequence, Tuple

Message = Dict[str, Any]

#: The folder that holds the package `lambent`, and how a supervisor is started from it: the standard library alone, and
#: nothing of the environment.
CODE_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = (
    "-I",
    "-S",
    "-c",
    "import sys; sys.path.append(sys.argv[1]); from lambent.sandbox.supervisor import main; main(*sys.argv[2:])",
)

_MAX_BYTES = 180_000  # below the default send buffer of a Unix socket, 212,992
_MAX_FDS = 32


def socket_pair() -> Tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def stream_pair() -> Tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)


def send(sock: socket.socket, message: Message, fds: Sequence[int] = ()) -> None:
    """Raises BlockingIOError on a full non-blocking socket, OSError when the peer is gone."""
    data = json.dumps(message).encode()
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    sock.sendmsg([data], rights)


def receive(sock: socket.socket) -> Optional[Tuple[Message, List[int]]]:
    """One message and its descriptors (close-on-exec), None when the peer is gone."""
    fd_size = array.array("i").itemsize
    try:
        data, ancillary, flags, _ = sock.recvmsg(
            _MAX_BYTES, socket.CMSG_SPACE(_MAX_FDS * fd_size), getattr(socket, "MSG_CMSG_CLOEXEC", 0)
        )
    except (ConnectionResetError, BrokenPipeError):
        return None
    fds = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(content[: len(content) - len(content) % fd_size])
    if not data:
        return None
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        close_all(list(fds))
        raise ValueError("A message between Lambent's processes was cut off.")
    return json.loads(data.decode()), list(fds)


def close_all(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)


class Link:
    """One end of a conversation. It owns the descriptors given to `send`, but for those to be kept."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._waiting: Deque[Tuple[Message, Sequence[int], Sequence[int]]] = collections.deque()

    @property
    def is_congested(self) -> bool:
        """True: call `flush` when the socket is writable."""
        return bool(self._waiting)

    def send(self, message: Message, fds: Sequence[int] = (), keep: Sequence[int] = ()) -> None:
        """Send now or as soon as possible; a peer that is gone shows as the end of what it sends."""
        self._waiting.append((message, fds, [fd for fd in fds if fd not in keep]))
        self.flush()

    def flush(self) -> None:
        while self._waiting:
            message, fds, own = self._waiting[0]
            try:
                send(self.sock, message, fds)
            except BlockingIOError:
                return
            except (BrokenPipeError, ConnectionResetError, ConnectionRefusedError):
                pass
            self._waiting.popleft()
            close_all(own)

    def receive(self) -> Optional[Tuple[Message, List[int]]]:
        """As `receive`; raises BlockingIOError when nothing is there."""
        return receive(self.sock)

    def close(self) -> None:
        for _, _, own in self._waiting:
            close_all(own)
        self._waiting.clear()
        self.sock.close()
