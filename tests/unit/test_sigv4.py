"""Whatever botocore signs is believed; whatever was changed after that is not."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import example, given
from hypothesis import strategies as st

from lambent.clock import TestClock
from lambent.context import Caller
from lambent.errors import AwsError
from lambent.identity.keys import KnownKeys
from lambent.identity.sessions import SessionTokens
from lambent.identity.sigv4 import AnyCaller, SignatureVerifier
from lambent.ports import SigningIdentity
from lambent.request import Request

KEY_ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
ROOT = Caller.root("000000000000", KEY_ID)
LAMBDA = SimpleNamespace(service="lambda", signing_name="lambda", protocol="rest-json")
LOGS = SimpleNamespace(service="logs", signing_name="logs", protocol="json")
STS = SimpleNamespace(service="sts", signing_name="sts", protocol="query")
S3 = SimpleNamespace(service="s3", signing_name="s3", protocol="rest-xml")
HOST = "127.0.0.1:4566"
INVOKE = "/2015-03-31/functions/hello/invocations"


class Setup:
    """A verifier at the time that botocore takes for now."""

    def __init__(self) -> None:
        self.clock = TestClock(datetime.datetime.now(datetime.UTC).timestamp())
        self.sessions = SessionTokens(b"k" * 32, self.clock)
        self.keys = KnownKeys(SigningIdentity(SECRET, ROOT), self.sessions)
        self.verifier = SignatureVerifier(self.keys, self.clock)

    def verify(self, request: Request, operation: Any = LAMBDA) -> Any:
        return self.verifier.verify(request, operation)

    def refusal(self, request: Request, operation: Any = LAMBDA) -> tuple[str, int, str]:
        with pytest.raises(AwsError) as caught:
            self.verify(request, operation)
        return caught.value.wire_code, caught.value.status, caught.value.message


@pytest.fixture
def setup() -> Setup:
    return Setup()


SIGNERS = {
    "header": auth.SigV4Auth,
    "query": auth.SigV4QueryAuth,
    "s3 header": auth.S3SigV4Auth,
    "s3 query": auth.S3SigV4QueryAuth,
}


def signed(
    target: str = INVOKE,
    *,
    method: str = "POST",
    body: bytes = b"{}",
    service: str = "lambda",
    signer: str = "header",
    headers: dict[str, str] | None = None,
    credentials: Credentials | None = None,
    region: str = "us-east-1",
) -> Request:
    """A request as botocore signs and urllib3 sends it."""
    request = AWSRequest(method, f"http://{HOST}{target}", headers={"Host": HOST, **(headers or {})}, data=body)
    SIGNERS[signer](credentials or Credentials(KEY_ID, SECRET), service, region).add_auth(request)
    url = urlsplit(request.prepare().url)
    fields = [(name.lower().encode(), _bytes(value).strip()) for name, value in request.headers.items()]
    fields += [(b"user-agent", b"test"), (b"content-length", str(len(body)).encode())]
    return Request(method, url.path.encode(), url.query.encode(), fields, body, "id")


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8")


def with_header(request: Request, name: bytes, value: bytes | None) -> Request:
    fields = [(known, text) for known, text in request.headers if known != name]
    request.replace_headers(fields if value is None else [*fields, (name, value)])
    return request


# ---- what botocore signs -------------------------------------------------------------------------------------------

segments = st.lists(st.text(max_size=12).filter(lambda text: "\x00" not in text), max_size=5)
odd_segments = st.lists(st.sampled_from(["", ".", "..", "a", "a b", "a%2Fb", "é", "$LATEST", "a+b", "a~b"]), max_size=6)
parameters = st.lists(st.tuples(st.text(max_size=8), st.text(max_size=12)), max_size=5)
header_values = st.dictionaries(
    st.sampled_from(["X-Amz-Meta-One", "X-Amz-Invocation-Type", "Content-Type", "X-Custom"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
)


def path_of(parts: list[str]) -> str:
    return "/" + "/".join(quote(part, safe="") for part in parts)


def query_of(pairs: list[tuple[str, str]]) -> str:
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)


@pytest.mark.slow
@given(parts=segments | odd_segments, pairs=parameters, headers=header_values, body=st.binary(max_size=64))
@example(parts=["a", "..", "b"], pairs=[("b", "2"), ("a", "1"), ("a", "0")], headers={"X-Custom": "a   b "}, body=b"")
@pytest.mark.parametrize("signer", ["header", "s3 header"])
def test_every_request_that_botocore_signs_is_believed(signer, parts, pairs, headers, body) -> None:
    service, operation = ("s3", S3) if signer.startswith("s3") else ("lambda", LAMBDA)
    target = path_of(parts) + (f"?{query_of(pairs)}" if pairs else "")
    request = signed(target, body=body, headers=headers, service=service, signer=signer)
    assert Setup().verify(request, operation) == (ROOT, "us-east-1")


@pytest.mark.slow
@given(parts=segments, pairs=parameters)
@pytest.mark.parametrize("signer", ["query", "s3 query"])
def test_every_url_that_botocore_presigns_is_believed(signer, parts, pairs) -> None:
    service, operation = ("s3", S3) if signer.startswith("s3") else ("sts", STS)
    target = path_of(parts) + (f"?{query_of(pairs)}" if pairs else "")
    request = signed(target, method="GET", body=b"", service=service, signer=signer)
    assert Setup().verify(request, operation) == (ROOT, "us-east-1")


@pytest.mark.slow
@given(parts=segments, pairs=parameters, body=st.binary(min_size=1, max_size=32), data=st.data())
def test_no_change_after_signing_goes_unnoticed(parts, pairs, body, data) -> None:
    request = signed(
        path_of(parts) + f"?{query_of([('x', '1'), *pairs])}", body=body, headers={"X-Amz-Log-Type": "Tail"}
    )
    setup = Setup()
    # The verifier remembers requests: one that is like them in all but a little is read as carefully.
    for _ in range(data.draw(st.sampled_from([0, 1, 3]))):
        assert setup.verify(request).caller == ROOT
    change = data.draw(st.sampled_from(["method", "path", "query", "body", "header", "signature", "less header"]))
    if change == "method":
        request.method = "PUT"
    elif change == "path":
        request.raw_path += b"/more"
    elif change == "query":
        request.query += b"&more=1"
    elif change == "body":
        request.body += b"x"
    elif change == "header":
        with_header(request, b"x-amz-log-type", b"None")
    elif change == "less header":
        with_header(request, b"x-amz-log-type", None)
    else:
        text = request.header(b"authorization")
        with_header(request, b"authorization", text[:-1] + (b"0" if text[-1:] != b"0" else b"1"))
    code, status, _ = setup.refusal(request)
    assert (code, status) == ("InvalidSignatureException", 403)


def remembering(setup: Setup, *, body: bytes = b"{}") -> Request:
    """A request that the verifier has seen often enough to know it again."""
    request = signed(body=body)
    for _ in range(3):
        assert setup.verify(request) == (ROOT, "us-east-1")
    return request


def test_a_remembered_request_is_refused_once_its_time_is_over(setup) -> None:
    request = remembering(setup)
    setup.clock.advance(901)
    assert setup.refusal(request)[2].startswith("Signature expired: ")


def test_a_remembered_request_is_refused_once_its_key_is_gone(setup) -> None:
    request = remembering(setup)
    setup.verifier._identity = KnownKeys(
        SigningIdentity(SECRET, Caller.root("000000000000", "AKIAOTHER")), setup.sessions
    )
    assert setup.refusal(request)[0] == "UnrecognizedClientException"


def test_a_remembered_request_is_refused_once_its_key_has_another_secret(setup) -> None:
    request = remembering(setup)
    setup.verifier._identity = KnownKeys(SigningIdentity("x" * 40, ROOT), setup.sessions)
    assert setup.refusal(request)[0] == "InvalidSignatureException"


def test_a_remembered_request_is_of_its_service_alone(setup) -> None:
    request = remembering(setup)
    assert setup.refusal(request, LOGS)[0] == "InvalidSignatureException"


def test_another_body_beside_a_remembered_one_needs_a_signature_of_its_own(setup) -> None:
    remembering(setup)
    assert setup.verify(signed(body=b'{"other": 1}')) == (ROOT, "us-east-1")
    request = signed(body=b'{"other": 1}')
    request.body = b'{"other": 2}'
    assert setup.refusal(request)[0] == "InvalidSignatureException"


def test_a_session_token_is_part_of_what_is_signed(setup) -> None:
    mine = setup.sessions.role_credentials("arn:aws:iam::000000000000:role/team/worker", "hello", 900)
    request = signed(credentials=Credentials(mine.access_key_id, mine.secret_access_key, mine.session_token))
    caller, _ = setup.verify(request)
    assert caller.arn == "arn:aws:sts::000000000000:assumed-role/worker/hello"
    assert caller.user_id.startswith("AROA")
    assert caller.user_id.endswith(":hello")


def test_the_date_may_stand_in_the_date_header(setup) -> None:
    request = signed(headers={"Date": "is replaced by botocore"})
    assert request.header(b"x-amz-date") is None
    assert setup.verify(request).caller == ROOT


def test_a_region_comes_from_the_scope(setup) -> None:
    assert setup.verify(signed(region="eu-west-3")).region == "eu-west-3"


def test_a_client_that_encodes_otherwise_than_it_sends_is_understood(setup) -> None:
    request = signed("/bucket/a%2Bb%20c?prefix=a%20b", method="GET", body=b"", service="s3", signer="s3 header")
    request.raw_path, request.query = b"/bucket/a+b%20c", b"prefix=a+b"
    assert setup.verify(request, S3).caller == ROOT


def test_repeated_headers_are_signed_as_one(setup) -> None:
    request = signed(headers={"X-Custom": "one,two"})
    fields = [header for header in request.headers if header[0] != b"x-custom"]
    request.replace_headers([*fields, (b"x-custom", b"one"), (b"x-custom", b"two")])
    assert setup.verify(request).caller == ROOT


def test_an_unsigned_payload_is_taken_as_it_comes(setup) -> None:
    # botocore's S3 signer puts a hash there unless the client is told otherwise; its plain one leaves it.
    request = signed(headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}, service="s3")
    request.body = b"anything"
    assert setup.verify(request, S3).caller == ROOT


# ---- who is not believed -------------------------------------------------------------------------------------------

TOKEN_INVALID = "The security token included in the request is invalid."
TOKEN_EXPIRED = "The security token included in the request is expired"


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (LAMBDA, ("UnrecognizedClientException", 403, TOKEN_INVALID)),
        (LOGS, ("UnrecognizedClientException", 400, TOKEN_INVALID)),
        (STS, ("InvalidClientTokenId", 403, TOKEN_INVALID)),
        (S3, ("InvalidAccessKeyId", 403, "The AWS Access Key Id you provided does not exist in our records.")),
    ],
    ids=lambda value: getattr(value, "service", None),
)
def test_an_unknown_key_is_refused_in_each_protocols_words(setup, operation, expected) -> None:
    signer = "s3 header" if operation is S3 else "header"
    stranger = Credentials("AKIAAAAAAAAAAAAAAAAA", SECRET)
    request = signed(service=operation.service, signer=signer, credentials=stranger)
    assert setup.refusal(request, operation) == expected


@pytest.mark.parametrize(
    ("operation", "code", "status"),
    [
        (LAMBDA, "InvalidSignatureException", 403),
        (LOGS, "InvalidSignatureException", 400),
        (STS, "SignatureDoesNotMatch", 403),
        (S3, "SignatureDoesNotMatch", 403),
    ],
    ids=lambda value: getattr(value, "service", None),
)
def test_a_wrong_secret_is_refused_in_each_protocols_words(setup, operation, code, status) -> None:
    signer = "s3 header" if operation is S3 else "header"
    request = signed(service=operation.service, signer=signer, credentials=Credentials(KEY_ID, "wrong"))
    refused = setup.refusal(request, operation)
    assert refused[:2] == (code, status)
    assert refused[2].startswith("The request signature we calculated does not match the signature you provided.")


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (LAMBDA, ("MissingAuthenticationTokenException", 403, "Missing Authentication Token")),
        (LOGS, ("MissingAuthenticationTokenException", 400, "Missing Authentication Token")),
        (STS, ("MissingAuthenticationToken", 403, "Missing Authentication Token")),
        (S3, ("AccessDenied", 403, "Access Denied")),
    ],
    ids=lambda value: getattr(value, "service", None),
)
def test_no_signature_is_refused_in_each_protocols_words(setup, operation, expected) -> None:
    request = Request("POST", b"/", b"", [(b"host", HOST.encode())], b"", "id")
    assert setup.refusal(request, operation) == expected


def test_a_header_without_its_parts_names_those_that_are_missing(setup) -> None:
    request = with_header(signed(), b"authorization", b"AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request")
    assert setup.refusal(request) == (
        "IncompleteSignatureException",
        403,
        "Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' "
        "parameter. Authorization=AWS4-HMAC-SHA256",
    )


def test_another_scheme_is_an_incomplete_signature(setup) -> None:
    request = with_header(with_header(signed(), b"authorization", b"Bearer abc"), b"x-amz-date", None)
    code, status, message = setup.refusal(request)
    assert (code, status) == ("IncompleteSignatureException", 403)
    assert message.endswith(
        "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. Authorization=Bearer abc"
    )


def test_a_part_without_an_equal_sign_is_named(setup) -> None:
    request = with_header(signed(), b"authorization", b"AWS4-HMAC-SHA256 Credential= x, Signature")
    code, _, message = setup.refusal(request)
    assert code == "IncompleteSignatureException"
    assert message.startswith("'Signature' not a valid key=value pair (missing equal-sign) in Authorization header")


def test_a_key_of_another_service_is_out_of_scope(setup) -> None:
    code, status, message = setup.refusal(signed(service="sqs"))
    assert (code, status) == ("InvalidSignatureException", 403)
    assert message == "Credential should be scoped to correct service: 'lambda'. "


def test_a_host_that_is_not_signed_is_refused(setup) -> None:
    request = signed()
    text = request.header(b"authorization").replace(b"host;", b"")
    code, _, message = setup.refusal(with_header(request, b"authorization", text))
    assert code == "InvalidSignatureException"
    assert message == "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."


def test_s3_wants_every_amz_header_signed(setup) -> None:
    request = signed(service="s3", signer="s3 header")
    request.replace_headers([*request.headers, (b"x-amz-acl", b"public-read")])
    assert setup.refusal(request, S3) == (
        "AccessDenied",
        403,
        "There were headers present in the request which were not signed",
    )


def test_a_body_other_than_its_hash_is_a_mismatch_at_s3(setup) -> None:
    request = signed(service="s3", signer="s3 header", headers={"X-Amz-Content-SHA256": "0" * 64})
    request = with_header(request, b"x-amz-content-sha256", b"0" * 64)
    assert setup.refusal(request, S3)[0] == "XAmzContentSHA256Mismatch"


@pytest.mark.parametrize("region", ["US-EAST-1", "us_east", "a" * 33, "us-east-1\n", "../x"])
def test_a_region_that_is_none_is_refused(setup, region) -> None:
    assert setup.refusal(signed(region=region))[0] in ("InvalidSignatureException", "IncompleteSignatureException")


# ---- time ----------------------------------------------------------------------------------------------------------


def at(setup: Setup, timestamp: str) -> Setup:
    parsed = datetime.datetime.strptime(timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
    setup.clock._now = parsed.timestamp()
    return setup


def stamp_of(request: Request) -> str:
    return (request.header(b"x-amz-date") or b"").decode()


def shifted(timestamp: str, seconds: int) -> str:
    moment = datetime.datetime.strptime(timestamp, "%Y%m%dT%H%M%SZ") + datetime.timedelta(seconds=seconds)
    return moment.strftime("%Y%m%dT%H%M%SZ")


@pytest.mark.parametrize("seconds", [-900, 0, 900])
def test_a_clock_within_fifteen_minutes_is_good_enough(setup, seconds) -> None:
    request = signed()
    at(setup, shifted(stamp_of(request), seconds)).verify(request)


def test_an_old_signature_has_expired(setup) -> None:
    request = signed()
    stamp = stamp_of(request)
    now, bound = shifted(stamp, 901), shifted(stamp, 1)
    assert at(setup, now).refusal(request) == (
        "InvalidSignatureException",
        403,
        f"Signature expired: {stamp} is now earlier than {bound} ({now} - 15 min.)",
    )


def test_a_signature_from_the_future_is_not_yet_current(setup) -> None:
    request = signed()
    stamp = stamp_of(request)
    code, _, message = at(setup, shifted(stamp, -901)).refusal(request)
    assert code == "InvalidSignatureException"
    assert message.startswith(f"Signature not yet current: {stamp} is still later than ")


def test_s3_speaks_of_skew(setup) -> None:
    request = signed(service="s3", signer="s3 header")
    assert at(setup, shifted(stamp_of(request), 901)).refusal(request, S3)[:2] == ("RequestTimeTooSkewed", 403)


def test_a_date_other_than_the_scopes_is_refused(setup) -> None:
    request = signed()
    tomorrow = shifted(stamp_of(request), 86400).encode()
    code, _, message = setup.refusal(with_header(request, b"x-amz-date", tomorrow))
    assert code == "InvalidSignatureException"
    assert message.startswith(
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP"
    )


@pytest.mark.parametrize("text", ["", "yesterday", "20251301T000000Z", "2025010XT000000Z", "20250101T000000"])
def test_a_date_that_is_none_is_refused(setup, text) -> None:
    code, status, _ = setup.refusal(with_header(signed(), b"x-amz-date", text.encode()))
    assert (code, status) in (("IncompleteSignatureException", 403), ("InvalidSignatureException", 403))


def test_a_presigned_url_holds_for_as_long_as_it_says(setup) -> None:
    request = signed("/?Action=GetCallerIdentity", method="GET", body=b"", service="sts", signer="query")
    stamp = request.query.partition(b"X-Amz-Date=")[2][:16].decode()
    at(setup, shifted(stamp, 3600)).verify(request, STS)
    assert at(setup, shifted(stamp, 3601)).refusal(request, STS)[0] == "SignatureDoesNotMatch"


def test_an_expired_s3_url_says_so(setup) -> None:
    request = signed("/bucket/key", method="GET", body=b"", service="s3", signer="s3 query")
    stamp = request.query.partition(b"X-Amz-Date=")[2][:16].decode()
    refused = at(setup, shifted(stamp, 3601)).refusal(request, S3)
    assert refused == ("AccessDenied", 403, "Request has expired")


def test_a_presigned_url_cannot_hold_longer_than_a_week(setup) -> None:
    request = signed("/bucket/key", method="GET", body=b"", service="s3", signer="s3 query")
    request.query = request.query.replace(b"X-Amz-Expires=3600", b"X-Amz-Expires=604801")
    assert setup.refusal(request, S3)[0] == "AuthorizationQueryParametersError"


# ---- session tokens ------------------------------------------------------------------------------------------------


def session(setup: Setup) -> Credentials:
    mine = setup.sessions.role_credentials("arn:aws:iam::000000000000:role/worker", "hello", 900)
    return Credentials(mine.access_key_id, mine.secret_access_key, mine.session_token)


@pytest.mark.parametrize("operation", [LAMBDA, STS], ids=lambda value: value.service)
def test_an_expired_token_is_refused(setup, operation) -> None:
    request = signed(service=operation.service, credentials=session(setup))
    setup.clock.advance(900)
    code = "ExpiredTokenException" if operation is LAMBDA else "ExpiredToken"
    assert setup.refusal(request, operation) == (code, 403, TOKEN_EXPIRED)


@given(position=st.integers(min_value=0), bit=st.integers(0, 5))
def test_no_changed_token_is_taken(position, bit) -> None:
    setup = Setup()
    mine = session(setup)
    position %= len(mine.token)
    other = mine.token[:position] + chr(ord(mine.token[position]) ^ (1 << bit)) + mine.token[position + 1 :]
    request = signed(credentials=Credentials(mine.access_key, mine.secret_key, other))
    assert setup.refusal(request)[0] in ("UnrecognizedClientException", "InvalidSignatureException")


def test_a_token_goes_with_its_key_alone(setup) -> None:
    one, two = session(setup), session(setup)
    request = signed(credentials=Credentials(one.access_key, one.secret_key, two.token))
    assert setup.refusal(request) == ("UnrecognizedClientException", 403, TOKEN_INVALID)


def test_the_root_key_has_no_token(setup) -> None:
    request = signed(credentials=Credentials(KEY_ID, SECRET, "AAAA"))
    assert setup.refusal(request) == ("UnrecognizedClientException", 403, TOKEN_INVALID)


def test_another_regions_token_is_not_ours(setup) -> None:
    foreign = SessionTokens(b"other key of 32 bytes, or so it is", setup.clock)
    theirs = foreign.role_credentials("arn:aws:iam::000000000000:role/worker", "hello", 900)
    request = signed(credentials=Credentials(theirs.access_key_id, theirs.secret_access_key, theirs.session_token))
    assert setup.refusal(request) == ("UnrecognizedClientException", 403, TOKEN_INVALID)


# ---- auth off ------------------------------------------------------------------------------------------------------


@pytest.fixture
def anybody(setup) -> AnyCaller:
    return AnyCaller(setup.keys, "us-east-1")


@pytest.mark.parametrize(
    ("key_id", "account"), [("test", "000000000000"), ("123456789012", "123456789012"), ("AKIAX", "000000000000")]
)
def test_any_key_is_believed_and_twelve_digits_are_an_account(anybody, key_id, account) -> None:
    request = signed(credentials=Credentials(key_id, "whatever"), region="eu-west-1")
    caller, region = anybody.verify(request, LAMBDA)
    assert (caller.account, caller.arn, region) == (account, f"arn:aws:iam::{account}:root", "eu-west-1")


def test_nobody_is_the_default_account_in_the_default_region(anybody) -> None:
    caller, region = anybody.verify(Request("GET", b"/", b"", [], b"", "id"), LAMBDA)
    assert (caller.account, region) == ("000000000000", "us-east-1")


def test_a_functions_own_credentials_are_its_roles_even_then(setup, anybody) -> None:
    caller, _ = anybody.verify(signed(credentials=session(setup)), LAMBDA)
    assert caller.arn == "arn:aws:sts::000000000000:assumed-role/worker/hello"


def test_a_presigned_url_names_its_account(anybody) -> None:
    request = signed("/", method="GET", service="sts", signer="query", credentials=Credentials("210987654321", "x"))
    assert anybody.verify(request, STS).caller.account == "210987654321"
