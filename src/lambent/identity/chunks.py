"""aws-chunked bodies: chunks with a signature each, or none, then trailers that may be signed too.

Each signature covers the one before it, so a chunk cannot be left out, changed or moved.
"""

from __future__ import annotations

import hashlib
import hmac

from lambent.errors import AwsError, UncodedError
from lambent.identity.faults import S3_MISMATCH
from lambent.request import Request

SIGNED = b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = b"STREAMING-UNSIGNED-PAYLOAD-TRAILER"
KINDS = (SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER)
_EMPTY = hashlib.sha256(b"").hexdigest()
#: Hexadecimal digits of a chunk's size.
_SIZE_DIGITS = 16


class IncompleteBody(AwsError):
    """The request body terminated unexpectedly"""


class MissingContentLength(AwsError):
    """You must provide the Content-Length HTTP header."""

    status = 411


class SignatureDoesNotMatch(AwsError):
    __doc__ = S3_MISMATCH
    status = 403


class ChunkSigner:
    """The chain of signatures; starts with the one of the request's head."""

    def __init__(self, key: bytes, timestamp: str, scope: str, seed: str) -> None:
        self._key = key
        self._context = f"{timestamp}\n{scope}"
        self._previous = seed

    def check_chunk(self, data: bytes, signature: str) -> None:
        text = (
            f"AWS4-HMAC-SHA256-PAYLOAD\n{self._context}\n{self._previous}\n{_EMPTY}\n{hashlib.sha256(data).hexdigest()}"
        )
        self._check(text, signature)

    def check_trailer(self, lines: bytes, signature: str) -> None:
        self._check(
            f"AWS4-HMAC-SHA256-TRAILER\n{self._context}\n{self._previous}\n{hashlib.sha256(lines).hexdigest()}",
            signature,
        )

    def _check(self, text: str, signature: str) -> None:
        expected = hmac.digest(self._key, text.encode(), "sha256").hex()
        if not hmac.compare_digest(expected.encode(), signature.encode("latin-1")):
            raise SignatureDoesNotMatch
        self._previous = expected


def decode(request: Request, kind: bytes, signer: ChunkSigner | None) -> None:
    """Put the content in the place of `request.body` and the trailers among its headers.

    `signer` None: nothing is checked but the form (`--auth off`).
    """
    if kind not in KINDS:
        raise UncodedError(
            "InvalidRequest", f"The value of x-amz-content-sha256 header is invalid: {kind.decode('latin-1')}."
        )
    length = _decoded_length(request)
    checked = None if kind == UNSIGNED_TRAILER else signer
    body, rest = _chunks(request.body, checked)
    if len(body) != length:
        raise IncompleteBody
    trailers = _trailers(rest, checked) if kind != SIGNED else []
    request.body = body
    kept = [
        (name, value)
        for name, value in request.headers
        if name != b"content-encoding" or value.strip().lower() != b"aws-chunked"
    ]
    request.replace_headers([*map(_without_chunked, kept), *trailers])


def _decoded_length(request: Request) -> int:
    text = request.header(b"x-amz-decoded-content-length")
    if text is None or not text.isdigit():
        raise MissingContentLength
    return int(text)


def _chunks(data: bytes, signer: ChunkSigner | None) -> tuple[bytes, bytes]:
    """(the content, what follows the last chunk's line)."""
    content: list[bytes] = []
    position = 0
    while True:
        end = data.find(b"\r\n", position)
        if end < 0:
            raise IncompleteBody
        size_text, _, extension = data[position:end].partition(b";")
        size = _size(size_text)
        chunk = data[end + 2 : end + 2 + size]
        position = end + 2 + size
        if len(chunk) < size:
            raise IncompleteBody
        if signer is not None:
            name, _, signature = extension.partition(b"=")
            if name != b"chunk-signature":
                raise IncompleteBody
            signer.check_chunk(chunk, signature.decode("latin-1"))
        if size == 0:
            return b"".join(content), data[position:]
        if data[position : position + 2] != b"\r\n":
            raise IncompleteBody
        position += 2
        content.append(chunk)


def _size(text: bytes) -> int:
    try:
        # int() would take signs, underscores and spaces.
        if not text.isalnum() or len(text) > _SIZE_DIGITS:
            raise ValueError
        return int(text, 16)
    except ValueError:
        raise IncompleteBody from None


def _trailers(rest: bytes, signer: ChunkSigner | None) -> list[tuple[bytes, bytes]]:
    trailers: list[tuple[bytes, bytes]] = []
    signature = b""
    for line in rest.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if not line:
            continue
        if not colon:
            raise IncompleteBody
        name = name.strip().lower()
        if name == b"x-amz-trailer-signature":
            signature = value.strip()
        elif name.startswith((b"x-amz-checksum-", b"x-amz-meta-")):
            trailers.append((name, value.strip()))
        else:
            raise UncodedError("MalformedTrailerError", "The request contained trailing data that was not well-formed")
    if signer is not None:
        signer.check_trailer(b"".join(b"%b:%b\n" % trailer for trailer in trailers), signature.decode("latin-1"))
    return trailers


def _without_chunked(header: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    """`content-encoding: aws-chunked,gzip` says `gzip` of the content."""
    name, value = header
    if name != b"content-encoding":
        return header
    codings = [coding.strip() for coding in value.split(b",")]
    return name, b",".join(coding for coding in codings if coding.lower() != b"aws-chunked")
