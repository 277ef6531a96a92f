"""The server's side: starts the supervisor, asks it for sandboxes, and holds what it is given.

`fork` comes before asyncio and threads; everything else runs on one event loop. What must be quick (freeze, thaw, kill,
memory peak) is one write or read on a descriptor of the sandbox's own cgroup, without asking the supervisor.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from lambent.sandbox import commands, rlimits
from lambent.sandbox.spec import (
    ExitStatus,
    IsolationReport,
    LaunchSpec,
    Level,
    SandboxError,
    SupervisorOptions,
    sandbox_error,
    to_json,
)

T = TypeVar("T")

_log = logging.getLogger(__name__)

_PEAK = re.compile(rb"^VmHWM:\s+(\d+) kB", re.MULTILINE)
_STOP_DEADLINE = 10.0


class Sandbox:
    """One environment's isolated place and the processes in it. `restart` replaces processes and descriptors."""

    def __init__(self, client: SupervisorClient, reply: dict[str, Any], fds: dict[str, int]) -> None:
        self._client = client
        # For its whole life
        self.id: str = reply["id"]
        self.runtime_api_address: str = reply["api"]
        self.runtime_api = _socket(fds.pop("runtime_api", None))
        self.endpoint = _socket(fds.pop("endpoint", None))
        self.daemon = _socket(fds.pop("daemon", None))
        self.task_root: str = reply.get("task_root", "/var/task")
        self.layer_root: str = reply.get("layer_root", "/opt")
        self.tmp: str = reply.get("tmp", "/tmp")
        self._freeze_words = [word.encode() for word in reply.get("freeze_words", ("1", "0"))]
        self._cpu_quota: str = reply.get("cpu_quota", "")
        #: False: what listens in it listens on the host.
        self.has_own_network: bool = reply["own_network"]
        self._is_frozen = False
        self._destroying: asyncio.Future[None] | None = None
        # For the life of one runtime process and its extensions
        self.channel: socket.socket | None = None
        self.log_fd = -1
        self.output_fd = -1
        #: By the order of their names in the spec: what they print, and how they ended.
        self.extension_fds: list[int] = []
        self.extensions_exited: list[asyncio.Future[ExitStatus]] = []
        self.exited: asyncio.Future[ExitStatus] = asyncio.get_running_loop().create_future()
        #: Numbers of the processes, -1 of a runtime that is not started yet.
        self._run = -1
        self._extension_runs: list[int] = []
        self._control: dict[str, int] = {}
        self._adopt(reply, fds)

    def __repr__(self) -> str:
        state = "destroyed" if self._destroying else "exited" if self.exited.done() else "running"
        return f"<Sandbox {self.id} run {self._run} {state}{' frozen' if self._is_frozen else ''}>"

    def _adopt(self, reply: dict[str, Any], fds: dict[str, int]) -> None:
        """Take the processes that a launch or a restart started."""
        loop = asyncio.get_running_loop()
        self._extension_runs = reply.get("extensions", [])
        self.extension_fds = [fds.pop(f"extension {index}") for index in range(len(self._extension_runs))]
        self.extensions_exited = [loop.create_future() for _ in self._extension_runs]
        if self.exited.done():
            self.exited = loop.create_future()
        self._adopt_runtime(reply, fds)
        self._control = fds
        self._is_frozen = bool(reply.get("frozen"))

    def _adopt_runtime(self, reply: dict[str, Any], fds: dict[str, int]) -> None:
        self._run = reply["run"]
        self.channel = _socket(fds.pop("channel", None))
        self.log_fd = fds.pop("log", -1)
        self.output_fd = fds.pop("output", -1)

    def freeze(self) -> None:
        """Stop every process in it until `thaw`."""
        if "freeze" in self._control and not self._is_frozen:
            self._is_frozen = self._write("freeze", self._freeze_words[0])

    def thaw(self) -> None:
        if self._is_frozen:
            self._write("freeze", self._freeze_words[1])
            self._is_frozen = False

    def limit_cpu(self) -> None:
        """Under `--cpu quota`: cap the processor from now on. Called after init, which is never capped."""
        if "cpu" in self._control:
            self._write("cpu", self._cpu_quota.encode())

    def memory_peak(self) -> int:
        """The most memory in bytes that it has used so far, 0 where nothing measures it."""
        try:
            if "peak" in self._control:
                return int(os.pread(self._control["peak"], 32, 0))
            if "status" in self._control:
                # Without a cgroup: what the runtime's process alone has used.
                found = _PEAK.search(os.pread(self._control["status"], 8192, 0))
                return int(found[1]) * 1024 if found else 0
        except OSError:  # the sandbox is gone
            pass
        return 0

    def kill(self, reason: str) -> None:
        """Start killing every process in it at once; `exited` tells when the runtime's is dead."""
        _log.debug("Killing %s: %s", self.id, reason)
        if self._destroying is None:
            self._write("kill", b"1")
            if self._is_frozen and self._freeze_words[1] != b"0":
                self.thaw()

    def _write(self, name: str, word: bytes) -> bool:
        try:
            os.write(self._control[name], word)
        except (KeyError, OSError):  # destroyed, or its init is dead: there is nothing left to act on
            return False
        return True

    async def dial(self) -> socket.socket:
        """A TCP socket that connects to what listens inside its network alone. Raises SandboxError."""
        if not self.has_own_network:
            return _plain_socket()

        def accept(reply: dict[str, Any], fds: dict[str, int]) -> socket.socket:
            sock = _socket(fds["socket"])
            assert sock is not None
            return sock

        return await self._client._ask({"do": "dial", "id": self.id}, accept)

    def terminate(self, *, kill: bool) -> None:
        """SIGTERM, or SIGKILL, to the runtime's process and its group."""
        self._client._tell({"do": "terminate", "id": self.id, "kill": kill})

    def snapshot_taken(self) -> None:
        """The function that was launched as a snapshot has initialised: a launch may name it as what it restores."""
        self._client._tell({"do": "snapshot_taken", "id": self.id})

    async def start_runtime(self) -> None:
        """Where the spec said that it waits. Raises SandboxError."""

        def accept(reply: dict[str, Any], fds: dict[str, int]) -> None:
            if self._destroying is None:
                self._adopt_runtime(reply, fds)
            else:
                commands.close_all(list(fds.values()))

        await self._client._ask({"do": "start_runtime", "id": self.id}, accept)

    async def restart(self) -> None:
        """Kill every process in it and start new ones; /tmp stays. Raises SandboxError."""
        self._close_process()

        def accept(reply: dict[str, Any], fds: dict[str, int]) -> None:
            self._all_exited(ExitStatus(None, 9))
            self._adopt(reply, fds)

        await self._client._ask({"do": "restart", "id": self.id}, accept)

    async def destroy(self, reason: str) -> None:
        """Kill it and give everything back; any number of calls does it once."""
        if self._destroying is None:
            _log.debug("Destroying %s: %s", self.id, reason)
            self._destroying = asyncio.get_running_loop().create_future()
            self._close_process()
            for listener in (self.runtime_api, self.endpoint, self.daemon):
                if listener is not None:
                    listener.close()
            try:
                await self._client._ask({"do": "destroy", "id": self.id}, _reply)
            except SandboxError as error:
                # The supervisor is gone, and so is every sandbox.
                _log.debug("Destroying %s: %s", self.id, error)
            finally:
                self._client._forget(self)
                self._all_exited(ExitStatus(None, 9))
                if not self._destroying.done():
                    self._destroying.set_result(None)
        else:
            await asyncio.shield(self._destroying)

    def _close_process(self) -> None:
        if self.channel is not None:
            self.channel.close()
            self.channel = None
        fds = (self.log_fd, self.output_fd, *self.extension_fds, *self._control.values())
        commands.close_all([fd for fd in fds if fd >= 0])
        self.log_fd = self.output_fd = -1
        self.extension_fds = []
        self._control = {}

    def _on_started(self, run: int, fds: dict[str, int]) -> None:
        if run == self._run and self._destroying is None:
            self._control.update(fds)
        else:
            commands.close_all(list(fds.values()))

    def _on_exited(self, run: int, status: ExitStatus) -> None:
        if run == self._run:
            _settle(self.exited, status)
        elif run in self._extension_runs:
            _settle(self.extensions_exited[self._extension_runs.index(run)], status)

    def _all_exited(self, status: ExitStatus) -> None:
        for exited in (self.exited, *self.extensions_exited):
            _settle(exited, status)


class SupervisorClient:
    """The one connection to the supervisor."""

    def __init__(self, options: SupervisorOptions, process: subprocess.Popen[bytes], sock: socket.socket) -> None:
        self._options = options
        self._process = process
        self._link = commands.Link(sock)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._seq = 0
        self._pending: dict[int, tuple[asyncio.Future[Any], Callable[[dict[str, Any], dict[str, int]], Any]]] = {}
        self._sandboxes: dict[str, Sandbox] = {}
        self._is_writing = False
        self._is_stopping = False
        self._on_lost: Callable[[str], None] = lambda reason: _log.error("%s", reason)

    @classmethod
    def fork(cls, options: SupervisorOptions) -> SupervisorClient:
        """Start the supervisor with this process's privileges. Call it before threads, asyncio and dropping them."""
        rlimits.raise_open_files()
        ours, theirs = commands.socket_pair()
        command = [sys.executable, *commands.PROGRAM, commands.CODE_ROOT, str(theirs.fileno())]
        process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        )
        theirs.close()
        return cls(options, process, ours)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def start(self, endpoint_port: int, on_lost: Callable[[str], None] | None = None) -> IsolationReport:
        """Configure the supervisor. Raises SandboxError when the isolation asked for cannot be had.

        `endpoint_port`: the region's, which listens at the same address inside; 0 for none. `on_lost` is called when
        the supervisor ends by itself: every sandbox is dead then and no more can be made.
        """
        if on_lost is not None:
            self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._link.sock.fileno(), self._on_readable)
        configure = {"do": "configure", "options": to_json(self._options), "endpoint_port": endpoint_port}
        reply = await self._ask(configure, _reply)
        report = reply["report"]
        missing = [(level, reason, mend) for level, reason, mend in report["missing"]]
        return IsolationReport(
            Level(report["level"]),
            report["summary"],
            missing,
            report["cgroup"],
            report["root"],
            report["no_file_systems"],
            report["network"],
        )

    async def launch(self, spec: LaunchSpec) -> Sandbox:
        """A sandbox with the runtime's process started in it. Raises SandboxError."""

        def accept(reply: dict[str, Any], fds: dict[str, int]) -> Sandbox:
            sandbox = self._sandboxes[spec.id] = Sandbox(self, reply, fds)
            return sandbox

        try:
            return await self._ask({"do": "launch", "spec": to_json(spec)}, accept)
        except asyncio.CancelledError:
            # Whoever asked is gone. In order behind the launch, so that it finds what that made.
            self._tell({"do": "destroy", "id": spec.id})
            raise

    async def prepare(self, runtime: str) -> None:
        """Keep processes of that runtime ready: its next cold starts are quick, the first one too."""
        await self._ask({"do": "prepare", "runtime": runtime}, _reply)

    async def stats(self) -> dict[str, Any]:
        """Pools and what each phase of a start took."""
        stats: dict[str, Any] = (await self._ask({"do": "stats"}, _reply))["stats"]
        return stats

    async def stop(self) -> None:
        """Kill every sandbox and wait until nothing of them is left."""
        if self._is_stopping:
            return
        self._is_stopping = True
        try:
            await asyncio.wait_for(self._ask({"do": "stop"}, _reply), _STOP_DEADLINE)
        except (SandboxError, TimeoutError) as error:
            _log.warning("The supervisor did not stop in order: %s", error)
        self._close("stopped")
        await asyncio.get_running_loop().run_in_executor(None, self._wait_for_process)

    def _wait_for_process(self) -> None:
        try:
            self._process.wait(_STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            # Not this process's to kill once it dropped its privileges; the supervisor ends when the socket does.
            with contextlib.suppress(PermissionError):
                self._process.kill()
                self._process.wait()

    # ---- the conversation ---------------------------------------------------------------------------------------

    async def _ask(self, message: dict[str, Any], accept: Callable[[dict[str, Any], dict[str, int]], T]) -> T:
        """Send a command and wait for what `accept` makes of its answer and of the descriptors that come along.

        It is called as the answer is read: what follows the answer on the socket may be about what it makes.
        """
        if self._loop is None or self._link.sock.fileno() < 0:
            raise SandboxError(message["do"], "supervisor", 0, "The supervisor is not running.")
        self._seq += 1
        future: asyncio.Future[T] = self._loop.create_future()
        self._pending[self._seq] = (future, accept)
        self._link.send({**message, "seq": self._seq})
        self._write_when_possible()
        return await future

    def _tell(self, message: dict[str, Any]) -> None:
        """Send a command whose answer nobody waits for."""
        if self._link.sock.fileno() >= 0:
            self._link.send({**message, "seq": 0})
            self._write_when_possible()

    def _write_when_possible(self) -> None:
        if self._loop is None or self._link.is_congested == self._is_writing:
            return
        self._is_writing = self._link.is_congested
        if self._is_writing:
            self._loop.add_writer(self._link.sock.fileno(), self._on_writable)
        else:
            self._loop.remove_writer(self._link.sock.fileno())

    def _on_writable(self) -> None:
        """Called by asyncio."""
        self._link.flush()
        self._write_when_possible()

    def _on_readable(self) -> None:
        """Called by asyncio."""
        while self._link.sock.fileno() >= 0:
            try:
                received = self._link.receive()
            except BlockingIOError:
                return
            if received is None:
                self._close("The supervisor ended unexpectedly; every execution environment ended with it.")
                return
            self._on_message(*received)

    def _on_message(self, message: dict[str, Any], fds: list[int]) -> None:
        if "event" in message:
            self._on_event(message, dict(zip(message.get("fds", ()), fds, strict=True)))
            return
        future, accept = self._pending.pop(message["re"], (None, _reply))
        if future is None or future.done():
            commands.close_all(fds)
        elif "error" in message:
            future.set_exception(sandbox_error(message["error"]))
        else:
            future.set_result(accept(message, dict(zip(message.get("fds", ()), fds, strict=True))))

    def _on_event(self, message: dict[str, Any], fds: dict[str, int]) -> None:
        if message["event"] == "trouble":
            _log.warning("Making sandboxes fails: %s", sandbox_error(message["error"]))
            return
        sandbox = self._sandboxes.get(message["id"])
        if sandbox is None:
            commands.close_all(list(fds.values()))
        elif message["event"] == "started":
            sandbox._on_started(message["run"], fds)
        else:
            status = ExitStatus(message["code"], message["signal"], message["oom"], message["error"])
            sandbox._on_exited(message["run"], status)

    def _forget(self, sandbox: Sandbox) -> None:
        self._sandboxes.pop(sandbox.id, None)

    def _close(self, reason: str) -> None:
        if self._loop is None or self._link.sock.fileno() < 0:
            return
        self._loop.remove_reader(self._link.sock.fileno())
        self._loop.remove_writer(self._link.sock.fileno())
        self._link.close()
        pending, self._pending = self._pending, {}
        for future, _ in pending.values():
            if not future.done():
                future.set_exception(SandboxError("ask", "supervisor", 0, reason))
        for sandbox in list(self._sandboxes.values()):
            sandbox._all_exited(ExitStatus(None, 9, False, reason))
        if not self._is_stopping:
            self._on_lost(reason)


def _settle(exited: asyncio.Future[ExitStatus], status: ExitStatus) -> None:
    if not exited.done():
        exited.set_result(status)


def _plain_socket() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setblocking(False)
    return sock


def _socket(fd: int | None) -> socket.socket | None:
    if fd is None:
        return None
    sock = socket.socket(fileno=fd)
    sock.setblocking(False)
    return sock


def _reply(reply: dict[str, Any], _: dict[str, int]) -> dict[str, Any]:
    return reply
