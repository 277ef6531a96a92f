"""Routes, integrations, authorizers, stages and deployments of HTTP APIs: what is kept and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:hello"
INVOCATION = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{FUNCTION}/invocations"
JWT = {"Issuer": "https://issuer.example", "Audience": ["me"]}
LOG_GROUP = "arn:aws:logs:us-east-1:000000000000:log-group:access"
Refused = Callable[..., tuple[int, str, str]]


def plain(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


# ---- routes ----------------------------------------------------------------------------------------------------------


def test_a_route_is_created_looked_up_changed_and_deleted(client: Any, api: str, integration: str) -> None:
    target = f"integrations/{integration}"
    route = plain(client.create_route(ApiId=api, RouteKey="GET /pets/{id}", Target=target, OperationName="pet"))
    assert route == {
        "ApiKeyRequired": False,
        "AuthorizationType": "NONE",
        "OperationName": "pet",
        "RouteId": route["RouteId"],
        "RouteKey": "GET /pets/{id}",
        "Target": target,
    }
    client.update_route(ApiId=api, RouteId=route["RouteId"], RouteKey="ANY /pets", AuthorizationType="AWS_IAM")
    changed = client.get_route(ApiId=api, RouteId=route["RouteId"])
    assert (changed["RouteKey"], changed["AuthorizationType"], changed["Target"]) == ("ANY /pets", "AWS_IAM", target)
    client.delete_route(ApiId=api, RouteId=route["RouteId"])
    assert client.get_routes(ApiId=api)["Items"] == []


def test_routes_that_take_the_same_requests_conflict(client: Any, api: str, refused: Refused) -> None:
    client.create_route(ApiId=api, RouteKey="GET /pets/{id}")
    other = client.create_route(ApiId=api, RouteKey="PUT /pets/{pet}")["RouteId"]
    assert refused(client.create_route, ApiId=api, RouteKey="GET /pets/{id}") == (
        409,
        "ConflictException",
        "Route with key GET /pets/{id} already exists for this API",
    )
    conflict = (
        409,
        "ConflictException",
        'The provided route key "GET /pets/{name}" has a conflicting variable on the same hierarchical level as '
        '"GET /pets/{id}"',
    )
    assert refused(client.create_route, ApiId=api, RouteKey="GET /pets/{name}") == conflict
    assert refused(client.update_route, ApiId=api, RouteId=other, RouteKey="GET /pets/{name}") == conflict


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"Target": "nowhere/x"}, "The target 'nowhere/x' of a route must be integrations/<integration id>."),
        ({"ApiKeyRequired": True}, "ApiKeyRequired is not supported for an API with a protocol type of HTTP."),
        (
            {"AuthorizationType": "CUSTOM"},
            "Invalid authorizer ID specified. Setting the authorization type to CUSTOM or COGNITO_USER_POOLS requires "
            "a valid authorizer.",
        ),
        (
            {"AuthorizationType": "JWT", "AuthorizerId": "nothere"},
            "Invalid authorizer ID specified. Setting the authorization type to JWT requires a valid JWT authorizer.",
        ),
        (
            {"AuthorizationType": "AWS_IAM", "AuthorizationScopes": ["a"]},
            "Invalid Route authorization type specified. Authorization Scopes are only valid for COGNITO_USER_POOLS "
            "and JWT authorization types",
        ),
    ],
)
def test_routes_that_cannot_work_are_refused(
    client: Any, api: str, refused: Refused, params: dict[str, Any], message: str
) -> None:
    expected = (400, "BadRequestException", message)
    assert refused(client.create_route, ApiId=api, RouteKey="GET /x", **params) == expected


def test_a_routes_authorizer_is_changed_with_its_type_and_dropped_with_none(
    client: Any, api: str, refused: Refused
) -> None:
    source = {"ApiId": api, "AuthorizerType": "JWT", "IdentitySource": ["$request.header.Authorization"]}
    authorizer = client.create_authorizer(Name="a", JwtConfiguration=JWT, **source)["AuthorizerId"]
    route = client.create_route(
        ApiId=api, RouteKey="GET /x", AuthorizationType="JWT", AuthorizerId=authorizer, AuthorizationScopes=["s"]
    )["RouteId"]
    assert refused(client.update_route, ApiId=api, RouteId=route, AuthorizerId=authorizer) == (
        400,
        "BadRequestException",
        "Unable to update route. Authorizer type is invalid or null.",
    )
    assert refused(client.delete_authorizer, ApiId=api, AuthorizerId=authorizer)[:2] == (409, "ConflictException")
    changed = client.update_route(ApiId=api, RouteId=route, AuthorizationType="NONE")
    assert "AuthorizerId" not in changed
    assert "AuthorizationScopes" not in changed
    client.delete_authorizer(ApiId=api, AuthorizerId=authorizer)


# ---- integrations ----------------------------------------------------------------------------------------------------


def test_an_integration_has_awss_defaults(client: Any, api: str) -> None:
    answer = plain(
        client.create_integration(
            ApiId=api, IntegrationType="AWS_PROXY", IntegrationUri=INVOCATION, PayloadFormatVersion="1.0"
        )
    )
    assert answer == {
        "ConnectionType": "INTERNET",
        "IntegrationId": answer["IntegrationId"],
        "IntegrationMethod": "POST",
        "IntegrationType": "AWS_PROXY",
        "IntegrationUri": INVOCATION,
        "PayloadFormatVersion": "1.0",
        "TimeoutInMillis": 30000,
    }


def test_maps_of_an_integration_are_merged_and_emptied_entry_by_entry(client: Any, api: str, integration: str) -> None:
    named = {"ApiId": api, "IntegrationId": integration}
    client.update_integration(
        **named,
        RequestParameters={"append:header.a": "1", "append:header.b": "2"},
        ResponseParameters={"200": {"append:header.c": "3"}, "404": {"overwrite:statuscode": "403"}},
    )
    client.update_integration(
        **named,
        RequestParameters={"append:header.a": "", "remove:header.d": "''"},
        ResponseParameters={"200": {}},
        TimeoutInMillis=50,
    )
    found = client.get_integration(**named)
    assert found["RequestParameters"] == {"append:header.b": "2", "remove:header.d": "''"}
    assert found["ResponseParameters"] == {"404": {"overwrite:statuscode": "403"}}
    assert found["TimeoutInMillis"] == 50


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"IntegrationType": "AWS"},
            "Currently, an API with a protocol type of HTTP may only be associated with proxy integrations "
            "(AWS_PROXY, HTTP_PROXY)",
        ),
        ({"PayloadFormatVersion": None}, "PayloadFormatVersion is a required parameter for integration"),
        ({"IntegrationMethod": "GET"}, "HttpMethod must be POST for AWS_PROXY IntegrationType"),
        ({"PayloadFormatVersion": "3.0"}, "PayloadFormatVersion 3.0 is not supported"),
        ({"IntegrationSubtype": "SQS-SendMessage"}, "not supported by Lambent yet"),
        ({"ConnectionType": "VPC_LINK", "ConnectionId": "x"}, "not supported by Lambent yet"),
        ({"IntegrationUri": "arn:aws:s3:::bucket"}, "Invalid ARN specified in the request"),
        ({"PassthroughBehavior": "NEVER"}, "PassthroughBehavior is not supported"),
        ({"RequestParameters": {"append:header.host": "$request.nothing"}}, "Invalid mapping expression specified"),
        ({"RequestParameters": {"append:header.Via": "x"}}, "Operations on header via are restricted"),
        (
            {"IntegrationType": "HTTP_PROXY", "IntegrationMethod": "GET", "IntegrationUri": "http://a"},
            "PayloadFormatVersion 2.0 is not supported",
        ),
        (
            {"IntegrationType": "HTTP_PROXY", "IntegrationMethod": "GET", "PayloadFormatVersion": "1.0"},
            "Invalid HTTP endpoint specified for URI",
        ),
        ({"TimeoutInMillis": 31_000}, "30000"),
    ],
)
def test_integrations_that_cannot_work_are_refused(
    client: Any, api: str, refused: Refused, params: dict[str, Any], message: str
) -> None:
    base = {"IntegrationType": "AWS_PROXY", "IntegrationUri": FUNCTION, "PayloadFormatVersion": "2.0"}
    merged = {name: value for name, value in {**base, **params}.items() if value is not None}
    status, code, said = refused(client.create_integration, ApiId=api, **merged)
    assert (status, code) == (400, "BadRequestException")
    assert message in said


def test_an_api_acts_through_roles_of_its_own_account_alone(client: Any, api: str, refused: Refused) -> None:
    foreign = "arn:aws:iam::999999999999:role/theirs"
    base = {"ApiId": api, "IntegrationType": "AWS_PROXY", "IntegrationUri": FUNCTION, "PayloadFormatVersion": "2.0"}
    expected = (403, "AccessDeniedException", "Cross-account pass role is not allowed.")
    assert refused(client.create_integration, CredentialsArn=foreign, **base) == expected
    own = client.create_integration(CredentialsArn=foreign.replace("9", "0"), **base)["IntegrationId"]
    assert refused(client.update_integration, ApiId=api, IntegrationId=own, CredentialsArn=foreign) == expected
    name = {"Name": "q", "ProtocolType": "HTTP", "Target": FUNCTION}
    assert refused(client.create_api, CredentialsArn=foreign, **name) == expected


def test_an_integration_in_use_is_not_deleted(client: Any, api: str, integration: str, refused: Refused) -> None:
    route = client.create_route(ApiId=api, RouteKey="$default", Target=f"integrations/{integration}")["RouteId"]
    named = {"ApiId": api, "IntegrationId": integration}
    assert refused(client.delete_integration, **named)[:2] == (409, "ConflictException")
    client.delete_route(ApiId=api, RouteId=route)
    client.delete_integration(**named)
    assert refused(client.get_integration, **named)[:2] == (404, "NotFoundException")


# ---- authorizers -----------------------------------------------------------------------------------------------------


def test_authorizers_have_awss_defaults(client: Any, api: str) -> None:
    request = plain(
        client.create_authorizer(
            ApiId=api,
            AuthorizerType="REQUEST",
            Name="r",
            AuthorizerUri=INVOCATION,
            AuthorizerPayloadFormatVersion="2.0",
            EnableSimpleResponses=True,
            IdentitySource=["$request.header.Authorization"],
        )
    )
    assert request.pop("AuthorizerId")
    assert request == {
        "AuthorizerPayloadFormatVersion": "2.0",
        "AuthorizerResultTtlInSeconds": 300,
        "AuthorizerType": "REQUEST",
        "AuthorizerUri": INVOCATION,
        "EnableSimpleResponses": True,
        "IdentitySource": ["$request.header.Authorization"],
        "Name": "r",
    }
    source = ["$request.querystring.token"]
    jwt = client.create_authorizer(
        ApiId=api, AuthorizerType="JWT", Name="j", IdentitySource=source, JwtConfiguration=JWT
    )
    changed = client.update_authorizer(
        ApiId=api, AuthorizerId=jwt["AuthorizerId"], JwtConfiguration={"Issuer": "https://b"}
    )
    assert changed["JwtConfiguration"] == {"Issuer": "https://b", "Audience": ["me"]}


@pytest.mark.parametrize(
    "params",
    [
        {"AuthorizerUri": None},
        {"AuthorizerPayloadFormatVersion": None},
        {"AuthorizerPayloadFormatVersion": "1.0", "EnableSimpleResponses": True},
        {"IdentitySource": ["$request.body.x"]},
        {"IdentitySource": [], "AuthorizerResultTtlInSeconds": 10},
        {"IdentityValidationExpression": "x"},
        {"AuthorizerResultTtlInSeconds": 3601},
        {"AuthorizerType": "JWT"},
        {"AuthorizerType": "JWT", "AuthorizerUri": None, "AuthorizerPayloadFormatVersion": None},
    ],
)
def test_authorizers_that_cannot_work_are_refused(
    client: Any, api: str, refused: Refused, params: dict[str, Any]
) -> None:
    base = {
        "AuthorizerType": "REQUEST",
        "AuthorizerUri": FUNCTION,
        "AuthorizerPayloadFormatVersion": "2.0",
        "IdentitySource": ["$request.header.a"],
    }
    merged = {name: value for name, value in {**base, **params}.items() if value is not None}
    assert refused(client.create_authorizer, ApiId=api, Name="bad", **merged)[:2] == (400, "BadRequestException")


# ---- stages and deployments ------------------------------------------------------------------------------------------


def test_a_stage_keeps_what_it_is_given_and_merges_variables(client: Any, api: str) -> None:
    client.create_route(ApiId=api, RouteKey="GET /x")
    stage = plain(
        client.create_stage(
            ApiId=api,
            StageName="dev",
            StageVariables={"a": "1", "b": "2"},
            DefaultRouteSettings={"ThrottlingRateLimit": 5.5, "ThrottlingBurstLimit": 7},
            RouteSettings={"GET /x": {"ThrottlingRateLimit": 1.0}},
            AccessLogSettings={"DestinationArn": LOG_GROUP, "Format": "$context.requestId"},
            Description="d",
        )
    )
    assert stage.pop("CreatedDate") == stage.pop("LastUpdatedDate")
    assert stage == {
        "AccessLogSettings": {"DestinationArn": LOG_GROUP, "Format": "$context.requestId"},
        "DefaultRouteSettings": {
            "DetailedMetricsEnabled": False,
            "ThrottlingBurstLimit": 7,
            "ThrottlingRateLimit": 5.5,
        },
        "Description": "d",
        "RouteSettings": {"GET /x": {"DetailedMetricsEnabled": False, "ThrottlingRateLimit": 1.0}},
        "StageName": "dev",
        "StageVariables": {"a": "1", "b": "2"},
        "Tags": {},
    }
    client.update_stage(ApiId=api, StageName="dev", StageVariables={"a": "", "c": "3"})
    client.delete_route_settings(ApiId=api, StageName="dev", RouteKey="GET /x")
    client.delete_access_log_settings(ApiId=api, StageName="dev")
    found = client.get_stage(ApiId=api, StageName="dev")
    assert found["StageVariables"] == {"b": "2", "c": "3"}
    assert found["RouteSettings"] == {}
    assert "AccessLogSettings" not in found


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"StageName": "a b"}, (400, "Stage name only allows")),
        (
            {"RouteSettings": {"GET /n": {}}},
            (404, "Unable to find Route by key GET /n within the provided RouteSettings"),
        ),
        (
            {"DefaultRouteSettings": {"LoggingLevel": "INFO"}},
            (400, "Execution logs are not supported on protocolType HTTP"),
        ),
        ({"DefaultRouteSettings": {"DetailedMetricsEnabled": True}}, (400, "not supported by Lambent yet")),
        ({"AccessLogSettings": {"Format": "$context.requestId"}}, (400, "needs both")),
        ({"AccessLogSettings": {"DestinationArn": LOG_GROUP, "Format": "x"}}, (400, "must include at least")),
        (
            {
                "AccessLogSettings": {
                    "DestinationArn": "arn:aws:logs:us-east-1:999988887777:log-group:theirs",
                    "Format": "$context.requestId",
                }
            },
            (400, "of the API's account"),
        ),
        (
            {"AccessLogSettings": {"DestinationArn": "arn:aws:s3:::x", "Format": "$context.requestId"}},
            (400, "Invalid ARN"),
        ),
        ({"StageVariables": {"a-b": "x"}}, (400, "Stage variable name")),
        ({"StageVariables": {"a": "x y"}}, (400, "Stage variable value")),
        ({"DeploymentId": "nothere"}, (404, "Unable to find Deployment by ID nothere")),
        ({"ClientCertificateId": "x"}, (400, "ClientCertificateId is not supported")),
    ],
)
def test_stages_that_cannot_be_are_refused(
    client: Any, api: str, refused: Refused, params: dict[str, Any], expected: tuple[int, str]
) -> None:
    status, _, message = refused(client.create_stage, **{"ApiId": api, "StageName": "dev", **params})
    assert status == expected[0]
    assert expected[1] in message


def test_deployments_are_made_shown_and_deleted(client: Any, api: str, refused: Refused) -> None:
    assert refused(client.create_deployment, ApiId=api) == (
        400,
        "BadRequestException",
        "At least one route is required before deploying the Api.",
    )
    client.create_route(ApiId=api, RouteKey="$default")
    client.create_stage(ApiId=api, StageName="dev")
    assert refused(client.create_stage, ApiId=api, StageName="dev")[:2] == (409, "ConflictException")
    first = client.create_deployment(ApiId=api, StageName="dev", Description="one")
    assert (first["DeploymentStatus"], first["AutoDeployed"]) == ("DEPLOYED", False)
    second = client.create_deployment(ApiId=api)["DeploymentId"]
    assert client.get_stage(ApiId=api, StageName="dev")["DeploymentId"] == first["DeploymentId"]
    assert refused(client.delete_deployment, ApiId=api, DeploymentId=first["DeploymentId"])[0] == 400
    client.update_stage(ApiId=api, StageName="dev", DeploymentId=second)
    client.update_deployment(ApiId=api, DeploymentId=second, Description="two")
    client.delete_deployment(ApiId=api, DeploymentId=first["DeploymentId"])
    (left,) = client.get_deployments(ApiId=api)["Items"]
    assert (left["DeploymentId"], left["Description"]) == (second, "two")
    assert refused(client.get_deployment, ApiId=api, DeploymentId=first["DeploymentId"])[0] == 404


def test_a_stage_that_follows_shows_each_change_and_keeps_few_old_deployments(
    client: Any, api: str, refused: Refused
) -> None:
    client.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)
    assert "DeploymentId" not in client.get_stage(ApiId=api, StageName="$default")
    seen = set()
    for number in range(12):
        client.create_route(ApiId=api, RouteKey=f"GET /{number}")
        seen.add(client.get_stage(ApiId=api, StageName="$default")["DeploymentId"])
    assert len(seen) == 12
    assert len(client.get_deployments(ApiId=api)["Items"]) == 10
    assert refused(client.create_deployment, ApiId=api, StageName="$default")[0] == 400
    client.update_stage(ApiId=api, StageName="$default", AutoDeploy=False)
    before = client.get_stage(ApiId=api, StageName="$default")["DeploymentId"]
    client.create_route(ApiId=api, RouteKey="GET /later")
    assert client.get_stage(ApiId=api, StageName="$default")["DeploymentId"] == before
    followed = client.update_stage(ApiId=api, StageName="$default", AutoDeploy=True)
    assert followed["DeploymentId"] != before
