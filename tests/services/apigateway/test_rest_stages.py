"""Deployments and stages."""

from __future__ import annotations

from typing import Any

import pytest
from apigateway_helpers import ACCOUNT, Api, Refusal, bad, conflict, missing, replace, told

from tests.roles import ROLE

NO_STAGE = missing("Invalid stage identifier specified")
LOGS = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:access"


@pytest.fixture
def staged(api: Api) -> Api:
    """An API with a stage `prod`."""
    api.mock()
    api.deployed(variables={"color": "blue"})
    return api


def patch(client: Any, api: Api, *operations: dict[str, str]) -> Any:
    return client.update_stage(restApiId=api.id, stageName="prod", patchOperations=list(operations))


def test_api_without_methods_is_not_deployed(client: Any, api: Api, refused: Refusal) -> None:
    deploy = client.create_deployment
    assert refused(deploy, restApiId=api.id) == bad("The REST API doesn't contain any methods")
    api.method()
    assert refused(deploy, restApiId=api.id) == bad("No integration defined for method")


def test_deployment_freezes_the_api(client: Any, api: Api) -> None:
    api.mock()
    first = api.deployed(description="first")
    api.mock("POST")
    second = api.deployed()
    embedded = {"restApiId": api.id, "embed": ["apisummary"]}
    shown = client.get_deployment(**embedded, deploymentId=first)
    assert shown["apiSummary"] == {"/pets": {"GET": {"authorizationType": "NONE", "apiKeyRequired": False}}}
    assert set(client.get_deployment(**embedded, deploymentId=second)["apiSummary"]["/pets"]) == {"GET", "POST"}
    assert {found["id"] for found in client.get_deployments(restApiId=api.id)["items"]} == {first, second}


def test_deployment_is_described_anew_and_deleted(client: Any, staged: Api, refused: Refusal) -> None:
    shown = client.get_stage(restApiId=staged.id, stageName="prod")["deploymentId"]
    at = {"restApiId": staged.id, "deploymentId": shown}
    assert client.update_deployment(**at, patchOperations=replace("/description", "new"))["description"] == "new"
    assert refused(client.update_deployment, **at, patchOperations=replace("/id", "x")) == bad("Invalid patch path /id")
    assert refused(client.delete_deployment, **at) == bad(
        "Active stages pointing to this deployment must be moved or deleted"
    )
    client.delete_stage(restApiId=staged.id, stageName="prod")
    client.delete_deployment(**at)
    assert refused(client.get_deployment, **at) == missing("Invalid Deployment identifier specified")


def test_stage_is_answered_with_its_defaults(client: Any, api: Api) -> None:
    api.mock()
    deployment = client.create_deployment(restApiId=api.id)["id"]
    created = client.create_stage(
        restApiId=api.id, stageName="s1", deploymentId=deployment, description="my stage", tags={"a": "b"}
    )
    shown = told(created)
    assert shown.pop("createdDate") == shown.pop("lastUpdatedDate")
    assert shown == {
        "stageName": "s1",
        "deploymentId": deployment,
        "description": "my stage",
        "cacheClusterEnabled": False,
        "cacheClusterStatus": "NOT_AVAILABLE",
        "methodSettings": {},
        "tracingEnabled": False,
        "tags": {"a": "b"},
    }
    assert told(client.get_stage(restApiId=api.id, stageName="s1")) == told(created)
    assert [one["stageName"] for one in client.get_stages(restApiId=api.id)["item"]] == ["s1"]
    assert client.get_stages(restApiId=api.id, deploymentId="other")["item"] == []


def test_next_deployment_moves_its_stage(client: Any, staged: Api) -> None:
    second = staged.deployed(stageDescription="moved")
    stage = client.get_stage(restApiId=staged.id, stageName="prod")
    assert (stage["deploymentId"], stage["description"]) == (second, "moved")
    assert stage["variables"] == {"color": "blue"}


def test_stage_is_refused_in_aws_words(client: Any, staged: Api, refused: Refusal) -> None:
    shown = client.get_stage(restApiId=staged.id, stageName="prod")["deploymentId"]
    create = {"restApiId": staged.id, "stageName": "two", "deploymentId": shown}
    call = client.create_stage
    assert refused(call, **{**create, "deploymentId": "nothere"}) == bad("Deployment id does not exist")
    assert refused(call, **{**create, "stageName": "prod"}) == conflict("Stage already exists")
    assert refused(call, **{**create, "stageName": "a b"}) == bad("Stage name only allows a-zA-Z0-9_-")
    assert refused(client.create_deployment, restApiId=staged.id, stageName="a.b") == bad(
        "Stage name only allows a-zA-Z0-9_-"
    )
    assert refused(call, **create, cacheClusterEnabled=True) == bad(
        "The cache of a stage is not supported by this Lambent region: answers are not kept."
    )
    assert refused(call, **create, canarySettings={"percentTraffic": 10.0}) == bad(
        "canarySettings is not supported by this Lambent region: a stage shows one deployment."
    )
    assert refused(call, **create, variables={"a-b": "c"}) == bad(
        "Invalid stage variable name: a-b. Please use names with alphanumeric characters and underscores."
    )
    status, code, text = refused(call, **create, variables={"a": "<"})
    assert (status, code) == (400, "BadRequestException")
    assert text.startswith("Invalid stage variable value: <. Please use values with alphanumeric characters")


def test_unknown_stage_is_not_found(client: Any, api: Api, refused: Refusal) -> None:
    at = {"restApiId": api.id, "stageName": "nothere"}
    for call in (client.get_stage, client.delete_stage, client.flush_stage_cache, client.flush_stage_authorizers_cache):
        assert refused(call, **at) == NO_STAGE
    assert refused(client.update_stage, **at, patchOperations=[]) == NO_STAGE


def test_patches_change_a_stage(client: Any, staged: Api) -> None:
    changed = patch(
        client,
        staged,
        *replace("/description", "new"),
        *replace("/tracingEnabled", "true"),
        *replace("/variables/size", "xl"),
        {"op": "remove", "path": "/variables/color"},
    )
    assert (changed["description"], changed["tracingEnabled"]) == ("new", True)
    assert changed["variables"] == {"size": "xl"}


def test_settings_of_methods_are_shown_by_path(client: Any, staged: Api) -> None:
    changed = patch(
        client,
        staged,
        *replace("/*/*/throttling/burstLimit", "123"),
        *replace("/~1pets/GET/throttling/rateLimit", "0.5"),
        *replace("/~1/POST/logging/dataTrace", "true"),
    )
    settings = changed["methodSettings"]
    assert settings["*/*"] == {
        "metricsEnabled": False,
        "dataTraceEnabled": False,
        "throttlingBurstLimit": 123,
        "throttlingRateLimit": 10000.0,
        "cachingEnabled": False,
        "cacheTtlInSeconds": 300,
        "cacheDataEncrypted": False,
        "requireAuthorizationForCacheControl": True,
        "unauthorizedCacheControlHeaderStrategy": "SUCCEED_WITH_RESPONSE_HEADER",
    }
    assert settings["pets/GET"]["throttlingRateLimit"] == 0.5
    assert settings["/POST"]["dataTraceEnabled"] is True
    removed = patch(client, staged, {"op": "remove", "path": "/~1pets/GET"})
    assert set(removed["methodSettings"]) == {"*/*", "/POST"}


def test_unknown_path_of_a_stage_names_the_known_ones(client: Any, staged: Api, refused: Refusal) -> None:
    for path in ("/tags/tag1", "/documentation_version"):
        status, code, text = refused(
            client.update_stage, restApiId=staged.id, stageName="prod", patchOperations=replace(path, "x")
        )
        assert (status, code) == (400, "BadRequestException")
        assert text.startswith(f"Invalid method setting path: {path}. Must be one of: [/deploymentId, /description, ")
        assert text.endswith(", /variables/{variable_name}, /tracingEnabled]")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("/deploymentId", "nothere", "Deployment id does not exist"),
        ("/*/*/logging/loglevel", "LOUD", "Invalid logging level specified. Must be one of: [OFF, ERROR, INFO]"),
        (
            "/*/*/metrics/enabled",
            "true",
            "metrics/enabled is not supported by this Lambent region: it keeps no metrics yet.",
        ),
        (
            "/cacheClusterEnabled",
            "true",
            "The cache of a stage is not supported by this Lambent region: answers are not kept.",
        ),
        ("/accessLogSettings/destinationArn", "logs", "Invalid ARN specified in the request"),
        (
            "/accessLogSettings/destinationArn",
            "arn:aws:logs:us-east-1:999988887777:log-group:theirs",
            "Invalid ARN specified in the request",
        ),
        (
            "/accessLogSettings/format",
            "$context.status",
            "Access Log format must contain $context.requestId or $context.extendedRequestId",
        ),
    ],
)
def test_value_for_a_stage_is_refused(
    client: Any, staged: Api, refused: Refusal, path: str, value: str, message: str
) -> None:
    call = {"restApiId": staged.id, "stageName": "prod", "patchOperations": replace(path, value)}
    assert refused(client.update_stage, **call) == bad(message)


def test_logs_need_the_role_of_the_account(client: Any, staged: Api, refused: Refusal) -> None:
    access = [
        *replace("/accessLogSettings/format", "$context.requestId $context.status"),
        *replace("/accessLogSettings/destinationArn", LOGS),
    ]
    need = bad("CloudWatch Logs role ARN must be set in account settings to enable logging")
    for operations in (access, replace("/*/*/logging/loglevel", "INFO")):
        call = {"restApiId": staged.id, "stageName": "prod", "patchOperations": operations}
        assert refused(client.update_stage, **call) == need
    client.update_account(patchOperations=replace("/cloudwatchRoleArn", ROLE))
    changed = patch(client, staged, *access, *replace("/*/*/logging/loglevel", "INFO"))
    assert changed["accessLogSettings"] == {"format": "$context.requestId $context.status", "destinationArn": LOGS}
    assert changed["methodSettings"]["*/*"]["loggingLevel"] == "INFO"
    without = patch(client, staged, {"op": "remove", "path": "/accessLogSettings"})
    assert "accessLogSettings" not in without
    client.update_account(patchOperations=[{"op": "remove", "path": "/cloudwatchRoleArn"}])


def test_caches_are_flushed(client: Any, staged: Api) -> None:
    for call in (client.flush_stage_cache, client.flush_stage_authorizers_cache):
        answer = call(restApiId=staged.id, stageName="prod")
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
