"""Where one environment's processes live, as the server sees it: their sandbox, what they print, what they may call.

It starts, stops and restarts the runtime and its extensions, and speaks with them. It knows no invocation and no
deadline: what it learns goes to the environment, which decides.
"""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from lambent.invoke import credentials_api, log_levels
from lambent.invoke.channel import FrameChannel, RuntimeEvents, RuntimeLink
from lambent.invoke.chronicle import Chronicle
from lambent.invoke.extension_host import ExtensionHost
from lambent.invoke.extensions import Extensions
from lambent.invoke.host import Sandbox
from lambent.invoke.http import SandboxApi
from lambent.invoke.launch import Blueprint
from lambent.invoke.logs import LogStream, OutputReader
from lambent.invoke.report import Reporter, log_stream_name
from lambent.invoke.runtime_api import HttpRuntime
from lambent.invoke.surroundings import START_LIMIT_S, Services
from lambent.invoke.telemetry.hub import About
from lambent.invoke.telemetry.station import TelemetryStation
from lambent.invoke.telemetry.wire import Lines
from lambent.invoke.wrapped import WrappedRuntime
from lambent.invoke.xray_daemon import XRayDaemon
from lambent.ports import FunctionVersion, LogWriter
from lambent.runtimes.environment import CredentialsEndpoint
from lambent.sandbox.spec import ExitStatus


class QuartersEvents(RuntimeEvents, Protocol):
    """What an environment is told beside what its runtime says."""

    def runtime_exited(self, status: ExitStatus | None) -> None:
        """None: nobody knows how."""

    def extensions_at_rest(self) -> None:
        """All of those that were waited for are at next."""

    def extension_failed(self, error_type: str, words: str) -> None:
        """One ended, or could not be started."""

    def telemetry_settled(self) -> None:
        """Subscribers have got everything that they were to get before a freeze."""


class Quarters:
    """Implements extension_host.HostEvents."""

    def __init__(
        self,
        services: Services,
        function: FunctionVersion,
        environment_id: str,
        initialization: str,
        events: QuartersEvents,
    ) -> None:
        # Whole life
        self._services = services
        self._function = function
        self._id = environment_id
        self._initialization = initialization
        self._events = events
        self.log_stream = log_stream_name(services.clock.now(), function.version, environment_id)
        self._credentials = services.starter.credentials(function)
        self.stream = LogStream(self._open_log(), services.clock)
        self.chronicle = Chronicle(Reporter.of(function, environment_id, initialization), self.stream.write)
        self.output = OutputReader(
            services.loop,
            services.timers,
            services.clock,
            self.stream,
            services.log_share,
            log_levels.shows(function),
        )
        # From `move_in` until `give_up`
        self.sandbox: Sandbox | None = None
        self._is_given_up = False
        self._blueprint: Blueprint | None = None
        #: What the sandbox's processes may call; None where it has no socket for it.
        self._api: SandboxApi | None = None
        #: Where its SDKs ask for credentials; None: they are in its variables.
        self._credentials_endpoint: CredentialsEndpoint | None = None
        self._daemon: XRayDaemon | None = None
        #: None: no extension subscribed to telemetry, and none can any more.
        self.telemetry: TelemetryStation | None = None
        # One runtime process and its extensions
        self.link: RuntimeLink | None = None
        self.generation = 0
        self._is_restoring = False
        self.host: ExtensionHost | None = None
        #: None: there are none, external or internal.
        self.extensions: Extensions | None = None
        #: Set while those of the last runtime process are being shut down.
        self._leaving: Future[None] | None = None

    def __repr__(self) -> str:
        return f"<Quarters {self._id[:8]} generation {self.generation} {self.sandbox!r}>"

    # ---- moving in ----

    async def move_in(self, blueprint: Blueprint, restores: str) -> bool:
        """Have the sandbox made with the function's processes in it. False: it was given up meanwhile.

        `restores`: id of the snapshot that the runtime comes out of, or "". Raises SandboxError.
        """
        services = self._services
        self._blueprint = blueprint
        spec = services.starter.launch_spec(
            blueprint, self._id, self._credentials, self.log_stream, self._initialization
        )
        async with asyncio.timeout(START_LIMIT_S):
            sandbox = await services.launcher.launch(replace(spec, restores=restores) if restores else spec)
        if self._is_given_up:
            await sandbox.destroy("its function changed while it started")
            return False
        self.sandbox = sandbox
        self._open_doors(sandbox)
        return True

    def _open_doors(self, sandbox: Sandbox) -> None:
        """What its processes reach outside of it."""
        services = self._services
        if sandbox.endpoint is not None:
            services.attach_endpoint(sandbox.id, sandbox.endpoint)
        if sandbox.runtime_api is not None:
            self._api = SandboxApi(services.loop, sandbox.runtime_api, services.owner.spawn, self.runtime_bug)
            if self._initialization == "snap-start":
                self._credentials_endpoint = credentials_api.mount(
                    self._api,
                    sandbox.runtime_api_address,
                    lambda: services.starter.credentials(self._function),
                    services.clock,
                )
        if sandbox.daemon is not None and services.traces is not None:
            self._daemon = XRayDaemon(
                services.loop, services.timers, services.clock, sandbox.daemon, self._function, services.traces
            )

    def _open_log(self) -> LogWriter:
        services, function = self._services, self._function
        group = function.log_group or f"/aws/lambda/{function.name}"
        writer = services.logs.open_stream(function.account, function.region, group, self.log_stream)
        if services.log_access is None:
            return writer
        return services.log_access.guarded(writer, function, self._credentials, group, self.log_stream)

    # ---- one generation of processes ----

    def begin_telemetry(self) -> None:
        """Before the first event of an init."""
        sandbox, services = self.sandbox, self._services
        assert sandbox is not None
        if self.telemetry is None and self._api is not None:
            self.telemetry = TelemetryStation(
                About(self._function, self._id, self._initialization),
                Lines(
                    services.loop,
                    services.timers,
                    services.clock,
                    services.owner.spawn,
                    sandbox.dial,
                    sandbox.has_own_network,
                ),
                services.telemetry_budget,
                self.chronicle,
                self.output,
                self._events.telemetry_settled,
            )
        if self.telemetry is not None:
            self.telemetry.begin_init()

    def end_telemetry_init(self) -> None:
        if self.telemetry is not None and not self.telemetry.end_init():
            self.telemetry = None

    def begin(self, *, restoring: bool) -> None:
        """The processes are there: listen to them, and have the runtime initialise once its extensions registered."""
        sandbox, blueprint = self.sandbox, self._blueprint
        assert sandbox is not None
        assert blueprint is not None
        self._is_restoring = restoring
        self.generation += 1
        sandbox.exited.add_done_callback(self._exit_watcher(self.generation))
        self._attach_output(sandbox)
        if self._api is not None:
            self._serve(self._api, sandbox, blueprint)
        fault = blueprint.extension_fault
        if fault is not None and self.extensions is not None:
            self.extensions.fail_launch(fault.name, fault.kind)
            self.extension_failed("Extension.LaunchError", fault.words)
        elif self.extensions is None:
            self._connect(sandbox, blueprint)

    def _serve(self, api: SandboxApi, sandbox: Sandbox, blueprint: Blueprint) -> None:
        names = () if blueprint.extension_fault else blueprint.extensions
        self.host = ExtensionHost(sandbox, api, self._function, names, self)
        self.extensions = self.host.extensions if blueprint.extensions else None
        if self.telemetry is not None:
            own_port = int(sandbox.runtime_api_address.rpartition(":")[2])
            self.telemetry.serve(api, self.host.extensions, (own_port, self._services.starter.endpoint_port))
        api.listen()

    def _attach_output(self, sandbox: Sandbox) -> None:
        self.output.attach(sandbox.log_fd, sandbox.output_fd)
        for fd in sandbox.extension_fds:
            self.output.attach_extension(fd)

    def _connect(self, sandbox: Sandbox, blueprint: Blueprint) -> None:
        """Talk to the runtime's process, which is there."""
        if sandbox.channel is not None and blueprint.is_wrapped:
            self._open_wrapped().attach(sandbox.channel)
        elif sandbox.channel is not None:
            self.link = FrameChannel(self._services.loop, sandbox.channel, self._events)
        else:
            assert self._api is not None
            self.link = HttpRuntime(self._api, self._events)
        assert self.link is not None
        starter = self._services.starter
        body = starter.restore_body if self._is_restoring else starter.init_body
        credentials = self._credentials_endpoint or self._credentials
        self.link.init(body(blueprint, sandbox, credentials, self.log_stream, self._initialization))

    def _open_wrapped(self) -> WrappedRuntime:
        if not isinstance(self.link, WrappedRuntime):
            assert self._api is not None
            self.link = WrappedRuntime(self._services.loop, self._api, self._events)
        return self.link

    async def _start_waiting(self, sandbox: Sandbox, blueprint: Blueprint, host: ExtensionHost) -> None:
        """Start the runtime's process, now that the extensions are there."""
        try:
            # It may call before this learns that it was started.
            if not blueprint.runtime.framed:
                self._connect(sandbox, blueprint)
            elif blueprint.is_wrapped:
                self._open_wrapped()
            async with asyncio.timeout(START_LIMIT_S):
                await sandbox.start_runtime()
            if host is self.host:
                self._attach_output(sandbox)
                if blueprint.runtime.framed:
                    self._connect(sandbox, blueprint)
        except Exception as error:  # whatever keeps a runtime from starting is the platform's failure
            if host is self.host:
                self.runtime_bug(error)

    def _exit_watcher(self, generation: int) -> Callable[[Future[ExitStatus]], None]:
        def on_exit(future: Future[ExitStatus]) -> None:
            if generation == self.generation and not future.cancelled():
                try:
                    self._events.runtime_exited(None if future.exception() else future.result())
                except Exception as error:  # our own bug must end this environment, not hang its client
                    self.runtime_bug(error)

        return on_exit

    # ---- what extensions tell ----

    def extension_joined(self) -> None:
        assert self.host is not None
        self.extensions = self.host.extensions

    def extensions_registered(self) -> None:
        sandbox, blueprint, host = self.sandbox, self._blueprint, self.host
        if sandbox is None or blueprint is None or host is None:
            return
        if blueprint.runtime_waits:
            work = self._start_waiting(sandbox, blueprint, host)
            self._services.owner.spawn(work, f"start runtime {self._id[:8]}")
        else:
            self._connect(sandbox, blueprint)

    def extensions_at_rest(self) -> None:
        self._events.extensions_at_rest()

    def extension_failed(self, error_type: str, words: str) -> None:
        self._events.extension_failed(error_type, words)

    def runtime_bug(self, error: Exception) -> None:
        self._events.runtime_bug(error)

    # ---- moving out ----

    def stop(self, reason: str, word: str) -> None:
        """Kill every process, where there are extensions after their shutdown phase; `word` tells them why."""
        sandbox = self.sandbox
        assert sandbox is not None
        runtime_runs = self._close_link(sandbox)
        host, extensions = self.host, self.extensions
        self.host = self.extensions = None
        if host is not None:
            host.retire()
        if host is None or extensions is None:
            sandbox.kill(reason)
            return
        self._leaving = self._services.loop.create_future()
        if self.telemetry is not None:
            self.telemetry.hurry()
        work = self._leave(sandbox, host, self._leaving, reason, word, runtime_runs)
        self._services.owner.spawn(work, f"leave {self._id[:8]}")

    def _close_link(self, sandbox: Sandbox) -> bool:
        """Returns whether there is a process at its other end, or one that waits to be spoken to."""
        if self.link is None:
            return sandbox.output_fd >= 0
        self.link.close()
        self.link = None
        return True

    async def _leave(
        self,
        sandbox: Sandbox,
        host: ExtensionHost,
        leaving: Future[None],
        reason: str,
        word: str,
        runtime_runs: bool,
    ) -> None:
        """The shutdown phase, after which nothing in the sandbox lives."""
        try:
            await host.shut_down(self._services.clock, word, runtime_runs=runtime_runs)
        finally:
            sandbox.kill(reason)
            if self.telemetry is not None:
                self.telemetry.freeze()
            leaving.set_result(None)

    async def restart(self) -> None:
        """New processes in the same sandbox, once what is left of the old ones is gone. Raises SandboxError."""
        if self._leaving is not None:
            await self._leaving
        sandbox = self.sandbox
        if sandbox is None:
            return  # given up meanwhile
        self.output.detach()
        if self._api is not None:
            self._api.suspend()
        async with asyncio.timeout(START_LIMIT_S):
            await sandbox.restart()

    def give_up(self, reason: str) -> None:
        """For good; the sandbox goes in the background."""
        self._is_given_up = True
        if self.sandbox is None:
            self._release()
            return
        if self.extensions is not None:
            self.stop(reason, "spindown")
        sandbox, self.sandbox = self.sandbox, None
        if self._leaving is None or self._leaving.done():
            self._close_link(sandbox)
            self._release()
        self._services.owner.spawn(self._destroy(sandbox, reason), f"destroy {self._id[:8]}")

    def _release(self) -> None:
        """Let go of what its processes used while they lived."""
        self.output.close()
        if self.telemetry is not None:
            self.telemetry.close()
        if self._api is not None:
            self._api.close()
        if self._daemon is not None:
            self._daemon.close()
        self.stream.close()

    async def _destroy(self, sandbox: Sandbox, reason: str) -> None:
        if self._leaving is not None and not self._leaving.done():
            # Extensions still print, and send what they gathered.
            await self._leaving
            self._release()
        if sandbox.endpoint is not None:
            self._services.detach_endpoint(sandbox.id)
        await sandbox.destroy(reason)
