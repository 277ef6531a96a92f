"""The way of a request through a REST API: routes, functions, what they answer and what goes wrong."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from typing import Any

import pytest
from rest_api_helpers import ACCOUNT, API, EXECUTE, FUNCTION, World, get, proxy_to, result_of

from lambent.errors import AccessDeniedException, UncodedError
from lambent.services.apigateway.domain import (
    AccessLog,
    Integration,
    Method,
    MethodSettings,
    Model,
    RequestValidator,
)

MISSING = {"message": "Missing Authentication Token"}
FAILED = b'{"message": "Internal server error"}'


def test_a_function_is_asked_and_answers() -> None:
    world = World({"/pets/{id}": get()})
    answer = world.get("/prod/pets/7?a=1&a=2&b=%C3%BC", X_Cased="Yes")
    assert (answer.status, answer.body) == (200, b"hello")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-amzn-requestid"] == "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
    assert answer.headers["x-amz-apigw-id"].endswith("=")
    assert answer.headers["x-amzn-trace-id"].startswith("Root=1-")
    (event,) = world.functions.events_of(FUNCTION)
    assert event["resource"] == "/pets/{id}"
    assert event["path"] == "/pets/7"
    assert event["requestContext"]["path"] == "/prod/pets/7"
    assert event["requestContext"]["stage"] == "prod"
    assert event["requestContext"]["deploymentId"] == "dep001"
    assert event["requestContext"]["apiId"] == API
    assert event["requestContext"]["domainPrefix"] == API
    assert event["requestContext"]["extendedRequestId"] == answer.headers["x-amz-apigw-id"]
    assert event["pathParameters"] == {"id": "7"}
    assert event["queryStringParameters"] == {"a": "2", "b": "ü"}
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"], "b": ["ü"]}
    assert event["headers"]["X-Cased"] == "Yes"
    assert event["body"] is None
    assert "authorizer" not in event["requestContext"]


def test_functions_see_on_whose_behalf_they_are_called() -> None:
    world = World({"/pets/{id}/toys": {"ANY": Method("ANY", integration=proxy_to())}})
    world.send("DELETE", "/prod/pets/7/toys")
    (asker,) = world.functions.askers
    assert asker.principal == "apigateway.amazonaws.com"
    assert asker.source_arn == f"{EXECUTE}/prod/DELETE/pets/*/toys"
    assert asker.source_account == ACCOUNT
    assert asker.caller is None


def test_a_role_calls_in_the_place_of_the_gateway() -> None:
    world = World({"/x": get(integration=proxy_to(credentials=f"arn:aws:iam::{ACCOUNT}:role/path/caller"))})
    assert world.get("/prod/x").status == 200
    caller = world.functions.askers[0].caller
    assert caller is not None
    assert caller.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/caller/BackplaneAssumeRoleSession"
    world = World({"/x": get(integration=proxy_to(credentials="arn:aws:iam::999999999999:role/foreign"))})
    assert world.get("/prod/x").status == 200
    assert world.functions.askers[0].caller is None


@pytest.mark.parametrize("target", ["/prod", "/prod/", "/prod/dogs", "/prod/pets/1/2", "/prod/pets%2F1"])
def test_paths_that_lead_nowhere_say_that_a_token_is_missing(target: str) -> None:
    answer = World({"/pets": get(), "/pets/{id}": get()}).get(target)
    assert (answer.status, answer.json()) == (403, MISSING)
    assert answer.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"


def test_so_do_methods_that_a_resource_lacks_even_where_a_greedy_one_has_them() -> None:
    world = World({"/pets": get(), "/{proxy+}": {"ANY": Method("ANY", integration=proxy_to())}})
    assert world.send("POST", "/prod/pets").status == 403
    assert world.send("POST", "/prod/dogs").status == 200


@pytest.mark.parametrize("target", ["/", "/dev/pets", "/Prod/pets", "//prod/pets", "/%70rod/pets"])
def test_there_is_nothing_beside_a_stage(target: str) -> None:
    answer = World({"/pets": get()}).get(target)
    assert (answer.status, answer.json()) == (403, {"message": "Forbidden"})
    assert answer.headers["x-amzn-errortype"] == "ForbiddenException"


def test_an_api_whose_endpoint_is_disabled_is_closed() -> None:
    answer = World({"/pets": get()}, disable_execute_api_endpoint=True).get("/prod/pets")
    assert (answer.status, answer.json()) == (403, {"message": "Forbidden"})


def test_stage_variables_name_functions() -> None:
    arn = FUNCTION.replace("hello", "${stageVariables.fn}")
    world = World({"/x": get(integration=proxy_to(arn))}, stage={"variables": {"fn": "hello"}})
    assert world.get("/prod/x").status == 200
    assert world.functions.events_of(FUNCTION)[0]["stageVariables"] == {"fn": "hello"}
    world.deploy(variables={})
    assert (world.get("/prod/x").status, world.get("/prod/x").body) == (500, FAILED)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (AccessDeniedException("no"), 500),
        (UncodedError("ResourceNotFoundException", "no such function", 404), 500),
        (UncodedError("TooManyRequestsException", "Rate Exceeded.", 429), 500),
        (UncodedError("ServiceException", "broken", 500), 500),
        (result_of({"errorMessage": "boom", "errorType": "Error"}, function_error="Unhandled"), 502),
        (result_of(b"not json"), 502),
        (result_of(b'"text"'), 502),
        (result_of(b"null"), 502),
        (result_of(b"[]"), 502),
        ({"body": "no status"}, 502),
        ({"statusCode": "abc"}, 502),
        ({"statusCode": 99}, 502),
        ({"statusCode": 10**30}, 502),
        ({"statusCode": 200, "body": {"a": 1}}, 502),
        ({"statusCode": 200, "headers": ["a"]}, 502),
        ({"statusCode": 200, "headers": {"a b": "c"}}, 502),
        ({"statusCode": 200, "headers": {"a": "b\r\nset-cookie: c"}}, 502),
        ({"statusCode": 200, "multiValueHeaders": {"a": "b"}}, 502),
        (result_of(b'{"statusCode": 200, "body": "\xff"}'), 502),
        (result_of(b"[" * 100_000), 502),
    ],
)
def test_what_no_answer_can_be_made_of_is_a_failure_that_tells_nothing(answer: Any, status: int) -> None:
    world = World({"/x": get()})
    world.functions.answers[FUNCTION] = answer
    found = world.get("/prod/x")
    assert (found.status, found.body) == (status, FAILED)
    assert found.headers["x-amzn-errortype"] == "InternalServerErrorException"


def test_a_fault_of_the_gateway_itself_is_an_answer_too(caplog: pytest.LogCaptureFixture) -> None:
    world = World({"/x": get()})
    world.functions.answers.clear()
    found = world.get("/prod/x")
    assert (found.status, found.body) == (500, FAILED)
    assert "c6af9ac6-7b61-11e6-9a41-93e8deadbeef" in caplog.text


def test_an_integration_method_other_than_post_reaches_no_function() -> None:
    world = World({"/x": get(integration=Integration(type="AWS_PROXY", http_method="GET", uri=proxy_to().uri))})
    assert (world.get("/prod/x").status, world.functions.events) == (500, [])
    world = World({"/x": get(integration=None)})
    assert world.get("/prod/x").status == 500


def test_a_slow_function_is_not_waited_for_and_runs_on() -> None:
    world = World({"/x": get(integration=proxy_to(timeout_ms=50))})

    async def claim() -> None:
        world.functions.gate = asyncio.Event()
        answer = await world.ask("GET", "/prod/x")
        assert (answer.status, answer.body) == (504, b'{"message": "Endpoint request timed out"}')
        assert answer.headers["x-amzn-errortype"] == "InternalServerErrorException"
        running = [task for task in asyncio.all_tasks() if task.get_name() == "function behind an API"]
        world.functions.gate.set()
        await asyncio.wait_for(running[0], 1)

    asyncio.run(claim())


def test_requests_and_events_may_only_be_so_large() -> None:
    world = World({"/x": {"POST": Method("POST", integration=proxy_to())}})
    for body in (b"x" * (10 * 1024 * 1024 + 1), b"x" * (7 * 1024 * 1024)):
        answer = world.send("POST", "/prod/x", {}, body)
        assert (answer.status, answer.json()) == (413, {"message": "Request Too Long"})
    assert world.functions.events == []
    response = world.gateway.too_large(*world.request("POST", "/prod/x"))
    assert (response.status, json.loads(response.body)) == (413, {"message": "Request Too Long"})
    assert world.gateway.too_large(*world.request("POST", "/dev/x")).status == 403


# ---- bodies of bytes ----------------------------------------------------------------------------------------------


def test_binary_media_types_travel_in_base64_both_ways() -> None:
    world = World({"/x": {"POST": Method("POST", integration=proxy_to())}}, binary_media_types=("image/png",))
    picture = bytes(range(256))
    encoded = base64.b64encode(picture).decode()
    world.functions.answers[FUNCTION] = {
        "statusCode": 200,
        "body": encoded,
        "isBase64Encoded": True,
        "headers": {"Content-Type": "image/png"},
    }
    answer = world.send("POST", "/prod/x", {"Content-Type": "image/png", "Accept": "image/png"}, picture)
    assert answer.body == picture
    assert world.functions.events[0][1]["body"] == encoded
    assert world.functions.events[0][1]["isBase64Encoded"] is True
    # To whoever does not ask for bytes they are sent as they came.
    assert world.send("POST", "/prod/x", {"Accept": "text/html"}, b"text").body == encoded.encode()
    assert world.functions.events[1][1]["body"] == "text"


def test_text_is_made_bytes_where_the_integration_says_so() -> None:
    converting = proxy_to(content_handling="CONVERT_TO_BINARY")
    world = World({"/x": {"POST": Method("POST", integration=converting)}})
    assert world.send("POST", "/prod/x", {}, base64.b64encode(b"\x00\xff")).status == 200
    event = world.functions.events[0][1]
    assert (base64.b64decode(event["body"]), event["isBase64Encoded"]) == (b"\x00\xff", True)
    assert world.send("POST", "/prod/x", {}, b"no base64!").status == 500


def test_apis_that_compress_do_so_for_clients_that_take_it_and_read_what_they_send() -> None:
    world = World({"/x": {"POST": Method("POST", integration=proxy_to())}}, minimum_compression_size=100)
    world.functions.answers[FUNCTION] = {"statusCode": 200, "body": "a" * 1000}
    answer = world.send(
        "POST",
        "/prod/x",
        {"Accept-Encoding": "br, gzip;q=0.5", "Content-Encoding": "gzip", "Content-Type": "text/plain"},
        gzip.compress(b"sent", mtime=0),
    )
    assert (gzip.decompress(answer.body), answer.headers["content-encoding"]) == (b"a" * 1000, "gzip")
    assert world.functions.events[0][1]["body"] == "sent"
    assert "Content-Encoding" not in world.functions.events[0][1]["headers"]
    assert world.send("POST", "/prod/x", {"Accept-Encoding": "gzip;q=0"}).body == b"a" * 1000
    world.functions.answers[FUNCTION] = {"statusCode": 200, "body": "short"}
    assert world.send("POST", "/prod/x", {"Accept-Encoding": "gzip"}).body == b"short"


@pytest.mark.parametrize(
    ("coding", "body", "status"),
    [
        ("gzip", b"no gzip", 400),
        ("gzip", gzip.compress(b"cut short", mtime=0)[:-4], 400),
        ("gzip", gzip.compress(b"0" * (11 * 1024 * 1024)), 413),
        ("br", b"x", 415),
    ],
)
def test_compressed_bodies_that_cannot_be_read_are_refused(coding: str, body: bytes, status: int) -> None:
    world = World({"/x": {"POST": Method("POST", integration=proxy_to())}}, minimum_compression_size=0)
    assert world.send("POST", "/prod/x", {"Content-Encoding": coding}, body).status == status


# ---- validators ---------------------------------------------------------------------------------------------------

REQUIRED = {
    "method.request.header.X-One": True,
    "method.request.querystring.two": True,
    "method.request.querystring.three": False,
    "method.request.path.id": True,
}
PET = Model(
    "m1",
    "Pet",
    schema=json.dumps(
        {
            "$schema": "http://json-schema.org/draft-04/schema#",
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string"},
                "toy": {"$ref": f"https://apigateway.amazonaws.com/restapis/{API}/models/Toy"},
            },
        }
    ),
)
TOY = Model("m2", "Toy", schema='{"type":"object","properties":{"size":{"type":"integer"}}}')


def validating(**more: Any) -> World:
    method = Method(
        "POST",
        integration=proxy_to(),
        request_validator_id="v",
        request_parameters=REQUIRED,
        request_models={"application/json": "Pet"},
    )
    return World(
        {"/pets/{id}": {"POST": method}},
        validators={"v": RequestValidator("v", "all", **more)},
        models={"Pet": PET, "Toy": TOY},
    )


def test_required_parameters_must_be_there_and_not_blank() -> None:
    world = validating(validates_parameters=True)
    answer = world.send("POST", "/prod/pets/1?two=", {"X-Two": "x"})
    assert answer.status == 400
    assert answer.json() == {"message": "Missing required request parameters: [X-One, two]"}
    assert answer.headers["x-amzn-errortype"] == "BadRequestException"
    assert world.send("POST", "/prod/pets/1?two=2", {"x-ONE": "1"}).status == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"name":"Rex"}', 200),
        (b'{"name":"Rex","toy":{"size":3}}', 200),
        (b'{"name":"Rex","toy":{"size":"big"}}', 400),
        (b'{"name":7}', 400),
        (b"{}", 400),
        (b"", 400),
        (b"no json", 400),
        (b"[" * 50_000, 400),
    ],
)
def test_bodies_must_fit_their_model(body: bytes, status: int) -> None:
    answer = validating(validates_body=True).send("POST", "/prod/pets/1", {"Content-Type": "application/json"}, body)
    assert answer.status == status
    if status == 400:
        assert answer.json() == {"message": "Invalid request body"}


def test_bodies_without_a_model_of_their_type_pass() -> None:
    world = validating(validates_body=True)
    assert world.send("POST", "/prod/pets/1", {"Content-Type": "text/csv"}, b"a,b").status == 200


# ---- rates and logs -----------------------------------------------------------------------------------------------


def test_methods_pass_as_many_requests_as_their_stage_allows() -> None:
    settings = {"pets/GET": MethodSettings(throttling_rate_limit=2.0, throttling_burst_limit=2)}
    world = World({"/pets": get(), "/dogs": get()}, stage={"method_settings": settings})
    assert [world.get("/prod/pets").status for _ in range(3)] == [200, 200, 429]
    assert world.get("/prod/pets").json() == {"message": "Too Many Requests"}
    assert world.get("/prod/pets").headers["x-amzn-errortype"] == "TooManyRequestsException"
    assert world.get("/prod/dogs").status == 200
    world.clock.advance(0.5)
    assert [world.get("/prod/pets").status for _ in range(2)] == [200, 429]


def test_a_rate_of_zero_closes_a_stage() -> None:
    settings = {"*/*": MethodSettings(throttling_rate_limit=0.0, throttling_burst_limit=0)}
    assert World({"/x": get()}, stage={"method_settings": settings}).get("/prod/x").status == 429


def test_access_logs_tell_of_every_request_in_the_format_of_the_stage() -> None:
    line = '{"ip":"$context.identity.sourceIp","status":$context.status,"path":"$context.resourcePath","error":$context.error.messageString,"kind":"$context.error.responseType","length":$context.responseLength,"i":"$context.integrationStatus"}'  # noqa: E501
    log = AccessLog(line, f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:access")
    world = World({"/x": get()}, stage={"access_log": log})
    world.get("/prod/x")
    world.get("/prod/nowhere")
    first, second = world.logs.of("access")
    assert first == '{"ip":"192.0.2.7","status":200,"path":"/x","error":-,"kind":"-","length":5,"i":"200"}'
    assert json.loads(second) == {
        "ip": "192.0.2.7",
        "status": 403,
        "path": "-",
        "error": "Missing Authentication Token",
        "kind": "MISSING_AUTHENTICATION_TOKEN",
        "length": 42,
        "i": "-",
    }


def test_execution_logs_tell_steps_and_with_data_trace_what_was_sent() -> None:
    group = f"API-Gateway-Execution-Logs_{API}/prod"
    settings = {"*/*": MethodSettings(logging_level="INFO")}
    world = World({"/x": get()}, stage={"method_settings": settings})
    world.get("/prod/x", Authorization="very secret")
    steps = [line.partition(") ")[2] for line in world.logs.of(group)]
    assert steps[1:3] == [
        "Starting execution for request: c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
        "HTTP Method: GET, Resource Path: /x",
    ]
    assert steps[-3:] == [
        "Successfully completed execution",
        "Method completed with status: 200",
        "AWS Integration Endpoint RequestId : lambda-request-id",
    ]
    assert not any("hello" in step.lower() for step in steps if "Endpoint response body" in step)
    world.deploy(method_settings={"x/GET": MethodSettings(logging_level="INFO", data_trace_enabled=True)})
    world.get("/prod/x", Authorization="very secret")
    text = "\n".join(world.logs.of(group))
    assert 'Endpoint response body before transformations: {"statusCode": 200, "body": "hello"}' in text
    assert "authorization=*****secret" in text


def test_execution_logs_of_errors_tell_errors_alone() -> None:
    world = World({"/x": get()}, stage={"method_settings": {"*/*": MethodSettings(logging_level="ERROR")}})
    world.get("/prod/x")
    world.functions.answers[FUNCTION] = {"nothing": 1}
    world.get("/prod/x")
    (line,) = world.logs.of(f"API-Gateway-Execution-Logs_{API}/prod")
    assert "Execution failed due to configuration error: Malformed Lambda proxy response" in line


def test_a_new_deployment_is_seen_at_once() -> None:
    world = World({"/x": get()})
    assert world.get("/prod/x").status == 200
    other = World({"/y": get()})
    world.definition = other.definition
    world.snapshots.remove(API)
    world.deploy()
    assert (world.get("/prod/x").status, world.get("/prod/y").status) == (403, 200)
