"""The composition root: builds every object of a region once, in start order, and stops them in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import uvloop

from lambent import wire
from lambent.clock import SystemClock
from lambent.config import AuthMode, Config
from lambent.edge.dispatch import Dispatch
from lambent.edge.guard import BrowserGuard, Guard
from lambent.edge.health import Health, LocalStackHealth, LocalStackInfo, LocalStackInit
from lambent.edge.local import LocalRoutes
from lambent.edge.pipeline import Pipeline
from lambent.edge.reset import Reset
from lambent.endpoint import Endpoint, url_of
from lambent.identity.authorization import AllowEverything
from lambent.identity.keys import KnownKeys, load_root_key
from lambent.identity.sessions import SessionTokens
from lambent.identity.sigv4 import AnyCaller, SignatureVerifier
from lambent.ports import Resettable
from lambent.services.sts.operations import StsOperations
from lambent.storage.secrets import SecretBox
from lambent.transport.server import HttpServer

log = logging.getLogger(__name__)


class App:
    """One region in one process. `run` returns when it is told to stop."""

    def __init__(self, config: Config, announce: Callable[[App], None]) -> None:
        """`announce` is called once, when requests are answered."""
        self.config = config
        self.clock = SystemClock()
        self._announce = announce
        self.url = ""

    def run(self) -> None:
        """Raises OSError and the errors of the parts, each a sentence for the operator."""
        listener = bind(self.config)
        self.url = url_of(self.config.host, listener.getsockname()[1])
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve(listener))

    async def _serve(self, listener: socket.socket) -> None:
        stopping = asyncio.Event()
        async with contextlib.AsyncExitStack() as stack:
            server = await self._start(listener, stack)
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, _stop_or_hurry, stopping, server)
            # What exists now lives as long as the region: the collector need not look at it again.
            gc.collect()
            gc.freeze()
            self._announce(self)
            await stopping.wait()

    async def _start(self, listener: socket.socket, stack: contextlib.AsyncExitStack) -> HttpServer:
        config = self.config
        box = SecretBox(config.data_dir / "secret.key")
        sessions = SessionTokens(box.derive("session tokens"), self.clock)
        keys = KnownKeys(load_root_key(config.data_dir / "credentials.json"), sessions)
        services: dict[str, list[object]] = {"sts": [StsOperations()]}
        resettables: list[Resettable] = []

        workers = ThreadPoolExecutor(2, thread_name_prefix="large bodies")
        stack.callback(workers.shutdown)
        verifier = SignatureVerifier(keys, self.clock)
        strict = config.auth is not AuthMode.OFF
        reset = Reset(resettables, keys.root.caller.access_key_id, verifier if strict else None)
        pipeline = Pipeline(
            router=wire.Router(wire.ApiModels(tuple(services))),
            gate=verifier if strict else AnyCaller(keys, config.region),
            authorizer=AllowEverything(),
            dispatch=Dispatch(services),
            guard=Guard() if strict else BrowserGuard(config.host, (config.host_suffix,)),
            local=self._local_routes(tuple(services), reset),
            workers=workers,
        )
        server = HttpServer(pipeline.answer)
        stack.push_async_callback(server.stop)
        await server.start(listener)
        endpoint = Endpoint.of(config.data_dir)
        endpoint.write(self.url, config.region)
        stack.callback(endpoint.remove)
        return server

    def _local_routes(self, services: tuple[str, ...], reset: Reset) -> LocalRoutes:
        health = Health(services, self.config.region, None)
        return LocalRoutes(
            gets={
                "/_lambent/health": health,
                "/_localstack/health": LocalStackHealth(services),
                "/_localstack/info": LocalStackInfo(self.clock),
                "/_localstack/init": LocalStackInit(),
            },
            posts={"/_lambent/reset": reset, "/_localstack/state/reset": reset},
        )


def bind(config: Config) -> socket.socket:
    """The region's socket. Raises OSError with a sentence."""
    try:
        return socket.create_server(
            (config.host, config.port), family=socket.AF_INET6 if ":" in config.host else socket.AF_INET, backlog=2048
        )
    except OSError as error:
        raise OSError(error.errno, f"Cannot listen on {config.host} port {config.port}: {error.strerror}.") from error


def _stop_or_hurry(stopping: asyncio.Event, server: HttpServer) -> None:
    """The first signal stops after what is being answered, the second one at once."""
    if stopping.is_set():
        server.force_stop()
    stopping.set()
