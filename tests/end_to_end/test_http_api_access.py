"""Who may call an HTTP API: JSON Web Tokens, Lambda authorizers, signatures."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from tests.http_api_support import (
    ACCOUNT,
    AUTHORIZER,
    ECHO,
    Answer,
    HttpApi,
    Server,
    function_arn,
    make_function,
    server,
)

pytestmark = pytest.mark.slow

KEY = RSAKey.generate_key(2048, {"kid": "one"})
UNAUTHORIZED = (401, {"message": "Unauthorized"})
FORBIDDEN = (403, {"message": "Forbidden"})


@pytest.fixture(scope="module")
def functions(region: Any) -> None:
    make_function(region, "echo", ECHO)
    make_function(region, "guard", AUTHORIZER)


@pytest.fixture(scope="module")
def issuer() -> Iterator[Server]:
    with server() as running:
        jwks = f"{running.url}/keys"
        running.pages["/.well-known/openid-configuration"] = {"issuer": running.url, "jwks_uri": jwks}
        running.pages["/keys"] = KeySet([KEY]).as_dict(private=False)
        yield running


def said(answer: Answer) -> tuple[int, Any]:
    return answer.status, answer.json()


# ---- JSON Web Tokens -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def api(region: Any, functions: None, issuer: Server) -> HttpApi:
    api = HttpApi(region)
    two, one = api.function("echo"), api.function("echo", "1.0")
    authorizer = {
        "AuthorizationType": "JWT",
        "AuthorizerId": api.client.create_authorizer(
            ApiId=api.id,
            AuthorizerType="JWT",
            Name="tokens",
            IdentitySource=["$request.header.Authorization"],
            JwtConfiguration={"Issuer": issuer.url, "Audience": ["client"]},
        )["AuthorizerId"],
    }
    api.route("GET /two", two, **authorizer)
    api.route("GET /one", one, **authorizer)
    api.route("GET /scoped", two, AuthorizationScopes=["pets:read", "pets:write"], **authorizer)
    api.stage()
    return api


def token(issuer: Server, alg: str = "RS256", **changes: Any) -> str:
    claims = {"iss": issuer.url, "aud": "client", "exp": int(time.time()) + 60, "sub": "me", **changes}
    return jwt.encode({"alg": alg, "kid": "one"}, claims, KEY, algorithms=[alg])


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def test_claims_of_a_good_token_reach_the_function(api: HttpApi, issuer: Server) -> None:
    groups = {"cognito:groups": ["a", "b"], "email_verified": True}
    good = token(issuer, scope="pets:read x", **groups)
    authorizer = api.send("GET", "/two", headers=bearer(good)).json()["requestContext"]["authorizer"]
    claims = authorizer["jwt"]["claims"]
    assert authorizer == {"jwt": {"claims": claims, "scopes": None}}
    assert (claims["sub"], claims["cognito:groups"], claims["email_verified"]) == ("me", "[a b]", "true")
    # The prefix may be left out.
    answer = api.send("GET", "/scoped", headers={"Authorization": good})
    assert answer.json()["requestContext"]["authorizer"]["jwt"]["scopes"] == ["pets:read"]
    event = api.send("GET", "/one", headers=bearer(good)).json()
    assert event["requestContext"]["authorizer"] == {"claims": claims, "scopes": None}


def test_a_token_without_the_scopes_is_forbidden(api: HttpApi, issuer: Server) -> None:
    answer = api.send("GET", "/scoped", headers=bearer(token(issuer, scope="other")))
    assert said(answer) == FORBIDDEN
    assert (answer.header("www-authenticate") or "").startswith(
        'Bearer scope="pets:read pets:write" error="insufficient_scope"'
    )


def test_no_token_is_unauthorized(api: HttpApi) -> None:
    answer = api.send("GET", "/two")
    assert said(answer) == UNAUTHORIZED
    assert answer.header("www-authenticate") == "Bearer"


def test_bad_tokens_are_told_why_in_the_header(api: HttpApi, issuer: Server) -> None:
    good = token(issuer)
    head, payload, signature = good.split(".")
    for text, reason in (
        (token(issuer, aud="other"), "the token does not have a valid audience"),
        (token(issuer, exp=1), "the token has expired"),
        (token(issuer, iss="https://other"), "the token does not have a valid issuer"),
        (f"{head}.{payload}.{signature[:-8]}AAAAAAAA", "signature is invalid"),
        ("eyJhbGciOiJub25lIiwia2lkIjoib25lIn0.e30.", "signing method none is invalid"),
        ("eyJhbGciOiJIUzI1NiIsImtpZCI6Im9uZSJ9.e30.AAAA", "signing method HS256 is invalid"),
        ("x", "token contains an invalid number of segments"),
        (f'"; drop="{good}', "the head of the token is not base64"),
        ("A" * 20_000, "the token is too long"),
    ):
        answer = api.send("GET", "/two", headers=bearer(text))
        assert said(answer) == UNAUTHORIZED
        challenge = f'Bearer scope="" error="invalid_token" error_description="{reason}"'
        assert answer.header("www-authenticate") == challenge
    assert issuer.asked.count("/keys") == 1


# ---- Lambda authorizers ----------------------------------------------------------------------------------------------


def guarded(region: Any, key: str, version: str, payload: str, **params: Any) -> HttpApi:
    api = HttpApi(region)
    authorizer = api.client.create_authorizer(
        **{
            "ApiId": api.id,
            "AuthorizerType": "REQUEST",
            "Name": "guard",
            "AuthorizerUri": f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function_arn('guard')}"
            "/invocations",
            "AuthorizerPayloadFormatVersion": version,
            "IdentitySource": ["$request.header.X-Token"],
            "AuthorizerResultTtlInSeconds": 0,
            **params,
        }
    )["AuthorizerId"]
    target = api.function("echo", payload)
    for each in (key, "GET /open"):
        api.route(each, target, AuthorizationType="CUSTOM", AuthorizerId=authorizer)
    api.stage("test", StageVariables={"v": "1"})
    return api


def ask(api: HttpApi, path: str, text: str | None) -> Answer:
    return api.send("GET", path, headers={"X-Token": text} if text is not None else {})


def test_simple_responses_let_in_or_not(region: Any, functions: None) -> None:
    api = guarded(region, "GET /a/{b}", "2.0", "2.0", EnableSimpleResponses=True)
    answer = ask(api, "/test/a/1?q=1&q=2", "simple-yes")
    authorizer = answer.json()["requestContext"]["authorizer"]
    event = json.loads(authorizer["lambda"].pop("event"))
    assert authorizer == {"lambda": {"asked": 1}}
    for name in ("requestId", "time", "timeEpoch"):
        assert event["requestContext"].pop(name)
    headers = event.pop("headers")
    assert (headers["x-token"], headers["host"]) == ("simple-yes", api.host)
    assert event == {
        "version": "2.0",
        "type": "REQUEST",
        "routeArn": f"arn:aws:execute-api:us-east-1:{ACCOUNT}:{api.id}/test/GET/a/1",
        "identitySource": ["simple-yes"],
        "routeKey": "GET /a/{b}",
        "rawPath": "/test/a/1",
        "rawQueryString": "q=1&q=2",
        "queryStringParameters": {"q": "1,2"},
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": api.id,
            "domainName": api.host.partition(":")[0],
            "domainPrefix": api.id,
            "http": {
                "method": "GET",
                "path": "/test/a/1",
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": "",
            },
            "routeKey": "GET /a/{b}",
            "stage": "test",
        },
        "pathParameters": {"b": "1"},
        "stageVariables": {"v": "1"},
    }
    assert said(ask(api, "/test/a/1", "simple-no")) == FORBIDDEN
    assert said(ask(api, "/test/a/1", None)) == UNAUTHORIZED
    for broken in ("nonsense", "raise", "allow"):
        assert said(ask(api, "/test/a/1", broken)) == (500, {"message": "Internal Server Error"})


def test_policies_let_in_to_what_they_name(region: Any, functions: None) -> None:
    api = guarded(region, "GET /a", "1.0", "1.0")
    answer = ask(api, "/test/a", "allow")
    authorizer = answer.json()["requestContext"]["authorizer"]
    event = json.loads(authorizer.pop("event"))
    assert authorizer == {"principalId": "allow", "key": "value", "yes": True, "asked": authorizer["asked"]}
    assert event["methodArn"] == f"arn:aws:execute-api:us-east-1:{ACCOUNT}:{api.id}/test/GET/a"
    assert (event["version"], event["type"], event["identitySource"]) == ("1.0", "REQUEST", "allow")
    assert (event["authorizationToken"], event["resource"], event["path"]) == ("allow", "/a", "/test/a")
    assert (event["httpMethod"], event["pathParameters"], event["stageVariables"]) == ("GET", {}, {"v": "1"})
    assert "body" not in event
    assert said(ask(api, "/test/a", "deny")) == FORBIDDEN
    assert ask(api, "/test/open", "open").status == 200
    assert said(ask(api, "/test/a", "open")) == FORBIDDEN
    assert said(ask(api, "/test/a", "nonsense")) == (500, {"message": "Internal Server Error"})


def test_results_are_kept_by_identity_for_all_routes_until_they_are_reset(region: Any, functions: None) -> None:
    api = guarded(region, "GET /a", "2.0", "2.0", AuthorizerResultTtlInSeconds=300)

    def asked(path: str, text: str) -> int:
        return int(ask(api, path, text).json()["requestContext"]["authorizer"]["lambda"]["asked"])

    first = asked("/test/a", "one")
    assert asked("/test/open", "one") == first
    assert asked("/test/a", "two") > first
    # A kept policy is asked anew: it opens some routes only.
    assert ask(api, "/test/open", "open").status == 200
    assert said(ask(api, "/test/a", "open")) == FORBIDDEN
    api.client.reset_authorizers_cache(ApiId=api.id, StageName="test")
    assert asked("/test/a", "one") > first


def test_an_authorizer_that_may_not_be_called_is_a_server_error(region: Any, functions: None) -> None:
    make_function(region, "closed-guard", AUTHORIZER, allow=False)
    api = guarded(region, "GET /a", "2.0", "2.0", AuthorizerUri=function_arn("closed-guard"))
    assert said(ask(api, "/test/a", "allow")) == (500, {"message": "Internal Server Error"})
    (authorizer,) = api.client.get_authorizers(ApiId=api.id)["Items"]
    region.client("lambda").add_permission(
        FunctionName="closed-guard",
        StatementId="one",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=f"arn:aws:execute-api:us-east-1:{ACCOUNT}:{api.id}/authorizers/{authorizer['AuthorizerId']}",
    )
    assert ask(api, "/test/a", "allow").status == 200


# ---- signatures ------------------------------------------------------------------------------------------------------


def test_signed_requests_tell_the_function_who_signed(region: Any, functions: None) -> None:
    api = HttpApi(region)
    api.route("POST /two", api.function("echo"), AuthorizationType="AWS_IAM")
    api.route("POST /one", api.function("echo", "1.0"), AuthorizationType="AWS_IAM")
    api.stage("dev")
    body = {"body": b"hello", "sign": region.key}
    event = api.send("POST", "/dev/two?b=2&a=%20x", **body).json()
    assert event["requestContext"]["authorizer"] == {
        "iam": {
            "accessKey": region.key.access_key,
            "accountId": ACCOUNT,
            "callerId": ACCOUNT,
            "cognitoIdentity": None,
            "principalOrgId": None,
            "userArn": f"arn:aws:iam::{ACCOUNT}:root",
            "userId": ACCOUNT,
        }
    }
    identity = api.send("POST", "/dev/one", **body).json()["requestContext"]["identity"]
    assert (identity["accountId"], identity["userArn"]) == (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root")
    assert said(api.send("POST", "/dev/two", body=b"hello")) == FORBIDDEN
    forged = type(region.key)(region.key.access_key, "not the secret")
    assert said(api.send("POST", "/dev/two", sign=forged)) == FORBIDDEN


@pytest.mark.parametrize("path", ["/dev/admin", "/dev/%61dmin", "/dev/ad%6Din", "/dev/%2561dmin"])
def test_a_path_written_otherwise_leads_around_no_policy(region: Any, functions: None, path: str) -> None:
    api = HttpApi(region)
    for key in ("GET /admin", "GET /{other}"):
        api.route(key, api.function("echo"), AuthorizationType="AWS_IAM")
    api.stage("dev")
    denied = f"arn:aws:execute-api:*:*:{api.id}/dev/GET/admin"
    statements = [
        {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "*"},
        {"Effect": "Deny", "Action": "execute-api:Invoke", "Resource": denied},
    ]
    iam, name = region.client("iam"), f"visitor-{api.id}"
    iam.create_user(UserName=name)
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    key = type(region.key)(made["AccessKeyId"], made["SecretAccessKey"])
    answer = api.send("GET", path, sign=key)
    # Decoded once, as routes are: `%2561` is another path.
    assert answer.status == (200 if "%25" in path else 403)


def test_no_api_of_the_other_kind_takes_an_id(region: Any) -> None:
    # Both kinds answer at the same hosts: the one that is asked first would have the other's requests and tokens.
    http, rest = region.client("apigatewayv2"), region.client("apigateway")
    taken = http.create_api(Name="mine", ProtocolType="HTTP")["ApiId"]
    with pytest.raises(rest.exceptions.ConflictException):
        rest.create_rest_api(name="theirs", tags={"_custom_id_": taken})
    taken = rest.create_rest_api(name="mine")["id"]
    with pytest.raises(http.exceptions.ConflictException):
        http.create_api(Name="theirs", ProtocolType="HTTP", Tags={"_custom_id_": taken})
