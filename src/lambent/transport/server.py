"""The listening half: uvicorn's server on the region's socket, sockets added while it runs, sweeps and drain."""

from __future__ import annotations

import asyncio
import functools
import socket
from typing import Any, NamedTuple

import uvicorn

from lambent.transport.connection import Connection, Handler
from lambent.transport.limits import Limits

#: uvicorn ticks ten times a second; deadlines are looked at twice a second.
SWEEP_TICKS = 5
SANDBOX_BACKLOG = 128


class _Sandbox(NamedTuple):
    server: asyncio.Server
    connections: set[Connection]


class HttpServer:
    """Serves one handler on any number of sockets. `start`, `add_socket` / `remove_socket` at any time, `stop`."""

    def __init__(self, handler: Handler, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._handler = handler
        self._server = _Server(self._config())
        self._loop_task: asyncio.Task[None] | None = None
        #: Listeners inside sandboxes by sandbox id.
        self._sandboxes: dict[str, _Sandbox] = {}

    def __repr__(self) -> str:
        state = self._server.server_state
        return f"<HttpServer {len(state.connections)} connections, {len(self._sandboxes)} sandboxes>"

    async def start(self, listener: socket.socket) -> None:
        """Accept connections on `listener`, which is bound already."""
        server = self._server
        server.config.load()
        server.lifespan = server.config.lifespan_class(server.config)
        await server.on_tick(0)
        await server.startup(sockets=[listener])
        self._loop_task = asyncio.create_task(server.main_loop(), name="transport ticks")

    async def add_socket(self, listener: socket.socket, sandbox_id: str) -> None:
        """Accept connections on a socket made inside a sandbox; their requests carry `sandbox_id`."""
        group: set[Connection] = set()
        make = functools.partial(
            Connection, self._handler, self._limits, sandbox_id, group, server_state=self._server.server_state
        )
        server = await asyncio.get_running_loop().create_server(make, sock=listener, backlog=SANDBOX_BACKLOG)
        self._sandboxes[sandbox_id] = _Sandbox(server, group)

    def remove_socket(self, sandbox_id: str) -> None:
        """Stop listening in a sandbox that is going away, and drop its connections. Idempotent."""
        sandbox = self._sandboxes.pop(sandbox_id, None)
        if sandbox is None:
            return
        sandbox.server.close()
        for connection in list(sandbox.connections):
            connection.transport.abort()

    async def stop(self) -> None:
        """Accept nothing more, finish what is being answered (for as long as the limits say), close everything."""
        for sandbox_id in list(self._sandboxes):
            self._sandboxes.pop(sandbox_id).server.close()
        if self._loop_task is None:
            return
        self._server.should_exit = True
        await self._loop_task
        await self._server.shutdown()

    def force_stop(self) -> None:
        """Cut a `stop` short."""
        self._server.force_exit = True

    def _config(self) -> uvicorn.Config:
        return uvicorn.Config(
            _unused_application,
            http=functools.partial(Connection, self._handler, self._limits),  # type: ignore[arg-type]
            lifespan="off",
            log_config=None,
            ws="none",
            proxy_headers=False,
            server_header=False,
            interface="asgi3",
            timeout_graceful_shutdown=self._limits.drain_seconds,
        )


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
