"""The REST APIs of a region put together: what `app` builds, starts, registers, resets and stops."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lambent.clock import Clock
from lambent.identity.authorization import Decide, within_accounts
from lambent.identity.role_checks import AnyRole
from lambent.ports import Roles
from lambent.services.apigateway.changes import Apis
from lambent.services.apigateway.operations.account import AccountOperations, TagOperations
from lambent.services.apigateway.operations.authorizers import AuthorizerOperations
from lambent.services.apigateway.operations.deployments import DeploymentOperations
from lambent.services.apigateway.operations.gateway_responses import GatewayResponseOperations
from lambent.services.apigateway.operations.imports import ImportOperations
from lambent.services.apigateway.operations.integrations import IntegrationOperations
from lambent.services.apigateway.operations.methods import MethodOperations
from lambent.services.apigateway.operations.resources import ResourceOperations
from lambent.services.apigateway.operations.rest_apis import RestApiOperations
from lambent.services.apigateway.operations.stages import StageOperations
from lambent.services.apigateway.operations.testing import TestInvokeOperations
from lambent.services.apigateway.operations.validation import ModelOperations, RequestValidatorOperations
from lambent.services.apigateway.snapshots import Snapshots
from lambent.services.apigateway.store import ApiStore
from lambent.services.apigateway.tester import Tester
from lambent.storage.database import Database


class ApiGatewayService:
    def __init__(
        self, *, database: Database, clock: Clock, decide: Decide = within_accounts, roles: Roles | None = None
    ) -> None:
        """`decide`: may a caller pass the roles that stand inside of definitions?"""
        #: What the data plane reads.
        self.snapshots = Snapshots()
        store = ApiStore()
        self._apis = apis = Apis(database, store, self.snapshots)
        self._operations: list[object] = [
            RestApiOperations(apis, clock),
            ImportOperations(apis, clock, decide),
            ResourceOperations(apis),
            MethodOperations(apis),
            IntegrationOperations(apis),
            DeploymentOperations(apis, store, clock),
            StageOperations(apis, store, clock),
            AuthorizerOperations(apis),
            RequestValidatorOperations(apis),
            ModelOperations(apis),
            GatewayResponseOperations(apis),
            AccountOperations(apis, roles or AnyRole()),
            TagOperations(apis, store),
        ]

    @property
    def operations(self) -> Sequence[object]:
        return tuple(self._operations)

    def use_tester(self, tester: Tester) -> None:
        """The data plane, for TestInvokeMethod and TestInvokeAuthorizer; before `operations` are registered."""
        self._operations.append(TestInvokeOperations(self._apis, tester))

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
