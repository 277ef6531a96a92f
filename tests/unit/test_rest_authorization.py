"""Who may ask a REST API for what: signatures, resource policies and Lambda authorizers."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from rest_api_helpers import (
    ACCOUNT,
    API,
    AUTHORIZER,
    CALLER,
    EXECUTE,
    FUNCTION,
    World,
    get,
    proxy_to,
    result_of,
    uri_of,
)

from lambent.context import Caller
from lambent.errors import AccessDeniedException, UncodedError
from lambent.services.apigateway.domain import Authorizer, Method

STRANGER = Caller(
    account="999999999999", arn="arn:aws:iam::999999999999:user/eve", user_id="AIDAEVE", access_key_id="AKIAEVE"
)
TOKEN = Authorizer("auth1", "token", "TOKEN", uri_of(AUTHORIZER), identity_source="method.request.header.Authorization")


def policy(effect: str = "Allow", resource: Any = f"{EXECUTE}/*", **statement: Any) -> dict[str, Any]:
    statements = [{"Effect": effect, "Action": "execute-api:Invoke", "Resource": resource, **statement}]
    return {"Version": "2012-10-17", "Statement": statements}


def resource_policy(*statements: dict[str, Any]) -> str:
    whole = [
        {"Principal": "*", "Action": "execute-api:Invoke", "Resource": "execute-api:/*", **statement}
        for statement in statements
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": whole})


def grant(effect: str = "Allow", **more: Any) -> dict[str, Any]:
    return {"principalId": "ann", "policyDocument": policy(effect), **more}


def guarded(authorizer: Authorizer = TOKEN, answer: Any = None, **api: Any) -> World:
    method = {"GET": Method("GET", "CUSTOM", authorizer_id=authorizer.id, integration=proxy_to())}
    world = World({"/x": method, "/y/{id}": method}, authorizers=(authorizer,), **api)
    world.functions.answers[AUTHORIZER] = grant() if answer is None else answer
    return world


# ---- signatures ---------------------------------------------------------------------------------------------------


def test_a_signed_request_passes_and_functions_see_who_signed_it() -> None:
    world = World({"/x": get(authorization_type="AWS_IAM")})
    assert world.get("/prod/x").status == 200
    identity = world.functions.events[0][1]["requestContext"]["identity"]
    assert identity["userArn"] == CALLER.arn
    assert identity["accessKey"] == "AKIAANN"
    assert identity["accountId"] == ACCOUNT
    assert (identity["caller"], identity["user"]) == ("AIDAANN", "AIDAANN")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("MissingAuthenticationTokenException", "Missing Authentication Token"),
        ("InvalidSignatureException", "The request signature we calculated does not match."),
        ("UnrecognizedClientException", "The security token included in the request is invalid."),
        ("ExpiredTokenException", "The security token included in the request is expired"),
    ],
)
def test_signatures_that_do_not_hold_are_refused_in_their_words(code: str, message: str) -> None:
    world = World({"/x": get(authorization_type="AWS_IAM")})
    world.gate.error = UncodedError(code, message, 403)
    answer = world.get("/prod/x")
    assert (answer.status, answer.json(), answer.headers["x-amzn-errortype"]) == (403, {"message": message}, code)
    assert world.functions.events == []


def test_an_authorization_header_is_read_even_where_there_is_no_such_path() -> None:
    world = World({"/x": get()})
    world.gate.error = UncodedError("IncompleteSignatureException", "'abc' not a valid key=value pair", 403)
    answer = world.get("/prod/nowhere", Authorization="Bearer abc")
    assert (answer.status, answer.json()) == (403, {"message": "'abc' not a valid key=value pair"})
    assert world.get("/prod/nowhere").json() == {"message": "Missing Authentication Token"}


def test_callers_of_other_accounts_need_the_policy_of_the_api() -> None:
    methods = {"/x": get(authorization_type="AWS_IAM")}
    world = World(methods)
    world.gate.caller = STRANGER
    answer = world.get("/prod/x")
    assert answer.status == 403
    assert answer.json() == {
        "Message": f"User: {STRANGER.arn} is not authorized to perform: execute-api:Invoke on resource: "
        f"arn:aws:execute-api:us-east-1:********9012:{API}/prod/GET/x "
        "because no resource-based policy allows the execute-api:Invoke action"
    }
    assert answer.headers["x-amzn-errortype"] == "AccessDeniedException"
    world = World(methods, policy=resource_policy({"Effect": "Allow", "Principal": {"AWS": STRANGER.account}}))
    world.gate.caller = STRANGER
    assert world.get("/prod/x").status == 200


# ---- resource policies --------------------------------------------------------------------------------------------


def test_a_policy_lets_in_whom_it_names_and_nobody_else() -> None:
    allowed = {"Effect": "Allow", "Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}}
    assert World({"/x": get()}, policy=resource_policy(allowed)).get("/prod/x").status == 200
    elsewhere = {"Effect": "Allow", "Condition": {"IpAddress": {"aws:SourceIp": "198.51.100.0/24"}}}
    answer = World({"/x": get()}, policy=resource_policy(elsewhere)).get("/prod/x")
    assert answer.status == 403
    assert answer.json()["Message"].startswith("User: anonymous is not authorized to perform: execute-api:Invoke on")
    assert not answer.json()["Message"].endswith("explicit deny")


def test_an_explicit_deny_closes_single_methods() -> None:
    world = World(
        {"/x": get(), "/y": get()},
        policy=resource_policy({"Effect": "Allow"}, {"Effect": "Deny", "Resource": ["execute-api:/prod/GET/y"]}),
    )
    assert world.get("/prod/x").status == 200
    answer = world.get("/prod/y/")
    assert (answer.status, answer.json()["Message"][-22:]) == (403, " with an explicit deny")


@pytest.mark.parametrize("path", ["/secret/", "//secret", "/%73ecret", "/s%65cret/"])
def test_no_way_of_writing_a_path_leads_around_a_policy(path: str) -> None:
    denies = resource_policy({"Effect": "Allow"}, {"Effect": "Deny", "Resource": "execute-api:/prod/GET/secret"})
    assert World({"/secret": get()}, policy=denies).get(f"/prod{path}").status == 403
    world = guarded(answer={"principalId": "ann", "policyDocument": policy("Deny", f"{EXECUTE}/prod/GET/y/admin")})
    world.functions.answers[AUTHORIZER]["policyDocument"]["Statement"] += policy()["Statement"]
    assert world.get("/prod/y/%61dmin", Authorization="t").status == 403
    assert world.get("/prod/y/a%2Fdmin", Authorization="t").status == 200


def test_a_policy_that_cannot_be_read_lets_nobody_in() -> None:
    assert World({"/x": get()}, policy='{"Version":"2012-10-17"}').get("/prod/x").status == 500
    assert World({"/x": get()}, policy="no json").get("/prod/x").status == 500


# ---- authorizers by token -----------------------------------------------------------------------------------------


def test_an_authorizer_is_asked_with_the_token_and_what_it_says_reaches_the_function() -> None:
    world = guarded(answer=grant(context={"text": "a", "number": 1, "float": 1.5, "yes": True, "nothing": None}))
    assert world.get("/prod/x", Authorization="Bearer t").status == 200
    (event,) = world.functions.events_of(AUTHORIZER)
    assert event == {"type": "TOKEN", "methodArn": f"{EXECUTE}/prod/GET/x", "authorizationToken": "Bearer t"}
    assert world.functions.askers[0].source_arn == f"{EXECUTE}/authorizers/auth1"
    authorizer = world.functions.events_of(FUNCTION)[0]["requestContext"]["authorizer"]
    assert authorizer == {
        "principalId": "ann",
        "integrationLatency": 0,
        "text": "a",
        "number": "1",
        "float": "1.5",
        "yes": "true",
    }


def test_without_a_token_the_authorizer_is_not_asked() -> None:
    world = guarded()
    for answer in (world.get("/prod/x"), world.get("/prod/x", Authorization="")):
        assert (answer.status, answer.json()) == (401, {"message": "Unauthorized"})
        assert answer.headers["x-amzn-errortype"] == "UnauthorizedException"
    assert world.functions.events == []


def test_tokens_must_match_the_validation_expression() -> None:
    world = guarded(
        Authorizer(
            "auth1",
            "token",
            "TOKEN",
            uri_of(AUTHORIZER),
            identity_source="method.request.header.X-Token",
            identity_validation_expression="Bearer [a-z]+",
        )
    )
    assert world.get("/prod/x", X_Token="Bearer 1").status == 401
    assert world.functions.events == []
    assert world.get("/prod/x", X_Token="Bearer abc").status == 200


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (grant("Deny"), 403, {"Message": "User is not authorized to access this resource with an explicit deny"}),
        (
            {"principalId": "a", "policyDocument": policy(resource=f"{EXECUTE}/prod/POST/x")},
            403,
            {"Message": "User is not authorized to access this resource"},
        ),
        (result_of({"errorMessage": "Unauthorized"}, function_error="Unhandled"), 401, {"message": "Unauthorized"}),
        (result_of({"errorMessage": "boom"}, function_error="Unhandled"), 500, {"message": None}),
        (result_of(b"null"), 500, {"message": None}),
        (result_of(b"no json"), 500, {"message": None}),
        ({"principalId": "a"}, 500, {"message": None}),
        ({"principalId": "a", "policyDocument": {"Version": "2012-10-17"}}, 500, {"message": None}),
        ({"principalId": "a", "policyDocument": policy("allow")}, 500, {"message": None}),
        ({"principalId": {}, "policyDocument": policy()}, 500, {"message": None}),
        (grant(context={"a": ["b"]}), 500, {"message": None}),
        (grant(context="text"), 500, {"message": None}),
        (grant(context={"a": "b" * 9000}), 500, {"message": None}),
        (AccessDeniedException("no"), 500, {"message": None}),
        (UncodedError("TooManyRequestsException", "Rate Exceeded.", 429), 500, {"message": None}),
    ],
)
def test_what_authorizers_answer_decides(answer: Any, status: int, body: dict[str, Any]) -> None:
    world = guarded(answer=answer)
    found = world.get("/prod/x", Authorization="t")
    assert (found.status, found.json()) == (status, body)
    assert world.functions.events_of(FUNCTION) == []


def test_an_answer_holds_for_its_time_and_is_asked_of_each_method_anew() -> None:
    allowed = policy(resource=f"{EXECUTE}/prod/GET/x")
    world = guarded(answer={"principalId": "ann", "policyDocument": allowed})
    assert [world.get("/prod/x", Authorization="t").status for _ in range(2)] == [200, 200]
    assert world.get("/prod/y/1", Authorization="t").status == 403
    assert len(world.functions.events_of(AUTHORIZER)) == 1
    assert world.get("/prod/x", Authorization="u").status == 200
    assert len(world.functions.events_of(AUTHORIZER)) == 2
    world.clock.advance(300)
    assert world.get("/prod/x", Authorization="t").status == 200
    assert len(world.functions.events_of(AUTHORIZER)) == 3
    # FlushStageAuthorizersCache
    world.deploy(authorizer_cache=1)
    assert world.get("/prod/x", Authorization="t").status == 200
    assert len(world.functions.events_of(AUTHORIZER)) == 4


def test_refusals_are_not_kept_and_a_ttl_of_zero_keeps_nothing() -> None:
    world = guarded(answer=result_of({"errorMessage": "Unauthorized"}, function_error="Unhandled"))
    assert world.get("/prod/x", Authorization="t").status == 401
    world.functions.answers[AUTHORIZER] = grant()
    assert world.get("/prod/x", Authorization="t").status == 200
    world = guarded(
        Authorizer("a", "t", "TOKEN", uri_of(AUTHORIZER), identity_source="method.request.header.T", given_ttl_s=0)
    )
    assert [world.get("/prod/x", T="t").status for _ in range(2)] == [200, 200]
    assert len(world.functions.events_of(AUTHORIZER)) == 2


def test_many_requests_with_one_token_ask_once() -> None:
    world = guarded()

    async def claim() -> None:
        answers = await asyncio.gather(*(world.ask("GET", "/prod/x", {"Authorization": "t"}) for _ in range(20)))
        assert {answer.status for answer in answers} == {200}

    asyncio.run(claim())
    assert len(world.functions.events_of(AUTHORIZER)) == 1


def test_a_denying_resource_policy_spares_the_authorizer_and_an_allowing_one_helps_where_it_says_nothing() -> None:
    world = guarded(policy=resource_policy({"Effect": "Deny"}))
    assert world.get("/prod/x", Authorization="t").status == 403
    assert world.functions.events == []
    nothing = {"principalId": "ann", "policyDocument": policy(resource=f"{EXECUTE}/other/*")}
    assert guarded(answer=nothing).get("/prod/x", Authorization="t").status == 403
    allowing = guarded(answer=nothing, policy=resource_policy({"Effect": "Allow"}))
    assert allowing.get("/prod/x", Authorization="t").status == 200


# ---- authorizers by request ---------------------------------------------------------------------------------------

REQUEST = Authorizer(
    "auth2",
    "request",
    "REQUEST",
    uri_of(AUTHORIZER),
    identity_source="method.request.header.X-Key, method.request.querystring.q, stageVariables.v, context.httpMethod",
)


def test_an_authorizer_by_request_sees_all_of_it_but_the_body() -> None:
    world = guarded(REQUEST, stage={"variables": {"v": "1"}})
    answer = world.get("/prod/y/7?q=a", X_Key="k")
    assert answer.status == 200
    (event,) = world.functions.events_of(AUTHORIZER)
    assert list(event)[:6] == ["type", "methodArn", "resource", "path", "httpMethod", "headers"]
    assert (event["type"], event["methodArn"]) == ("REQUEST", f"{EXECUTE}/prod/GET/y/7")
    assert (event["resource"], event["path"]) == ("/y/{id}", "/y/7")
    assert event["pathParameters"] == {"id": "7"}
    assert event["queryStringParameters"] == {"q": "a"}
    assert event["stageVariables"] == {"v": "1"}
    assert event["headers"]["X-Key"] == "k"
    assert event["requestContext"]["resourceId"] == "r1"
    assert "body" not in event
    assert "isBase64Encoded" not in event


@pytest.mark.parametrize("target", ["/prod/x", "/prod/x?q=", "/prod/x?Q=a"])
def test_each_identity_source_must_be_there(target: str) -> None:
    world = guarded(REQUEST, stage={"variables": {"v": "1"}})
    assert world.get(target, X_Key="k").status == 401
    assert world.functions.events == []


def test_without_sources_and_cache_every_request_is_asked_about() -> None:
    world = guarded(Authorizer("auth2", "request", "REQUEST", uri_of(AUTHORIZER), given_ttl_s=0))
    assert world.get("/prod/x").status == 200
    (event,) = world.functions.events_of(AUTHORIZER)
    assert (event["queryStringParameters"], event["pathParameters"], event["stageVariables"]) == ({}, {}, {})
