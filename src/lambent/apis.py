"""API Gateway put together: both control planes, both data planes and what they share. `app` has it built late."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor

from lambent.clock import Clock
from lambent.edge.access_log import AccessLogs
from lambent.edge.execute_api.door import ExecuteApiDoor
from lambent.edge.execute_api.http.gateway import HttpApiGateway
from lambent.edge.execute_api.rest.gateway import RestGateway
from lambent.edge.gate import Gate
from lambent.edge.http_proxy import HttpProxy
from lambent.edge.reach import Reach
from lambent.identity.authorization import Decide, within_accounts
from lambent.ports import FunctionCalls, LogSink, Roles, TraceSink
from lambent.services.apigateway.service import ApiGatewayService
from lambent.services.apigatewayv2.service import ApiGatewayV2Service
from lambent.storage.database import Database


class Apis:
    """Every REST and HTTP API of a region."""

    def __init__(
        self,
        *,
        database: Database,
        functions: FunctionCalls,
        gate: Gate,
        decide: Decide = within_accounts,
        roles: Roles | None = None,
        logs: LogSink,
        clock: Clock,
        workers: Executor,
        host_suffix: str,
        reach: Reach,
        traces: TraceSink | None = None,
    ) -> None:
        self._rest = ApiGatewayService(database=database, clock=clock, decide=decide, roles=roles)
        self._http = ApiGatewayV2Service(database=database, clock=clock, host_suffix=host_suffix)
        self._rest.leave(self._http.snapshots.has)
        self._http.leave(self._rest.snapshots.has)
        self._proxy = HttpProxy(reach)
        access_logs = AccessLogs(logs, clock)
        rest = RestGateway(
            snapshots=self._rest.snapshots,
            functions=functions,
            gate=gate,
            decide=decide,
            proxy=self._proxy,
            logs=access_logs,
            clock=clock,
            workers=workers,
            traces=traces,
        )
        self._rest.use_tester(rest.tester)
        self._gateway = HttpApiGateway(
            self._http.snapshots, functions, self._proxy, access_logs, gate, clock, workers, decide
        )
        self.door = ExecuteApiDoor([rest, self._gateway])

    async def start(self) -> None:
        """Raises StorageError."""
        await self._rest.start()
        await self._http.start()

    async def stop(self) -> None:
        await self._proxy.stop()
        await self._http.stop()
        await self._rest.stop()

    async def reset(self) -> None:
        """Forget every API of every account."""
        for part in (self._rest, self._http, self._gateway):
            await part.reset()

    def operations(self, service: str) -> Sequence[object]:
        """What answers the AWS API `apigateway` or `apigatewayv2`."""
        return {"apigateway": self._rest.operations, "apigatewayv2": self._http.operations}[service]
