"""The listening half: uvicorn's server on the region's socket, sockets added while it runs, sweeps and drain."""

from __future__ import annotations

import asyncio
import functools
import socket
from typing import Any, NamedTuple

import uvicorn

from lambent.transport.connection import Application, Connection
from lambent.transport.limits import Limits
from lambent.transport.tls import Tls
from lambent.transport.unfinished import UnfinishedBodies

#: uvicorn ticks ten times a second; deadlines are looked at twice a second.
SWEEP_TICKS = 5
#: Connections accepted from one sandbox before the loop turns to others.
ACCEPT_BATCH = 16


class _Sandbox(NamedTuple):
    listener: socket.socket
    #: `listener` may be closed by its owner before it is removed here.
    descriptor: int
    connections: set[Connection]


class HttpServer:
    """Serves one application on any number of sockets. `start`, `add_socket` / `remove_socket` at any time, `stop`."""

    def __init__(self, limits: Limits | None = None, tls: Tls | None = None) -> None:
        """`tls` None: plain HTTP only."""
        self._limits = limits or Limits()
        self._tls = tls
        self._unfinished = UnfinishedBodies(self._limits.unfinished_bytes)
        #: Listeners inside sandboxes by sandbox id.
        self._sandboxes: dict[str, _Sandbox] = {}
        # Set by `start`
        self._application: Application
        self._server: _Server
        self._ticks: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        connections = len(self._server.server_state.connections) if self._ticks else 0
        return f"<HttpServer {connections} connections, {len(self._sandboxes)} sandboxes>"

    async def start(self, listener: socket.socket, application: Application) -> None:
        """Accept connections on `listener`, which is bound already."""
        self._application = application
        self._server = server = _Server(self._config())
        server.config.load()
        server.lifespan = server.config.lifespan_class(server.config)
        # Makes the date that answers bear.
        await server.on_tick(0)
        await server.startup(sockets=[listener])
        self._ticks = asyncio.create_task(server.main_loop(), name="transport ticks")

    def add_socket(self, sandbox_id: str, listener: socket.socket) -> None:
        """Accept connections on a socket that listens inside a sandbox; their requests carry `sandbox_id`.

        It stays its owner's, who calls `remove_socket` before closing it. Most functions never call the region, so
        all that is done here is to watch the socket.
        """
        listener.setblocking(False)
        sandbox = _Sandbox(listener, listener.fileno(), set())
        self._sandboxes[sandbox_id] = sandbox
        asyncio.get_running_loop().add_reader(sandbox.descriptor, self._accept, sandbox_id, sandbox)

    def remove_socket(self, sandbox_id: str) -> None:
        """Stop listening in a sandbox that is going away, and drop its connections. Idempotent."""
        sandbox = self._sandboxes.pop(sandbox_id, None)
        if sandbox is None:
            return
        asyncio.get_running_loop().remove_reader(sandbox.descriptor)
        for connection in list(sandbox.connections):
            connection.transport.abort()

    async def stop(self) -> None:
        """Accept nothing more, finish what is being answered (for as long as the limits say), close everything."""
        if self._ticks is None:
            return
        self._server.should_exit = True
        await self._ticks
        await self._server.shutdown()
        for sandbox_id in list(self._sandboxes):
            self.remove_socket(sandbox_id)

    def force_stop(self) -> None:
        """Cut a `stop` short."""
        self._server.force_exit = True

    def _accept(self, sandbox_id: str, sandbox: _Sandbox) -> None:
        """Called by the event loop when somebody in the sandbox connects."""
        for _ in range(ACCEPT_BATCH):
            try:
                client, _ = sandbox.listener.accept()
            except OSError:
                # Nobody waits any more, the peer has gone again, or no descriptor is free: the next round tells.
                return
            if len(sandbox.connections) >= self._limits.sandbox_connections:
                client.close()
                continue
            client.setblocking(False)
            state = self._server.server_state
            connection = Connection(
                self._application,
                self._limits,
                sandbox_id,
                sandbox.connections,
                self._tls,
                self._unfinished,
                server_state=state,
            )
            loop = asyncio.get_running_loop()
            adopting = loop.create_task(_adopt(loop, connection, client), name=f"accept from sandbox {sandbox_id}")
            state.tasks.add(adopting)
            adopting.add_done_callback(state.tasks.discard)

    def _config(self) -> uvicorn.Config:
        return uvicorn.Config(
            _unused_application,
            http=functools.partial(  # type: ignore[arg-type]
                Connection, self._application, self._limits, tls=self._tls, unfinished=self._unfinished
            ),
            lifespan="off",
            log_config=None,
            ws="none",
            proxy_headers=False,
            server_header=False,
            interface="asgi3",
            timeout_graceful_shutdown=self._limits.drain_seconds,
        )


async def _adopt(loop: asyncio.AbstractEventLoop, connection: Connection, client: socket.socket) -> None:
    try:
        await loop.connect_accepted_socket(lambda: connection, client)
    except OSError:
        # The sandbox died between accept and here.
        client.close()


async def _unused_application(scope: Any, receive: Any, send: Any) -> None:
    """uvicorn asks for an ASGI application; `Connection` calls the handler itself."""


class _Server(uvicorn.Server):
    async def on_tick(self, counter: int) -> bool:
        if counter % SWEEP_TICKS == 0:
            now = asyncio.get_running_loop().time()
            connections: set[Any] = self.server_state.connections
            for connection in list(connections):
                if connection.deadline < now:
                    connection.expire()
        return await super().on_tick(counter)
