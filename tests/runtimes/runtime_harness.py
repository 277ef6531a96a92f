"""Drives a bootstrap as the server does: frames over a socketpair, log frames and raw output over pipes. No sandbox."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_DEADLINE_S = 20.0
_LOG_HEADER = struct.Struct(">IIQ")


@dataclass
class Answer:
    """One frame from the runtime."""

    kind: str
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.payload)

    @property
    def payload(self) -> bytes:
        return self.body.partition(b"\0")[2] if self.kind in "EFX" else self.body

    @property
    def error_type(self) -> str:
        return self.body.partition(b"\0")[0].decode()


@dataclass
class Runtime:
    """A runtime process under test."""

    command: Sequence[str]
    task_root: Path
    handler: str = "app.handler"
    environment: Mapping[str, str] = field(default_factory=dict)
    #: Variables of the process itself: given, it is started as by exec, not as from the pool.
    exec_environment: Mapping[str, str] | None = None
    log_format: str = "Text"

    def __enter__(self) -> Runtime:
        self.channel, theirs = socket.socketpair()
        self.channel.settimeout(_DEADLINE_S)
        self._log_fd, log_fd = os.pipe()
        self._output_fd, output_fd = os.pipe()
        environment = {
            "LAMBENT_CHANNEL_FD": str(theirs.fileno()),
            "_LAMBDA_TELEMETRY_LOG_FD": str(log_fd),
            **({"PATH": os.environ["PATH"]} if self.exec_environment is None else self.exec_environment),
        }
        self.process = subprocess.Popen(
            self.command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output_fd,
            stderr=output_fd,
            pass_fds=(theirs.fileno(), log_fd),
        )
        theirs.close()
        os.close(log_fd)
        os.close(output_fd)
        self._log_bytes = b""
        self._output = b""
        self._received = b""
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(_DEADLINE_S)
        os.close(self._log_fd)
        os.close(self._output_fd)

    def send_init(self) -> None:
        init = {
            "handler": self.handler,
            "environment": dict(self.environment),
            "task_root": str(self.task_root),
            "function_name": "f",
            "function_version": "$LATEST",
            "memory_mb": 128,
            "log_format": self.log_format,
            "init_type": "on-demand",
        }
        self.send(b"I", json.dumps(init).encode())

    def init(self) -> Answer:
        self.send_init()
        return self.receive()

    def start(self) -> Runtime:
        answer = self.init()
        assert answer.kind == "R", (answer, self.output())
        return self

    def send(self, kind: bytes, body: bytes) -> None:
        self.channel.sendall(struct.pack(">I", 1 + len(body)) + kind + body)

    def send_invoke(
        self,
        payload: bytes,
        *,
        request_id: str = "req-1",
        deadline_ms: int | None = None,
        arn: str = "arn:aws:lambda:us-east-1:000000000000:function:f",
        trace_id: str = "",
        client_context: str = "",
        identity: str = "",
        tenant_id: str = "",
    ) -> None:
        deadline = int(time.time() * 1000) + 3000 if deadline_ms is None else deadline_ms
        header = "\0".join((request_id, str(deadline), arn, trace_id, client_context, identity, tenant_id)).encode()
        self.send(b"V", struct.pack(">H", len(header)) + header + payload)

    def invoke(self, event: Any = None, **header: Any) -> Answer:
        self.send_invoke(json.dumps(event).encode(), **header)
        return self.receive()

    def receive(self) -> Answer:
        """The next frame, while the log pipes are kept empty."""
        length = struct.unpack(">I", self._receive_exactly(4))[0]
        body = self._receive_exactly(length)
        return Answer(chr(body[0]), body[1:])

    def _receive_exactly(self, size: int) -> bytes:
        deadline = time.monotonic() + _DEADLINE_S
        while len(self._received) < size:
            assert time.monotonic() < deadline, f"no answer; output so far: {self._output!r}"
            readable, _, _ = select.select([self.channel, self._log_fd, self._output_fd], [], [], 0.5)
            self._drain(readable)
            if self.channel in readable:
                data = self.channel.recv(1 << 20)
                if not data:
                    raise EOFError(f"the runtime ended: {self.output()!r}")
                self._received += data
        result, self._received = self._received[:size], self._received[size:]
        return result

    def _drain(self, readable: Sequence[Any]) -> None:
        if self._log_fd in readable:
            self._log_bytes += os.read(self._log_fd, 1 << 20)
        if self._output_fd in readable:
            self._output += os.read(self._output_fd, 1 << 20)

    def _drain_all(self) -> None:
        while readable := [
            fd for fd in select.select([self._log_fd, self._output_fd], [], [], 0)[0] if not self._at_end(fd)
        ]:
            self._drain(readable)

    def _at_end(self, fd: int) -> bool:
        before = len(self._log_bytes) + len(self._output)
        self._drain([fd])
        return len(self._log_bytes) + len(self._output) == before

    def log_frames(self) -> list[tuple[int, int, str]]:
        """(frame type, microseconds since the epoch, message) of everything logged so far."""
        self._drain_all()
        frames, data = [], self._log_bytes
        while data:
            kind, length, timestamp = _LOG_HEADER.unpack_from(data)
            end = _LOG_HEADER.size + length
            frames.append((kind, timestamp, data[_LOG_HEADER.size : end].decode()))
            data = data[end:]
        return frames

    def logs(self) -> list[str]:
        return [message for _, _, message in self.log_frames()]

    def output(self) -> str:
        """What came through descriptors 1 and 2."""
        self._drain_all()
        return self._output.decode()

    def wait(self) -> int:
        """The exit code, negative for a signal."""
        deadline = time.monotonic() + _DEADLINE_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, "the runtime did not end"
            readable, _, _ = select.select([self._log_fd, self._output_fd], [], [], 0.02)
            self._drain(readable)
        return self.process.returncode
