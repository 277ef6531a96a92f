"""Netlink from the standard library: messages, attributes, and requests that are answered at once.

What `network`, `nftables` and `egress_host` say to the kernel goes through here. Python 3.8 syntax.
"""

import os
import socket
import struct
from typing import Iterator, List, NamedTuple, Optional, Sequence, Tuple

from lambent.sandbox.spec import SandboxError

ROUTE = 0
NETFILTER = 12

REQUEST, ACK, DUMP = 1, 4, 0x300
EXCLUSIVE, CREATE, APPEND = 0x200, 0x400, 0x800
NESTED = 0x8000

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_ERROR, _DONE, _OVERRUN = 2, 3, 4
_SOL_NETLINK, _CAP_ACK, _EXT_ACK = 270, 10, 11
_TEXT_OF_ERROR = 1
_BUFFER = 1 << 20


class Message(NamedTuple):
    kind: int
    flags: int
    body: bytes
    #: For the operator, when the kernel refuses it.
    what: str


def attribute(kind: int, value: bytes) -> bytes:
    size = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(size, kind) + value + b"\0" * (-size % 4)


def text(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def nested(kind: int, *attributes: bytes) -> bytes:
    return attribute(kind | NESTED, b"".join(attributes))


def number(kind: int, value: int) -> bytes:
    """In the byte order of the machine, as routing has it; nftables has `nftables.number`."""
    return attribute(kind, struct.pack("=I", value))


def attributes(data: bytes) -> Iterator[Tuple[int, bytes]]:
    """What `data` holds, by kind, without the marks for nesting and byte order."""
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        size, kind = _ATTRIBUTE.unpack_from(data, at)
        if size < _ATTRIBUTE.size:
            return
        yield kind & 0x3FFF, data[at + _ATTRIBUTE.size : at + size]
        at += size + -size % 4


def pack(messages: Sequence[Message], first: int = 1) -> bytes:
    """Messages numbered from `first` on, as they go over a socket."""
    parts = []
    for number, message in enumerate(messages, first):
        size = _HEADER.size + len(message.body)
        parts.append(_HEADER.pack(size, message.kind, message.flags | REQUEST, number, 0) + message.body)
        parts.append(b"\0" * (-size % 4))
    return b"".join(parts)


def quietly(messages: Sequence[Message]) -> List[Message]:
    """The same, of which only the last is confirmed: what is refused is told in any case."""
    return [*(each._replace(flags=each.flags & ~ACK) for each in messages[:-1]), messages[-1]]


class Netlink:
    """A conversation with the kernel about the network namespace that this was made in."""

    def __init__(self, protocol: int, adopted: int = -1, groups: int = 0) -> None:
        """`adopted`: descriptor of such a socket, made by another process in its namespace. `groups`: news of what."""
        if adopted >= 0:
            self.sock = socket.socket(fileno=adopted)
        else:
            kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
            self.sock = socket.socket(socket.AF_NETLINK, kind, protocol)
            self.sock.bind((0, groups))
            for option in (_CAP_ACK, _EXT_ACK):
                self.sock.setsockopt(_SOL_NETLINK, option, 1)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._sequence = 0

    def close(self) -> None:
        self.sock.close()

    def discard(self) -> None:
        """Throw away the news that came: that there was some is enough."""
        while True:
            try:
                self.sock.recv(_BUFFER, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                continue  # more came than it holds

    def __enter__(self) -> "Netlink":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def tell(self, packed: bytes, last: int, what: str) -> None:
        """Send what `pack` made, whose last message has the number `last`; raises SandboxError if one is refused."""
        self.sock.send(packed)
        for _, flags, sequence, body in self._received(last):
            code = -struct.unpack_from("=i", body)[0]
            if code:
                raise SandboxError("netlink", what, code, _error_text(flags, body))

    def ask(self, messages: Sequence[Message]) -> List[Tuple[int, bytes]]:
        """Send all in one go; the answers, by kind. Raises SandboxError for the first that is refused."""
        first = self._sequence + 1
        self._sequence += len(messages)
        self.sock.send(pack(messages, first))
        answers: List[Tuple[int, bytes]] = []
        refused: Optional[Tuple[int, int, str]] = None
        for kind, flags, sequence, body in self._received():
            if kind == _ERROR:
                code = -struct.unpack_from("=i", body)[0]
                if code and (refused is None or sequence < refused[0]):
                    refused = (sequence, code, _error_text(flags, body))
            elif kind not in (_DONE, _OVERRUN):
                answers.append((kind, body))
        if refused is not None:
            sequence, code, why = refused
            at = sequence - first
            what = messages[at].what if 0 <= at < len(messages) else "netlink"
            raise SandboxError("netlink", what, code, why)
        return answers

    def _received(self, last: int = -1) -> Iterator[Tuple[int, int, int, bytes]]:
        """All that the kernel answered: it works before `send` returns, and goes on with a dump at each `recv`.

        The answer to message `last` is the end of it.
        """
        while True:
            try:
                data = self.sock.recv(_BUFFER, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            at = 0
            while at + _HEADER.size <= len(data):
                size, kind, flags, sequence, _ = _HEADER.unpack_from(data, at)
                yield kind, flags, sequence, data[at + _HEADER.size : at + size]
                at += max(size + -size % 4, _HEADER.size)
            if sequence == last:
                return


def _error_text(flags: int, body: bytes) -> str:
    """What the kernel says beside the number, where it does."""
    if not flags & 0x200:
        return ""
    # The error, then the header of the refused message.
    for kind, value in attributes(body[4 + _HEADER.size :]):
        if kind == _TEXT_OF_ERROR:
            return os.fsdecode(value.rstrip(b"\0")) + "."
    return ""
