"""Authorizers, request validators, models and gateway responses: what methods refer to."""

from __future__ import annotations

import json
from typing import Any

import pytest
from apigateway_helpers import ROLE, URI, Api, Refusal, bad, conflict, missing, replace, told

NO_AUTHORIZER = missing("Invalid Authorizer identifier specified")
NO_VALIDATOR = missing("Invalid Request Validator identifier specified")
DEFAULT_TEMPLATES = {"application/json": '{"message":$context.error.messageString}'}
EMPTY_SCHEMA = "Model schema must have at least 1 property or array items defined"
OBJECT = '{"type": "object", "title": "pet"}'

# ---- authorizers


def test_authorizer_is_answered_as_given(client: Any, api: Api) -> None:
    created = told(
        api.authorizer(identityValidationExpression="^x-[a-z]+", authorizerCredentials=ROLE, authType="custom")
    )
    assert created == {
        "id": created["id"],
        "name": "gate",
        "type": "TOKEN",
        "authorizerUri": URI,
        "authorizerCredentials": ROLE,
        "identitySource": "method.request.header.Authorization",
        "identityValidationExpression": "^x-[a-z]+",
        "authType": "custom",
    }
    assert told(client.get_authorizer(restApiId=api.id, authorizerId=created["id"])) == created
    request = api.authorizer("asks", type="REQUEST", identitySource="", authorizerResultTtlInSeconds=0)
    assert request["authorizerResultTtlInSeconds"] == 0
    assert [one["name"] for one in client.get_authorizers(restApiId=api.id)["items"]] == ["asks", "gate"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"authorizerUri": "arn:aws:lambda:us-east-1:000000000000:function:x"},
            "Invalid Authorizer URI: arn:aws:lambda:us-east-1:000000000000:function:x. Authorizer URI should be "
            "a valid API Gateway ARN that represents a Lambda function invocation.",
        ),
        ({"identitySource": ""}, "Invalid request input"),
        ({"identitySource": "method.request.querystring.x"}, "Invalid request input"),
        ({"type": "REQUEST", "identitySource": "header.x"}, "Invalid request input"),
        (
            {"type": "REQUEST", "identitySource": ""},
            "Identity source must be set if authorizer caching is enabled (TTL is greater than 0)",
        ),
        ({"authorizerResultTtlInSeconds": 3601}, "Authorizer result TTL should be between 0 and 3600 seconds"),
        ({"identityValidationExpression": "("}, "Invalid regular expression specified: ("),
        (
            {"type": "COGNITO_USER_POOLS"},
            "The authorizer type COGNITO_USER_POOLS is not supported by this Lambent region: "
            "write a TOKEN or REQUEST authorizer.",
        ),
    ],
)
def test_authorizer_is_refused(api: Api, refused: Refusal, settings: dict[str, Any], message: str) -> None:
    assert refused(api.authorizer, **settings) == bad(message)


def test_authorizer_is_patched_and_deleted_unless_used(client: Any, api: Api, refused: Refusal) -> None:
    at = {"restApiId": api.id, "authorizerId": api.authorizer()["id"]}
    assert refused(api.authorizer) == conflict(
        "Authorizer name must be unique. Authorizer gate already exists in this RestApi."
    )
    patches = [*replace("/authorizerResultTtlInSeconds", "60"), *replace("/name", "door")]
    changed = client.update_authorizer(**at, patchOperations=patches)
    assert (changed["name"], changed["authorizerResultTtlInSeconds"]) == ("door", 60)
    assert refused(client.update_authorizer, **at, patchOperations=replace("/id", "x")) == bad("Invalid patch path /id")
    api.method(authorizationType="CUSTOM", authorizerId=at["authorizerId"])
    assert refused(client.delete_authorizer, **at) == conflict(
        "Cannot delete authorizer 'door', is referenced in method: /pets/GET"
    )
    client.delete_method(**api.at())
    client.delete_authorizer(**at)
    assert refused(client.get_authorizer, **at) == NO_AUTHORIZER


def test_authorizer_of_no_api_conflicts_as_on_aws(client: Any, refused: Refusal) -> None:
    answer = refused(
        client.create_authorizer,
        restApiId="nothere",
        name="x",
        type="TOKEN",
        authorizerUri=URI,
        identitySource="method.request.header.A",
    )
    assert answer == conflict("Unable to complete operation due to concurrent modification. Please try again later.")


# ---- request validators


def test_validator_lives_its_life(client: Any, api: Api, refused: Refusal) -> None:
    created = told(client.create_request_validator(restApiId=api.id, name="all", validateRequestBody=True))
    at = {"restApiId": api.id, "requestValidatorId": created["id"]}
    assert created == {
        "id": created["id"],
        "name": "all",
        "validateRequestBody": True,
        "validateRequestParameters": False,
    }
    update = client.update_request_validator
    assert update(**at, patchOperations=replace("/validateRequestParameters", "true"))["validateRequestParameters"]
    api.method(requestValidatorId=created["id"])
    assert refused(client.delete_request_validator, **at)[:2] == (409, "ConflictException")
    client.delete_method(**api.at())
    client.delete_request_validator(**at)
    assert refused(client.get_request_validator, **at) == NO_VALIDATOR
    assert client.get_request_validators(restApiId=api.id)["items"] == []


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (
            {"op": "add", "path": "/validateRequestBody", "value": "true"},
            "Invalid patch path  '/validateRequestBody' specified for op 'add'. Please choose supported operations",
        ),
        (
            replace("/invalidPath", "true")[0],
            "Invalid patch path  '/invalidPath' specified for op 'replace'. "
            "Must be one of: [/name, /validateRequestParameters, /validateRequestBody]",
        ),
        (replace("/name", "")[0], "Request Validator name cannot be blank"),
    ],
)
def test_validator_patch_is_refused_in_aws_words(
    client: Any, api: Api, refused: Refusal, operation: dict[str, str], message: str
) -> None:
    validator = client.create_request_validator(restApiId=api.id, name="v")["id"]
    call = {"restApiId": api.id, "requestValidatorId": validator, "patchOperations": [operation]}
    assert refused(client.update_request_validator, **call) == bad(message)


def test_validator_of_no_api_is_a_bad_request(client: Any, refused: Refusal) -> None:
    answer = refused(client.create_request_validator, restApiId="nothere", name="v")
    assert answer == bad("Invalid REST API identifier specified")
    assert refused(client.get_request_validator, restApiId="nothere", requestValidatorId="x") == NO_VALIDATOR


# ---- models


def test_model_lives_its_life(client: Any, api: Api, refused: Refusal) -> None:
    made = {"name": "Pet", "contentType": "application/json", "schema": OBJECT, "description": "an animal"}
    created = told(client.create_model(restApiId=api.id, **made))
    assert {name: created[name] for name in made} == made
    at = {"restApiId": api.id, "modelName": "Pet"}
    assert told(client.get_model(**at)) == created
    changed = client.update_model(**at, patchOperations=replace("/schema", '{"type": "array"}'))
    assert changed["schema"] == '{"type": "array"}'
    api.method(requestModels={"application/json": "Pet"})
    assert refused(client.delete_model, **at) == conflict(
        "Cannot delete model 'Pet', is referenced in method request: /pets/GET"
    )
    client.delete_method(**api.at())
    client.delete_model(**at)
    assert refused(client.get_model, **at) == missing("Invalid model name specified: Pet")


@pytest.mark.parametrize(
    ("settings", "status", "message"),
    [
        ({"name": ""}, 400, "Model name must be non-empty"),
        ({"name": "my-pet"}, 400, "Model name must be alphanumeric: my-pet"),
        ({"name": "Empty"}, 409, "Model name already exists for this REST API"),
        ({"schema": ""}, 400, EMPTY_SCHEMA),
        ({"schema": "", "contentType": "application/xml"}, 400, EMPTY_SCHEMA),
        (
            {"schema": "{"},
            400,
            "Invalid model specified: Validation Result: warnings : [], errors : [Invalid model schema specified]",
        ),
        (
            {"schema": '{"$ref": "other.json"}'},
            400,
            "Invalid model specified: Validation Result: warnings : [], "
            "errors : [Model reference must be in canonical form]",
        ),
    ],
)
def test_model_is_refused_in_aws_words(
    client: Any, api: Api, refused: Refusal, settings: dict[str, str], status: int, message: str
) -> None:
    call = {"restApiId": api.id, "name": "Pet", "contentType": "application/json", "schema": OBJECT, **settings}
    assert refused(client.create_model, **call)[::2] == (status, message)


def test_model_that_is_no_schema_is_refused(client: Any, api: Api, refused: Refusal) -> None:
    call = {"restApiId": api.id, "name": "Pet", "contentType": "application/json"}
    status, code, text = refused(client.create_model, **call, schema='{"type": "animal"}')
    assert (status, code) == (400, "BadRequestException")
    assert text.startswith("Invalid model specified: Validation Result: warnings : [], errors : [Invalid model schema")


@pytest.mark.parametrize("depth", [200, 900, 20_000])
def test_model_nested_without_end_is_refused(client: Any, api: Api, refused: Refusal, depth: int) -> None:
    call = {"restApiId": api.id, "name": "Pet", "contentType": "application/json"}
    answer = refused(client.create_model, **call, schema='{"properties":' * depth + "{}" + "}" * depth)
    assert answer == bad(
        "Invalid model specified: Validation Result: warnings : [], errors : [Invalid model schema specified]"
    )


def test_model_with_an_expression_that_is_not_followed_is_refused(client: Any, api: Api, refused: Refusal) -> None:
    call = {"restApiId": api.id, "name": "Pet", "contentType": "application/json"}
    status, code, text = refused(client.create_model, **call, schema='{"items": [{"pattern": "(a|b)\\\\1"}]}')
    assert (status, code) == (400, "BadRequestException")
    assert text.startswith("The regular expression (a|b)\\1 is not supported by this Lambent region")


def test_model_of_models_is_flattened(client: Any, api: Api, refused: Refusal) -> None:
    create = {"restApiId": api.id, "contentType": "application/json"}
    client.create_model(**create, name="Pet", schema=OBJECT)
    reference = f"https://apigateway.amazonaws.com/restapis/{api.id}/models/Pet"
    client.create_model(**create, name="Pets", schema=json.dumps({"type": "array", "items": {"$ref": reference}}))
    flat = json.loads(client.get_model(restApiId=api.id, modelName="Pets", flatten=True)["schema"])
    assert flat == {
        "type": "array",
        "items": {"$ref": "#/definitions/Pet"},
        "definitions": {"Pet": json.loads(OBJECT)},
    }
    assert refused(client.delete_model, restApiId=api.id, modelName="Pet") == conflict(
        "Cannot delete model 'Pet', is referenced in model: Pets"
    )


def test_model_patch_is_refused_in_aws_words(client: Any, api: Api, refused: Refusal) -> None:
    at = {"restApiId": api.id, "modelName": "Empty"}
    assert refused(client.update_model, **at, patchOperations=replace("/name", "x")) == bad(
        "Invalid patch path  '/name' specified for op 'replace'. Must be one of: [/description, /schema]"
    )
    assert refused(client.update_model, **at, patchOperations=replace("/schema", "")) == bad(EMPTY_SCHEMA)
    unknown = {"restApiId": "nothere", "modelName": "Pet"}
    assert refused(client.update_model, **unknown, patchOperations=[]) == missing("Invalid model name specified: Pet")


# ---- gateway responses


def test_gateway_responses_are_all_there(client: Any, api: Api) -> None:
    items = client.get_gateway_responses(restApiId=api.id)["items"]
    assert len(items) == 21
    assert all(item["defaultResponse"] for item in items)
    assert all(item["responseTemplates"] == DEFAULT_TEMPLATES for item in items)
    statuses = {item["responseType"]: item.get("statusCode") for item in items}
    assert statuses["MISSING_AUTHENTICATION_TOKEN"] == "403"
    assert statuses["INTEGRATION_FAILURE"] == statuses["INTEGRATION_TIMEOUT"] == "504"
    assert statuses["DEFAULT_4XX"] is statuses["DEFAULT_5XX"] is None


def test_class_default_shows_through_unset_types_only(client: Any, api: Api) -> None:
    put = client.put_gateway_response
    at = {"restApiId": api.id}
    put(**at, responseType="DEFAULT_5XX", statusCode="599", responseTemplates={"application/json": "{}"})
    put(**at, responseType="AUTHORIZER_FAILURE", responseParameters={"gatewayresponse.header.foo": "'bar'"})
    found = {item["responseType"]: item for item in client.get_gateway_responses(**at)["items"]}
    assert found["INTEGRATION_TIMEOUT"]["statusCode"] == "599"
    assert found["INTEGRATION_TIMEOUT"]["defaultResponse"] is True
    assert found["INTEGRATION_TIMEOUT"]["responseTemplates"] == {"application/json": "{}"}
    assert found["AUTHORIZER_FAILURE"]["statusCode"] == "500"
    assert found["AUTHORIZER_FAILURE"]["responseTemplates"] == DEFAULT_TEMPLATES
    assert found["AUTHORIZER_FAILURE"]["defaultResponse"] is False


def test_gateway_response_is_patched_and_deleted(client: Any, api: Api, refused: Refusal) -> None:
    at = {"restApiId": api.id, "responseType": "DEFAULT_4XX"}
    changed = client.update_gateway_response(
        **at,
        patchOperations=[
            *replace("/statusCode", "444"),
            {"op": "add", "path": "/responseParameters/gatewayresponse.header.X", "value": "'y'"},
            {"op": "add", "path": "/responseTemplates/application~1xml", "value": "<m/>"},
        ],
    )
    assert (changed["statusCode"], changed["defaultResponse"]) == ("444", False)
    assert changed["responseTemplates"] == {**DEFAULT_TEMPLATES, "application/xml": "<m/>"}
    for operation, answer in (
        ({"op": "add", "path": "/statusCode", "value": "1"}, bad("Invalid patch path /statusCode")),
        (replace("/wrongPath", "x")[0], bad("Invalid patch path /wrongPath")),
        ({"op": "replace", "value": "x"}, bad("Invalid patch path null")),
        (replace("/responseParameters/nothing", "x")[0], missing("Invalid parameter name specified")),
        (
            {"op": "add", "path": "/responseTemplates/application~1xml"},
            bad("Invalid null or empty value in responseTemplates"),
        ),
    ):
        assert refused(client.update_gateway_response, **at, patchOperations=[operation]) == answer
    client.delete_gateway_response(**at)
    assert client.get_gateway_response(**at)["defaultResponse"] is True
    assert refused(client.delete_gateway_response, **at) == missing("Gateway response type not defined on api")


def test_gateway_response_takes_static_values_in_quotes(client: Any, api: Api, refused: Refusal) -> None:
    put = {"restApiId": api.id, "responseType": "UNAUTHORIZED"}
    answer = refused(client.put_gateway_response, **put, responseParameters={"gatewayresponse.header.X": "test-value"})
    assert answer == bad(
        "Invalid mapping expression specified: Validation Result: warnings : [], "
        "errors : [Invalid mapping expression specified: test-value]"
    )
