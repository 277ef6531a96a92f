"""AssumeRoleWithWebIdentity, against issuers that the configuration file names: keys in a file, and behind a URL."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from sts_support import ACCOUNT, allow, refusal, role, trusting, with_key

ISSUER = "https://token.issuer.example"
HOST = "token.issuer.example"
PROVIDER = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{HOST}"
KEY = RSAKey.generate_key(2048, {"kid": "one"})
AUDIENCE = "sts.amazonaws.com"
ACTION = "sts:AssumeRoleWithWebIdentity"


@pytest.fixture(scope="module")
def key_server() -> Iterator[str]:
    """Serves the keys and finds them by OpenID discovery."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = f"http://127.0.0.1:{self.server.server_address[1]}"
            keys = KeySet([KEY]).as_dict(private=False)
            found = {"/keys": keys, "/.well-known/openid-configuration": {"issuer": url, "jwks_uri": f"{url}/keys"}}
            body = json.dumps(found[self.path]).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Silent."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module", autouse=True)
def _configuration(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, key_server: str) -> None:
    """Comes before `region`, which reads the module's options."""
    folder = tmp_path_factory.mktemp("configuration")
    keys, file = folder / "jwks.json", folder / "lambent.toml"
    keys.write_text(json.dumps(KeySet([KEY]).as_dict(private=False)))
    file.write_text(
        f'[oidc."{ISSUER}"]\nclient-ids = ["{AUDIENCE}", "other"]\njwks = "{keys}"\n'
        f'[oidc."{key_server}"]\nclient-ids = ["{AUDIENCE}"]\n'
        f'[oidc."https://direct.example"]\nclient-ids = ["{AUDIENCE}"]\njwks = "{key_server}/keys"\n'
        f'[oidc."https://gone.example"]\nclient-ids = ["{AUDIENCE}"]\njwks = "{keys}.gone"\n'
    )
    request.module.REGION_OPTIONS = ("--config", str(file))


@pytest.fixture(scope="module")
def sts(region: Any) -> Any:
    """Nobody: it signs nothing."""
    return region.client("sts", config=Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1}))


def token(key: Any = KEY, **changes: Any) -> str:
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "repo:ada/engine", "exp": int(time.time()) + 300, **changes}
    return jwt.encode({"alg": "RS256", "kid": key.kid}, {k: v for k, v in claims.items() if v is not None}, key)


def deploying(region: Any, name: str, provider: str = PROVIDER, **condition: Any) -> str:
    trust = trusting({"Federated": provider}, ACTION, "sts:TagSession", "sts:SetSourceIdentity", condition=condition)
    return role(region, name, trust, policy=allow("iam:ListUsers"))


def test_a_believed_token_becomes_a_session_of_the_role(region: Any, sts: Any) -> None:
    condition = {f"{HOST}:aud": AUDIENCE, f"{HOST}:sub": "repo:ada/engine"}
    arn = deploying(region, "deploy", StringEquals=condition)
    answer = sts.assume_role_with_web_identity(RoleArn=arn, RoleSessionName="ci", WebIdentityToken=token())
    assert answer["SubjectFromWebIdentityToken"] == "repo:ada/engine"
    assert (answer["Audience"], answer["Provider"]) == (AUDIENCE, PROVIDER)
    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/ci"
    assert with_key(region, "iam", answer["Credentials"]).list_users()["Users"] == []


def test_policies_of_the_role_may_ask_for_the_provider(region: Any, sts: Any) -> None:
    trust = trusting({"Federated": PROVIDER}, ACTION)
    here = {"StringEquals": {"aws:FederatedProvider": PROVIDER}}
    arn = role(region, "by-provider", trust, policy=allow("iam:ListUsers", Condition=here))
    answer = sts.assume_role_with_web_identity(RoleArn=arn, RoleSessionName="ci", WebIdentityToken=token())
    assert with_key(region, "iam", answer["Credentials"]).list_users()["Users"] == []


def test_keys_come_by_discovery_or_from_a_url(region: Any, sts: Any, key_server: str) -> None:
    for issuer in (key_server, "https://direct.example"):
        name = issuer.partition("://")[2]
        arn = deploying(region, name.replace(":", "-"), f"arn:aws:iam::{ACCOUNT}:oidc-provider/{name}")
        answer = sts.assume_role_with_web_identity(
            RoleArn=arn, RoleSessionName="ci", WebIdentityToken=token(iss=issuer), Policy=allow("iam:*")
        )
        assert answer["PackedPolicySize"] > 0


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        (
            {"iss": "https://other"},
            "InvalidIdentityToken",
            "No OpenIDConnect provider found in your account",
        ),
        ({"aud": "somebody"}, "InvalidIdentityToken", "Incorrect token audience"),
        ({"exp": 1000}, "ExpiredTokenException", "Token expired: current date/time "),
        ({"exp": None}, "InvalidIdentityToken", "The token has no expiration"),
        ({"sub": None}, "InvalidIdentityToken", "The token has no subject"),
        ({"nbf": 9_999_999_999}, "InvalidIdentityToken", "The token is not valid yet"),
        ({"iss": "https://gone.example"}, "InvalidIdentityToken", "Couldn't retrieve verification key"),
        (
            {"key": RSAKey.generate_key(2048, {"kid": "one"})},
            "InvalidIdentityToken",
            "The token is not valid: ",
        ),
        ({"key": RSAKey.generate_key(2048, {"kid": "two"})}, "InvalidIdentityToken", "Couldn't retrieve verification"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_a_token_that_is_not_believed(sts: Any, changes: dict[str, Any], code: str, text: str) -> None:
    with pytest.raises(ClientError) as error:
        sts.assume_role_with_web_identity(
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/deploy", RoleSessionName="ci", WebIdentityToken=token(**changes)
        )
    found_code, message = refusal(error)
    assert (found_code, message[: len(text)]) == (code, text)


@pytest.mark.parametrize("text", ["none", "aa.bb", "a.b.c", f"{'x' * 40}.{'y' * 40}.{'z' * 40}", "e30.e30.e30"])
def test_what_is_no_token_at_all(sts: Any, text: str) -> None:
    with pytest.raises(ClientError) as error:
        sts.assume_role_with_web_identity(
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/deploy", RoleSessionName="ci", WebIdentityToken=text
        )
    assert refusal(error)[0] == "InvalidIdentityToken"


def test_a_token_that_says_none_for_its_algorithm_is_not_believed(sts: Any) -> None:
    head, body, _ = token().split(".")
    unsigned = "eyJhbGciOiJub25lIiwia2lkIjoib25lIn0"
    for forged in (f"{unsigned}.{body}.", f"{unsigned}.{body}.AAAA", f"{head}.{body}.AAAA"):
        with pytest.raises(ClientError) as error:
            sts.assume_role_with_web_identity(
                RoleArn=f"arn:aws:iam::{ACCOUNT}:role/deploy", RoleSessionName="ci", WebIdentityToken=forged
            )
        assert refusal(error)[0] == "InvalidIdentityToken"


def test_the_trust_policy_decides_who_of_the_issuers_gets_in(region: Any, sts: Any) -> None:
    other = deploying(region, "other-subject", StringEquals={f"{HOST}:sub": "repo:eve/engine"})
    account = role(region, "not-federated", trusting({"AWS": ACCOUNT}))
    foreign = deploying(region, "foreign", f"arn:aws:iam::{ACCOUNT}:oidc-provider/elsewhere.example")
    for arn in (other, account, foreign, f"arn:aws:iam::{ACCOUNT}:role/missing"):
        with pytest.raises(ClientError) as error:
            sts.assume_role_with_web_identity(RoleArn=arn, RoleSessionName="ci", WebIdentityToken=token())
        assert refusal(error) == ("AccessDenied", f"Not authorized to perform {ACTION}")


def test_tags_and_source_identity_come_from_the_token(region: Any, sts: Any) -> None:
    arn = deploying(region, "tagged", StringEquals={"aws:RequestTag/team": "blue", "sts:SourceIdentity": "ada"})
    tags = {"principal_tags": {"team": ["blue"]}, "transitive_tag_keys": ["team"]}
    claims = {"https://aws.amazon.com/tags": tags, "https://aws.amazon.com/source_identity": "ada"}
    answer = sts.assume_role_with_web_identity(RoleArn=arn, RoleSessionName="ci", WebIdentityToken=token(**claims))
    assert answer["SourceIdentity"] == "ada"
    untrusted = role(region, "no-tags", trusting({"Federated": PROVIDER}, ACTION))
    with pytest.raises(ClientError) as error:
        sts.assume_role_with_web_identity(RoleArn=untrusted, RoleSessionName="ci", WebIdentityToken=token(**claims))
    assert refusal(error)[0] == "AccessDenied"
    for broken in ({"principal_tags": 5}, {"principal_tags": {"a": []}}, [], {"transitive_tag_keys": ["a"]}):
        with pytest.raises(ClientError) as error:
            sts.assume_role_with_web_identity(
                RoleArn=arn,
                RoleSessionName="ci",
                WebIdentityToken=token(**{"https://aws.amazon.com/tags": broken}),
            )
        assert refusal(error)[0] in ("InvalidIdentityToken", "InvalidParameterValue")


def test_nobody_else_goes_unsigned(region: Any, sts: Any) -> None:
    with pytest.raises(ClientError) as error:
        sts.get_caller_identity()
    assert refusal(error)[0] == "MissingAuthenticationToken"
    with pytest.raises(ClientError) as error:
        sts.assume_role_with_web_identity(
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/deploy",
            RoleSessionName="ci",
            WebIdentityToken=token(),
            ProviderId="www.amazon.com",
        )
    assert refusal(error)[0] == "ValidationError"
