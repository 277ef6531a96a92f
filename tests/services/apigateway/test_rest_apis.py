"""APIs themselves: what they answer, what PATCH changes, what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from apigateway_helpers import ACCOUNT, Api, Refusal, bad, conflict, missing, replace, told

from tests.roles import ROLE, make_role

POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke", "Resource": "execute-api:/*"}],
}


def test_new_api_has_a_root_and_the_defaults_that_aws_answers(client: Any) -> None:
    created = client.create_rest_api(name="fresh")
    assert created["ResponseMetadata"]["HTTPStatusCode"] == 201
    shown = told(created)
    assert len(shown.pop("id")) == len(shown["rootResourceId"]) == 10
    root = shown.pop("rootResourceId")
    shown.pop("createdDate")
    assert shown == {
        "name": "fresh",
        "apiKeySource": "HEADER",
        "endpointConfiguration": {"types": ["EDGE"], "ipAddressType": "ipv4"},
        "disableExecuteApiEndpoint": False,
    }
    assert client.get_resources(restApiId=created["id"])["items"] == [{"id": root, "path": "/"}]
    assert [model["name"] for model in client.get_models(restApiId=created["id"])["items"]] == ["Empty", "Error"]


def test_settings_given_at_creation_are_read_back(client: Any) -> None:
    given = {
        "name": "full",
        "description": "everything",
        "version": "v1",
        "binaryMediaTypes": ["image/png"],
        "minimumCompressionSize": 0,
        "endpointConfiguration": {"types": ["REGIONAL"], "ipAddressType": "dualstack"},
        "disableExecuteApiEndpoint": True,
        "tags": {"team": "a"},
    }
    created = client.create_rest_api(**given)
    found = told(client.get_rest_api(restApiId=created["id"]))
    assert found == told(created)
    assert {name: found[name] for name in given} == given


def test_tag_gives_the_id_once(client: Any, refused: Refusal) -> None:
    created = client.create_rest_api(name="mine", tags={"_custom_id_": "my-own-api"})
    assert created["id"] == "my-own-api"
    again = refused(client.create_rest_api, name="mine", tags={"_custom_id_": "my-own-api"})
    assert again == conflict("The API identifier my-own-api is already in use")
    client.delete_rest_api(restApiId="my-own-api")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"description": ""}, "Description cannot be an empty string"),
        ({"minimumCompressionSize": -1}, "Invalid minimum compression size, must be between 0 and 10485760"),
        (
            {"endpointConfiguration": {"types": []}},
            "REGIONAL Configuration and EDGE Configuration cannot be both DISABLED.",
        ),
        (
            {"endpointConfiguration": {"types": ["REGIONAL", "EDGE"]}},
            "Cannot create an api with multiple Endpoint Types.",
        ),
        (
            {"endpointConfiguration": {"types": ["PRIVATE"]}},
            "The endpoint type PRIVATE is not supported by this Lambent region: it has no VPC endpoints.",
        ),
        (
            {"cloneFrom": "abcdefghij"},
            "cloneFrom is not supported by this Lambent region: import the definition of the other API instead.",
        ),
        ({"policy": "{}"}, "Invalid policy document."),
    ],
)
def test_creation_is_refused_in_aws_words(
    client: Any, refused: Refusal, settings: dict[str, Any], message: str
) -> None:
    status, code, text = refused(client.create_rest_api, name="no", **settings)
    assert (status, code) == (400, "BadRequestException")
    assert text.startswith(message)


def test_unknown_api_is_told_with_its_account(client: Any, refused: Refusal) -> None:
    gone = missing(f"Invalid API identifier specified {ACCOUNT}:nothere")
    assert refused(client.get_rest_api, restApiId="nothere") == gone
    assert refused(client.delete_rest_api, restApiId="nothere") == gone
    assert refused(client.get_resources, restApiId="nothere") == gone
    assert refused(client.update_rest_api, restApiId="nothere", patchOperations=[]) == gone


def test_patches_change_an_api(client: Any, api: Api) -> None:
    changed = client.update_rest_api(
        restApiId=api.id,
        patchOperations=[
            {"op": "add", "path": "/binaryMediaTypes/image~1png"},
            {"op": "add", "path": "/binaryMediaTypes/image~1jpeg"},
            {"op": "replace", "path": "/binaryMediaTypes/image~1png", "value": "image/gif"},
            {"op": "remove", "path": "/binaryMediaTypes/image~1jpeg"},
            *replace("/minimumCompressionSize", "10"),
            *replace("/name", "renamed"),
            *replace("/description", "new"),
            *replace("/endpointConfiguration/types/EDGE", "REGIONAL"),
            *replace("/disableExecuteApiEndpoint", "true"),
        ],
    )
    assert changed["binaryMediaTypes"] == ["image/gif"]
    assert changed["minimumCompressionSize"] == 10
    assert (changed["name"], changed["description"], changed["tags"]) == ("renamed", "new", {})
    assert changed["endpointConfiguration"]["types"] == ["REGIONAL"]
    assert changed["disableExecuteApiEndpoint"] is True
    off = client.update_rest_api(restApiId=api.id, patchOperations=replace("/minimumCompressionSize", ""))
    assert "minimumCompressionSize" not in off


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        ({"op": "add", "path": "/binaryMediaTypes"}, "Invalid patch path /binaryMediaTypes"),
        ({"op": "replace", "path": "/rootResourceId", "value": "x"}, "Invalid patch path /rootResourceId"),
        ({"op": "replace", "value": "x"}, "Invalid patch path null"),
        (
            {"op": "add", "path": "/minimumCompressionSize", "value": "1"},
            "Invalid patch operation specified. Must be one of: [replace]",
        ),
        (
            {"op": "replace", "path": "/minimumCompressionSize", "value": "small"},
            "Invalid minimum compression size, must be between 0 and 10485760",
        ),
        (
            {"op": "replace", "path": "/endpointConfiguration/ipAddressType", "value": "ipv6"},
            "ipAddressType must be either ipv4 or dualstack.",
        ),
        (
            {"op": "replace", "path": "/endpointConfiguration/types/EDGE", "value": "NEAR"},
            "Invalid EndpointTypes specified. Valid options are REGIONAL,EDGE,PRIVATE",
        ),
        (
            {"op": "copy", "path": "/endpointConfiguration/types/EDGE", "value": "EDGE"},
            "Invalid patch operation specified. Must be 'add'|'remove'|'replace'",
        ),
    ],
)
def test_patch_is_refused_in_aws_words(
    client: Any, api: Api, refused: Refusal, operation: dict[str, str], message: str
) -> None:
    assert refused(client.update_rest_api, restApiId=api.id, patchOperations=[operation]) == bad(message)


def test_failing_patch_changes_nothing(client: Any, api: Api, refused: Refusal) -> None:
    operations = [*replace("/name", "half"), *replace("/nothing", "x")]
    assert refused(client.update_rest_api, restApiId=api.id, patchOperations=operations)[0] == 400
    assert client.get_rest_api(restApiId=api.id)["name"] == "shop"


def test_policy_is_answered_escaped_and_with_whole_arns(client: Any, api: Api) -> None:
    client.update_rest_api(restApiId=api.id, patchOperations=replace("/policy", json.dumps(POLICY)))
    shown = client.get_rest_api(restApiId=api.id)["policy"]
    policy = json.loads(json.loads(f'"{shown}"'))
    assert policy["Statement"][0]["Resource"] == f"arn:aws:execute-api:us-east-1:{ACCOUNT}:{api.id}/*"
    removed = client.update_rest_api(restApiId=api.id, patchOperations=[{"op": "remove", "path": "/policy"}])
    assert "policy" not in removed


def test_list_of_apis_pages_by_position(region: Any) -> None:
    client = region.client("apigateway", region_name="eu-central-1")
    names = [client.create_rest_api(name=f"paged-{number}")["id"] for number in range(5)]
    first = client.get_rest_apis(limit=3)
    second = client.get_rest_apis(limit=3, position=first["position"])
    assert "position" not in second
    assert sorted(api["id"] for api in first["items"] + second["items"]) == sorted(names)
    paged = client.get_paginator("get_rest_apis").paginate(PaginationConfig={"PageSize": 2})
    assert len([api for page in paged for api in page["items"]]) == 5


def test_apis_of_another_region_and_account_are_not_seen(region: Any, api: Api, refused: Refusal) -> None:
    elsewhere = region.client("apigateway", region_name="eu-west-3")
    assert elsewhere.get_rest_apis()["items"] == []
    assert refused(elsewhere.get_rest_api, restApiId=api.id)[0] == 404


def test_account_settings_hold_the_role_for_logs(region: Any, client: Any, refused: Refusal) -> None:
    make_role(region, "distrusting", services=["lambda.amazonaws.com"])
    fresh = told(client.get_account())
    assert fresh == {
        "throttleSettings": {"burstLimit": 5000, "rateLimit": 10000.0},
        "features": [],
        "apiKeyVersion": "4",
    }
    role = ROLE
    assert client.update_account(patchOperations=replace("/cloudwatchRoleArn", role))["cloudwatchRoleArn"] == role
    assert client.get_account()["cloudwatchRoleArn"] == role
    status, code, _ = refused(client.update_account, patchOperations=replace("/cloudwatchRoleArn", "logs"))
    assert (status, code) == (400, "BadRequestException")
    for unfit in ("nobody", "distrusting"):
        status, code, message = refused(
            client.update_account,
            patchOperations=replace("/cloudwatchRoleArn", f"arn:aws:iam::{ACCOUNT}:role/{unfit}"),
        )
        assert (status, code) == (400, "BadRequestException")
        assert message.startswith("The role ARN does not have required permissions configured.")
    cleared = client.update_account(patchOperations=[{"op": "remove", "path": "/cloudwatchRoleArn"}])
    assert "cloudwatchRoleArn" not in cleared


def test_tags_of_apis_and_stages_change_by_arn(client: Any, api: Api, refused: Refusal) -> None:
    api.mock()
    api.deployed()
    for arn in (
        f"arn:aws:apigateway:us-east-1::/restapis/{api.id}",
        f"arn:aws:apigateway:us-east-1::/restapis/{api.id}/stages/prod",
    ):
        client.tag_resource(resourceArn=arn, tags={"a": "1", "b": "2"})
        client.untag_resource(resourceArn=arn, tagKeys=["a"])
        assert client.get_tags(resourceArn=arn)["tags"] == {"b": "2"}
    assert client.get_rest_api(restApiId=api.id)["tags"] == {"b": "2"}
    assert client.get_stage(restApiId=api.id, stageName="prod")["tags"] == {"b": "2"}
    nothing = "arn:aws:apigateway:us-east-1::/restapis/nothere"
    assert refused(client.get_tags, resourceArn=nothing)[:2] == (404, "NotFoundException")
    reserved = refused(client.tag_resource, resourceArn=arn, tags={"aws:x": "1"})
    assert reserved[:2] == (400, "BadRequestException")


def test_deleted_api_is_gone_with_everything_below_it(client: Any, api: Api, refused: Refusal) -> None:
    api.mock()
    api.deployed()
    answer = client.delete_rest_api(restApiId=api.id)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert refused(client.get_stage, restApiId=api.id, stageName="prod")[0] == 404


@pytest.mark.slow
def test_apis_stages_and_settings_outlive_a_restart(region: Any) -> None:
    """The last one of this module: clients of before know another port."""
    client = region.client("apigateway")
    api = Api(client, tags={"kept": "yes"})
    api.mock()
    deployment = api.deployed(variables={"color": "blue"})
    role = ROLE
    client.update_account(patchOperations=replace("/cloudwatchRoleArn", role))
    before = told(client.get_resources(restApiId=api.id, embed=["methods"]))
    client = region.restart().client("apigateway")
    assert told(client.get_resources(restApiId=api.id, embed=["methods"])) == before
    stage = client.get_stage(restApiId=api.id, stageName="prod")
    assert (stage["deploymentId"], stage["variables"]) == (deployment, {"color": "blue"})
    assert client.get_account()["cloudwatchRoleArn"] == role
    region.reset()
    assert client.get_rest_apis()["items"] == []
    assert "cloudwatchRoleArn" not in client.get_account()
