"""A supervisor with a probe for a function: a runtime that evaluates the expressions it is sent, in Python and in sh.

Helper of the supervisor's tests; everything in it is real.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from lambent.sandbox.client import Sandbox, SupervisorClient
from lambent.sandbox.spec import IsolationReport, LaunchSpec, RuntimeSpec, SupervisorOptions

_BOOTSTRAP = """
import ast, os, subprocess, sys, socket, time, signal, mmap, threading
def preload():
    pass
def main(channel, log, snapshot=None):
    globals()["snapshot"] = snapshot
    os.set_inheritable(channel, False)
    os.set_inheritable(log, False)
    while True:
        data = os.read(channel, 1 << 16)
        if not data:
            os._exit(0)
        try:
            program = data.decode()
            if "\\n" in program:
                scope = dict(globals(), result=None)
                exec(program, scope)
                result = scope["result"]
            else:
                result = eval(program, globals())
        except SystemExit as stop:
            os._exit(stop.code or 0)
        except BaseException as error:
            result = type(error).__name__ + ": " + str(error)
        os.write(channel, repr(result).encode() + b"\\n")
if __name__ == "__main__":
    main(int(os.environ.pop("LAMBENT_CHANNEL_FD")), int(os.environ.pop("_LAMBDA_TELEMETRY_LOG_FD")))
"""

#: System calls of a user-mode Linux guest cost about twenty times the host's.
PATIENCE = 8 if os.environ.get("LAMBENT_TEST_GUEST") else 1
#: The interpreter that runs the tests, as a runtime of the host.
PYTHON = os.path.realpath(sys.executable)


class Probe:
    """One sandbox and a conversation with the code in it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    async def run(self, expression: str) -> Any:
        """What the expression (or the `result` of several lines) is inside."""
        loop = asyncio.get_running_loop()
        channel = self.sandbox.channel
        assert channel is not None
        await loop.sock_sendall(channel, expression.encode())
        return await self.hear()

    async def hear(self) -> Any:
        loop = asyncio.get_running_loop()
        channel = self.sandbox.channel
        assert channel is not None
        answer = b""
        while not answer.endswith(b"\n"):
            try:
                part = await loop.sock_recv(channel, 1 << 16)
            except ConnectionResetError:  # it ended with a question unread
                part = b""
            if not part:
                raise EOFError(f"The probe ended: {self.output()}")
            answer += part
        return eval(answer, {})

    async def shell(self, command: str) -> str:
        """What a shell command prints inside, errors included."""
        text: str = await self.run(f"subprocess.run({command!r}, shell=True, capture_output=True, text=True)")
        return text

    def output(self) -> str:
        with contextlib.suppress(BlockingIOError):
            return os.read(self.sandbox.output_fd, 1 << 16).decode()
        return ""


class Region:
    """A data dir, its supervisor and its sandboxes."""

    def __init__(self, folder: Path, client: SupervisorClient) -> None:
        self.folder = folder
        self.client = client
        self.report: IsolationReport | None = None
        self._ids = (f"{number:x}" for number in itertools.count(1))

    def code(self, name: str = "code", **files: str) -> str:
        """A function's folder below the data dir."""
        folder = self.folder / "data" / "code" / name
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            (folder / file).write_text(text)
            (folder / file).chmod(0o755)
        for path in (self.folder, self.folder / "data", folder.parent, folder):
            path.chmod(0o755)
        return str(folder)

    async def snapshot(self, *preparations: str, **fields: Any) -> Probe:
        """A probe that is a snapshot once it has run these."""
        probe = await self.launch(snapshot=True, **fields)
        for expression in preparations:
            await probe.run(expression)
        assert probe.sandbox.channel is not None
        await asyncio.get_running_loop().sock_sendall(probe.sandbox.channel, b"snapshot.wait(lambda: None)")
        probe.sandbox.snapshot_taken()
        return probe

    async def restore(self, snapshot: Probe) -> Probe:
        """A probe made of it, which says first that its wait is over."""
        probe = await self.launch(restores=snapshot.sandbox.id)
        probe.sandbox.thaw()
        assert await probe.hear() is None
        return probe

    async def launch(self, runtime: str = "probe", **fields: Any) -> Probe:
        fields.setdefault("code_root", self.code())
        return Probe(await self.client.launch(LaunchSpec(next(self._ids), runtime, **fields)))


def runtimes(folder: Path, python: str) -> tuple[RuntimeSpec, ...]:
    """The probe as a forked, a pooled and an exec'd runtime, and a shell script as a provided one."""
    source = folder / "runtime"
    source.mkdir(parents=True, exist_ok=True)
    (source / "bootstrap.py").write_text(_BOOTSTRAP)
    command = (f"/var/lang/bin/{Path(python).name}", "-s", "/var/runtime/bootstrap.py")
    prefix = str(Path(python).parents[1])
    common = {"framed": True, "command": command, "runtime_dir": str(source), "lang_dir": prefix}
    return (
        RuntimeSpec("probe", "fork", **common),
        RuntimeSpec("probe-pool", "pool", **common),
        RuntimeSpec("probe-exec", "exec", **common),
        RuntimeSpec("script", "exec", False, ("/bin/sh", "/var/task/bootstrap")),
    )


def options(folder: Path, python: str = PYTHON, **fields: Any) -> SupervisorOptions:
    (folder / "data").mkdir(exist_ok=True)
    fields.setdefault("isolation", "auto")
    return SupervisorOptions(data_dir=str(folder / "data"), runtimes=runtimes(folder, python), **fields)


@contextlib.asynccontextmanager
async def running(folder: Path, endpoint_port: int = 4566, **fields: Any) -> AsyncIterator[Region]:
    region = Region(folder, SupervisorClient.fork(options(folder, **fields)))
    try:
        region.report = await region.client.start(endpoint_port)
        yield region
    finally:
        await region.client.stop()


async def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Until it holds; fails when it does not in time."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "It did not become true in time."
        await asyncio.sleep(0.005)


def processes(text: str) -> list[int]:
    """Pids of the host whose command line or name holds `text`."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{name}/cmdline").read_bytes() + Path(f"/proc/{name}/comm").read_bytes()
            if text.encode() in words and int(name) != os.getpid():
                found.append(int(name))
    return found


def children(pid: int) -> list[int]:
    """All descendants of a process."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            for child in (task / "children").read_text().split():
                found += [int(child), *children(int(child))]
    return found


def has(program: str) -> bool:
    return shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin") is not None


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
