"""Why a caller was not believed, in the words that each protocol of AWS has for it.

JSON services say `UnrecognizedClientException` where query services say `InvalidClientTokenId` and S3
`InvalidAccessKeyId`; `fault` picks code and status, the caller of it brings the message.
"""

from __future__ import annotations

import enum
from typing import Protocol

from lambent.errors import AwsError, UncodedError

MISSING_TOKEN = "Missing Authentication Token"  # noqa: S105
UNKNOWN_TOKEN = "The security token included in the request is invalid."  # noqa: S105
EXPIRED_TOKEN = "The security token included in the request is expired"  # noqa: S105
MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)
S3_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your key and signing method."
)
S3_UNKNOWN_KEY = "The AWS Access Key Id you provided does not exist in our records."
S3_EXPIRED_TOKEN = "The provided token has expired."  # noqa: S105


class SignedOperation(Protocol):
    """What an operation tells about how its requests are signed and its errors are coded."""

    @property
    def service(self) -> str: ...
    @property
    def signing_name(self) -> str: ...
    @property
    def protocol(self) -> str: ...


class UnknownKey(AwsError):
    """The security token included in the request is invalid."""

    code = "UnrecognizedClientException"
    status = 403


class ExpiredToken(AwsError):
    """The security token included in the request is expired"""

    code = "ExpiredTokenException"
    status = 403


class Reason(enum.Enum):
    MISSING = 0
    INCOMPLETE = 1
    MISMATCH = 2
    UNKNOWN_KEY = 3
    EXPIRED = 4


#: Code per reason, in the order of `Reason`.
_JSON_CODES = (
    "MissingAuthenticationTokenException",
    "IncompleteSignatureException",
    "InvalidSignatureException",
    "UnrecognizedClientException",
    "ExpiredTokenException",
)
_QUERY_CODES = (
    "MissingAuthenticationToken",
    "IncompleteSignature",
    "SignatureDoesNotMatch",
    "InvalidClientTokenId",
    "ExpiredToken",
)
_S3_CODES = (
    "AccessDenied",
    "AuthorizationHeaderMalformed",
    "SignatureDoesNotMatch",
    "InvalidAccessKeyId",
    "ExpiredToken",
)
_S3_MESSAGES = {
    Reason.MISSING: "Access Denied",
    Reason.UNKNOWN_KEY: S3_UNKNOWN_KEY,
    Reason.EXPIRED: S3_EXPIRED_TOKEN,
}


def fault(operation: SignedOperation, reason: Reason, message: str) -> AwsError:
    """The error that `operation`'s protocol has for `reason`."""
    index = reason.value
    if operation.service == "s3":
        status = 400 if reason in (Reason.INCOMPLETE, Reason.EXPIRED) else 403
        text = S3_MISMATCH if message is MISMATCH else _S3_MESSAGES.get(reason, message)
        return UncodedError(_S3_CODES[index], text, status)
    if operation.protocol in ("query", "ec2", "rest-xml"):
        return UncodedError(_QUERY_CODES[index], message, 400 if reason is Reason.INCOMPLETE else 403)
    # Services of the JSON protocol answer 400 where REST-JSON ones answer 403 (seen of both on AWS).
    return UncodedError(_JSON_CODES[index], message, 400 if operation.protocol == "json" else 403)
