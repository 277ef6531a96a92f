"""Environments of plain processes: the shapes that `lambent.invoke` expects of the machine, without any isolation.

The runtime is a small program that speaks frames and does what each payload says, so that a test can make it print,
exit, hang or lie at will.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lambent.clock import Clock, SystemClock
from lambent.ids import request_id
from lambent.invoke.invoker import Invoker
from lambent.ports import Credentials, FunctionVersion, Invocation, InvocationRecord
from lambent.sandbox.spec import ExitStatus, LaunchSpec, RuntimeSpec

RUNTIME = r"""
import json, os, socket, struct, sys, time
channel = socket.socket(fileno=int(os.environ["LAMBENT_CHANNEL_FD"]))
log = int(os.environ["_LAMBDA_TELEMETRY_LOG_FD"])

def read(count):
    data = b""
    while len(data) < count:
        piece = channel.recv(count - len(data))
        if not piece:
            sys.exit(0)
        data += piece
    return data

def frame():
    length, kind = struct.unpack(">IB", read(5))
    return chr(kind), read(length - 1)

def send(kind, body=b""):
    channel.sendall(struct.pack(">IB", len(body) + 1, ord(kind)) + body)

def say(text, stamp=None):
    data = text.encode()
    stamp = int(time.time() * 1e6) if stamp is None else stamp
    os.write(log, struct.pack(">IIQ", 0xA55A0003, len(data), stamp) + data)

def act(do, request_id, calls):
    for step in do:
        name, value = (list(step.items()) or [("", None)])[0]
        if name == "say": say(value)
        elif name == "print": os.write(1, value.encode())
        elif name == "sleep": time.sleep(value)
        elif name == "exit": os._exit(value)
        elif name == "signal": os.kill(os.getpid(), value)
        elif name == "raw": channel.sendall(value.encode("latin-1"))
        elif name == "error":
            error = {"errorMessage": value, "errorType": "Exception"}
            return "E", b"Exception\0" + json.dumps(error).encode()
        elif name == "big": return "S", b'"' + b"x" * (value - 2) + b'"'
        elif name == "flood":
            end = time.monotonic() + value
            while time.monotonic() < end: os.write(1, b"y" * 63 + b"\n")
        elif name == "touch": open(os.path.join(os.environ["TMP_DIR"], value), "w").close()
        elif name == "tmp": return "S", json.dumps(sorted(os.listdir(os.environ["TMP_DIR"]))).encode()
        elif name == "calls": return "S", json.dumps(calls).encode()
        elif name == "variable": return "S", json.dumps(init["environment"][value]).encode()
        elif name == "echo": return "S", json.dumps(value).encode()
        elif name == "frame": send(value[0], value[1:].encode("latin-1"))
        elif name == "pieces":
            for _ in range(value[0]): send("P", b"x" * value[1])
        elif name == "end": return "Z", value.encode()
    return "S", b"null"

kind, body = frame()
init = json.loads(body)
for step in json.loads(init["environment"].get("INIT", "[]")):
    name, value = list(step.items())[0]
    if name == "sleep": time.sleep(value)
    elif name == "exit": os._exit(value)
    elif name == "say": say(value)
    elif name == "fail":
        send("X", value.encode() + b"\0" + json.dumps({"errorMessage": "no such handler", "errorType": value}).encode())
        sys.exit(1)
    elif name == "fail_once":
        path = os.path.join(os.environ["TMP_DIR"], "failed")
        if not os.path.exists(path):
            open(path, "w").close()
            os._exit(value)
send("R")
calls = 0
while True:
    kind, body = frame()
    size = struct.unpack(">H", body[:2])[0]
    header, payload = body[2:2 + size].decode().split("\0"), body[2 + size:]
    calls += 1
    if len(payload) > 100000 or not payload.startswith(b'{"do"'):
        send("S", payload)
        continue
    do = json.loads(payload)["do"]
    if do == "header":
        send("S", json.dumps(header).encode())
    else:
        send(*act(do, header[0], calls))
"""


class PlainSandbox:
    """One process in a folder of its own."""

    def __init__(self, launcher: PlainLauncher, spec: LaunchSpec, runtime: RuntimeSpec, tmp: Path) -> None:
        self.id = spec.id
        self._launcher = launcher
        self._spec = spec
        self._runtime = runtime
        self._tmp = tmp
        self.endpoint: socket.socket | None = None
        self.daemon: socket.socket | None = None
        self.task_root = spec.code_root
        self.layer_root = "/opt"
        self.tmp = "/tmp"
        self.has_own_network = False
        self.channel: socket.socket | None = None
        self.runtime_api: socket.socket | None = None
        self.runtime_api_address = ""
        if not runtime.framed or spec.extensions:
            self.runtime_api = socket.create_server(("127.0.0.1", 0))
            self.runtime_api.setblocking(False)
            self.runtime_api_address = f"127.0.0.1:{self.runtime_api.getsockname()[1]}"
        self.log_fd = self.output_fd = -1
        self.extension_fds: list[int] = []
        self.extension_ends: list[int] = []
        self.extensions_exited: list[asyncio.Future[ExitStatus]] = []
        self.snapshot_taken = lambda: None
        self.peak = 30 * 1024 * 1024
        #: What happened to it, in order.
        self.history: list[str] = []
        self._spawn()

    async def dial(self) -> socket.socket:
        return socket.socket()

    def _spawn(self) -> None:
        self._close()
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self.channel = ours if self._runtime.framed else None
        self.log_fd, log_end = os.pipe2(os.O_NONBLOCK)
        self.output_fd, output_end = os.pipe2(os.O_NONBLOCK)
        os.set_blocking(log_end, True)
        os.set_blocking(output_end, True)
        variables = {
            **self._spec.environment,
            "LAMBENT_CHANNEL_FD": str(theirs.fileno()),
            "_LAMBDA_TELEMETRY_LOG_FD": str(log_end),
            "TMP_DIR": str(self._tmp),
            "AWS_LAMBDA_RUNTIME_API": self.runtime_api_address,
        }
        command = self._runtime.command or (sys.executable, "-I", "-S", "-c", RUNTIME)
        self._process = subprocess.Popen(
            command,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output_end,
            stderr=output_end,
            pass_fds=(theirs.fileno(), log_end),
            start_new_session=True,
        )
        for end in (log_end, output_end):
            os.close(end)
        theirs.close()
        # Extensions have no process here: tests speak for them.
        pipes = [os.pipe2(os.O_NONBLOCK) for _ in self._spec.extensions]
        self.extension_fds = [read for read, _ in pipes]
        self.extension_ends = [write for _, write in pipes]
        self.extensions_exited = [loop.create_future() for _ in pipes]
        self.exited: asyncio.Future[ExitStatus] = loop.create_future()
        pidfd = os.pidfd_open(self._process.pid)
        loop.add_reader(pidfd, self._reap, pidfd, self._process, self.exited)

    def _reap(self, pidfd: int, process: subprocess.Popen[bytes], exited: asyncio.Future[ExitStatus]) -> None:
        asyncio.get_running_loop().remove_reader(pidfd)
        os.close(pidfd)
        code = process.wait()
        oom = self._launcher.out_of_memory
        if not exited.done():
            exited.set_result(ExitStatus(code, None, oom) if code >= 0 else ExitStatus(None, -code, oom))

    def freeze(self) -> None:
        self.history.append("freeze")
        self._process.send_signal(signal.SIGSTOP)

    def limit_cpu(self) -> None:
        """Nothing limits it."""

    def thaw(self) -> None:
        self.history.append("thaw")
        self._process.send_signal(signal.SIGCONT)

    def memory_peak(self) -> int:
        return self.peak

    def kill(self, reason: str) -> None:
        self.history.append(f"kill: {reason}")
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for exited in self.extensions_exited:
            if not exited.done():
                exited.set_result(ExitStatus(None, signal.SIGKILL))

    def terminate(self, *, kill: bool) -> None:
        self.history.append("terminate with SIGKILL" if kill else "terminate")
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL if kill else signal.SIGTERM)

    async def start_runtime(self) -> None:
        raise AssertionError("The runtime was not to wait.")

    async def restart(self) -> None:
        if self._launcher.restart_error is not None:
            raise self._launcher.restart_error
        self.kill("restart")
        await asyncio.shield(self.exited)
        self.history.append("restart")
        self._spawn()

    async def destroy(self, reason: str) -> None:
        self.kill("destroy")
        await asyncio.shield(self.exited)
        self.history.append(f"destroy: {reason}")
        self._launcher.alive.pop(self.id, None)
        self._close()
        if self.runtime_api is not None:
            self.runtime_api.close()

    def _close(self) -> None:
        if self.channel is not None:
            self.channel.close()
            self.channel = None
        for fd in (self.log_fd, self.output_fd, *self.extension_fds, *self.extension_ends):
            if fd >= 0:
                os.close(fd)
        self.extension_fds, self.extension_ends = [], []
        self.log_fd = self.output_fd = -1


class PlainLauncher:
    """Implements invoke.host.Launcher and Runtimes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.alive: dict[str, PlainSandbox] = {}
        #: All that ever were, in order.
        self.launched: list[PlainSandbox] = []
        self.runtimes = {"python3.12": RuntimeSpec("python3.12", "fork", True, ())}
        # Faults to be made
        self.launch_error: Exception | None = None
        self.restart_error: Exception | None = None
        self.out_of_memory = False
        #: A launch waits for this, where set.
        self.gate: asyncio.Event | None = None

    async def launch(self, spec: LaunchSpec) -> PlainSandbox:
        if self.gate is not None:
            await self.gate.wait()
        if self.launch_error is not None:
            raise type(self.launch_error)(*self.launch_error.args)
        tmp = self._folder / spec.id
        tmp.mkdir()
        sandbox = self.alive[spec.id] = PlainSandbox(self, spec, self.runtimes[spec.runtime], tmp)
        self.launched.append(sandbox)
        return sandbox

    def find(self, runtime_id: str) -> RuntimeSpec:
        try:
            return self.runtimes[runtime_id]
        except KeyError:
            raise LookupError(f"{runtime_id} is not installed: run `lambent runtimes install {runtime_id}`.") from None


@dataclass
class KeptLog:
    """A LogWriter that keeps events, and can be congested."""

    name: str
    events: list[tuple[int, bytes]] = field(default_factory=list)
    congested: bool = False
    drained: Callable[[], None] | None = None
    closed: bool = False

    def write(self, timestamp_ms: int, message: bytes) -> bool:
        self.events.append((timestamp_ms, message))
        return not self.congested

    def on_drain(self, callback: Callable[[], None]) -> None:
        self.drained = callback

    def relieve(self) -> None:
        self.congested = False
        callback, self.drained = self.drained, None
        if callback is not None:
            callback()

    def close(self) -> None:
        self.closed = True


class KeptLogs:
    """A LogSink in memory."""

    def __init__(self) -> None:
        self.streams: list[KeptLog] = []
        self.congested = False

    def open_stream(self, account: str, region: str, group: str, stream: str) -> KeptLog:
        writer = KeptLog(f"{group}/{stream}", congested=self.congested)
        self.streams.append(writer)
        return writer

    def lines(self) -> list[str]:
        return [message.decode("utf-8", "replace") for writer in self.streams for _, message in writer.events]


class FixedCredentials:
    def role_credentials(
        self, role_arn: str, session_name: str, duration_s: int, function_arn: str = ""
    ) -> Credentials:
        return Credentials("ASIA", "secret", f"token of {role_arn} {session_name}", time.time() + duration_s)


@dataclass
class KeptRecords:
    records: list[InvocationRecord] = field(default_factory=list)
    #: ARNs as invoked.
    throttles: list[str] = field(default_factory=list)

    def record(self, record: InvocationRecord) -> None:
        self.records.append(record)

    def throttled(self, function: FunctionVersion, invoked_arn: str) -> None:
        self.throttles.append(invoked_arn)


def function(name: str = "hello", **fields: Any) -> FunctionVersion:
    values: dict[str, Any] = {
        "account": "000000000000",
        "region": "us-east-1",
        "name": name,
        "version": "$LATEST",
        "arn": f"arn:aws:lambda:us-east-1:000000000000:function:{name}",
        "runtime": "python3.12",
        "handler": "app.handler",
        "role": "arn:aws:iam::000000000000:role/r",
        "code_root": Path("/nonexistent/code"),
        "timeout_s": 5,
        "environment_key": "1",
        **fields,
    }
    return FunctionVersion(**values)


def invocation(payload: Any = None, **fields: Any) -> Invocation:
    data = payload if isinstance(payload, bytes) else json.dumps(payload, separators=(",", ":")).encode()
    return Invocation(request_id(), data, "arn:aws:lambda:us-east-1:000000000000:function:hello", **fields)


def do(*steps: dict[str, Any], **fields: Any) -> Invocation:
    """An invocation that makes the runtime take these steps."""
    return invocation({"do": list(steps)}, **fields)


@dataclass
class Bench:
    """An invoker and everything around it."""

    invoker: Invoker
    launcher: PlainLauncher
    logs: KeptLogs
    records: KeptRecords
    attached: dict[str, socket.socket]

    async def settle(self, condition: Callable[[], bool], seconds: float = 5.0) -> None:
        """Wait until `condition` holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "the condition did not come true"
            await asyncio.sleep(0.002)

    def lines(self) -> list[str]:
        return self.logs.lines()


@asynccontextmanager
async def bench(folder: Path, clock: Clock | None = None, **options: Any):  # type: ignore[no-untyped-def]
    launcher, logs, records = PlainLauncher(folder), KeptLogs(), KeptRecords()
    attached: dict[str, socket.socket] = {}
    settings: dict[str, Any] = {
        "account_concurrency": 1000,
        "memory_budget_mb": 100_000,
        "idle_timeout": 600.0,
        **options,
    }
    invoker = Invoker(
        launcher=launcher,
        runtimes=launcher,
        logs=logs,
        credentials=FixedCredentials(),
        clock=clock or SystemClock(),
        attach_endpoint=attached.__setitem__,
        detach_endpoint=lambda sandbox_id: attached.pop(sandbox_id, None) and None,
        records=[records],
        **settings,
    )
    await invoker.start("http://127.0.0.1:4566")
    try:
        yield Bench(invoker, launcher, logs, records, attached)
    finally:
        await invoker.stop()
        assert launcher.alive == {}


def matches(lines: Sequence[str], *starts: str) -> bool:
    """Whether each line starts as told, in order."""
    return len(lines) == len(starts) and all(line.startswith(start) for line, start in zip(lines, starts, strict=True))
