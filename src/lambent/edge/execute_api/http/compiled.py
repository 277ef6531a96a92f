"""A snapshot made ready for requests: route tables, ARNs and URLs with stage variables filled in, mappings, rules.

Made once per change of an API, at the first request after it; a request then looks up and computes nothing that does
not depend on it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from lambent.arn import Arn, partition_of
from lambent.context import Caller
from lambent.edge.access_log import AccessLogTemplate
from lambent.edge.execute_api.http.routes import RouteTable
from lambent.edge.http_events.cors import CorsRules
from lambent.identity.sessions import assumed_role_caller
from lambent.ports import Asker
from lambent.services.apigatewayv2.domain import (
    DEFAULT,
    Authorizer,
    Cors,
    Deployed,
    Integration,
    Route,
    RouteSettings,
    Stage,
)
from lambent.services.apigatewayv2.rules import mappings
from lambent.services.apigatewayv2.rules.integrations import function_arn
from lambent.services.apigatewayv2.rules.routes import RouteKey, parse_key
from lambent.services.apigatewayv2.snapshots import ApiSnapshot, StageSnapshot

PRINCIPAL = "apigateway.amazonaws.com"
#: An account's own throttle, which stands where only one of the two limits of a route is given.
ACCOUNT_RATE, ACCOUNT_BURST = 10_000.0, 5_000

_STAGE_VARIABLE = re.compile(r"\$\{stageVariables\.([A-Za-z0-9_]+)\}")
_PARAMETER = re.compile(r"\{([A-Za-z0-9._-]+)(\+?)\}")


@dataclass(frozen=True, slots=True)
class CompiledIntegration:
    integration: Integration
    #: AWS_PROXY: the function; HTTP_PROXY: the URL, as text, name of a variable, its `+` or nothing, text …
    function_arn: str
    url_parts: tuple[str, ...]
    timeout_s: float
    request_mappings: tuple[mappings.Entry, ...]
    response_mappings: Mapping[int, tuple[mappings.Entry, ...]]
    #: The role that the function is called by, None for API Gateway itself.
    acting: Caller | None


@dataclass(frozen=True, slots=True)
class CompiledAuthorizer:
    authorizer: Authorizer
    #: REQUEST
    function_arn: str
    asker: Asker | None
    ttl_s: int
    #: Of the authorizer cache.
    scope: tuple[str, ...]
    #: What identity sources are, without their `$`.
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CompiledRoute:
    route: Route
    key: RouteKey | None
    #: None: no target.
    integration: CompiledIntegration | None
    authorizer: CompiledAuthorizer | None
    #: (requests per second, burst), None without limits of its own.
    throttle: tuple[float, int] | None
    #: `arn:aws:execute-api:<region>:<account>:<api>/<stage>`
    stage_arn: str
    account: str
    #: On whose behalf the function is called, by the request's method.
    _askers: dict[str, Asker] = field(default_factory=dict, repr=False)

    def asker(self, method: str) -> Asker:
        asker = self._askers.get(method)
        if asker is None:
            path = f"{method}{self.key.path}" if self.key is not None else DEFAULT
            acting = self.integration.acting if self.integration is not None else None
            asker = Asker(PRINCIPAL, f"{self.stage_arn}/{path}", self.account, caller=acting)
            # Any method can be sent to `ANY`; what clients make up is not kept.
            if len(self._askers) < 32:
                self._askers[method] = asker
        return asker

    @property
    def greedy(self) -> str:
        """The name of the variable that may be several segments, "" without."""
        last = self.key.segments[-1] if self.key is not None and self.key.segments else ""
        return last[1:-2] if last.endswith("+}") else ""

    @property
    def path(self) -> str:
        return self.key.path if self.key is not None else DEFAULT


@dataclass(frozen=True, slots=True)
class CompiledStage:
    api: ApiSnapshot
    stage: Stage
    table: RouteTable[CompiledRoute]
    cors: CorsRules | None
    access_log: AccessLogTemplate | None
    #: None where it has none: what events say then.
    variables: Mapping[str, str] | None
    arn: str

    @property
    def name(self) -> str:
        return self.stage.stage_name


@dataclass(frozen=True, slots=True)
class CompiledApi:
    snapshot: ApiSnapshot
    #: Deployed stages, by name as paths have it.
    stages: Mapping[bytes, CompiledStage]
    #: `$default`, where it is deployed.
    default: CompiledStage | None

    @classmethod
    def of(cls, snapshot: ApiSnapshot) -> CompiledApi:
        stages = {
            name.encode(): _stage(snapshot, shown, shown.deployed)
            for name, shown in snapshot.stages.items()
            if shown.deployed is not None
        }
        return cls(snapshot, stages, stages.get(DEFAULT.encode()))

    def stage_of(self, path: bytes) -> tuple[CompiledStage, bytes, bool] | None:
        """(stage, path behind it, does the path name the stage?); None where no stage takes the request.

        A first segment that is the name of a stage means it; anything else goes to `$default`, if there is one.
        """
        default = self.default
        if default is not None and len(self.stages) == 1 and not path.startswith((b"/$", b"/%24")):
            return default, path, False
        first, slash, rest = path[1:].partition(b"/")
        stage = self.stages.get(first.replace(b"%24", b"$"))
        if stage is not None:
            return stage, slash + rest or b"/", True
        return None if default is None else (default, path, False)


def _stage(snapshot: ApiSnapshot, shown: StageSnapshot, deployed: Deployed) -> CompiledStage:
    stage = shown.stage
    arn = (
        f"arn:{partition_of(snapshot.region)}:execute-api:{snapshot.region}:{snapshot.account}:"
        f"{snapshot.api_id}/{stage.stage_name}"
    )
    variables = stage.stage_variables
    integrations = {key: _integration(each, variables, snapshot.account) for key, each in deployed.integrations.items()}
    authorizers = {key: _authorizer(snapshot, stage, each) for key, each in deployed.authorizers.items()}
    routes = [
        CompiledRoute(
            route=route,
            key=parse_key(route.route_key),
            integration=integrations.get(route.integration_id or ""),
            authorizer=authorizers.get(route.authorizer_id or ""),
            throttle=_throttle(stage.route_settings.get(route.route_key) or stage.default_route_settings),
            stage_arn=arn,
            account=snapshot.account,
        )
        for route in deployed.routes.values()
    ]
    access_log = stage.access_log_settings
    return CompiledStage(
        api=snapshot,
        stage=stage,
        table=RouteTable((route.key, route) for route in routes),
        cors=_cors(deployed.cors),
        access_log=AccessLogTemplate(access_log.format) if access_log is not None else None,
        variables=variables or None,
        arn=arn,
    )


def _integration(integration: Integration, variables: Mapping[str, str], account: str) -> CompiledIntegration:
    uri = with_stage_variables(integration.integration_uri, variables)
    is_function = integration.integration_type == "AWS_PROXY"
    return CompiledIntegration(
        integration=integration,
        function_arn=function_arn(uri) if is_function else "",
        url_parts=() if is_function else tuple(_PARAMETER.split(uri)),
        timeout_s=integration.timeout_in_millis / 1000,
        request_mappings=mappings.compile_request(integration.request_parameters or {}),
        response_mappings=mappings.compile_response(integration.response_parameters or {}),
        acting=_role(integration.credentials_arn, account),
    )


def _authorizer(snapshot: ApiSnapshot, stage: Stage, authorizer: Authorizer) -> CompiledAuthorizer:
    is_function = authorizer.authorizer_type == "REQUEST"
    uri = with_stage_variables(authorizer.authorizer_uri or "", stage.stage_variables)
    arn = (
        f"arn:{partition_of(snapshot.region)}:execute-api:{snapshot.region}:{snapshot.account}:"
        f"{snapshot.api_id}/authorizers/{authorizer.authorizer_id}"
    )
    acting = _role(authorizer.authorizer_credentials_arn, snapshot.account)
    return CompiledAuthorizer(
        authorizer=authorizer,
        function_arn=function_arn(uri) if is_function else "",
        asker=Asker(PRINCIPAL, arn, snapshot.account, caller=acting) if is_function else None,
        ttl_s=authorizer.authorizer_result_ttl_in_seconds or 0,
        # An answer holds for the identity alone, and so does not outlive a change of who was asked and about what.
        scope=(
            "http",
            snapshot.api_id,
            stage.stage_name,
            authorizer.authorizer_id,
            uri,
            authorizer.authorizer_payload_format_version or "",
            str(bool(authorizer.enable_simple_responses)),
            *authorizer.identity_source,
            str(stage.authorizers_epoch),
        ),
        sources=tuple(
            source[1:].lower() if source.startswith("$request.header.") else source[1:]
            for source in authorizer.identity_source
        ),
    )


def _role(arn: str | None, owner: str) -> Caller | None:
    """The session under which an API of account `owner` calls with a role; never one of another account's."""
    parts = Arn.parse(arn or "")
    if arn is None or parts is None or parts.account != owner:
        return None
    return assumed_role_caller(arn, "BackplaneAssumeRoleSession", "")


def _throttle(settings: RouteSettings) -> tuple[float, int] | None:
    rate, burst = settings.throttling_rate_limit, settings.throttling_burst_limit
    if rate is None and burst is None:
        return None
    return ACCOUNT_RATE if rate is None else rate, ACCOUNT_BURST if burst is None else burst


def _cors(cors: Cors | None) -> CorsRules | None:
    if cors is None:
        return None
    return CorsRules(
        allow_origins=cors.allow_origins or (),
        allow_methods=cors.allow_methods or (),
        allow_headers=cors.allow_headers or (),
        expose_headers=cors.expose_headers or (),
        max_age=cors.max_age,
        allow_credentials=bool(cors.allow_credentials),
    )


def with_stage_variables(text: str, variables: Mapping[str, str]) -> str:
    """`${stageVariables.name}` filled in; one that is not set is empty."""
    if "${" not in text:
        return text
    return _STAGE_VARIABLE.sub(lambda found: variables.get(found[1], ""), text)
