"""One request on its way through a REST API: what is known of it so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from lambent.context import Caller
from lambent.edge.execute_api.rest.deployed import DeployedApi
from lambent.edge.execute_api.rest.execution_log import ExecutionLog
from lambent.edge.execute_api.rest.failures import GatewayError
from lambent.edge.http_events.payload_v2 import ApiFacts
from lambent.edge.http_events.request_facts import Facts
from lambent.services.apigateway.domain import Method, Resource, Stage


@dataclass(slots=True)
class Exchange:
    facts: Facts
    #: As deployed, or as it is being edited (tests of methods).
    api: DeployedApi
    stage: Stage
    deployment_id: str | None
    #: As sent, behind the stage, beginning with `/`.
    path: str
    #: x-amz-apigw-id
    extended_id: str
    #: Monotonic seconds.
    started: float
    log: ExecutionLog
    #: What a test calls it; "" for the id of the API.
    domain_prefix: str = ""

    # Known once it is routed
    resource: Resource | None = None
    method: Method | None = None
    #: As sent, percent-encoding kept.
    path_parameters: Mapping[str, str] = field(default_factory=dict)

    # Known once it is authorized
    #: Whose signature it bears.
    caller: Caller | None = None
    #: principalId, integrationLatency and the context of a Lambda authorizer.
    authorizer: dict[str, Any] | None = None
    #: What a test says of `requestContext.identity`.
    identity: Mapping[str, str | None] | None = None

    # Known once it is answered
    integration_status: int | None = None
    integration_latency_ms: int | None = None
    #: The endpoint's own id of its request.
    integration_request_id: str | None = None
    #: Of a streamed answer, from the call: until its head and the first byte of its body were there.
    headers_ms: int | None = None
    content_ms: int | None = None
    error: GatewayError | None = None
    status: int = 0
    response_length: int = 0
    latency_ms: int = 0

    @property
    def streams(self) -> bool:
        """Whether the client gets the integration's answer piece by piece."""
        method = self.method
        return method is not None and method.integration is not None and method.integration.streams

    @property
    def stage_variables(self) -> Mapping[str, str]:
        return self.stage.variables

    @property
    def context_path(self) -> str:
        """With the stage: `/prod/pets/1`."""
        return self.facts.raw_path

    @property
    def arn(self) -> str:
        """Of the method and path that was asked for, as policies name it: a path has one name however it is written,
        or a `//` or a `%61` would lead around what a policy denies."""
        api = self.api.definition
        return (
            f"{api_arn(api.region, api.account, api.id)}/{self.stage.name}/{self.facts.method}/{path_in_arn(self.path)}"
        )

    @property
    def api_facts(self) -> ApiFacts:
        api = self.api.definition
        return ApiFacts(api.account, api.id, self.facts.domain_name, self.domain_prefix or api.id)

    def identity_members(self) -> Mapping[str, str | None] | None:
        """Members of requestContext.identity that authorization has found out."""
        if self.identity is not None:
            return self.identity
        caller = self.caller
        if caller is None:
            return None
        return {
            "accessKey": caller.access_key_id,
            "accountId": caller.account,
            "caller": caller.user_id,
            "user": caller.user_id,
            "userArn": caller.arn,
        }


def path_in_arn(raw_path: str) -> str:
    """As routes see it: without slashes at its ends, decoded; an encoded slash stays one."""
    return "/".join(unquote(segment).replace("/", "%2F") for segment in raw_path.strip("/").split("/"))


def api_arn(region: str, account: str, api_id: str) -> str:
    """`arn:aws:execute-api:us-east-1:000000000000:abc123`"""
    return f"arn:aws:execute-api:{region}:{account}:{api_id}"
