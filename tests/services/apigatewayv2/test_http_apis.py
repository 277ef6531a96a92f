"""HTTP APIs: create, quick create, CORS, tags, custom ids, and that they last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:hello"
Refused = Callable[..., tuple[int, str, str]]


def plain(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name not in ("ResponseMetadata", "CreatedDate")}


def test_an_api_has_awss_defaults_and_an_endpoint_on_the_host_that_asked(client: Any, region: Any) -> None:
    answer = client.create_api(Name="plain", ProtocolType="HTTP")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert plain(answer) == {
        "ApiEndpoint": f"http://{answer['ApiId']}.execute-api.us-east-1.localhost:{urlsplit(region.url).port}",
        "ApiId": answer["ApiId"],
        "ApiKeySelectionExpression": "$request.header.x-api-key",
        "DisableExecuteApiEndpoint": False,
        "IpAddressType": "ipv4",
        "Name": "plain",
        "ProtocolType": "HTTP",
        "RouteSelectionExpression": "$request.method $request.path",
        "Tags": {},
    }
    assert len(answer["ApiId"]) == 10
    assert plain(client.get_api(ApiId=answer["ApiId"])) == plain(answer)
    client.delete_api(ApiId=answer["ApiId"])


def test_quick_create_makes_an_integration_a_route_and_a_stage_that_follows(client: Any) -> None:
    api = client.create_api(Name="quick", ProtocolType="HTTP", Target=FUNCTION)["ApiId"]
    (integration,) = client.get_integrations(ApiId=api)["Items"]
    assert integration == {
        "ApiGatewayManaged": True,
        "ConnectionType": "INTERNET",
        "IntegrationId": integration["IntegrationId"],
        "IntegrationMethod": "POST",
        "IntegrationType": "AWS_PROXY",
        "IntegrationUri": FUNCTION,
        "PayloadFormatVersion": "2.0",
        "TimeoutInMillis": 30000,
    }
    (route,) = client.get_routes(ApiId=api)["Items"]
    assert route == {
        "ApiGatewayManaged": True,
        "ApiKeyRequired": False,
        "AuthorizationType": "NONE",
        "RouteId": route["RouteId"],
        "RouteKey": "$default",
        "Target": f"integrations/{integration['IntegrationId']}",
    }
    (stage,) = client.get_stages(ApiId=api)["Items"]
    (deployment,) = client.get_deployments(ApiId=api)["Items"]
    assert (stage["StageName"], stage["AutoDeploy"], stage["ApiGatewayManaged"]) == ("$default", True, True)
    assert stage["DeploymentId"] == deployment["DeploymentId"]
    assert stage["LastDeploymentStatusMessage"] == (
        f"Successfully deployed stage with deployment ID '{deployment['DeploymentId']}'"
    )
    assert (deployment["AutoDeployed"], deployment["DeploymentStatus"]) == (True, "DEPLOYED")


def test_quick_create_takes_a_url_and_a_route_key_and_is_changed_by_update(client: Any, refused: Refused) -> None:
    api = client.create_api(Name="q", ProtocolType="HTTP", Target="https://example.com/x", RouteKey="GET /a")["ApiId"]
    (integration,) = client.get_integrations(ApiId=api)["Items"]
    assert (integration["IntegrationType"], integration["IntegrationMethod"]) == ("HTTP_PROXY", "ANY")
    assert integration["PayloadFormatVersion"] == "1.0"
    client.update_api(ApiId=api, Target=FUNCTION, RouteKey="POST /b", Description="changed")
    (changed,) = client.get_integrations(ApiId=api)["Items"]
    assert (changed["IntegrationId"], changed["IntegrationType"]) == (integration["IntegrationId"], "AWS_PROXY")
    assert [route["RouteKey"] for route in client.get_routes(ApiId=api)["Items"]] == ["POST /b"]
    assert refused(client.delete_integration, ApiId=api, IntegrationId=integration["IntegrationId"])[:2] == (
        409,
        "ConflictException",
    )


def test_cors_is_kept_replaced_and_removed(client: Any, api: str) -> None:
    cors = {"AllowOrigins": ["https://a.example"], "AllowMethods": ["GET", "*"], "MaxAge": 5, "AllowCredentials": True}
    assert client.update_api(ApiId=api, CorsConfiguration=cors)["CorsConfiguration"] == cors
    client.update_api(ApiId=api, CorsConfiguration={"AllowHeaders": ["x"]})
    assert client.get_api(ApiId=api)["CorsConfiguration"] == {"AllowHeaders": ["x"]}
    client.delete_cors_configuration(ApiId=api)
    assert "CorsConfiguration" not in client.get_api(ApiId=api)


@pytest.mark.parametrize(
    "cors",
    [
        {"AllowOrigins": ["example.com"]},
        {"AllowMethods": ["FETCH"]},
        {"AllowOrigins": ["*"], "AllowCredentials": True},
        {"MaxAge": 86_401},
    ],
)
def test_cors_that_means_nothing_is_refused(client: Any, api: str, refused: Refused, cors: dict[str, Any]) -> None:
    assert refused(client.update_api, ApiId=api, CorsConfiguration=cors)[:2] == (400, "BadRequestException")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"ProtocolType": "WEBSOCKET", "RouteSelectionExpression": "$request.body.action"},
            "WEBSOCKET is not supported",
        ),
        ({"ProtocolType": "HTTP", "RouteSelectionExpression": "$request.body.action"}, "RouteSelectionExpression must"),
        ({"ProtocolType": "HTTP", "Target": "nowhere"}, "Target must be the ARN"),
        ({"ProtocolType": "HTTP", "RouteKey": "GET /a"}, "RouteKey is a parameter of quick create"),
        ({"ProtocolType": "HTTP", "DisableSchemaValidation": True}, "DisableSchemaValidation is not supported"),
        ({"ProtocolType": "HTTP", "Target": FUNCTION, "RouteKey": "GET"}, "The provided route key is not formatted"),
        ({"ProtocolType": "HTTP", "Target": FUNCTION, "CredentialsArn": "arn:aws:iam::*:user/*"}, "not supported by"),
    ],
)
def test_apis_that_cannot_be_are_refused(client: Any, refused: Refused, params: dict[str, Any], message: str) -> None:
    status, code, said = refused(client.create_api, Name="bad", **params)
    assert (status, code) == (400, "BadRequestException")
    assert message in said


def test_an_unknown_api_is_named_with_its_account(client: Any, refused: Refused) -> None:
    expected = (404, "NotFoundException", "Invalid API identifier specified 000000000000:nothere")
    assert refused(client.get_api, ApiId="nothere") == expected
    assert refused(client.get_routes, ApiId="nothere") == expected
    assert refused(client.delete_api, ApiId="nothere") == expected


def test_the_tag_custom_id_chooses_the_id_once(client: Any, refused: Refused) -> None:
    tags = {"_custom_id_": "my-api", "team": "a"}
    created = client.create_api(Name="custom", ProtocolType="HTTP", Tags=tags)
    assert (created["ApiId"], created["Tags"]) == ("my-api", tags)
    assert refused(client.create_api, Name="again", ProtocolType="HTTP", Tags=tags)[:2] == (409, "ConflictException")
    assert refused(client.create_api, Name="bad", ProtocolType="HTTP", Tags={"_custom_id_": "a.b"})[0] == 400
    client.delete_api(ApiId="my-api")


def test_apis_and_stages_are_tagged_by_arn(client: Any, api: str, refused: Refused) -> None:
    client.create_stage(ApiId=api, StageName="dev", Tags={"a": "1"})
    for arn in (f"arn:aws:apigateway:us-east-1::/apis/{api}", f"arn:aws:apigateway:us-east-1::/apis/{api}/stages/dev"):
        client.tag_resource(ResourceArn=arn, Tags={"b": "2", "c": "3"})
        client.untag_resource(ResourceArn=arn, TagKeys=["b"])
        assert client.get_tags(ResourceArn=arn)["Tags"]["c"] == "3"
    assert client.get_stage(ApiId=api, StageName="dev")["Tags"] == {"a": "1", "c": "3"}
    assert client.get_api(ApiId=api)["Tags"] == {"c": "3"}
    assert refused(client.get_tags, ResourceArn="arn:aws:s3:::bucket")[:2] == (400, "BadRequestException")
    assert refused(client.get_tags, ResourceArn="arn:aws:apigateway:us-east-1::/apis/nothere")[0] == 404


def test_items_come_in_pages(client: Any, api: str) -> None:
    for number in range(5):
        client.create_route(ApiId=api, RouteKey=f"GET /{number}")
    first = client.get_routes(ApiId=api, MaxResults="2")
    assert len(first["Items"]) == 2
    pages = client.get_paginator("get_routes").paginate(ApiId=api, PaginationConfig={"PageSize": 2})
    assert [route["RouteKey"] for page in pages for route in page["Items"]] == [f"GET /{n}" for n in range(5)]


def test_what_is_not_built_says_so(client: Any, refused: Refused) -> None:
    assert refused(client.import_api, Body="{}")[:2] == (501, "NotImplemented")
    assert refused(client.create_domain_name, DomainName="a.example")[:2] == (501, "NotImplemented")


@pytest.mark.slow
def test_apis_last_beyond_a_restart_and_end_with_a_reset(region: Any) -> None:
    client = region.client("apigatewayv2")
    api = client.create_api(Name="lasting", ProtocolType="HTTP", Target=FUNCTION)["ApiId"]
    client.create_stage(ApiId=api, StageName="dev", StageVariables={"a": "b"})
    client.create_deployment(ApiId=api, StageName="dev")
    before = client.get_stages(ApiId=api)["Items"]
    region.restart()
    client = region.client("apigatewayv2")
    assert client.get_stages(ApiId=api)["Items"] == before
    region.reset()
    assert client.get_apis()["Items"] == []
