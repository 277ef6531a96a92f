"""APIs from definitions: Swagger 2.0 and OpenAPI 3.0."""

from __future__ import annotations

import json
from typing import Any

import pytest
from apigateway_helpers import URI, Refusal, bad, told

from tests.roles import ROLE, allowing, make_role

HEADER = "method.response.header.Access-Control-Allow-Origin"
PROXY = {"type": "aws_proxy", "httpMethod": "POST", "uri": URI, "passthroughBehavior": "when_no_match"}
SWAGGER: dict[str, Any] = {
    "swagger": "2.0",
    "info": {"title": "PetStore", "version": "1.0", "description": "pets"},
    "basePath": "/v1/store",
    "x-amazon-apigateway-binary-media-types": ["image/png"],
    "x-amazon-apigateway-request-validators": {"all": {"validateRequestBody": True}},
    "x-amazon-apigateway-gateway-responses": {"UNAUTHORIZED": {"statusCode": 499}},
    "securityDefinitions": {
        "gate": {
            "type": "apiKey",
            "name": "Authorization",
            "in": "header",
            "x-amazon-apigateway-authtype": "custom",
            "x-amazon-apigateway-authorizer": {
                "type": "token",
                "authorizerUri": URI,
                "authorizerResultTtlInSeconds": 60,
            },
        },
        "signed": {
            "type": "apiKey",
            "name": "Authorization",
            "in": "header",
            "x-amazon-apigateway-authtype": "awsSigv4",
        },
    },
    "paths": {
        "/pets": {
            "post": {
                "operationId": "CreatePet",
                "security": [{"gate": []}],
                "x-amazon-apigateway-request-validator": "all",
                "parameters": [
                    {"name": "page", "in": "query", "required": True, "type": "string"},
                    {"name": "pet", "in": "body", "schema": {"$ref": "#/definitions/Pet"}},
                ],
                "responses": {"200": {"description": "ok", "schema": {"$ref": "#/definitions/Pets"}}},
                "x-amazon-apigateway-integration": PROXY,
            },
            "options": {
                "responses": {"200": {"headers": {"Access-Control-Allow-Origin": {"type": "string"}}}},
                "x-amazon-apigateway-integration": {
                    "type": "mock",
                    "requestTemplates": {"application/json": '{"statusCode": 200}'},
                    "responses": {"default": {"statusCode": "200", "responseParameters": {HEADER: "'*'"}}},
                },
            },
        },
        "/pets/{petId}": {
            "parameters": [{"$ref": "#/parameters/petId"}],
            "x-amazon-apigateway-any-method": {
                "security": [{"signed": []}],
                "x-amazon-apigateway-integration": PROXY,
            },
        },
    },
    "parameters": {"petId": {"name": "petId", "in": "path", "required": True, "type": "string"}},
    "definitions": {
        "Pet": {"type": "object", "properties": {"name": {"type": "string"}}},
        "Pets": {"type": "array", "items": {"$ref": "#/definitions/Pet"}},
    },
}
OPENAPI: dict[str, Any] = {
    "openapi": "3.0.1",
    "info": {"title": "Things", "version": "2"},
    "servers": [{"url": "https://example.com/{base}", "variables": {"base": {"default": "v2"}}}],
    "components": {
        "schemas": {"Thing": {"type": "object", "properties": {"id": {"type": "integer"}}}},
        "securitySchemes": {
            "asks": {
                "type": "apiKey",
                "name": "unused",
                "in": "header",
                "x-amazon-apigateway-authorizer": {
                    "type": "request",
                    "authorizerUri": URI,
                    "identitySource": "method.request.header.A, context.identity.sourceIp",
                },
            }
        },
    },
    "security": [{"asks": []}],
    "paths": {
        "/things": {
            "put": {
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
                "responses": {
                    "201": {"content": {"application/json": {"schema": {"type": "object", "title": "made"}}}}
                },
                "x-amazon-apigateway-integration": {
                    "type": "http_proxy",
                    "httpMethod": "PUT",
                    "uri": "http://localhost/",
                },
            }
        }
    },
}


def by_path(client: Any, api_id: str) -> dict[str, Any]:
    return {
        item["path"]: item for item in client.get_resources(restApiId=api_id, embed=["methods"], limit=100)["items"]
    }


def imported(client: Any, definition: dict[str, Any], **options: Any) -> Any:
    return client.import_rest_api(body=json.dumps(definition).encode(), **options)


def test_swagger_becomes_an_api(client: Any) -> None:
    api = imported(client, SWAGGER, parameters={"endpointConfigurationTypes": "REGIONAL"})
    assert api["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert (api["name"], api["description"], api["version"]) == ("PetStore", "pets", "1.0")
    assert api["endpointConfiguration"]["types"] == ["REGIONAL"]
    assert api["binaryMediaTypes"] == ["image/png"]
    resources = by_path(client, api["id"])
    assert list(resources) == ["/", "/pets", "/pets/{petId}"]

    post = resources["/pets"]["resourceMethods"]["POST"]
    authorizer = client.get_authorizers(restApiId=api["id"])["items"][0]
    assert (post["authorizationType"], post["authorizerId"]) == ("CUSTOM", authorizer["id"])
    assert post["requestValidatorId"] == client.get_request_validators(restApiId=api["id"])["items"][0]["id"]
    assert (post["operationName"], post["requestModels"]) == ("CreatePet", {"application/json": "Pet"})
    assert post["requestParameters"] == {"method.request.querystring.page": True}
    assert post["methodResponses"] == {"200": {"statusCode": "200", "responseModels": {"application/json": "Pets"}}}
    assert post["methodIntegration"]["type"] == "AWS_PROXY"
    assert post["methodIntegration"]["cacheNamespace"] == resources["/pets"]["id"]

    options = resources["/pets"]["resourceMethods"]["OPTIONS"]
    assert (options["authorizationType"], options["methodIntegration"]["type"]) == ("NONE", "MOCK")
    assert options["methodResponses"]["200"]["responseParameters"] == {HEADER: False}
    assert options["methodIntegration"]["integrationResponses"] == {
        "200": {"statusCode": "200", "responseParameters": {HEADER: "'*'"}}
    }
    every = resources["/pets/{petId}"]["resourceMethods"]["ANY"]
    assert (every["authorizationType"], every["requestParameters"]) == (
        "AWS_IAM",
        {"method.request.path.petId": True},
    )


def test_what_methods_refer_to_is_imported_too(client: Any) -> None:
    api = imported(client, SWAGGER)["id"]
    authorizer = told(client.get_authorizers(restApiId=api))["items"][0]
    assert authorizer == {
        "id": authorizer["id"],
        "name": "gate",
        "type": "TOKEN",
        "authType": "custom",
        "authorizerUri": URI,
        "authorizerResultTtlInSeconds": 60,
        "identitySource": "method.request.header.Authorization",
    }
    models = {model["name"]: json.loads(model["schema"]) for model in client.get_models(restApiId=api)["items"]}
    reference = f"https://apigateway.amazonaws.com/restapis/{api}/models/Pet"
    assert models == {"Pet": SWAGGER["definitions"]["Pet"], "Pets": {"type": "array", "items": {"$ref": reference}}}
    response = client.get_gateway_response(restApiId=api, responseType="UNAUTHORIZED")
    assert (response["statusCode"], response["defaultResponse"]) == ("499", False)


def test_openapi_3_becomes_an_api(client: Any) -> None:
    api = imported(client, OPENAPI)["id"]
    put = by_path(client, api)["/things"]["resourceMethods"]["PUT"]
    assert put["authorizationType"] == "CUSTOM"
    assert put["requestModels"] == {"application/json": "Thing"}
    assert put["methodIntegration"]["connectionType"] == "INTERNET"
    made = put["methodResponses"]["201"]["responseModels"]["application/json"]
    assert json.loads(client.get_model(restApiId=api, modelName=made)["schema"]) == {"type": "object", "title": "made"}
    authorizer = client.get_authorizers(restApiId=api)["items"][0]
    assert (authorizer["type"], authorizer["identitySource"]) == (
        "REQUEST",
        "method.request.header.A, context.identity.sourceIp",
    )


def test_integrations_that_stream_are_imported(client: Any) -> None:
    uri = URI.replace("2015-03-31", "2021-11-15").replace("/invocations", "/response-streaming-invocations")
    streams = {**PROXY, "uri": uri, "responseTransferMode": "stream", "timeoutInMillis": 900_000}
    definition = json.loads(swagger(paths={"/": {"get": {"x-amazon-apigateway-integration": streams}}}))
    made = by_path(client, imported(client, definition)["id"])["/"]["resourceMethods"]["GET"]["methodIntegration"]
    assert (made["responseTransferMode"], made["timeoutInMillis"], made["uri"]) == ("STREAM", 900_000, uri)


@pytest.mark.parametrize(("mode", "prefix"), [("ignore", ""), ("prepend", "/v1/store"), ("split", "/store")])
def test_base_path_goes_where_it_is_told(client: Any, mode: str, prefix: str) -> None:
    api = imported(client, SWAGGER, parameters={"basepath": mode})["id"]
    assert f"{prefix}/pets" in by_path(client, api)


def test_overwriting_replaces_what_is_there_and_keeps_ids(client: Any) -> None:
    before = imported(client, SWAGGER)
    old = by_path(client, before["id"])
    definition = {
        **SWAGGER,
        "info": {"title": "Second"},
        "paths": {
            "/dogs": {"get": {"x-amazon-apigateway-integration": PROXY}},
            "/pets": {"post": SWAGGER["paths"]["/pets"]["post"]},
        },
    }
    put = client.put_rest_api(restApiId=before["id"], mode="overwrite", body=json.dumps(definition).encode())
    assert (put["id"], put["name"], put["rootResourceId"]) == (before["id"], "Second", before["rootResourceId"])
    new = by_path(client, before["id"])
    assert list(new) == ["/", "/dogs", "/pets"]
    assert new["/pets"]["id"] == old["/pets"]["id"]
    assert list(new["/pets"]["resourceMethods"]) == ["POST"]
    post = old["/pets"]["resourceMethods"]["POST"]
    assert new["/pets"]["resourceMethods"]["POST"] == post


def test_merging_adds_to_what_is_there(client: Any) -> None:
    api = imported(client, SWAGGER)["id"]
    added = {**OPENAPI, "info": {"title": "Both"}}
    client.put_rest_api(restApiId=api, mode="merge", body=json.dumps(added).encode())
    assert list(by_path(client, api)) == ["/", "/pets", "/pets/{petId}", "/things"]
    assert [one["name"] for one in client.get_authorizers(restApiId=api)["items"]] == ["asks", "gate"]


def test_all_mistakes_are_told_at_once_and_nothing_is_kept(region: Any, refused: Refusal) -> None:
    client = region.client("apigateway", region_name="ap-south-1")
    definition = {
        "swagger": "2.0",
        "info": {"title": "wrong"},
        "paths": {
            "/": {"get": {"x-amazon-apigateway-integration": {**PROXY, "uri": "x"}}},
            "/{a}": {"get": {"x-amazon-apigateway-integration": {"type": "aws", "httpMethod": "POST", "uri": URI}}},
            "/{b}": {"get": {}},
        },
    }
    assert refused(client.import_rest_api, body=json.dumps(definition).encode()) == bad(
        "Errors found during import:\n"
        "\tUnable to put integration on 'GET' for resource at path '/': Invalid ARN specified in the request\n"
        "\tUnable to put integration on 'GET' for resource at path '/{a}': "
        "The integration type AWS is not supported by this Lambent region: call functions with AWS_PROXY.\n"
        "\tUnable to create resource at path '/{b}': "
        "A sibling ({a}) of this resource already has a variable path part -- only one is allowed"
    )
    assert client.get_rest_apis()["items"] == []


def swagger(**changes: Any) -> bytes:
    return json.dumps({"swagger": "2.0", "info": {"title": "x"}, "paths": {}, **changes}).encode()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"swagger: '2.0'", "it is not JSON. This Lambent region reads no YAML; convert it first."),
        (b"[]", "it is not a JSON object"),
        (b"{}", "version '' is neither Swagger 2.0 nor OpenAPI 3.0"),
        (b'{"openapi": "3.1.0"}', "version '3.1.0' is neither Swagger 2.0 nor OpenAPI 3.0"),
        (swagger(info={}), "info/title is missing"),
        (swagger(paths=[]), "paths is not an object"),
        (swagger(paths={"/": {"get": {"$ref": "#/nothing"}}}), "nothing is at #/nothing"),
        (swagger(a={"$ref": "#/a"}, paths={"/": {"$ref": "#/a"}}), "references lead in a circle"),
        (swagger(paths={"/": {"$ref": "other.json#/x"}}), "the reference other.json#/x leads out of it"),
    ],
)
def test_what_is_no_definition_is_refused(client: Any, refused: Refusal, body: bytes, message: str) -> None:
    assert refused(client.import_rest_api, body=body) == bad(f"Invalid API definition: {message}")


@pytest.mark.parametrize(
    "definition",
    [
        {"paths": {"/": {"get": {"parameters": ["x"]}}}},
        {"paths": {"/": {"get": {"security": ["x"]}}}},
        {"paths": {"/": {"get": {"responses": [1]}}}},
        {"paths": {"/": {"get": {"x-amazon-apigateway-integration": ["x"]}}}},
        {"paths": {"/": {"get": {"x-amazon-apigateway-integration": {**PROXY, "timeoutInMillis": "x"}}}}},
        {"paths": {"/": {"get": {"x-amazon-apigateway-integration": {**PROXY, "responseTransferMode": ["x"]}}}}},
        {"paths": {"/": {"get": {"x-amazon-apigateway-integration": {**PROXY, "responseTransferMode": "SOON"}}}}},
        {"paths": {"/": {"get": {"x-amazon-apigateway-integration": {**PROXY, "requestTemplates": {"a/b": 1}}}}}},
        {"definitions": {"A": [1]}},
        {"definitions": {"A": {"type": "animal"}}},
        {"securityDefinitions": {"a": []}},
        {"securityDefinitions": {"a": {"x-amazon-apigateway-authorizer": {"type": 1}}}},
        {"x-amazon-apigateway-gateway-responses": {"NOTHING": {}}},
        {"x-amazon-apigateway-request-validators": ["x"]},
        {"x-amazon-apigateway-minimum-compression-size": "x"},
        {"x-amazon-apigateway-policy": {"Statement": 1}},
        {"x-amazon-apigateway-documentation": {"version": "1"}},
    ],
)
def test_nonsense_inside_a_definition_is_refused_not_stored(
    client: Any, refused: Refusal, definition: dict[str, Any]
) -> None:
    status, code, _ = refused(client.import_rest_api, body=swagger(**definition))
    assert (status, code) == (400, "BadRequestException")


def test_roles_inside_a_definition_are_passed_by_those_who_may(region: Any) -> None:
    iam, role = region.client("iam"), make_role(region, "gateway")
    iam.create_user(UserName="importer")
    key = iam.create_access_key(UserName="importer")["AccessKey"]
    mine = region.client(
        "apigateway", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"]
    )
    put = {"UserName": "importer", "PolicyName": "may"}
    iam.put_user_policy(**put, PolicyDocument=allowing("apigateway:*"))
    integration = {**PROXY, "credentials": role}
    body = swagger(paths={"/": {"get": {"x-amazon-apigateway-integration": integration}}})
    assert Refusal(mine)(mine.import_rest_api, body=body) == (
        403,
        "AccessDeniedException",
        f"User: {ROLE.partition(':role')[0]}:user/importer is not authorized to perform: iam:PassRole on resource: "
        f"{role} because no identity-based policy allows the iam:PassRole action",
    )
    iam.put_user_policy(**put, PolicyDocument=allowing("apigateway:*", "iam:PassRole"))
    api = mine.import_rest_api(body=body)["id"]
    iam.put_user_policy(**put, PolicyDocument=allowing("apigateway:*"))
    assert Refusal(mine)(mine.put_rest_api, restApiId=api, body=body)[:2] == (403, "AccessDeniedException")
    assert mine.put_rest_api(restApiId=api, mode="overwrite", body=swagger())["id"] == api
