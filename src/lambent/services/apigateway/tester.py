"""TestInvokeMethod and TestInvokeAuthorizer: what the control plane asks of the data plane.

`edge/execute_api/rest` implements `Tester` and `app` hands it to the service, which knows no data plane.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from lambent.services.apigateway.domain import Authorizer, Method, Resource, RestApi

#: Values by name, the name as given.
MultiValues = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class TestRequest:
    """What somebody sends, as the test says it; the stage is called `test-invoke-stage`."""

    __test__ = False

    request_id: str
    #: Beginning with `/`, with its query string; never empty.
    path_with_query: str
    headers: MultiValues = field(default_factory=dict)
    body: str = ""
    stage_variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TestResult:
    __test__ = False

    status: int
    body: str
    headers: MultiValues
    #: The execution log, lines as AWS words them.
    log: str
    latency_ms: int


@dataclass(frozen=True, slots=True)
class AuthorizerTestResult:
    #: 200, or what the client would have got (401, 403, 500).
    status: int
    log: str
    latency_ms: int
    principal_id: str = ""
    #: JSON text of the policy document.
    policy: str = ""
    #: The authorizer's context.
    claims: Mapping[str, str] = field(default_factory=dict)


class Tester(Protocol):
    """Neither raises: what goes wrong is in the result's status and log."""

    async def test_method(self, api: RestApi, resource: Resource, method: Method, request: TestRequest) -> TestResult:
        """Run the method as it is being edited. Authorizers and the resource policy are passed over, as on AWS."""

    async def test_authorizer(
        self, api: RestApi, authorizer: Authorizer, request: TestRequest, context: Mapping[str, str]
    ) -> AuthorizerTestResult:
        """Ask the authorizer, past its cache. `context` is what the test says of `$context`."""
