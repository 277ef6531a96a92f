"""What the data plane needs of the machine: sandboxes, runtimes and the region's endpoint, as Protocols and callbacks.

`sandbox.client` and `runtimes.catalog` have these shapes; tests bring plain processes.
"""

from __future__ import annotations

import socket
from asyncio import Future
from collections.abc import Awaitable, Callable
from typing import Protocol

from lambent.sandbox.spec import ExitStatus, LaunchSpec, RuntimeSpec


class Sandbox(Protocol):
    """One isolated place with one runtime process in it. `restart` replaces the process and these attributes."""

    @property
    def id(self) -> str: ...
    @property
    def channel(self) -> socket.socket | None: ...
    @property
    def log_fd(self) -> int: ...
    @property
    def output_fd(self) -> int: ...
    @property
    def runtime_api(self) -> socket.socket | None: ...
    @property
    def runtime_api_address(self) -> str: ...
    @property
    def endpoint(self) -> socket.socket | None: ...
    @property
    def daemon(self) -> socket.socket | None: ...
    @property
    def exited(self) -> Future[ExitStatus]: ...
    @property
    def task_root(self) -> str: ...
    @property
    def layer_root(self) -> str: ...
    @property
    def tmp(self) -> str: ...

    def freeze(self) -> None: ...
    def thaw(self) -> None: ...
    def limit_cpu(self) -> None: ...
    def memory_peak(self) -> int: ...
    def kill(self, reason: str) -> None: ...
    def restart(self) -> Awaitable[None]: ...
    def destroy(self, reason: str) -> Awaitable[None]: ...


class Launcher(Protocol):
    async def launch(self, spec: LaunchSpec) -> Sandbox:
        """Raises SandboxError."""


class Runtimes(Protocol):
    def find(self, runtime_id: str) -> RuntimeSpec:
        """Raises an error whose text names the command that installs it."""


#: Serve the region's endpoint on a socket that listens inside a sandbox, and stop serving it.
AttachEndpoint = Callable[[str, socket.socket], None]
DetachEndpoint = Callable[[str], None]
