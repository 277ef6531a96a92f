"""aws-chunked bodies: decoded when every signature holds, refused for any change."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.clock import TestClock
from lambent.context import Caller
from lambent.errors import AwsError
from lambent.identity.keys import KnownKeys
from lambent.identity.sessions import SessionTokens
from lambent.identity.sigv4 import AnyCaller, SignatureVerifier
from lambent.ports import SigningIdentity
from lambent.request import Request

KEY_ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
ROOT = Caller.root("000000000000", KEY_ID)
STAMP, SCOPE = "20130524T000000Z", "20130524/us-east-1/s3/aws4_request"
NOW = datetime.datetime(2013, 5, 24, tzinfo=datetime.UTC).timestamp()
EMPTY = hashlib.sha256(b"").hexdigest()
SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"


class S3:
    service = "s3"
    signing_name = "s3"
    protocol = "rest-xml"


def keys() -> KnownKeys:
    clock = TestClock(NOW)
    return KnownKeys(SigningIdentity(SECRET, ROOT), SessionTokens(b"k" * 32, clock))


def verifier() -> SignatureVerifier:
    return SignatureVerifier(keys(), TestClock(NOW))


def key() -> bytes:
    value = b"AWS4" + SECRET.encode()
    for part in SCOPE.split("/"):
        value = hmac.digest(value, part.encode(), "sha256")
    return value


def sign(*lines: str) -> str:
    return hmac.digest(key(), "\n".join(lines).encode(), "sha256").hex()


def upload(content: bytes, kind: str, *, size: int = 8, trailers: dict[str, str] | None = None) -> Request:
    """A PUT in chunks of `size`, signed as AWS documents it (by hand: botocore signs no chunks)."""
    headers = {
        "content-encoding": "aws-chunked",
        "host": "127.0.0.1:4566",
        "x-amz-content-sha256": kind,
        "x-amz-date": STAMP,
        "x-amz-decoded-content-length": str(len(content)),
    }
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical = "\n".join(("PUT", "/bucket/key", "", lines, names, kind))
    seed = sign("AWS4-HMAC-SHA256", STAMP, SCOPE, hashlib.sha256(canonical.encode()).hexdigest())
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={KEY_ID}/{SCOPE},SignedHeaders={names},Signature={seed}"
    body = _chunks(content, kind, size, seed, trailers or {})
    fields = [(name.encode(), value.encode()) for name, value in headers.items()]
    return Request("PUT", b"/bucket/key", b"", fields, body, "id")


def _chunks(content: bytes, kind: str, size: int, previous: str, trailers: dict[str, str]) -> bytes:
    parts = [content[i : i + size] for i in range(0, len(content), size)] + [b""]
    body = b""
    for part in parts:
        head = b"%x" % len(part)
        if kind.startswith(SIGNED):
            digest = hashlib.sha256(part).hexdigest()
            previous = sign("AWS4-HMAC-SHA256-PAYLOAD", STAMP, SCOPE, previous, EMPTY, digest)
            head += b";chunk-signature=" + previous.encode()
        body += head + b"\r\n" + part + (b"\r\n" if part else b"")
    lines = [f"{name}:{value}" for name, value in trailers.items()]
    if kind.endswith("-TRAILER") and kind.startswith(SIGNED):
        digest = hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
        lines.append(f"x-amz-trailer-signature:{sign('AWS4-HMAC-SHA256-TRAILER', STAMP, SCOPE, previous, digest)}")
    return body + "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


KINDS = [SIGNED, f"{SIGNED}-TRAILER", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"]


@given(content=st.binary(max_size=40), size=st.integers(1, 16))
@pytest.mark.parametrize("kind", KINDS)
def test_the_content_takes_the_place_of_its_chunks(kind, content, size) -> None:
    trailers = {"x-amz-checksum-crc32": "AAAAAA=="} if kind.endswith("TRAILER") else {}
    request = upload(content, kind, size=size, trailers=trailers)
    assert verifier().verify(request, S3()).caller == ROOT
    assert request.body == content
    assert request.header(b"content-encoding") is None
    assert request.header(b"x-amz-checksum-crc32") == (b"AAAAAA==" if trailers else None)


@given(position=st.integers(0, 400))
@pytest.mark.parametrize("kind", KINDS[:2])
def test_no_change_of_a_signed_body_goes_unnoticed(kind, position) -> None:
    content = b"a body of several chunks"
    request = upload(content, kind, trailers={"x-amz-checksum-crc32": "AAAAAA=="} if kind.endswith("TRAILER") else {})
    # A line break more or less at the very end says nothing; digits of a size may be written in either case.
    position %= len(request.body) - 2
    old = request.body[position]
    request.body = request.body[:position] + bytes([old ^ 1]) + request.body[position + 1 :]
    with pytest.raises(AwsError) as caught:
        verifier().verify(request, S3())
    assert caught.value.wire_code in ("SignatureDoesNotMatch", "IncompleteBody", "MalformedTrailerError")


def test_chunks_cannot_change_places() -> None:
    request = upload(b"11111111" + b"22222222", SIGNED)
    first, second, rest = re.findall(rb"8;[^\r]*\r\n.{8}\r\n|0;.*", request.body, re.S)
    request.body = second + first + rest
    with pytest.raises(AwsError, match="does not match"):
        verifier().verify(request, S3())


@pytest.mark.parametrize("body", [b"", b"5\r\nab", b"-1\r\n\r\n", b"zz\r\n\r\n", b"2\r\nabcd", b"1\r\na\r\n"])
def test_a_body_that_is_not_chunked_is_incomplete(body) -> None:
    request = upload(b"abcd", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
    request.body = body
    with pytest.raises(AwsError) as caught:
        verifier().verify(request, S3())
    assert caught.value.wire_code == "IncompleteBody"


def test_less_than_was_promised_is_incomplete() -> None:
    request = upload(b"abcd", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
    request.body = b"2\r\nab\r\n0\r\n\r\n"
    with pytest.raises(AwsError) as caught:
        verifier().verify(request, S3())
    assert caught.value.wire_code == "IncompleteBody"


def test_auth_off_decodes_without_checking() -> None:
    request = upload(b"a body of several chunks", SIGNED)
    request.body = re.sub(rb"chunk-signature=[0-9a-f]+", b"chunk-signature=0", request.body)
    AnyCaller(keys(), "us-east-1").verify(request, S3())
    assert request.body == b"a body of several chunks"


def test_other_codings_stay() -> None:
    request = upload(b"abcd", SIGNED)
    fields = [header for header in request.headers if header[0] != b"content-encoding"]
    request.replace_headers([*fields, (b"content-encoding", b"aws-chunked, gzip")])
    AnyCaller(keys(), "us-east-1").verify(request, S3())
    assert request.header(b"content-encoding") == b"gzip"
