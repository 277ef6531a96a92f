"""Methods, integrations and the responses of both."""

from __future__ import annotations

from typing import Any

import pytest
from apigateway_helpers import FUNCTION, ROLE, URI, Api, Refusal, bad, conflict, missing, replace, told

NO_METHOD = missing("Invalid Method identifier specified")
NO_RESOURCE = missing("Invalid Resource identifier specified")
NO_AUTHORIZER = (
    "Invalid authorizer ID specified. Setting the authorization type to CUSTOM or COGNITO_USER_POOLS "
    "requires a valid authorizer."
)
LITERAL = {"application/json": '{"statusCode": 200}'}

STREAM_URI = URI.replace("2015-03-31", "2021-11-15").replace("/invocations", "/response-streaming-invocations")


def proxy(**changes: Any) -> dict[str, Any]:
    return {"type": "AWS_PROXY", "integrationHttpMethod": "POST", "uri": URI, **changes}


def mapping(problem: str) -> tuple[int, str, str]:
    return bad(f"Invalid mapping expression specified: Validation Result: warnings : [], errors : [{problem}]")


# ---- methods


def test_method_is_answered_as_it_was_put(client: Any, api: Api) -> None:
    created = told(api.method("ANY", requestParameters={"method.request.header.h": True}, operationName="list"))
    assert created == {
        "httpMethod": "ANY",
        "authorizationType": "NONE",
        "apiKeyRequired": False,
        "operationName": "list",
        "requestParameters": {"method.request.header.h": True},
    }
    assert told(client.get_method(**api.at("ANY"))) == created
    assert client.delete_method(**api.at("ANY"))["ResponseMetadata"]["HTTPStatusCode"] == 204


def test_deleted_method_is_not_found(client: Any, api: Api, refused: Refusal) -> None:
    assert refused(client.get_method, **api.at()) == NO_METHOD
    assert refused(client.delete_method, **api.at()) == NO_METHOD
    assert refused(client.get_method, **{**api.at(), "restApiId": "nothere"}) == NO_RESOURCE
    assert refused(client.put_method, **api.at(resource="nothere"), authorizationType="NONE") == NO_RESOURCE


def test_method_exists_once(api: Api, refused: Refusal) -> None:
    api.method()
    assert refused(api.method) == conflict("Method already exists for this resource")


@pytest.mark.parametrize(
    ("http_method", "settings", "message"),
    [
        (
            "WRONG",
            {},
            "Invalid HttpMethod specified. Valid options are GET,PUT,POST,DELETE,PATCH,OPTIONS,HEAD,ANY",
        ),
        ("GET", {"authorizationType": "CUSTOM"}, NO_AUTHORIZER),
        ("GET", {"authorizationType": "CUSTOM", "authorizerId": "nothere"}, NO_AUTHORIZER),
        ("GET", {"requestValidatorId": "nothere"}, "Invalid Request Validator identifier specified"),
        ("GET", {"requestModels": {"application/json": "petModel"}}, "Invalid model identifier specified: petModel"),
        (
            "GET",
            {"requestParameters": {"method.request.header.x": True, "method.request.querystring.x": True}},
            "Parameter names must be unique across querystring, header and path",
        ),
        (
            "GET",
            {"apiKeyRequired": True},
            "apiKeyRequired is not supported by this Lambent region: it has neither API keys nor usage plans.",
        ),
        (
            "GET",
            {"authorizationType": "COGNITO_USER_POOLS"},
            "The authorization type COGNITO_USER_POOLS is not supported by this Lambent region: "
            "it has no Amazon Cognito.",
        ),
    ],
)
def test_method_is_refused_in_aws_words(
    api: Api, refused: Refusal, http_method: str, settings: dict[str, Any], message: str
) -> None:
    assert refused(api.method, method=http_method, **settings) == bad(message)


def test_unknown_place_of_a_parameter_is_no_mapping(api: Api, refused: Refusal) -> None:
    answer = refused(api.method, requestParameters={"method.request.cookie.x": True})
    assert answer == mapping("Invalid mapping expression parameter specified: method.request.cookie.x")


def test_patches_change_a_method(client: Any, api: Api) -> None:
    api.method()
    changed = client.update_method(
        **api.at(),
        patchOperations=[
            {"op": "add", "path": "/requestParameters/method.request.querystring.q", "value": "true"},
            {"op": "add", "path": "/requestModels/application~1json", "value": "Empty"},
            *replace("/authorizationType", "AWS_IAM"),
            *replace("/operationName", "listed"),
        ],
    )
    assert (changed["authorizationType"], changed["operationName"]) == ("AWS_IAM", "listed")
    assert changed["requestParameters"] == {"method.request.querystring.q": True}
    assert changed["requestModels"] == {"application/json": "Empty"}
    removed = client.update_method(
        **api.at(),
        patchOperations=[
            {"op": "remove", "path": "/requestParameters/method.request.querystring.q"},
            {"op": "remove", "path": "/requestModels/application~1json"},
        ],
    )
    assert not {"requestParameters", "requestModels"} & removed.keys()


def test_authorizer_without_its_type_is_dropped(client: Any, api: Api) -> None:
    authorizer = api.authorizer()["id"]
    api.method(authorizationType="CUSTOM", authorizerId=authorizer)
    opened = client.update_method(**api.at(), patchOperations=replace("/authorizationType", "NONE"))
    assert "authorizerId" not in opened
    ignored = client.update_method(**api.at(), patchOperations=replace("/authorizerId", "wrong"))
    assert "authorizerId" not in ignored


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (
            {"op": "add", "path": "/authorizationType", "value": "NONE"},
            "Invalid patch operation specified. Must be one of: [replace]",
        ),
        (replace("/httpMethod", "POST")[0], "Invalid patch path /httpMethod"),
        (replace("/requestParameters", "x")[0], "Invalid patch path /requestParameters"),
        (
            {"op": "add", "path": "/requestModels/application/json", "value": "Empty"},
            "Invalid patch path /requestModels/application/json",
        ),
        (replace("/authorizationType", "CUSTOM")[0], NO_AUTHORIZER),
        (replace("/requestValidatorId", "x")[0], "Invalid Request Validator identifier specified"),
    ],
)
def test_method_patch_is_refused_in_aws_words(
    client: Any, api: Api, refused: Refusal, operation: dict[str, str], message: str
) -> None:
    api.method()
    assert refused(client.update_method, **api.at(), patchOperations=[operation]) == bad(message)


def test_method_response_lives_its_life(client: Any, api: Api, refused: Refusal) -> None:
    api.method()
    at = {**api.at(), "statusCode": "200"}
    put = client.put_method_response(
        **at, responseParameters={"method.response.header.x": True}, responseModels={"application/json": "Empty"}
    )
    assert told(put) == {
        "statusCode": "200",
        "responseParameters": {"method.response.header.x": True},
        "responseModels": {"application/json": "Empty"},
    }
    assert told(client.get_method_response(**at)) == told(put)
    removed = client.update_method_response(
        **at, patchOperations=[{"op": "remove", "path": "/responseParameters/method.response.header.x"}]
    )
    assert "responseParameters" not in removed
    assert refused(
        client.update_method_response,
        **at,
        patchOperations=[{"op": "remove", "path": "/responseParameters/method.response.header.x"}],
    ) == missing("Invalid parameter name specified")
    assert refused(
        client.update_method_response, **at, patchOperations=[{"op": "remove", "path": "/responseModels/text~1x"}]
    ) == missing("Content-Type specified was not found")
    assert refused(client.put_method_response, **at) == conflict("Response already exists for this method")
    client.delete_method_response(**at)
    gone = missing("Invalid Response status code specified")
    assert refused(client.get_method_response, **at) == gone
    assert refused(client.update_method_response, **at, patchOperations=[]) == gone


# ---- integrations


def test_proxy_integration_is_answered_with_its_defaults(client: Any, api: Api) -> None:
    api.method()
    put = told(client.put_integration(**api.at(), **proxy(credentials=ROLE)))
    assert put == {
        "type": "AWS_PROXY",
        "httpMethod": "POST",
        "uri": URI,
        "credentials": ROLE,
        "passthroughBehavior": "WHEN_NO_MATCH",
        "timeoutInMillis": 29000,
        "cacheNamespace": api.pets,
        "cacheKeyParameters": [],
    }
    assert told(client.get_integration(**api.at())) == put


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (proxy(integrationHttpMethod=""), "Enumeration value for HttpMethod must be non-empty"),
        (proxy(uri="hello"), "Invalid ARN specified in the request"),
        (proxy(uri=FUNCTION), "Invalid ARN specified in the request"),
        (
            proxy(uri=f"arn:aws:apigateway:us-east-1:lambda:{FUNCTION}"),
            "AWS ARN for integration must contain path or action",
        ),
        (
            proxy(uri="arn:aws:apigateway:us-east-1:sqs:path/000000000000/queue"),
            "Integrations of type 'AWS_PROXY' currently only supports Lambda function and Firehose stream invocations.",
        ),
        (
            proxy(uri="arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:x/invocations"),
            "Invalid lambda function",
        ),
        (proxy(timeoutInMillis=49), "Timeout should be between 50 ms and 29000 ms"),
        (proxy(timeoutInMillis=29001), "Timeout should be between 50 ms and 29000 ms"),
        ({"type": "HTTP", "integrationHttpMethod": "GET", "uri": "ftp://x"}, "Invalid HTTP endpoint specified for URI"),
        (
            {"type": "AWS", "integrationHttpMethod": "POST", "uri": URI},
            "The integration type AWS is not supported by this Lambent region: call functions with AWS_PROXY.",
        ),
        (
            {"type": "HTTP_PROXY", "integrationHttpMethod": "GET", "uri": "http://x", "connectionType": "VPC_LINK"},
            "The connection type VPC_LINK is not supported by this Lambent region: "
            "it has no VPC links; everything is reached directly.",
        ),
        (
            proxy(responseTransferMode="STREAM"),
            "Invalid ResponseTransferMode. ResponseTransferMode STREAM is only supported for Lambda functions invoked "
            "by InvokeWithResponseStream for AWS_PROXY integrations.",
        ),
        (
            proxy(uri=STREAM_URI),
            "Invalid ResponseTransferMode. ResponseTransferMode BUFFERED is not supported for Lambda functions invoked "
            "by InvokeWithResponseStream.",
        ),
        (
            {"type": "MOCK", "responseTransferMode": "STREAM"},
            "Invalid ResponseTransferMode. ResponseTransferMode STREAM is only supported for HTTP_PROXY and AWS_PROXY "
            "integrations.",
        ),
        (
            proxy(uri=STREAM_URI, responseTransferMode="STREAM", timeoutInMillis=900_001),
            "Timeout should be between 50 ms and 900000 ms",
        ),
        (
            {"type": "MOCK", "requestTemplates": {"application/json": "#set($x = 1) $input.body"}},
            "The Velocity template of an integration request for application/json is not supported by this Lambent "
            "region: mapping templates are literal text here",
        ),
        (
            {"type": "MOCK", "requestTemplates": {"json": "{}"}},
            "Validation Result: warnings : [], errors : [Invalid content type specified: json]",
        ),
    ],
)
def test_integration_is_refused_in_aws_words(
    client: Any, api: Api, refused: Refusal, settings: dict[str, Any], message: str
) -> None:
    api.method()
    assert refused(client.put_integration, **api.at(), **settings) == bad(message)


def test_the_transfer_mode_is_kept_and_changed(client: Any, api: Api) -> None:
    api.method()
    assert "responseTransferMode" not in client.put_integration(**api.at(), **proxy())
    streamed = proxy(uri=STREAM_URI, responseTransferMode="STREAM", timeoutInMillis=900_000)
    made = client.put_integration(**api.at(), **streamed)
    assert (made["responseTransferMode"], made["uri"], made["timeoutInMillis"]) == ("STREAM", STREAM_URI, 900_000)
    changes = {"/responseTransferMode": "BUFFERED", "/uri": URI, "/timeoutInMillis": "29000"}
    patches = [{"op": "replace", "path": path, "value": value} for path, value in changes.items()]
    client.update_integration(**api.at(), patchOperations=patches)
    assert client.get_integration(**api.at())["responseTransferMode"] == "BUFFERED"
    http = {"type": "HTTP_PROXY", "integrationHttpMethod": "GET", "uri": "http://127.0.0.1/"}
    assert client.put_integration(**api.at(), **http, responseTransferMode="STREAM")["responseTransferMode"] == "STREAM"


def test_stage_variables_may_stand_in_uris(client: Any, api: Api) -> None:
    api.method()
    variable = URI.replace(FUNCTION, f"{FUNCTION}:${{stageVariables.alias}}")
    assert client.put_integration(**api.at(), **proxy(uri=variable))["uri"] == variable
    http = {"type": "HTTP_PROXY", "integrationHttpMethod": "GET", "uri": "http://${stageVariables.host}/{proxy}"}
    put = client.put_integration(**api.at(), **http)
    assert (put["uri"], put["connectionType"]) == (http["uri"], "INTERNET")


def test_parameters_of_integrations_come_from_declared_ones(client: Any, api: Api, refused: Refusal) -> None:
    api.method(requestParameters={"method.request.header.token": False})
    good = {
        "integration.request.header.a": "method.request.header.token",
        "integration.request.querystring.b": "'static'",
        "integration.request.header.c": "stageVariables.color",
        "integration.request.path.d": "context.requestId",
    }
    put = client.put_integration(**api.at(), **proxy(requestParameters=good))
    assert put["requestParameters"] == good
    for mapped, problem in (
        (
            {"integration.request.header.a": "method.request.header.other"},
            "Invalid mapping expression parameter specified: method.request.header.other",
        ),
        ({"integration.request.header.a": "true"}, "Invalid mapping expression specified: true"),
        (
            {"integration.response.header.a": "'x'"},
            "Invalid mapping expression parameter specified: integration.response.header.a",
        ),
    ):
        assert refused(client.put_integration, **api.at(), **proxy(requestParameters=mapped)) == mapping(problem)


def test_foreign_roles_are_not_passed(client: Any, api: Api, refused: Refusal) -> None:
    api.method()
    foreign = proxy(credentials="arn:aws:iam::111111111111:role/x")
    # Who may call everything in an account may still pass no role of another one.
    assert refused(client.put_integration, **api.at(), **foreign)[:2] == (403, "AccessDeniedException")


def test_patches_change_an_integration(client: Any, api: Api, refused: Refusal) -> None:
    api.method()
    client.put_integration(**api.at(), **proxy())
    changed = client.update_integration(
        **api.at(),
        patchOperations=[
            *replace("/timeoutInMillis", "50"),
            {"op": "add", "path": "/requestParameters/integration.request.header.x", "value": "'y'"},
            *replace("/contentHandling", "CONVERT_TO_TEXT"),
        ],
    )
    assert (changed["timeoutInMillis"], changed["contentHandling"]) == (50, "CONVERT_TO_TEXT")
    assert changed["requestParameters"] == {"integration.request.header.x": "'y'"}
    for operation, message in (
        (replace("/timeoutInMillis", "10")[0], "Timeout should be between 50 ms and 29000 ms"),
        (replace("/uri", "x")[0], "Invalid ARN specified in the request"),
        (replace("/type", "MOCK")[0], "Invalid patch path /type"),
    ):
        assert refused(client.update_integration, **api.at(), patchOperations=[operation]) == bad(message)


def test_missing_parts_of_integrations_are_told_apart(client: Any, api: Api, refused: Refusal) -> None:
    assert refused(client.get_integration, **api.at()) == NO_METHOD
    assert refused(client.put_integration, **api.at(), type="MOCK") == NO_METHOD
    api.method()
    no_integration = missing("Invalid Integration identifier specified")
    assert refused(client.get_integration, **api.at()) == no_integration
    assert refused(client.get_integration_response, **api.at(), statusCode="200") == no_integration
    assert refused(client.delete_integration_response, **api.at("POST"), statusCode="200") == no_integration
    client.put_integration(**api.at(), type="MOCK")
    no_response = missing("Invalid Response status code specified")
    assert refused(client.get_integration_response, **api.at(), statusCode="200") == no_response
    assert refused(client.delete_integration_response, **api.at(), statusCode="200") == no_response
    client.delete_integration(**api.at())
    assert refused(client.get_integration, **api.at()) == no_integration


def test_cors_set_up_of_the_console_is_taken(client: Any, api: Api) -> None:
    """OPTIONS, MOCK, a declared header and a static value for it: what every guide and tool sends."""
    header = "method.response.header.Access-Control-Allow-Origin"
    api.method("OPTIONS")
    client.put_integration(**api.at("OPTIONS"), type="MOCK", requestTemplates=LITERAL)
    client.put_method_response(**api.at("OPTIONS"), statusCode="200", responseParameters={header: False})
    put = client.put_integration_response(
        **api.at("OPTIONS"),
        statusCode="200",
        responseParameters={header: "'*'"},
        responseTemplates={"application/json": ""},
        selectionPattern="",
    )
    assert put["responseParameters"] == {header: "'*'"}
    whole = client.get_method(**api.at("OPTIONS"))
    assert whole["methodIntegration"]["integrationResponses"] == {"200": told(put)}


def test_integration_response_maps_declared_headers_only(client: Any, api: Api, refused: Refusal) -> None:
    api.mock()
    put = {**api.at(), "statusCode": "200", "responseParameters": {"method.response.header.x": "'y'"}}
    assert refused(client.put_integration_response, **put) == mapping("No method response exists for method.")
    client.put_method_response(**api.at(), statusCode="200")
    assert refused(client.put_integration_response, **put) == mapping(
        "Invalid mapping expression parameter specified: method.response.header.x"
    )
    client.update_method_response(
        **api.at(),
        statusCode="200",
        patchOperations=[{"op": "add", "path": "/responseParameters/method.response.header.x", "value": "false"}],
    )
    unquoted = {**put, "responseParameters": {"method.response.header.x": "y"}}
    assert refused(client.put_integration_response, **unquoted) == mapping("Invalid mapping expression specified: y")
    client.put_integration_response(**put)
    patched = client.update_integration_response(
        **api.at(), statusCode="200", patchOperations=replace("/selectionPattern", "2\\d{2}")
    )
    assert patched["selectionPattern"] == "2\\d{2}"


def test_status_codes_have_three_digits(client: Any, api: Api, refused: Refusal) -> None:
    api.mock()
    status, code, text = refused(client.put_integration_response, **api.at(), statusCode="wrong")
    assert (status, code) == (400, "ValidationException")
    assert text == (
        "1 validation error detected: Value 'wrong' at 'statusCode' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: [1-5]\\d\\d"
    )
