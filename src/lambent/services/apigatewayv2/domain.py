"""HTTP APIs as frozen values: an API is one document, a deployment is what of it is deployed, on one day.

Members carry AWS's names when they are written (`rename="pascal"`), so that documents, answers and requests share one
form; None is what was not given. The data plane reads these values and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from lambent.arn import partition_of

#: The route that takes what no other route does, and the stage that needs no name in paths.
DEFAULT = "$default"
ANY = "ANY"

Strings = Mapping[str, str]


class Cors(msgspec.Struct, frozen=True, rename="pascal"):
    allow_credentials: bool | None = None
    allow_headers: tuple[str, ...] | None = None
    allow_methods: tuple[str, ...] | None = None
    allow_origins: tuple[str, ...] | None = None
    expose_headers: tuple[str, ...] | None = None
    max_age: int | None = None


class Route(msgspec.Struct, frozen=True, rename="pascal"):
    route_id: str
    #: `GET /pets/{id}`, `ANY /{proxy+}`, `$default`.
    route_key: str
    #: `integrations/<id>`
    target: str | None = None
    #: NONE | AWS_IAM | CUSTOM | JWT; with the last two `authorizer_id` is set.
    authorization_type: str = "NONE"
    authorizer_id: str | None = None
    authorization_scopes: tuple[str, ...] | None = None
    operation_name: str | None = None
    api_key_required: bool = False
    #: Made by quick create.
    api_gateway_managed: bool | None = None

    @property
    def integration_id(self) -> str | None:
        return self.target.removeprefix("integrations/") if self.target else None


class Integration(msgspec.Struct, frozen=True, rename="pascal"):
    integration_id: str
    integration_type: Literal["AWS_PROXY", "HTTP_PROXY"]
    #: A function's ARN, its invocation ARN, or a URL; may hold `${stageVariables.x}`, a URL also `{parameter}`.
    integration_uri: str
    #: POST for functions; for HTTP a method, or ANY for the client's own.
    integration_method: str
    #: 1.0 | 2.0
    payload_format_version: str
    timeout_in_millis: int = 30_000
    connection_type: str = "INTERNET"
    #: Role that calls the function instead of API Gateway itself.
    credentials_arn: str | None = None
    description: str | None = None
    #: `overwrite:header.x` → `$request.querystring.y`; see `rules.mappings`.
    request_parameters: Strings | None = None
    #: The same by status code of the answer.
    response_parameters: Mapping[str, Strings] | None = None
    api_gateway_managed: bool | None = None


class JwtConfiguration(msgspec.Struct, frozen=True, rename="pascal"):
    issuer: str
    audience: tuple[str, ...] = ()


class Authorizer(msgspec.Struct, frozen=True, rename="pascal"):
    authorizer_id: str
    name: str
    authorizer_type: Literal["REQUEST", "JWT"]
    #: `$request.header.Authorization` …; JWT: exactly one.
    identity_source: tuple[str, ...] = ()
    # REQUEST
    authorizer_uri: str | None = None
    authorizer_credentials_arn: str | None = None
    #: 1.0 | 2.0
    authorizer_payload_format_version: str | None = None
    #: 0: no cache.
    authorizer_result_ttl_in_seconds: int | None = None
    enable_simple_responses: bool | None = None
    # JWT
    jwt_configuration: JwtConfiguration | None = None


class RouteSettings(msgspec.Struct, frozen=True, rename="pascal"):
    detailed_metrics_enabled: bool | None = None
    throttling_burst_limit: int | None = None
    #: Requests per second.
    throttling_rate_limit: float | None = None


class AccessLogSettings(msgspec.Struct, frozen=True, rename="pascal"):
    #: ARN of a log group.
    destination_arn: str
    #: A template of `$context.…` variables.
    format: str


class Stage(msgspec.Struct, frozen=True, rename="pascal"):
    stage_name: str
    #: Seconds since the epoch.
    created_date: int
    last_updated_date: int
    auto_deploy: bool | None = None
    #: None: nothing has been deployed.
    deployment_id: str | None = None
    description: str | None = None
    default_route_settings: RouteSettings = RouteSettings(detailed_metrics_enabled=False)
    #: By route key.
    route_settings: Mapping[str, RouteSettings] = {}
    stage_variables: Strings = {}
    access_log_settings: AccessLogSettings | None = None
    tags: Strings = {}
    last_deployment_status_message: str | None = None
    api_gateway_managed: bool | None = None
    #: Part of the key of every cached authorizer result: ResetAuthorizersCache raises it.
    authorizers_epoch: int = 0


class Deployed(msgspec.Struct, frozen=True):
    """What of an API a deployment freezes."""

    #: By id, as everywhere.
    routes: Mapping[str, Route] = {}
    integrations: Mapping[str, Integration] = {}
    authorizers: Mapping[str, Authorizer] = {}
    cors: Cors | None = None


class Deployment(msgspec.Struct, frozen=True, rename="pascal"):
    deployment_id: str
    created_date: int
    deployed: Deployed
    description: str | None = None
    auto_deployed: bool = False
    deployment_status: str = "DEPLOYED"


class HttpApi(msgspec.Struct, frozen=True, rename="pascal"):
    """One API as it is being edited, with its stages."""

    account: str
    region: str
    api_id: str
    name: str
    created_date: int
    protocol_type: str = "HTTP"
    description: str | None = None
    version: str | None = None
    cors_configuration: Cors | None = None
    disable_execute_api_endpoint: bool = False
    #: One machine has both kinds of addresses or has not: shown only.
    ip_address_type: str = "ipv4"
    tags: Strings = {}
    #: By id.
    routes: Mapping[str, Route] = {}
    integrations: Mapping[str, Integration] = {}
    authorizers: Mapping[str, Authorizer] = {}
    #: By name.
    stages: Mapping[str, Stage] = {}

    @property
    def deployable(self) -> Deployed:
        return Deployed(self.routes, self.integrations, self.authorizers, self.cors_configuration)

    @property
    def arn(self) -> str:
        """What its tags hang on; `execute-api` ARNs are those of requests."""
        return f"arn:{partition_of(self.region)}:apigateway:{self.region}::/apis/{self.api_id}"
