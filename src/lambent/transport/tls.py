"""TLS on the port that speaks HTTP: the layer between a socket's transport and its Connection.

A client that wants TLS says so with its first byte, which begins no HTTP request, so plain connections pay nothing for
it. The certificate is read, or made, when the first such client comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Iterable
from typing import Any, Protocol

#: The first byte of a TLS record that opens a handshake.
HANDSHAKE = 0x16
READ_BYTES = 256 * 1024


class Tls:
    """The server's certificate and key as a context, loaded at the first need by one client for all."""

    def __init__(self, load: Callable[[], ssl.SSLContext]) -> None:
        """`load` runs on a thread; it may raise OSError."""
        self._load = load
        self._loading: asyncio.Task[ssl.SSLContext] | None = None
        #: None until it is loaded.
        self.context: ssl.SSLContext | None = None

    @classmethod
    def ready(cls, context: ssl.SSLContext) -> Tls:
        tls = cls(lambda: context)
        tls.context = context
        return tls

    async def wait_context(self) -> ssl.SSLContext:
        """Raises what `load` raises; the next client tries again."""
        if self.context is None:
            if self._loading is None:
                self._loading = asyncio.create_task(asyncio.to_thread(self._load), name="load certificate")
            try:
                # One client's end must not be the end of it for the others.
                self.context = await asyncio.shield(self._loading)
            finally:
                if self._loading is not None and self._loading.done():
                    self._loading = None
        return self.context


class Client(Protocol):
    """What a Connection is to this layer."""

    transport: asyncio.Transport

    def data_received(self, data: bytes) -> None: ...

    def eof_received(self) -> bool: ...

    def connection_lost(self, exc: Exception | None) -> None: ...

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...


class TlsTransport(asyncio.Protocol, asyncio.Transport):
    """To the socket's transport it is the protocol, to the Connection the transport.

    How long a handshake or a farewell may take is the Connection's deadline like everything else.
    """

    def __init__(self, transport: asyncio.Transport, client: Client, context: ssl.SSLContext) -> None:
        super().__init__()
        self._transport = transport
        self._client: Client | None = client
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._is_established = False
        #: Nothing more is sent, and nothing that comes is read.
        self._has_ended = False
        client.transport = self
        transport.set_protocol(self)

    def __repr__(self) -> str:
        state = "ended" if self._has_ended else "established" if self._is_established else "shaking hands"
        return f"<TlsTransport {state}>"

    # ---- from the socket ---------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._has_ended:
            return
        self._incoming.write(data)
        try:
            if not self._is_established:
                self._tls.do_handshake()
                self._is_established = True
            self._deliver()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError:
            # Not TLS after all, or a client that does not trust us: the alert that says so is all it gets.
            self._has_ended = True
            self._flush()
            self._transport.close()

    def _deliver(self) -> None:
        while self._client is not None and not self._has_ended:
            data = self._tls.read(READ_BYTES)
            # Answers of the handshake go first.
            self._flush()
            if data:
                self._client.data_received(data)
            else:
                if not self._client.eof_received():
                    self.close()
                return

    def eof_received(self) -> bool:
        """Without a farewell before it, this is a client that went away in the middle, or one that shut its half."""
        if not self._is_established or self._has_ended or self._client is None:
            return False
        return self._client.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        client, self._client = self._client, None
        self._has_ended = True
        if client is not None:
            client.connection_lost(exc)

    def pause_writing(self) -> None:
        if self._client is not None:
            self._client.pause_writing()

    def resume_writing(self) -> None:
        if self._client is not None:
            self._client.resume_writing()

    # ---- to the socket -----------------------------------------------------------------------------------------------

    def write(self, data: Any) -> None:
        self.writelines((data,))

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        if self._has_ended or not self._is_established or self._transport.is_closing():
            return
        try:
            for data in list_of_data:
                rest = memoryview(data)
                while rest:
                    # One record at a time is all that it takes.
                    rest = rest[self._tls.write(rest) :]
        except ssl.SSLError:
            self.abort()
        else:
            self._flush()

    def write_eof(self) -> None:
        self._say_farewell()
        self._transport.write_eof()

    def close(self) -> None:
        self._say_farewell()
        self._transport.close()

    def abort(self) -> None:
        self._has_ended = True
        self._transport.abort()

    def _say_farewell(self) -> None:
        """Tell the client that nothing was cut off."""
        if self._has_ended or not self._is_established or self._transport.is_closing():
            return
        self._has_ended = True
        # It complains that the client's own farewell has not come, and nobody waits for that.
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()
        self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._transport.write(self._outgoing.read())

    # ---- what the socket knows ---------------------------------------------------------------------------------------

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)
