"""One init for a snapshot: a function's process is started and initialised, and takes no invocation ever after.

Implements channel.RuntimeEvents as far as a runtime that initialises has something to say.
"""

from __future__ import annotations

import dataclasses
from asyncio import Future
from dataclasses import dataclass

from lambent.ids import hex_id
from lambent.invoke import credentials_api, faults, log_levels
from lambent.invoke.channel import FrameChannel
from lambent.invoke.chronicle import Chronicle
from lambent.invoke.faults import FAILURE, SUCCESS, TIMEOUT, Outcome
from lambent.invoke.host import Sandbox
from lambent.invoke.http import SandboxApi
from lambent.invoke.launch import Blueprint
from lambent.invoke.logs import LogStream, OutputReader
from lambent.invoke.report import Reporter, log_stream_name
from lambent.invoke.surroundings import Services
from lambent.invoke.timers import Timer
from lambent.ports import Credentials, FunctionVersion, LogWriter
from lambent.runtimes.environment import CredentialsEndpoint
from lambent.sandbox.spec import ExitStatus, LaunchSpec

#: As long as on AWS, or the function's timeout where that is longer.
INIT_LIMIT_S = 130.0
#: In place of an error's type: why the process cannot be a snapshot.
_NO_SNAPSHOT = "Runtime.NoSnapshot"
_MAX_OBSTACLE = 300
_TYPE = "snap-start"


@dataclass(frozen=True, slots=True)
class Initialised:
    """How it went."""

    sandbox: Sandbox
    init_ms: float
    memory_mb: int
    #: Why it cannot be a snapshot though it initialised, "" without.
    obstacle: str = ""
    #: Of the function's failure.
    error_type: str = ""
    payload: bytes = b""

    @property
    def is_ok(self) -> bool:
        return not (self.obstacle or self.error_type)


class Initialising:
    def __init__(self, services: Services, function: FunctionVersion, blueprint: Blueprint) -> None:
        self._services = services
        self._function = function
        self._blueprint = blueprint
        self._id = hex_id(32)
        self.log_stream = log_stream_name(services.clock.now(), function.version, self._id)
        self._credentials = services.starter.credentials(function)
        self._stream = LogStream(self._open_log(), services.clock)
        self._chronicle = Chronicle(Reporter.of(function, self._id, _TYPE), self._stream.write)
        self._output = OutputReader(
            services.loop,
            services.timers,
            services.clock,
            self._stream,
            services.log_share,
            log_levels.shows(function),
        )
        #: (obstacle, outcome)
        self._end: Future[tuple[str, Outcome]] = services.loop.create_future()
        self._timer = Timer(self._on_timeout)
        self._api: SandboxApi | None = None
        self._link: FrameChannel | None = None

    def spec(self) -> LaunchSpec:
        spec = self._services.starter.launch_spec(self._blueprint, self._id, self._credentials, self.log_stream, _TYPE)
        return dataclasses.replace(spec, snapshot=True)

    async def run(self, sandbox: Sandbox) -> Initialised:
        """To the end of the init. The sandbox stays, whatever comes of it."""
        services = self._services
        if sandbox.endpoint is not None:
            services.attach_endpoint(sandbox.id, sandbox.endpoint)
        try:
            return await self._initialise(sandbox)
        finally:
            if sandbox.endpoint is not None:
                services.detach_endpoint(sandbox.id)

    async def _initialise(self, sandbox: Sandbox) -> Initialised:
        clock = self._services.clock
        self._chronicle.init_start(clock.now(), "init")
        began = clock.monotonic()
        limit_s = max(INIT_LIMIT_S, float(self._function.timeout_s))
        self._services.timers.set(self._timer, began + limit_s)
        self._connect(sandbox)
        obstacle, outcome = await self._end
        init_ms = (clock.monotonic() - began) * 1000
        self._output.drain()
        self._output.flush()
        wall = clock.now()
        self._chronicle.init_runtime_done(wall, "init", outcome)
        self._chronicle.init_report(wall, "init", init_ms, outcome, logged=True)
        if obstacle or outcome.status != SUCCESS:
            sandbox.kill("it is no snapshot")
        else:
            sandbox.snapshot_taken()
        memory_mb = -(-sandbox.memory_peak() // (1024 * 1024))
        return Initialised(sandbox, init_ms, memory_mb, obstacle, outcome.error_type or "", outcome.payload)

    def _connect(self, sandbox: Sandbox) -> None:
        services = self._services
        credentials: Credentials | CredentialsEndpoint = self._credentials
        if sandbox.runtime_api is not None:
            self._api = SandboxApi(services.loop, sandbox.runtime_api, services.owner.spawn, self.runtime_bug)
            credentials = credentials_api.mount(
                self._api,
                sandbox.runtime_api_address,
                lambda: services.starter.credentials(self._function),
                services.clock,
            )
            self._api.listen()
        self._output.attach(sandbox.log_fd, sandbox.output_fd)
        sandbox.exited.add_done_callback(self._on_exit)
        assert sandbox.channel is not None
        self._link = FrameChannel(services.loop, sandbox.channel, self)
        body = services.starter.init_body(self._blueprint, sandbox, credentials, self.log_stream, _TYPE, snapshot=True)
        self._link.init(body)

    def abort(self) -> None:
        """Nobody wants it any more."""
        self._finish(Outcome(b"", FAILURE, "Runtime.Unknown"))

    def close(self) -> None:
        """Let go of everything but the sandbox."""
        self._services.timers.forget(self._timer)
        if self._link is not None:
            self._link.close()
        if self._api is not None:
            self._api.close()
        self._output.close()
        self._stream.close()

    def _open_log(self) -> LogWriter:
        services, function = self._services, self._function
        group = function.log_group or f"/aws/lambda/{function.name}"
        writer = services.logs.open_stream(function.account, function.region, group, self.log_stream)
        if services.log_access is None:
            return writer
        return services.log_access.guarded(writer, function, self._credentials, group, self.log_stream)

    # ---- how it ends --------------------------------------------------------------------------------------------

    def _finish(self, outcome: Outcome, obstacle: str = "") -> None:
        if not self._end.done():
            self._end.set_result((obstacle, outcome))

    def _on_timeout(self) -> None:
        self._finish(Outcome(b"", TIMEOUT, "Sandbox.Timedout"))

    def _on_exit(self, future: Future[ExitStatus]) -> None:
        if not future.cancelled() and not self._end.done():
            if self._link is not None:
                self._link.drain()
            self._finish(faults.exited("", None if future.exception() else future.result()))

    def runtime_ready(self) -> None:
        self._finish(Outcome(b"", SUCCESS))

    def runtime_init_failed(self, error_type: str, payload: bytes) -> None:
        if error_type == _NO_SNAPSHOT:
            words = payload[:_MAX_OBSTACLE].decode("utf-8", "replace")
            self._finish(Outcome(b"", SUCCESS), words or "it says so")
        else:
            self._finish(Outcome(payload, FAILURE, error_type))

    def runtime_lost(self, reason: str) -> None:
        """Its exit status tells why, and is on its way."""

    def runtime_misbehaved(self, reason: str) -> None:
        self._finish(faults.exited("", None))

    def runtime_bug(self, error: Exception) -> None:
        if not self._end.done():
            self._end.set_exception(error)

    def runtime_responded(self, payload: bytes) -> None:
        self.runtime_misbehaved("it answered without an invocation")

    def runtime_erred(self, error_type: str, payload: bytes) -> None:
        self.runtime_misbehaved("it answered without an invocation")

    def runtime_crashed(self, payload: bytes) -> None:
        self.runtime_misbehaved("it answered without an invocation")

    def runtime_oversized(self) -> None:
        self.runtime_misbehaved("it answered without an invocation")

    def runtime_stream_began(self, content_type: str) -> None:
        self.runtime_misbehaved("it answered without an invocation")

    def runtime_stream_piece(self, piece: bytes) -> None:
        self.runtime_misbehaved("it answered without an invocation")

    def runtime_stream_whole(self) -> None:
        self.runtime_misbehaved("it answered without an invocation")

    def runtime_stream_ended(self, error_type: str, payload: bytes) -> None:
        self.runtime_misbehaved("it answered without an invocation")
