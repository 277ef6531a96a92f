"""Web identity tokens of any form: believed where their issuer signed them, else refused with an error of AWS's."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import KeySet, RSAKey

from lambent.clock import TestClock
from lambent.config import OidcIssuer
from lambent.errors import AwsError
from lambent.identity.signing_keys import NoKeys, SigningKeys
from lambent.services.sts.issuers import Issuers
from lambent.services.sts.web_identity import _source_of, _tags_of

ISSUER = "https://issuer.example"
KEY = RSAKey.generate_key(2048, {"kid": "one"})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


async def nowhere(url: str) -> bytes:
    raise NoKeys(f"{url} is nowhere")


@pytest.fixture(scope="module")
def issuers(tmp_path_factory: pytest.TempPathFactory) -> Issuers:
    file: Path = tmp_path_factory.mktemp("keys") / "jwks.json"
    file.write_text(json.dumps(KeySet([KEY]).as_dict(private=False)))
    clock = TestClock(1_000_000.0)
    keys = SigningKeys(nowhere, clock, {ISSUER: str(file)})
    return Issuers({ISSUER: OidcIssuer(("mine",)), "https://gone": OidcIssuer(("mine",))}, keys, clock)


def signed(claims: dict[str, Any]) -> str:
    return str(jws.serialize_compact({"alg": "RS256", "kid": "one"}, json.dumps(claims).encode(), KEY))


def believed(issuers: Issuers, token: str) -> Any:
    return asyncio.run(issuers.believed(token))


def test_what_the_issuer_signed_for_this_audience_is_believed(issuers: Issuers) -> None:
    claims = {"iss": ISSUER, "aud": ["other", "mine"], "sub": "me", "exp": 1_000_060, "nbf": 1_000_100}
    identity = believed(issuers, signed(claims))
    assert (identity.name, identity.audience, identity.claims) == ("issuer.example", "other", claims)


@given(st.text() | st.lists(st.text(alphabet="abcdefgh0123_-=", max_size=12), max_size=4).map(".".join))
def test_no_text_is_taken_for_a_token(issuers: Issuers, text: str) -> None:
    with pytest.raises(AwsError):
        believed(issuers, text)


@given(st.dictionaries(st.sampled_from(["aud", "sub", "exp", "nbf", "iat", "azp", "amr"]), JSON))
def test_claims_of_any_form_are_believed_or_refused(issuers: Issuers, claims: dict[str, Any]) -> None:
    with contextlib.suppress(AwsError):
        identity = believed(issuers, signed({"iss": ISSUER, **claims}))
        assert isinstance(identity.audience, str)


@given(JSON, JSON)
def test_tags_of_any_form_are_tags_or_refused(tags: Any, source: Any) -> None:
    identity = type("Identity", (), {})()
    identity.claims = {"https://aws.amazon.com/tags": tags, "https://aws.amazon.com/source_identity": source}
    for read in (_tags_of, _source_of):
        with contextlib.suppress(AwsError):
            read(identity)


def test_an_issuer_whose_keys_cannot_be_had_is_not_believed(issuers: Issuers) -> None:
    with pytest.raises(AwsError, match="Couldn't retrieve verification key"):
        believed(issuers, signed({"iss": "https://gone", "aud": "mine", "sub": "me", "exp": 1_000_060}))
