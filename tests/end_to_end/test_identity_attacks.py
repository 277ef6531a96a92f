"""Attacks on who a request is from: replayed, changed, smuggled and stolen ones get nothing, whatever they try."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from botocore.credentials import Credentials

from lambent.clock import TestClock
from lambent.identity.sessions import SessionTokens
from lambent.ports import Credentials as Temporary
from lambent.storage.secrets import SecretBox
from tests.conftest import wait_until
from tests.http_api_support import make_function
from tests.roles import ACCOUNT, ADMINISTRATOR, ROLE, make_role

Headers = tuple[tuple[str, str], ...]

CODE = """
def handler(event, context):
    return {"got": event}
"""
INVOKE = "/2015-03-31/functions/victim/invocations"
BODY = b'{"amount":1}'
STRANGER = "999988887777"
DEFINITION = {"Runtime": "python3.12", "Handler": "app.handler", "Code": {"ZipFile": b"PK"}}


class Answer(NamedTuple):
    status: int
    #: `InvalidSignatureException`
    code: str
    body: bytes


@dataclass(frozen=True)
class Signed:
    """A request as it goes over the wire: what an attacker may have read, and changes before sending it again."""

    method: str
    target: str
    headers: Headers
    body: bytes

    def header(self, name: str) -> str:
        return next(value for known, value in self.headers if known.lower() == name.lower())

    def with_header(self, name: str, value: str) -> Signed:
        """The header's value replaced where it stands."""
        assert any(known.lower() == name.lower() for known, _ in self.headers)
        changed = tuple((known, value if known.lower() == name.lower() else text) for known, text in self.headers)
        return replace(self, headers=changed)

    def first(self, name: str, value: str) -> Signed:
        return replace(self, headers=((name, value), *self.headers))

    def last(self, name: str, value: str) -> Signed:
        return replace(self, headers=(*self.headers, (name, value)))

    def send(self, region: Any) -> Answer:
        parts = urlsplit(region.url)
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in self.headers)]
        head = "\r\n".join([*lines, f"Content-Length: {len(self.body)}", "Connection: close", "", ""])
        with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
            connection.sendall(head.encode("latin-1") + self.body)
            response = http.client.HTTPResponse(connection)
            response.begin()
            code = response.getheader("x-amzn-errortype") or ""
            return Answer(response.status, code, response.read())


def sign(
    region: Any,
    target: str = INVOKE,
    *,
    method: str = "POST",
    body: bytes = BODY,
    key: Credentials | None = None,
    at: float | None = None,
    headers: Headers = (("X-Amz-Client-Context", "e30="),),
) -> Signed:
    """A genuine request to Lambda. Its own signer, since an attacker does not use an SDK either."""
    key = key or region.key
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
    sent = {"host": urlsplit(region.url).netloc, "x-amz-date": stamp}
    if key.token:
        sent["x-amz-security-token"] = key.token
    sent |= {name.lower(): value for name, value in headers}
    names = ";".join(sorted(sent))
    path, _, query = target.partition("?")
    listed = "".join(f"{name}:{sent[name]}\n" for name in sorted(sent))
    canonical = f"{method}\n{path}\n{query}\n{listed}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{stamp[:8]}/{region.name}/lambda/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    secret = f"AWS4{key.secret_key}".encode()
    for part in scope.split("/"):
        secret = hmac.digest(secret, part.encode(), "sha256")
    signature = hmac.digest(secret, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}".encode(), "sha256").hex()
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={key.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    fields = {**{name: value for name, value in sent.items() if name != "host"}, "authorization": authorization}
    return Signed(method, target, (("host", sent["host"]), *fields.items()), body)


def session(region: Any, *, age: float = 0.0, duration: int = 900) -> Credentials:
    """Temporary credentials as the region itself makes them, `age` seconds ago."""
    key = SecretBox(region.data_dir / "secret.key").derive("session tokens")
    issued: Temporary = SessionTokens(key, TestClock(time.time() - age)).role_credentials(ROLE, "victim", duration)
    return Credentials(issued.access_key_id, issued.secret_access_key, issued.session_token)


class Signing:
    """boto3 clients of somebody."""

    def __init__(self, region: Any, key: Credentials) -> None:
        self._region = region
        self.options = {"aws_access_key_id": key.access_key, "aws_secret_access_key": key.secret_key}
        if key.token:
            self.options["aws_session_token"] = key.token

    def client(self, service: str) -> Any:
        return self._region.client(service, **self.options)


@pytest.fixture(scope="module", autouse=True)
def victim(region: Any) -> None:
    make_function(region, "victim", CODE, allow=False)


# ---- replayed ------------------------------------------------------------------------------------------------------


def test_equal_requests_within_a_second_are_legal(region: Any) -> None:
    # SDKs send them: two calls in one second differ in nothing.
    request = sign(region)
    assert [request.send(region).status for _ in range(3)] == [200, 200, 200]


@pytest.mark.parametrize(("age", "words"), [(16 * 60, b"Signature expired"), (-16 * 60, b"Signature not yet current")])
def test_a_request_holds_for_fifteen_minutes(region: Any, age: int, words: bytes) -> None:
    answer = sign(region, at=time.time() - age).send(region)
    assert (answer.status, answer.code) == (403, "InvalidSignatureException")
    assert words in answer.body
    assert sign(region, at=time.time() - age * 14 / 16).send(region).status == 200


def test_a_replayed_request_is_not_made_young_by_another_date(region: Any) -> None:
    old = sign(region, at=time.time() - 16 * 60)
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    refused = [
        old.with_header("x-amz-date", now),
        old.first("x-amz-date", now),
        old.last("x-amz-date", now),
        old.last("Date", time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())),
        replace(old, target=f"{INVOKE}?X-Amz-Date={now}"),
    ]
    assert {request.send(region).status for request in refused} == {403}


# ---- changed -------------------------------------------------------------------------------------------------------

CHANGES: dict[str, Callable[[Signed], Signed]] = {
    "its body": lambda request: replace(request, body=b'{"amount":9}'),
    "its body left out": lambda request: replace(request, body=b""),
    "its body made longer": lambda request: replace(request, body=BODY + b" "),
    "its path": lambda request: replace(request, target=INVOKE.replace("victim", "victin")),
    "its path's encoding": lambda request: replace(request, target=INVOKE.replace("victim", "victim%3A1")),
    "a query": lambda request: replace(request, target=f"{INVOKE}?Qualifier=1"),
    "a signed header": lambda request: request.with_header("x-amz-client-context", "e31="),
    "a signed header, repeated": lambda request: request.last("x-amz-client-context", "e31="),
    "a signed header left out": lambda request: replace(request, headers=request.headers[:-2] + request.headers[-1:]),
    "its date": lambda request: request.with_header(
        "x-amz-date", time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() - 1))
    ),
    "its host": lambda request: request.with_header("host", "localhost:1"),
    "the hash of its body": lambda request: replace(request, body=b'{"amount":9}').last(
        "x-amz-content-sha256", "UNSIGNED-PAYLOAD"
    ),
    "its hash, to chunks": lambda request: request.last("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
    "its key": lambda request: _reclaimed(request, "Credential=AKIA", "Credential=AKIB"),
    "its region": lambda request: _reclaimed(request, "/us-east-1/", "/eu-west-1/"),
    "what is signed": lambda request: _reclaimed(request, "host;x-amz-client-context;", "host;"),
    "that the host is signed": lambda request: _reclaimed(request, "SignedHeaders=host;", "SignedHeaders="),
    "its signature": lambda request: request.with_header("authorization", request.header("authorization")[:-1] + "g"),
    "its signature, cut": lambda request: request.with_header("authorization", request.header("authorization")[:-2]),
}


def _reclaimed(request: Signed, old: str, new: str) -> Signed:
    header = request.header("authorization")
    assert old in header
    return request.with_header("authorization", header.replace(old, new))


@pytest.mark.parametrize("change", CHANGES)
def test_a_request_changed_after_it_was_signed_is_refused(region: Any, change: str) -> None:
    request = sign(region)
    assert request.send(region).status == 200
    answer = CHANGES[change](request).send(region)
    assert answer.status == 403, answer
    assert b"got" not in answer.body


def test_a_changed_query_is_refused(region: Any) -> None:
    request = sign(region, f"{INVOKE}?Qualifier=%24LATEST")
    assert request.send(region).status == 200
    for query in ("Qualifier=1", "Qualifier=%24LATEST&Qualifier=1", "Qualifier=%24LATEST&x", ""):
        assert replace(request, target=f"{INVOKE}?{query}").send(region).status == 403


def test_a_changed_method_is_refused(region: Any) -> None:
    look = sign(region, "/2015-03-31/functions/victim", method="GET", body=b"")
    assert look.send(region).status == 200
    assert replace(look, method="DELETE").send(region).status == 403
    assert look.send(region).status == 200


# ---- smuggled ------------------------------------------------------------------------------------------------------

SMUGGLED: dict[str, Callable[[Signed, Signed], Signed]] = {
    "a second host": lambda mine, _: mine.last("host", "localhost"),
    "the same host twice": lambda mine, _: mine.last("host", mine.header("host")),
    "a second authorization": lambda mine, theirs: mine.last("authorization", theirs.header("authorization")),
    "another authorization before": lambda mine, theirs: mine.first("Authorization", theirs.header("authorization")),
    "the same authorization twice": lambda mine, _: mine.last("AUTHORIZATION", mine.header("authorization")),
    "a second date": lambda mine, _: mine.last("X-Amz-Date", "20200101T000000Z"),
    "the same date twice": lambda mine, _: mine.last("x-amz-date", mine.header("x-amz-date")),
    "another date before": lambda mine, _: mine.first("x-amz-date", "20200101T000000Z"),
    "a token of another": lambda mine, theirs: mine.last("X-Amz-Security-Token", theirs.header("x-amz-security-token")),
    "two headers folded into one": lambda mine, _: mine.with_header(
        "x-amz-client-context", "e30=\r\n\tX-Amz-Date: 20200101T000000Z"
    ),
    "a line in a header": lambda mine, theirs: mine.first(
        "X-Note", f"a\nAuthorization: {theirs.header('authorization')}"
    ),
    "a space before the colon": lambda mine, theirs: mine.first("Authorization ", theirs.header("authorization")),
}


@pytest.mark.parametrize("way", SMUGGLED)
def test_a_header_that_could_be_read_in_two_ways_is_refused(region: Any, way: str) -> None:
    mine, theirs = sign(region), sign(region, key=session(region))
    answer = SMUGGLED[way](mine, theirs).send(region)
    assert answer.status in (400, 403), answer
    assert b"got" not in answer.body


# ---- tokens --------------------------------------------------------------------------------------------------------


def test_an_expired_token_is_refused(region: Any) -> None:
    answer = sign(region, key=session(region, age=901)).send(region)
    assert (answer.status, answer.code) == (403, "ExpiredTokenException")
    assert json.loads(answer.body)["message"] == "The security token included in the request is expired"


TOKENS: dict[str, Callable[[Credentials, Credentials], Credentials]] = {
    "cut at its end": lambda mine, _: _with(mine, token=mine.token[:-4]),
    "cut in half": lambda mine, _: _with(mine, token=mine.token[: len(mine.token) // 2]),
    "of one letter": lambda mine, _: _with(mine, token="A"),
    "changed in its middle": lambda mine, _: _with(mine, token=mine.token[:40] + "AAAA" + mine.token[44:]),
    "with something behind": lambda mine, _: _with(mine, token=mine.token + "AAAA"),
    "no token": lambda mine, _: _with(mine, token=""),
    "a token of another session": lambda mine, other: _with(mine, token=other.token),
    "another session's key": lambda mine, other: _with(mine, access_key=other.access_key),
    "another session's secret": lambda mine, other: _with(mine, secret_key=other.secret_key),
    "far too long": lambda mine, _: _with(mine, token=mine.token * 20),
}


def _with(credentials: Credentials, **changes: str) -> Credentials:
    fields = {
        "access_key": credentials.access_key,
        "secret_key": credentials.secret_key,
        "token": credentials.token,
        **changes,
    }
    return Credentials(**fields)


@pytest.mark.parametrize("change", TOKENS)
def test_a_token_that_is_not_whole_or_not_this_keys_is_refused(region: Any, change: str) -> None:
    key = TOKENS[change](session(region), session(region))
    answer = sign(region, key=key).send(region)
    assert answer.status == 403
    assert answer.code in ("UnrecognizedClientException", "InvalidSignatureException"), answer


# ---- keys and sessions that hold no more ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def iam(region: Any) -> Any:
    return region.client("iam")


def new_user(iam: Any, name: str) -> Credentials:
    """A user who may do everything, by its key."""
    iam.create_user(UserName=name)
    iam.attach_user_policy(UserName=name, PolicyArn=ADMINISTRATOR)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return Credentials(key["AccessKeyId"], key["SecretAccessKey"])


@pytest.fixture(scope="module")
def administrator(region: Any, iam: Any) -> Signing:
    """Roots assume no roles."""
    return Signing(region, new_user(iam, "administrator"))


def assumed(by: Signing, role: str) -> Credentials:
    issued = by.client("sts").assume_role(RoleArn=role, RoleSessionName="attack")["Credentials"]
    return Credentials(issued["AccessKeyId"], issued["SecretAccessKey"], issued["SessionToken"])


def assumable(region: Any, iam: Any, name: str) -> str:
    """A role that may do everything and that the account itself may assume."""
    role = make_role(region, name, inline="", policies=[ADMINISTRATOR])
    statement = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=document)
    return role


def test_the_key_of_a_deleted_user_is_no_key(region: Any, iam: Any) -> None:
    key = new_user(iam, "leaver")
    mine = Signing(region, key)
    sent = sign(region, key=key)
    assert sent.send(region).status == 200
    session = region.client("sts", **mine.options).get_session_token()["Credentials"]
    temporary = Credentials(session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"])
    assert sign(region, key=temporary).send(region).status == 200

    iam.update_access_key(UserName="leaver", AccessKeyId=key.access_key, Status="Inactive")
    assert sent.send(region) == sign(region, key=key).send(region)
    assert (sent.send(region).status, sent.send(region).code) == (403, "UnrecognizedClientException")
    iam.update_access_key(UserName="leaver", AccessKeyId=key.access_key, Status="Active")
    assert sent.send(region).status == 200

    iam.delete_access_key(UserName="leaver", AccessKeyId=key.access_key)
    assert (sent.send(region).status, sent.send(region).code) == (403, "UnrecognizedClientException")
    iam.detach_user_policy(UserName="leaver", PolicyArn=ADMINISTRATOR)
    iam.delete_user(UserName="leaver")
    assert sign(region, key=temporary).send(region).status == 403
    # Another one of the name inherits nothing.
    new_user(iam, "leaver")
    for stolen in (key, temporary):
        assert sign(region, key=stolen).send(region).status == 403


def test_a_revoked_session_may_do_nothing_and_one_after_it_may(region: Any, iam: Any, administrator: Signing) -> None:
    role = assumable(region, iam, "revocable")
    stolen = assumed(administrator, role)
    assert sign(region, key=stolen).send(region).status == 200
    # What the console's "Revoke active sessions" attaches.
    cut = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1))
    condition = {"DateLessThan": {"aws:TokenIssueTime": cut}}
    deny = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": condition}
    document = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    iam.put_role_policy(RoleName="revocable", PolicyName="AWSRevokeOlderSessions", PolicyDocument=document)
    answer = sign(region, key=stolen).send(region)
    assert (answer.status, answer.code) == (403, "AccessDeniedException")
    assert b"with an explicit deny in an identity-based policy" in answer.body
    wait_until(lambda: sign(region, key=assumed(administrator, role)).send(region).status == 200)
    assert sign(region, key=stolen).send(region).status == 403


def test_a_session_ends_with_its_role(region: Any, iam: Any, administrator: Signing) -> None:
    stolen = assumed(administrator, assumable(region, iam, "passing"))
    assert sign(region, key=stolen).send(region).status == 200
    iam.detach_role_policy(RoleName="passing", PolicyArn=ADMINISTRATOR)
    iam.delete_role(RoleName="passing")
    assert sign(region, key=stolen).send(region).status == 403
    assumable(region, iam, "passing")
    assert sign(region, key=stolen).send(region).status == 403


# ---- across accounts -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stranger(region: Any) -> Signing:
    """The root of another account of the region."""
    answer = region.request("POST", "/_lambent/accounts", json.dumps({"id": STRANGER}).encode(), sign="lambent")
    account = answer.json()
    return Signing(region, Credentials(account["access_key_id"], account["secret_access_key"]))


@pytest.mark.slow
def test_an_api_of_another_account_is_no_deputy(region: Any, stranger: Signing) -> None:
    """API Gateway is trusted by the function; who made the API is not."""
    grants = {
        "of-one-api": {"SourceArn": f"arn:aws:execute-api:us-east-1:{ACCOUNT}:*"},
        "of-one-account": {"SourceAccount": ACCOUNT},
    }
    mine, theirs = region.client("apigatewayv2"), stranger.client("apigatewayv2")
    for name, condition in grants.items():
        target = make_function(region, name, CODE, allow=False)
        region.client("lambda").add_permission(
            FunctionName=name,
            StatementId="apis",
            Action="lambda:InvokeFunction",
            Principal="apigateway.amazonaws.com",
            **condition,
        )
        statuses = []
        for client in (mine, theirs):
            api = client.create_api(Name=name, ProtocolType="HTTP", Target=target)
            answer = region.request("GET", "/", headers={"Host": urlsplit(api["ApiEndpoint"]).netloc})
            statuses.append((answer.status, b"got" in answer.body))
        assert statuses == [(200, True), (500, False)], (name, statuses)


def test_a_role_is_assumed_by_its_external_id_alone(region: Any, iam: Any, stranger: Signing) -> None:
    role = make_role(region, "partner", inline="", policies=[ADMINISTRATOR])
    condition = {"StringEquals": {"sts:ExternalId": "customer-7"}}
    principal = {"AWS": f"arn:aws:iam::{STRANGER}:root"}
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", "Condition": condition}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.update_assume_role_policy(RoleName="partner", PolicyDocument=document)
    sts = Signing(region, new_user(stranger.client("iam"), "partner")).client("sts")
    for wrong in ({}, {"ExternalId": "customer-8"}, {"ExternalId": "Customer-7"}, {"ExternalId": "customer-77"}):
        with pytest.raises(sts.exceptions.ClientError, match="not authorized to perform: sts:AssumeRole"):
            sts.assume_role(RoleArn=role, RoleSessionName="deputy", **wrong)
    assert sts.assume_role(RoleArn=role, RoleSessionName="deputy", ExternalId="customer-7")["Credentials"]


def test_another_account_reaches_no_function_whatever_its_own_policies_say(region: Any, stranger: Signing) -> None:
    theirs = stranger.client("lambda")
    arn = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:victim"
    for call, parameters in (
        (theirs.invoke, {"FunctionName": arn}),
        (theirs.get_function, {"FunctionName": arn}),
        (theirs.delete_function, {"FunctionName": arn}),
        (theirs.create_function, {"FunctionName": "own", "Role": ROLE, **DEFINITION}),
    ):
        with pytest.raises(theirs.exceptions.ClientError) as refusal:
            call(**parameters)
        assert refusal.value.response["Error"]["Code"] == "AccessDeniedException", refusal.value


# ---- from inside ---------------------------------------------------------------------------------------------------

HOLDER = """
import os
def handler(event, context):
    return os.environ["AWS_SESSION_TOKEN"]
"""

#: Looks for tokens of others wherever processes and platforms keep them, and asks the region as whoever it can be.
SPY = """
import glob, os, urllib.request
import boto3

def handler(event, context):
    own, found, refused = os.environ["AWS_SESSION_TOKEN"], [], []
    for pattern in ("/proc/*/environ", "/proc/*/cmdline", "/proc/*/task/*/environ", "/tmp/**", "/var/task/**"):
        for path in glob.glob(pattern, recursive=True):
            try:
                text = open(path, "rb").read(1 << 20).decode("latin-1")
            except OSError:
                continue
            if event["token"][:200] in text:
                found.append(path)
    for url in (
        "http://169.254.170.2/v2/credentials", "http://169.254.169.254/latest/meta-data/iam/security-credentials/"
    ):
        try:
            found.append(urllib.request.urlopen(url, timeout=0.3).read().decode())
        except OSError:
            pass
    client = boto3.client("lambda")
    for call, parameters in (
        (client.get_function_configuration, {"FunctionName": "holder"}),
        (client.invoke, {"FunctionName": "holder"}),
    ):
        try:
            call(**parameters)
            found.append(call.__name__)
        except client.exceptions.ClientError as error:
            refused.append(error.response["Error"]["Code"])
    # Another one's token with its own key, and the other way round.
    for key, token in ((os.environ["AWS_ACCESS_KEY_ID"], event["token"]), (event["key"], own)):
        sts = boto3.client("sts", aws_access_key_id=key, aws_session_token=token,
                           aws_secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"])
        try:
            found.append(sts.get_caller_identity()["Arn"])
        except sts.exceptions.ClientError as error:
            refused.append(error.response["Error"]["Code"])
    return {"found": found, "refused": refused, "is_own": own != event["token"]}
"""


@pytest.mark.slow
def test_a_function_gets_no_credentials_of_another(region: Any) -> None:
    client = region.client("lambda")
    make_function(region, "holder", HOLDER, allow=False)
    token = json.loads(client.invoke(FunctionName="holder")["Payload"].read())
    make_function(region, "spy", SPY, allow=False, timeout=60)
    event = {"token": token, "key": session(region).access_key}
    answer = client.invoke(FunctionName="spy", Payload=json.dumps(event))
    told = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, told
    assert told == {
        "found": [],
        "refused": [
            "AccessDeniedException",
            "AccessDeniedException",
            "InvalidClientTokenId",
            "InvalidClientTokenId",
        ],
        "is_own": True,
    }
