"""The HTTP APIs of a region put together: what `app` builds, starts, registers, resets and stops."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lambent.clock import Clock
from lambent.services.apigatewayv2.changes import Apis
from lambent.services.apigatewayv2.describe import Endpoints
from lambent.services.apigatewayv2.operations.apis import ApiOperations
from lambent.services.apigatewayv2.operations.authorizers import AuthorizerOperations
from lambent.services.apigatewayv2.operations.deployments import DeploymentOperations
from lambent.services.apigatewayv2.operations.integrations import IntegrationOperations
from lambent.services.apigatewayv2.operations.routes import RouteOperations
from lambent.services.apigatewayv2.operations.stages import StageOperations
from lambent.services.apigatewayv2.operations.tags import TagOperations
from lambent.services.apigatewayv2.snapshots import Snapshots
from lambent.services.apigatewayv2.store import ApiStore
from lambent.storage.database import Database


class ApiGatewayV2Service:
    def __init__(self, *, database: Database, clock: Clock, host_suffix: str = "") -> None:
        """`host_suffix` is the operator's own name below which APIs answer."""
        store = ApiStore()
        #: What the data plane serves.
        self.snapshots = Snapshots()
        self._apis = apis = Apis(database, store, self.snapshots, clock)
        self.operations: Sequence[object] = (
            ApiOperations(apis, Endpoints((host_suffix, "localhost.localstack.cloud"))),
            RouteOperations(apis),
            IntegrationOperations(apis),
            AuthorizerOperations(apis),
            StageOperations(apis, store),
            DeploymentOperations(apis, store, database),
            TagOperations(apis),
        )

    def leave(self, is_taken: Callable[[str], bool]) -> None:
        """Make no API with an id that `is_taken` elsewhere."""
        self._apis.is_taken = is_taken

    async def start(self) -> None:
        """After the database; before the first request."""
        await self._apis.start()

    async def stop(self) -> None:
        """After the last request; before the database."""

    async def reset(self) -> None:
        """Forget every API of every account."""
        await self._apis.delete_all()
