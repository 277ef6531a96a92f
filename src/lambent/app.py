"""The composition root: builds every object of a region once, in start order, and stops them in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import importlib
import logging
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvloop

from lambent import wire
from lambent.clock import Clock, MovableClock, SystemClock
from lambent.config import AuthMode, Config, Isolation, Network
from lambent.edge.accounts import AccountsRoute
from lambent.edge.clock import ClockRoute
from lambent.edge.costs import Costs
from lambent.edge.deferred import Deferred
from lambent.edge.dispatch import Dispatch, Late
from lambent.edge.documents import getter
from lambent.edge.doors import Doors
from lambent.edge.environments import Environments
from lambent.edge.exposition import Exposition
from lambent.edge.function_url.door import FunctionUrlDoor
from lambent.edge.guard import BrowserGuard, Guard
from lambent.edge.health import Health, LocalStackHealth, LocalStackInfo, LocalStackInit
from lambent.edge.http_proxy import HttpProxy
from lambent.edge.iam_audit import AuditFile, AuditRoute, ExplainRoute
from lambent.edge.late_apis import Apis, LateApis
from lambent.edge.local import LocalRoutes
from lambent.edge.operator import OperatorCheck
from lambent.edge.pipeline import Pipeline
from lambent.edge.reach import Reach
from lambent.edge.reset import Reset
from lambent.edge.statistics import Statistics
from lambent.endpoint import Endpoint, url_of
from lambent.identity.audit import AuditLog
from lambent.identity.authorization import Authorizer
from lambent.identity.keys import KeyFileError, KnownKeys, load_root_key
from lambent.identity.log_access import LogAccess
from lambent.identity.messages import AuthorizationMessages
from lambent.identity.role_checks import CheckedRoles
from lambent.identity.sessions import SessionTokens
from lambent.identity.sigv4 import AnyCaller, SignatureVerifier
from lambent.identity.trace_rights import may_put_segments
from lambent.invoke.invoker import Invoker
from lambent.invoke.readiness import Readiness
from lambent.ports import FunctionVersion, KeyUseSink, Resettable, SigningIdentity
from lambent.runtimes.catalog import Catalog
from lambent.sandbox.client import SupervisorClient
from lambent.sandbox.spec import IsolationReport, Level, SandboxError
from lambent.services.billing.ledger import Ledger
from lambent.services.cloudwatch.service import CloudWatchService
from lambent.services.iam.service import IamService
from lambent.services.lambda_.code import links
from lambent.services.lambda_.file_systems import FileSystems
from lambent.services.lambda_.service import LambdaService
from lambent.services.lambda_.snap_start.domain import Eligibility
from lambent.services.lambda_.subnets import Subnets
from lambent.services.logs.operations import LogsOperations
from lambent.services.logs.store import LogStore
from lambent.services.otlp.exporter import SpanExporter
from lambent.services.sts.service import StsService
from lambent.services.xray.service import XRayService
from lambent.storage.database import Database
from lambent.storage.faults import StorageError
from lambent.storage.secrets import SecretBox, SecretError
from lambent.transport import tls_context
from lambent.transport.server import HttpServer
from lambent.transport.tls import Tls
from lambent.triggers.destinations import FunctionDestination
from lambent.triggers.sink import Events

log = logging.getLogger(__name__)

#: A request leaves some hundred objects to count and hardly a cycle: looking less often keeps it out of the tail.
GC_THRESHOLDS = (20_000, 20, 20)


class RegionFailed(Exception):
    """A sentence: why the region cannot start, or had to stop."""


@dataclass(frozen=True, slots=True)
class Access:
    """What `--auth` puts before requests."""

    gate: SignatureVerifier | AnyCaller
    guard: Guard
    operator: OperatorCheck


class App:
    """One region in one process. `run` returns when it is told to stop."""

    def __init__(
        self, config: Config, supervisor: SupervisorClient, catalog: Catalog, announce: Callable[[App], None]
    ) -> None:
        """`supervisor` is forked already; `announce` is called once, when requests are answered."""
        self.config = config
        # Known once it runs
        self._late: Deferred[Apis]
        self.url = ""
        self.isolation: IsolationReport
        self._supervisor = supervisor
        self._catalog = catalog
        self._announce = announce
        self._clock = SystemClock()
        self._transport = HttpServer(tls=tls_of(config, self._clock))
        self._stopping = asyncio.Event()
        #: Why it had to stop by itself, "" otherwise.
        self._failure = ""

    def run(self) -> None:
        """Raises RegionFailed."""
        listener = bind(self.config)
        self.url = url_of(self.config.host, listener.getsockname()[1])
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve(listener))
        if self._failure:
            raise RegionFailed(self._failure)

    async def _serve(self, listener: socket.socket) -> None:
        async with contextlib.AsyncExitStack() as stack:
            try:
                await self._start(listener, stack)
            except (SandboxError, SecretError, StorageError, KeyFileError) as error:
                raise RegionFailed(str(error)) from error
            # What exists now lives as long as the region: the collector, idle since `up` began, need not look at it.
            gc.freeze()
            gc.set_threshold(*GC_THRESHOLDS)
            gc.enable()
            self._announce(self)
            building = asyncio.create_task(self._build_late(), name="build what came late")
            await self._stopping.wait()
            await building

    async def _build_late(self) -> None:
        """What was left out of the start, before somebody has to wait for it."""
        try:
            await self._late.get()
        except StorageError as error:
            log.error("API Gateway cannot be served yet: %s", error)
        gc.freeze()

    async def _start(self, listener: socket.socket, stack: contextlib.AsyncExitStack) -> None:
        """Everything in order; what each `push` names is stopped in reverse."""
        config = self.config
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop_or_hurry)

        secrets = SecretBox(config.data_dir / "secret.key")
        database = Database(config.data_dir / "region.db")
        iam = IamService(database=database, secrets=secrets, clock=self._clock)
        sessions = SessionTokens(secrets.derive("session tokens"), self._clock, iam.directory)
        keys = KnownKeys(load_root_key(config.data_dir / "credentials.json"), sessions, [iam.directory, iam.accounts])
        ledger = Ledger(database, self._clock)
        cloudwatch = CloudWatchService(database=database, clock=self._clock, kept=ledger.kept)
        logs = LogStore(config.data_dir / "logs", self._clock, config.log_budget, [cloudwatch.embedded])
        for part in (self._supervisor, database, ledger, cloudwatch, logs):
            stack.push_async_callback(part.stop)
        # Each waits for something of its own: another process, disks, files to copy.
        self.isolation, *_ = await _all_of(
            self._start_supervisor(listener.getsockname()[1]),
            database.start(),
            logs.start(),
            asyncio.to_thread(self._catalog.prepare),
        )

        await iam.start()
        stack.push_async_callback(iam.stop)
        roles = CheckedRoles(iam.directory, config.auth)
        audit = AuditLog(self._clock)
        authorizer = Authorizer(config.auth, iam.directory, iam.directory, self._clock, audit)
        audit_file = AuditFile(config.data_dir / "audit.json", audit)
        await audit_file.start()
        stack.push_async_callback(audit_file.stop)

        xray = XRayService(
            database=database, clock=self._clock, may_put=_trace_rights(authorizer), budget=config.trace_budget
        )
        await xray.start()
        stack.push_async_callback(xray.stop)

        exporters = await self._start_exporter(stack)

        invoker = Invoker(
            launcher=self._supervisor,
            runtimes=self._catalog,
            logs=logs,
            log_access=LogAccess(authorizer.decide, iam.directory, keys, logs.has_group),
            roles=roles,
            credentials=sessions,
            clock=self._clock,
            account_concurrency=config.account_concurrency,
            memory_budget_mb=config.memory_budget,
            idle_timeout=config.idle_timeout,
            attach_endpoint=self._transport.add_socket,
            detach_endpoint=self._transport.remove_socket,
            records=[cloudwatch.functions, ledger, xray.invocations, *exporters],
            metrics=cloudwatch.functions,
            traces=xray,
        )
        await invoker.start(self._url_inside())
        stack.push_async_callback(invoker.stop)
        await cloudwatch.start(invoker)
        await ledger.start()

        roles = CheckedRoles(iam.directory, config.auth)
        readiness = Readiness(self._supervisor.prepare, {spec.name for spec in self._catalog.available()})
        stack.push_async_callback(readiness.stop)
        moved = MovableClock() if config.test_clock else None
        events = Events(database, moved or self._clock, cloudwatch.functions, config.event_budget)
        functions = LambdaService(
            data_dir=config.data_dir,
            database=database,
            secrets=secrets,
            invoker=invoker,
            events=events,
            destinations=events.destinations,
            clock=self._clock,
            account_concurrency=config.account_concurrency,
            host_suffix=config.host_suffix,
            use_runtime=readiness.use,
            file_systems=FileSystems(tuple(config.efs), self.isolation.no_file_systems),
            subnets=Subnets({subnet: access.name for subnet, access in config.vpc.items()}),
            roles=roles,
            decide=authorizer.decide,
            metrics=cloudwatch.functions,
            snapshots=invoker.snapshots,
            snapshot_meter=ledger,
            snap_start=Eligibility(config.snap_start.every_python),
        )
        await functions.start()
        stack.push_async_callback(functions.stop)
        authorizer.use("lambda", functions)
        events.destinations.add("lambda", FunctionDestination(events, functions.calls))
        await events.start(
            functions.directory,
            functions.event_rules,
            invoker,
            retry_base_delay=config.async_retry_base_delay,
            most_at_once=config.account_concurrency,
        )
        stack.push_async_callback(events.stop)

        issuer_proxy = HttpProxy(Reach.everything())
        stack.push_async_callback(issuer_proxy.stop)
        sts = StsService(
            sessions=sessions,
            principals=iam.directory,
            messages=AuthorizationMessages(secrets.derive("authorization messages")),
            issuers=config.oidc,
            get=getter(issuer_proxy),
            clock=self._clock,
            strict=config.auth is AuthMode.STRICT,
            trusting=config.auth is AuthMode.OFF,
        )

        access = self._access(keys, iam.key_uses)
        workers = ThreadPoolExecutor(2, thread_name_prefix="large bodies")
        stack.callback(workers.shutdown)
        urls = FunctionUrlDoor(functions.urls, functions.calls, access.gate, self._clock, workers, cloudwatch.functions)

        apis: Deferred[Apis] = Deferred(
            lambda: _build_apis(
                database=database,
                functions=functions.calls,
                gate=access.gate,
                decide=authorizer.decide,
                roles=roles,
                logs=logs,
                clock=self._clock,
                workers=workers,
                host_suffix=config.host_suffix,
                traces=xray,
                reach=Reach(config.network_allow, urlsplit(self.url).port or 0),
            )
        )
        late = LateApis(apis)
        stack.push_async_callback(late.stop)

        statistics: dict[str, Callable[[], Mapping[str, int]]] = {
            "invoker": invoker.statistics,
            "events": events.statistics,
            "logs": logs.statistics,
            "metrics": cloudwatch.statistics,
            "traces": xray.statistics,
            **({"otlp": exporters[0].statistics} if exporters else {}),
        }
        pipeline = self._pipeline(
            services={
                "lambda": functions.operations,
                "logs": [LogsOperations(logs)],
                "sts": sts.operations,
            },
            late={
                "iam": iam.operations,
                "cloudwatch": cloudwatch.operations,
                "xray": xray.operations,
                **{name: functools.partial(late.operations, name) for name in ("apigateway", "apigatewayv2")},
            },
            doors=Doors(
                {"lambda-url": urls, "execute-api": late},
                (config.host_suffix,),
                access.guard.allows,
            ),
            access=access,
            accounts=AccountsRoute(iam.accounts, keys.root.caller.access_key_id, access.operator),
            authorizer=authorizer,
            audit=AuditRoute(config.auth.value, audit, access.operator),
            clock=ClockRoute(moved, [events.clock_moved, invoker.age], access.operator),
            code_links=functions.links,
            # First what starts things, then what runs, then what it writes to.
            resettables=[late, events, functions, invoker, logs, cloudwatch, xray, ledger, iam, audit_file],
            statistics=statistics,
            environments=invoker.environments,
            scraped=Exposition(cloudwatch.totals, statistics, access.operator, _words_of(keys.root)),
            costs=Costs(ledger, config.rates, access.operator),
            workers=workers,
        )
        await self._transport.start(listener, pipeline)
        stack.push_async_callback(self._transport.stop)

        endpoint = Endpoint.of(config.data_dir)
        endpoint.write(self.url, config.region)
        stack.callback(endpoint.remove)
        self._late = apis

    def _pipeline(
        self,
        *,
        services: Mapping[str, Sequence[object]],
        late: Mapping[str, Late],
        doors: Doors,
        access: Access,
        accounts: AccountsRoute,
        authorizer: Authorizer,
        audit: AuditRoute,
        clock: ClockRoute,
        code_links: links.CodeLinks,
        resettables: Sequence[Resettable],
        statistics: Mapping[str, Callable[[], Mapping[str, int]]],
        environments: Callable[[], Sequence[dict[str, Any]]],
        scraped: Exposition,
        costs: Costs,
        workers: Executor,
    ) -> Pipeline:
        operator = access.operator
        names = (*services, *late)
        health = Health(names, self.config.region, self.isolation)
        reset = Reset(resettables, operator)
        return Pipeline(
            router=wire.Router(wire.ApiModels(names)),
            gate=access.gate,
            authorizer=authorizer,
            dispatch=Dispatch(services, late),
            guard=access.guard,
            doors=doors,
            local=LocalRoutes(
                gets={
                    "/_lambent/health": health,
                    "/_lambent/accounts": accounts,
                    "/_lambent/iam/audit": audit,
                    "/_lambent/statistics": Statistics(statistics, self._supervisor.stats, operator),
                    "/_lambent/environments": Environments(environments, operator),
                    "/_lambent/costs": costs,
                    "/_lambent/metrics": scraped,
                    "/metrics": scraped,
                    links.PREFIX: code_links,
                    "/_localstack/health": LocalStackHealth(names),
                    "/_localstack/info": LocalStackInfo(self._clock),
                    "/_localstack/init": LocalStackInit(),
                },
                posts={
                    "/_lambent/accounts": accounts,
                    "/_lambent/iam/explain": ExplainRoute(authorizer, operator),
                    "/_lambent/clock": clock,
                    "/_lambent/reset": reset,
                    "/_localstack/state/reset": reset,
                },
            ),
            workers=workers,
        )

    def _access(self, keys: KnownKeys, uses: KeyUseSink) -> Access:
        config = self.config
        verifier = SignatureVerifier(keys, self._clock, uses)
        root = keys.root.caller.access_key_id
        if config.auth is not AuthMode.OFF:
            return Access(verifier, Guard(), OperatorCheck(root, verifier))
        # A function on the host's network looks like any client, so then even `--auth off` asks for the root key.
        operator = OperatorCheck(root, verifier if self._shares_network else None)
        return Access(AnyCaller(keys, config.region), BrowserGuard(config.host, (config.host_suffix,)), operator)

    async def _start_exporter(self, stack: contextlib.AsyncExitStack) -> Sequence[SpanExporter]:
        """Of spans, where there is a collector for them."""
        table = self.config.otlp
        endpoint = self.config.otlp_endpoint or table.endpoint
        if not endpoint:
            return ()
        exporter = SpanExporter(endpoint, table.headers, sampled_only=table.sampled_only)
        await exporter.start()
        stack.push_async_callback(exporter.stop)
        return (exporter,)

    async def _start_supervisor(self, port: int) -> IsolationReport:
        report = await self._supervisor.start(port, self._fail)
        if (
            report.level is Level.PROCESS
            and not self.config.is_loopback
            and self.config.isolation is not Isolation.PROCESS
        ):
            raise RegionFailed(
                f"Only the isolation level `process` can be had here ({report.summary}), which is too little for "
                f"{self.config.host}: say --isolation process if that is what you want, or see `lambent doctor`."
            )
        return report

    def _url_inside(self) -> str:
        """The region as functions reach it: on their own loopback, or where their network is the host's, as anybody."""
        if self._shares_network:
            return self.url
        return url_of("127.0.0.1", urlsplit(self.url).port or 0)

    @property
    def _shares_network(self) -> bool:
        return self.isolation.level is Level.PROCESS or self.config.network is Network.HOST

    def _fail(self, reason: str) -> None:
        """Called when a part that nothing works without is lost: whoever started the region should start it anew."""
        self._failure = reason
        self._stopping.set()

    def _stop_or_hurry(self) -> None:
        """The first signal stops after what is being answered, the second one at once."""
        if self._stopping.is_set():
            self._transport.force_stop()
        self._stopping.set()


async def _build_apis(**parts: Any) -> Apis:
    # Its modules are a quarter of all there is to import.
    module = await asyncio.to_thread(importlib.import_module, "lambent.apis")
    built = module.Apis(**parts)
    await built.start()
    apis: Apis = built
    return apis


def _trace_rights(authorizer: Authorizer) -> Callable[[FunctionVersion], bool]:
    """Whether a function's role may put segments: its daemon sends them, and those that Lambda records of it."""
    return lambda function: may_put_segments(
        authorizer.decide, function.role, function.name, function.account, function.region
    )


def _words_of(identity: SigningIdentity) -> tuple[str, str]:
    """An access key as user name and password."""
    return identity.caller.access_key_id, identity.secret_access_key


async def _all_of(*starting: Awaitable[Any]) -> list[Any]:
    """The results, once all are done; the first failure, but not while another part is half started."""
    results = await asyncio.gather(*starting, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def tls_of(config: Config, clock: Clock) -> Tls:
    """The operator's certificate, read now, or the region's own, made at the first need. Raises RegionFailed."""
    if config.tls_certificate is None:
        names = tls_context.names_of(config.host, config.region, config.host_suffix)
        return Tls(lambda: _own_certificate(config.data_dir / "tls", names, clock))
    try:
        return Tls.ready(tls_context.server_context(config.tls_certificate, config.tls_key))
    except OSError as error:
        files = " and ".join(str(path) for path in (config.tls_certificate, config.tls_key) if path)
        raise RegionFailed(f"{files} cannot be used for HTTPS: {error.strerror or error}.") from error


def _own_certificate(folder: Path, names: Sequence[str], clock: Clock) -> ssl.SSLContext:
    # A tenth of a second to import, which a region that only speaks HTTP never spends.
    module = importlib.import_module("lambent.transport.certificate")
    context: ssl.SSLContext = module.own_context(folder, names, datetime.fromtimestamp(clock.now(), UTC))
    return context


def bind(config: Config) -> socket.socket:
    """The region's socket. Raises RegionFailed."""
    try:
        return socket.create_server(
            (config.host, config.port), family=socket.AF_INET6 if ":" in config.host else socket.AF_INET, backlog=2048
        )
    except OSError as error:
        # `create_server` says the address again. The number may be a resolver's, for which `os.strerror` has no words.
        reason = (error.strerror or str(error)).partition(" (while attempting")[0]
        raise RegionFailed(f"Cannot listen on {config.host} port {config.port}: {reason}.") from error
