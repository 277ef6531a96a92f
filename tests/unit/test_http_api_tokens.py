"""JSON Web Tokens at an HTTP API: what is believed, what is refused, and how often issuers are asked."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from lambent.clock import TestClock
from lambent.edge.documents import getter
from lambent.edge.execute_api.http.jwt_authorizer import InvalidToken, JwtAuthorizers, as_text
from lambent.edge.http_proxy import HttpProxy, ProxyUnreachable
from lambent.edge.reach import Reach
from lambent.identity.signing_keys import KEEP_S, RETRY_S, SigningKeys
from lambent.request import Headers, Response
from lambent.services.apigatewayv2.domain import JwtConfiguration

ISSUER = "https://issuer.example"
CONFIGURATION = JwtConfiguration(ISSUER, ("client", "other"))
RSA = RSAKey.generate_key(2048, {"kid": "one"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})
NEW = RSAKey.generate_key(2048, {"kid": "two"})


class Issuer(HttpProxy):
    """Answers as an OpenID provider does, and counts how often it is asked."""

    def __init__(self, *keys: Any) -> None:
        super().__init__(Reach())
        self.keys = list(keys)
        self.asked: list[str] = []
        self.is_down = False
        self.claimed = ISSUER

    async def send(
        self,
        method: str,
        url: str,
        headers: Headers,
        body: bytes,
        timeout_s: float,
        *,
        verify: bool = True,
        hops: int = 0,
    ) -> Response:
        self.asked.append(url)
        await asyncio.sleep(0)
        if self.is_down:
            raise ProxyUnreachable("down")
        if url == f"{ISSUER}/.well-known/openid-configuration":
            return Response(200, [], json.dumps({"issuer": self.claimed, "jwks_uri": f"{ISSUER}/keys"}).encode())
        return Response(200, [], json.dumps(KeySet(self.keys).as_dict(private=False)).encode())


class Bench:
    def __init__(self) -> None:
        self.clock = TestClock()
        self.issuer = Issuer(RSA, EC)
        self.keys = SigningKeys(getter(self.issuer), self.clock)
        self._authorizers = JwtAuthorizers(self.keys, self.clock)

    def claims(self, **changes: Any) -> dict[str, Any]:
        base = {"iss": ISSUER, "aud": "client", "exp": int(self.clock.now()) + 60, "sub": "me"}
        return {name: value for name, value in {**base, **changes}.items() if value is not None}

    def token(self, key: Any = RSA, alg: str = "RS256", header: dict[str, Any] | None = None, **changes: Any) -> str:
        head = {"alg": alg, "kid": key.kid, **(header or {})}
        return jwt.encode(head, self.claims(**changes), key, algorithms=[alg])

    def check(self, token: str) -> dict[str, Any]:
        return asyncio.run(self.wait_checked(token))

    async def wait_checked(self, token: str) -> dict[str, Any]:
        return dict(await self._authorizers._claims(token, CONFIGURATION))

    def refusal(self, token: str) -> str:
        with pytest.raises(InvalidToken) as error:
            self.check(token)
        return str(error.value)


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize(
    ("key", "alg"), [(RSA, "RS256"), (RSA, "RS384"), (RSA, "RS512"), (RSA, "PS256"), (EC, "ES256")]
)
def test_tokens_with_public_keys_are_believed(bench: Bench, key: Any, alg: str) -> None:
    assert bench.check(bench.token(key, alg))["sub"] == "me"


def test_audiences_may_be_several_and_client_id_stands_in_for_none(bench: Bench) -> None:
    assert bench.check(bench.token(aud=["x", "other"]))
    assert bench.check(bench.token(aud=None, client_id="client"))
    assert bench.refusal(bench.token(aud="x", client_id="client")) == "the token does not have a valid audience"
    assert bench.refusal(bench.token(aud=None)) == "the token does not have a valid audience"
    assert bench.refusal(bench.token(aud=[7, {}])) == "the token does not have a valid audience"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "https://other.example"}, "the token does not have a valid issuer"),
        ({"exp": 1}, "the token has expired"),
        ({"exp": None}, "the token has expired"),
        ({"exp": "soon"}, "the exp of the token is not a number"),
        ({"exp": True}, "the exp of the token is not a number"),
        ({"nbf": 9_999_999_999}, "the token is not valid yet"),
        ({"iat": 9_999_999_999}, "the token was issued in the future"),
    ],
)
def test_claims_are_checked(bench: Bench, changes: dict[str, Any], reason: str) -> None:
    assert bench.refusal(bench.token(**changes)) == reason


def forged(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    return ".".join(
        base64.urlsafe_b64encode(part).rstrip(b"=").decode()
        for part in (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
    )


def test_no_algorithm_but_signatures_with_public_keys_is_taken(bench: Bench) -> None:
    for alg in ("none", "None", "HS256", "EdDSA", "", "RS256 "):
        assert bench.refusal(forged({"alg": alg, "kid": "one"}, bench.claims())) == f"signing method {alg} is invalid"
    assert not bench.issuer.asked


def test_the_public_key_is_no_secret_for_hs256(bench: Bench) -> None:
    pem = RSA.as_pem(private=False)
    head = f"{forged({'alg': 'HS256', 'kid': 'one'}, bench.claims()).rpartition('.')[0]}"
    mac = hmac.digest(pem, head.encode(), hashlib.sha256)
    token = f"{head}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    assert bench.refusal(token) == "signing method HS256 is invalid"


def test_an_algorithm_of_another_kind_of_key_is_refused(bench: Bench) -> None:
    assert bench.refusal(forged({"alg": "ES256", "kid": "one"}, bench.claims())) == "signing method ES256 is invalid"
    assert bench.refusal(forged({"alg": "RS256", "kid": "ec"}, bench.claims())) == "signing method RS256 is invalid"


def test_signatures_are_checked(bench: Bench) -> None:
    token = bench.token()
    head, payload, signature = token.split(".")
    other = forged({}, bench.claims(sub="root")).split(".")[1]
    for bad in (f"{head}.{other}.{signature}", f"{head}.{payload}.", f"{head}.{payload}.AAAA", f"{token}!"):
        assert bench.refusal(bad) == "signature is invalid"
    assert bench.refusal(bench.token(NEW, header={"kid": "one"})) == "signature is invalid"


NO_TOKENS = [
    *("", ".", "..", "a.b.c", "a.b", "é.b.c", "eyJ9.e30.", "W10.e30.x", "e30.e30.x", "bnVsbA.e30.x"),
    "x" * 20_000,
    "[" * 8_000 + ".a.b",
    forged({"alg": "RS256"}, {}),
    forged({"alg": ["RS256"], "kid": "one"}, {}),
    forged({"alg": "RS256", "kid": 1}, {}),
    forged({"alg": "RS256", "kid": "one", "crit": ["b64"], "b64": False}, {}),
]


@pytest.mark.parametrize("token", NO_TOKENS)
def test_what_is_no_token_is_refused_before_anybody_is_asked(bench: Bench, token: str) -> None:
    bench.refusal(token)
    assert not bench.issuer.asked


def test_keys_are_kept_and_looked_for_anew_after_two_hours(bench: Bench) -> None:
    for _ in range(3):
        bench.check(bench.token())
    assert len(bench.issuer.asked) == 2
    bench.clock.advance(KEEP_S)
    bench.check(bench.token())
    assert len(bench.issuer.asked) == 4


def test_a_rotated_key_is_found_and_unknown_ones_do_not_hammer_the_issuer(bench: Bench) -> None:
    bench.check(bench.token())
    bench.issuer.keys.append(NEW)
    unknown = "unable to find a key of the issuer that matches the kid of the token"
    assert bench.refusal(bench.token(NEW)) == unknown
    bench.clock.advance(RETRY_S)
    assert bench.check(bench.token(NEW))
    assert len(bench.issuer.asked) == 4
    for number in range(50):
        assert bench.refusal(bench.token(header={"kid": f"k{number}"})) == unknown
    assert len(bench.issuer.asked) == 4


def test_many_first_tokens_at_once_ask_the_issuer_once(bench: Bench) -> None:
    token = bench.token()

    async def all_at_once() -> None:
        await asyncio.gather(*(bench.wait_checked(token) for _ in range(20)))

    asyncio.run(all_at_once())
    assert len(bench.issuer.asked) == 2


def test_an_issuers_outage_does_not_end_good_keys(bench: Bench) -> None:
    bench.check(bench.token())
    bench.issuer.is_down = True
    bench.clock.advance(KEEP_S)
    assert bench.check(bench.token())


def test_without_keys_nothing_is_believed_and_the_issuer_is_left_alone_for_a_while(bench: Bench) -> None:
    bench.issuer.is_down = True
    assert bench.refusal(bench.token()) == "down"
    bench.issuer.is_down = False
    assert bench.refusal(bench.token()) == "down"
    bench.clock.advance(RETRY_S)
    assert bench.check(bench.token())


def test_a_discovery_document_of_another_issuer_is_not_believed(bench: Bench) -> None:
    bench.issuer.claimed = "https://evil.example"
    assert "does not match" in bench.refusal(bench.token())


@pytest.mark.parametrize(
    ("change", "ok"),
    [
        (lambda key: {**key, "use": "enc"}, False),
        (lambda key: {**key, "kty": "oct", "k": "AAAA"}, False),
        (lambda key: {**key, "n": "AQAB"}, False),
        (lambda key: {**key, "use": "sig", "alg": "RS256"}, True),
    ],
)
def test_only_sound_signature_keys_of_an_issuer_count(
    bench: Bench, change: Callable[[dict[str, Any]], dict[str, Any]], ok: bool
) -> None:
    class Odd:
        def as_dict(self, **_: Any) -> dict[str, Any]:
            return change(RSA.as_dict(private=False))

    tokens = asyncio.run(bench.keys.load())
    document = json.dumps({"keys": [Odd().as_dict(), None, 3]}).encode()
    assert bool(tokens.import_keys(document)) is ok


def test_claims_become_text_as_events_have_it() -> None:
    assert as_text("a") == "a"
    assert as_text(1700000000) == "1700000000"
    assert as_text(True) == "true"
    assert as_text(["admins", "users", 1]) == "[admins users 1]"
    assert as_text({"b": [1], "a": "x"}) == "map[a:x b:[1]]"
