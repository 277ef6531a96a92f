"""What REST APIs are made of, as frozen values: an API is one tree, a deployment is that tree on one day.

Nothing here knows AWS's names of members (`describe` does) or what may be changed (`patches`). The data plane reads
these values and nothing else. A mapping or text that is empty was not given; None is kept apart only where AWS does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

Strings = Mapping[str, str]
#: Path below `method.request` → required.
Required = Mapping[str, bool]

#: Any method that has no method of its own at a resource.
ANY = "ANY"
#: Seconds that an authorizer's result is kept where nobody said.
DEFAULT_TTL_S = 300


class MethodResponse(msgspec.Struct, frozen=True, omit_defaults=True):
    status_code: str
    #: `method.response.header.X-Name` → required.
    parameters: Required = {}
    #: Content type → name of a model; told to clients, checked by nobody (as on AWS).
    models: Strings = {}


class IntegrationResponse(msgspec.Struct, frozen=True, omit_defaults=True):
    """How an answer of a non-proxy integration becomes the answer of the method with this status code."""

    status_code: str
    #: Regular expression that the status (HTTP) must match whole; "" or None is the default response.
    selection_pattern: str | None = None
    #: `method.response.header.X-Name` → `integration.response.header.Y`, `integration.response.body[.path]`,
    #: `'static'`, `stageVariables.x` or `context.x`.
    parameters: Strings = {}
    #: Content type → literal text (no VTL), which replaces the body.
    templates: Strings = {}
    #: CONVERT_TO_BINARY | CONVERT_TO_TEXT | None: as it is.
    content_handling: str | None = None


class Integration(msgspec.Struct, frozen=True, omit_defaults=True):
    type: Literal["AWS_PROXY", "HTTP_PROXY", "HTTP", "MOCK"]
    #: Method of the request to the backend; "" for MOCK. Lambda functions are called with POST alone.
    http_method: str = ""
    #: AWS_PROXY: `arn:aws:apigateway:<r>:lambda:path/2015-03-31/functions/<arn>/invocations`, or where it streams
    #: `…/2021-11-15/functions/<arn>/response-streaming-invocations`; HTTP: a URL, with `{name}` of the request
    #: parameters `integration.request.path.name`. Both may hold `${stageVariables.x}` anywhere.
    uri: str = ""
    #: INTERNET where it was said; VPC_LINK is refused.
    connection_type: str | None = None
    #: Role that calls the function instead of API Gateway itself, "" without.
    credentials: str = ""
    #: `integration.request.{header,querystring,path}.name` → `method.request.…`, `'static'`, `stageVariables.x` …
    request_parameters: Strings = {}
    #: Content type → literal text (no VTL): for MOCK it selects the status, for HTTP it is the body sent.
    request_templates: Strings = {}
    #: WHEN_NO_MATCH | WHEN_NO_TEMPLATES | NEVER: may a body without a template of its content type pass?
    passthrough_behavior: str = "WHEN_NO_MATCH"
    content_handling: str | None = None
    timeout_ms: int = 29_000
    #: Shown, and used by caches, which no stage here has.
    cache_namespace: str = ""
    cache_key_parameters: tuple[str, ...] = ()
    #: TlsConfig: a backend's certificate is not checked.
    insecure_skip_verification: bool | None = None
    #: BUFFERED | STREAM, None where it was not said.
    response_transfer_mode: str | None = None
    #: By status code.
    responses: Mapping[str, IntegrationResponse] = {}

    @property
    def streams(self) -> bool:
        """Whether clients get the answer piece by piece."""
        return self.response_transfer_mode == "STREAM"


class Method(msgspec.Struct, frozen=True, omit_defaults=True):
    #: GET … or ANY.
    http_method: str
    #: NONE | AWS_IAM | CUSTOM (then `authorizer_id` is set).
    authorization_type: str = "NONE"
    authorizer_id: str | None = None
    request_validator_id: str | None = None
    operation_name: str = ""
    #: `method.request.{path,querystring,header}.name` → required.
    request_parameters: Required = {}
    #: Content type (or `$default`) → name of a model.
    request_models: Strings = {}
    #: By status code.
    responses: Mapping[str, MethodResponse] = {}
    integration: Integration | None = None


class Resource(msgspec.Struct, frozen=True, omit_defaults=True):
    id: str
    #: None: the root.
    parent_id: str | None
    #: `pets`, `{id}` or, at the end of a path, greedy `{proxy+}`; "" for the root.
    path_part: str
    #: `/pets/{id}`; kept with the resource, so that readers need not walk up.
    path: str
    #: By HTTP method, upper-case.
    methods: Mapping[str, Method] = {}


class Authorizer(msgspec.Struct, frozen=True, omit_defaults=True):
    id: str
    name: str
    type: Literal["TOKEN", "REQUEST"]
    #: Invocation URI of a function, as of an integration.
    uri: str
    #: Role that calls the function, "" without.
    credentials: str = ""
    #: TOKEN: `method.request.header.Authorization`; REQUEST: several, parted by commas, also querystring,
    #: stageVariables and context; "" (REQUEST without a cache): none is needed.
    identity_source: str = ""
    #: TOKEN: regular expression that the token must match, else 401 without asking the function.
    identity_validation_expression: str = ""
    #: As given, None without; `ttl_s` is what acts.
    given_ttl_s: int | None = None
    #: What the OpenAPI definition says, such as `custom`; shown only.
    auth_type: str = ""

    @property
    def ttl_s(self) -> int:
        """Seconds that a result may be kept; 0: no cache."""
        return DEFAULT_TTL_S if self.given_ttl_s is None else self.given_ttl_s

    @property
    def identity_sources(self) -> tuple[str, ...]:
        return tuple(part.strip() for part in self.identity_source.split(",") if part.strip())


class RequestValidator(msgspec.Struct, frozen=True, omit_defaults=True):
    id: str
    name: str
    validates_body: bool = False
    validates_parameters: bool = False


class Model(msgspec.Struct, frozen=True, omit_defaults=True):
    id: str
    name: str
    content_type: str = "application/json"
    #: JSON Schema draft 4, as text. References to other models are
    #: `https://apigateway.amazonaws.com/restapis/<api id>/models/<name>`.
    schema: str = ""
    description: str = ""


class GatewayResponse(msgspec.Struct, frozen=True, omit_defaults=True):
    """An answer that API Gateway gives itself, as the API's owner wants it."""

    #: One of `gateway_responses.TYPES`.
    type: str
    #: None: what the type has by itself, or what DEFAULT_4XX or DEFAULT_5XX says.
    status_code: str | None = None
    #: `gatewayresponse.header.Name` → `'static'`, `method.request.header.x`, `context.x` …
    parameters: Strings = {}
    #: Content type → text with `$context.…` variables (`$context.error.messageString`, `$context.error.message`).
    templates: Strings = {}


class RestApi(msgspec.Struct, frozen=True, omit_defaults=True):
    """One API as it is being edited, or as a deployment froze it."""

    account: str
    region: str
    id: str
    name: str
    root_id: str
    #: Seconds since the epoch.
    created_s: int
    description: str = ""
    version: str = ""
    #: Content types whose bodies are bytes; `*/*` is all.
    binary_media_types: tuple[str, ...] = ()
    #: None: answers are not compressed; else those of at least so many bytes are, where clients take it.
    minimum_compression_size: int | None = None
    #: HEADER | AUTHORIZER: shown; no API here has keys.
    api_key_source: str = "HEADER"
    #: EDGE | REGIONAL: one machine has no edge, so the two mean the same.
    endpoint_type: str = "EDGE"
    ip_address_type: str = "ipv4"
    #: Resource policy as JSON text, its `execute-api:/…` resources made whole ARNs; "" without.
    policy: str = ""
    disable_execute_api_endpoint: bool = False
    tags: Strings = {}
    #: By id; the root among them.
    resources: Mapping[str, Resource] = {}
    #: By id.
    authorizers: Mapping[str, Authorizer] = {}
    #: By id.
    validators: Mapping[str, RequestValidator] = {}
    #: By name.
    models: Mapping[str, Model] = {}
    #: By type: those that the owner changed.
    gateway_responses: Mapping[str, GatewayResponse] = {}

    @property
    def key(self) -> tuple[str, str, str]:
        return self.account, self.region, self.id


class MethodSettings(msgspec.Struct, frozen=True, omit_defaults=True):
    """Settings of methods of a stage; see `Stage.settings_of`."""

    metrics_enabled: bool = False
    #: OFF | ERROR | INFO: execution logs; "" as long as nobody said: none.
    logging_level: str = ""
    #: Bodies and headers in execution logs.
    data_trace_enabled: bool = False
    #: None as long as nobody said, and below zero: the account's.
    throttling_burst_limit: int | None = None
    throttling_rate_limit: float | None = None


class AccessLog(msgspec.Struct, frozen=True):
    #: A template of `$context.…` variables, one line; "" until it is given.
    format: str = ""
    #: ARN of a log group; "" until it is given.
    destination_arn: str = ""


class Stage(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    deployment_id: str
    created_s: int
    updated_s: int
    description: str = ""
    variables: Strings = {}
    #: Key: `*/*`, or `<path without its first slash>/<METHOD>` such as `pets/{id}/GET`.
    method_settings: Mapping[str, MethodSettings] = {}
    access_log: AccessLog | None = None
    #: X-Ray: requests are sampled, and each that is traced becomes a segment of the stage.
    tracing_enabled: bool = False
    tags: Strings = {}
    #: Part of the key of every cached authorizer result: FlushStageAuthorizersCache raises it.
    authorizer_cache: int = 0

    def settings_of(self, resource_path: str, http_method: str) -> MethodSettings:
        """Those of one method, else of all methods, else the defaults."""
        found = self.method_settings.get(f"{resource_path[1:]}/{http_method}") or self.method_settings.get("*/*")
        return found or MethodSettings()


class DeploymentSummary(msgspec.Struct, frozen=True, omit_defaults=True):
    """A deployment without the API in it, which may be a hundred times as long."""

    id: str
    created_s: int
    description: str = ""


class Deployment(DeploymentSummary, frozen=True, omit_defaults=True, kw_only=True):
    #: The API on that day; its stages find their methods in it.
    api: RestApi


class Throttle(msgspec.Struct, frozen=True):
    burst_limit: int = 5_000
    #: Requests per second.
    rate_limit: float = 10_000.0


class AccountSettings(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of one account in one region."""

    #: Role that execution and access logs are written with; "" until UpdateAccount names one.
    cloudwatch_role_arn: str = ""
    throttle: Throttle = Throttle()
