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
from tests.http_api_support import make_function
from tests.roles import ROLE

Headers = tuple[tuple[str, str], ...]

CODE = """
def handler(event, context):
    return {"got": event}
"""
INVOKE = "/2015-03-31/functions/victim/invocations"
BODY = b'{"amount":1}'


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

#: What anybody with a session may ask, whatever its role may do.
ASK = {"method": "GET", "target": "/2015-03-31/functions/victim", "body": b""}


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
