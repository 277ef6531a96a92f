"""Answers functions' questions for names: passes them on to the host's resolvers, which functions cannot reach.

A process of its own, without privilege, started by `egress`. Its listening sockets are of the gateway's network
namespace, those to the resolvers of the host's. It passes on ordinary questions and nothing else: what else a name
server does for those it trusts (zone transfers, updates) is no function's business.
"""

import asyncio
import contextlib
import ipaddress
import os
import secrets
import signal
import socket
import struct
import sys
from typing import Awaitable, Callable, Dict, List, Optional, Set, Tuple

from lambent.sandbox import capabilities, syscalls, user

RESOLV_CONF = "/etc/resolv.conf"
_PORT = 53
_MAX_RESOLVERS = 3
#: As AWS: packets of one network interface in a second.
_RATE = 1024
#: Questions that wait for an answer: of one sandbox, of all.
_WAITING, _ALL_WAITING = 64, 512
_CONNECTIONS, _ALL_CONNECTIONS = 8, 64
_PATIENCE = 2.5
_IDLE = 10.0
_MAX_QUESTION = 4096
_DATAGRAMS_AT_ONCE = 32
_HEADER = struct.Struct(">HHHHHH")
_IS_ANSWER, _OPCODE, _SERVER_FAILED = 0x8000, 0x7800, 2
#: Zone transfers, whole and in part, and two kinds of mailboxes that nobody asks for.
_TRANSFERS = range(251, 255)

Server = Tuple[int, Tuple[str, int]]


class Resolvers:
    """Those that the host asks, as its file says now."""

    def __init__(self, path: str = RESOLV_CONF) -> None:
        self._path = path
        self._stamp = (0, 0)
        self._servers: List[Server] = []

    def servers(self) -> List[Server]:
        try:
            found = os.stat(self._path)
        except OSError:
            return self._servers
        stamp = (found.st_mtime_ns, found.st_ino)
        if stamp != self._stamp:
            self._stamp = stamp
            # Where it may not be read, those that were there before are the best guess.
            with contextlib.suppress(OSError):
                self._servers = self._read() or [(socket.AF_INET, ("127.0.0.1", _PORT))]
        return self._servers

    def _read(self) -> List[Server]:
        servers: List[Server] = []
        with open(self._path, encoding="utf-8", errors="replace") as file:
            for line in file:
                words = line.split()
                if len(words) > 1 and words[0] == "nameserver":
                    with contextlib.suppress(ValueError):
                        version = ipaddress.ip_address(words[1]).version
                        servers.append((socket.AF_INET if version == 4 else socket.AF_INET6, (words[1], _PORT)))
        return servers[:_MAX_RESOLVERS]


def is_question(message: bytes) -> bool:
    """One ordinary question, and not one for a whole zone."""
    if not _HEADER.size < len(message) <= _MAX_QUESTION:
        return False
    _, flags, questions, *_ = _HEADER.unpack_from(message)
    if flags & (_IS_ANSWER | _OPCODE) or questions != 1:
        return False
    at = _HEADER.size
    while at < len(message) and message[at]:
        # A label; a name that points elsewhere has no place in a question.
        if message[at] > 63:
            return False
        at += 1 + message[at]
    if at + 5 > len(message):
        return False
    return int.from_bytes(message[at + 1 : at + 3], "big") not in _TRANSFERS


def failure(question: bytes) -> bytes:
    """The answer that no answer can be had."""
    number, flags, *_ = _HEADER.unpack_from(question)
    return _HEADER.pack(number, flags | _IS_ANSWER | _SERVER_FAILED, 0, 0, 0, 0)


class Shares:
    """How much each sandbox, by its address, has in use, and all together."""

    def __init__(self, each: int, together: int) -> None:
        self._each = each
        self._together = together
        self._used: Dict[str, int] = {}
        self._all = 0

    def take(self, address: str) -> bool:
        if self._all >= self._together or self._used.get(address, 0) >= self._each:
            return False
        self._all += 1
        self._used[address] = self._used.get(address, 0) + 1
        return True

    def give_back(self, address: str) -> None:
        self._all -= 1
        self._used[address] -= 1
        if not self._used[address]:
            del self._used[address]


class Forwarder:
    def __init__(self, datagrams: socket.socket, resolvers: Resolvers, clock: Callable[[], float]) -> None:
        self._datagrams = datagrams
        self._resolvers = resolvers
        self._clock = clock
        self._waiting = Shares(_WAITING, _ALL_WAITING)
        self._connections = Shares(_CONNECTIONS, _ALL_CONNECTIONS)
        self._tasks: Set["asyncio.Task[None]"] = set()
        # Packets by sandbox in the second that is under way.
        self._second = 0
        self._packets: Dict[str, int] = {}

    # ---- datagrams --------------------------------------------------------------------------------------------------

    def on_readable(self) -> None:
        """Called by asyncio."""
        for _ in range(_DATAGRAMS_AT_ONCE):
            try:
                message, client = self._datagrams.recvfrom(_MAX_QUESTION + 1)
            except OSError:
                return
            if self._is_within_rate(client[0]) and is_question(message) and self._waiting.take(client[0]):
                task = asyncio.get_running_loop().create_task(self._answer(message, client), name="question")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _is_within_rate(self, address: str) -> bool:
        second = int(self._clock())
        if second != self._second:
            self._second = second
            self._packets.clear()
        self._packets[address] = count = self._packets.get(address, 0) + 1
        return count <= _RATE

    async def _answer(self, question: bytes, client: Tuple[str, int]) -> None:
        try:
            answer = await self._ask_each(question, _ask_by_datagram)
            with contextlib.suppress(OSError):
                self._datagrams.sendto(answer or failure(question), client)
        finally:
            self._waiting.give_back(client[0])

    async def _ask_each(self, question: bytes, ask: Callable[[Server, bytes], Awaitable[bytes]]) -> bytes:
        """The first answer that one of the resolvers gives, b"" without; it carries the question's own number."""
        number = secrets.token_bytes(2)
        for server in self._resolvers.servers():
            with contextlib.suppress(OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
                answer = await asyncio.wait_for(ask(server, number + question[2:]), _PATIENCE)
                return question[:2] + answer[2:]
        return b""

    # ---- connections ------------------------------------------------------------------------------------------------

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Called by asyncio for each connection."""
        address = writer.get_extra_info("peername")[0]
        if not self._connections.take(address):
            writer.transport.abort()
            return
        try:
            await self._converse(address, reader, writer)
        except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
            pass  # it is gone, or says nothing
        finally:
            self._connections.give_back(address)
            writer.transport.abort()

    async def _converse(self, address: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            question = await asyncio.wait_for(_read_message(reader, _MAX_QUESTION), _IDLE)
            if not self._is_within_rate(address) or not is_question(question):
                return
            answer = await self._ask_each(question, _ask_by_connection) or failure(question)
            writer.write(len(answer).to_bytes(2, "big") + answer)
            await asyncio.wait_for(writer.drain(), _IDLE)


async def _read_message(reader: asyncio.StreamReader, limit: int) -> bytes:
    size = int.from_bytes(await reader.readexactly(2), "big")
    if size > limit:
        raise asyncio.IncompleteReadError(b"", size)
    return await reader.readexactly(size)


async def _ask_by_datagram(server: Server, question: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    with socket.socket(server[0], socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        # The kernel takes answers from there alone, at a port that nobody can foresee.
        sock.connect(server[1])
        await loop.sock_sendall(sock, question)
        while True:
            answer = await loop.sock_recv(sock, 65535)
            if _answers(answer, question):
                return answer


async def _ask_by_connection(server: Server, question: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*server[1][:2], family=server[0])
    try:
        writer.write(len(question).to_bytes(2, "big") + question)
        answer = await _read_message(reader, 65535)
    finally:
        writer.transport.abort()
    if not _answers(answer, question):
        raise asyncio.IncompleteReadError(b"", None)
    return answer


def _answers(answer: bytes, question: bytes) -> bool:
    return len(answer) >= _HEADER.size and answer[:2] == question[:2] and answer[2] & 0x80 != 0


async def _serve(datagrams: socket.socket, listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    forwarder = Forwarder(datagrams, Resolvers(), loop.time)
    loop.add_reader(datagrams.fileno(), forwarder.on_readable)
    server = await asyncio.start_server(forwarder.serve, sock=listener)
    await server.serve_forever()


def main(datagrams_fd: str, listener_fd: str, supervisor: str, uid: str, has_groups: str) -> None:
    """The life of this process. `uid`: whom to become, -1 for nobody else."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    syscalls.set_name("lambent-dns")
    if int(uid) >= 0:
        user.become(int(uid), int(uid), has_groups == "1")
    capabilities.drop_all()
    capabilities.forbid_new_privileges()
    # After the change of user, which clears it.
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(supervisor):
        sys.exit(1)
    datagrams, listener = socket.socket(fileno=int(datagrams_fd)), socket.socket(fileno=int(listener_fd))
    for sock in (datagrams, listener):
        sock.setblocking(False)
    asyncio.run(_serve(datagrams, listener))


def command(executable: str, code_root: str, arguments: "Optional[List[str]]" = None) -> List[str]:
    """How to start it, with the standard library alone."""
    program = (
        "import sys; sys.path.append(sys.argv[1]); from lambent.sandbox.egress_dns import main; main(*sys.argv[2:])"
    )
    return [executable, "-I", "-S", "-c", program, code_root, *(arguments or [])]
