"""A signature as the client sent it, taken apart: from the Authorization header or from a presigned query."""

from __future__ import annotations

import calendar
import email.utils
from urllib.parse import unquote_to_bytes

import msgspec

from lambent.errors import AwsError
from lambent.identity.faults import MISSING_TOKEN, Reason, SignedOperation, fault
from lambent.request import Request

ALGORITHM = "AWS4-HMAC-SHA256"
WEEK = 7 * 24 * 3600


class Claim(msgspec.Struct, frozen=True):
    """Who a signature is said to be of and what it covers: the same for all requests of a client on one day."""

    access_key_id: str
    #: YYYYMMDD, region and service as in the credential scope.
    date: str
    region: str
    service: str
    terminator: str
    #: As sent: `host;x-amz-date`; and one by one.
    signed_headers: bytes
    signed_names: tuple[bytes, ...]
    #: date/region/service/terminator
    scope: str


class Signature(msgspec.Struct, frozen=True):
    claim: Claim
    #: Lower-case hexadecimal digits.
    value: str
    #: YYYYMMDD'T'HHMMSS'Z'
    timestamp: str
    session_token: str | None
    #: Seconds that a presigned request holds; None when it came in the header.
    expires: int | None


def split_header(header: bytes) -> tuple[bytes, bytes]:
    """An Authorization header as clients write it: all that comes before the signature's digits, and these."""
    return header[:-64], header[-64:]


def read_signature(request: Request, operation: SignedOperation) -> Signature:
    """The request's signature; raises what AWS answers where there is none or it lacks a part."""
    header = request.header(b"authorization")
    if header is not None:
        return _from_header(header.decode("latin-1"), request, operation)
    if b"X-Amz-Signature=" in request.query or b"X-Amz-Algorithm=" in request.query:
        return _from_query(request, operation)
    raise fault(operation, Reason.MISSING, MISSING_TOKEN)


def claimed_credential(request: Request) -> tuple[str, str, str | None] | None:
    """(access key id, region, session token) that the request claims, unchecked; None for an anonymous one."""
    header = (request.header(b"authorization") or b"").decode("latin-1")
    _, found, rest = header.partition("Credential=")
    token: str | None = (request.header(b"x-amz-security-token") or b"").decode("latin-1") or None
    if not found:
        fields = _query_fields(request.query)
        rest, token = fields.get("X-Amz-Credential", ""), fields.get("X-Amz-Security-Token")
    parts = rest.partition(",")[0].strip().split("/")
    if not parts[0]:
        return None
    # An access key id may hold slashes; the four parts of the scope stand at the end.
    region = parts[-3] if len(parts) >= 5 else ""
    return ("/".join(parts[:-4]) if len(parts) >= 5 else parts[0]), region, token


def _from_header(header: str, request: Request, operation: SignedOperation) -> Signature:
    algorithm, _, rest = header.partition(" ")
    fields: dict[str, str] = {}
    if algorithm == ALGORITHM:
        for part in rest.split(","):
            name, equals, value = part.strip().partition("=")
            if not equals:
                message = f"'{part.strip()}' not a valid key=value pair (missing equal-sign) in Authorization header"
                raise fault(operation, Reason.INCOMPLETE, f"{message}: '{header}'.")
            fields[name] = value
    stamp = request.header(b"x-amz-date")
    timestamp = stamp.decode("latin-1") if stamp else _of_date_header(request)
    try:
        credential, signed, value = fields["Credential"], fields["SignedHeaders"], fields["Signature"]
    except KeyError:
        raise _incomplete(operation, header, algorithm, fields, timestamp) from None
    if not timestamp:
        raise _incomplete(operation, header, algorithm, fields, timestamp)
    token = request.header(b"x-amz-security-token")
    claim = _claim(credential, signed, operation)
    return Signature(claim, value, timestamp, token.decode("latin-1") if token else None, None)


def _from_query(request: Request, operation: SignedOperation) -> Signature:
    fields = _query_fields(request.query)
    names = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Signature")
    missing = [name for name in names if name not in fields]
    expires = fields.get("X-Amz-Expires", "" if operation.service == "s3" else str(WEEK))
    if operation.service == "s3" and (missing or not expires):
        raise _s3_query(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, "
            "X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
        )
    if missing:
        text = " ".join(f"AWS query-string parameters must include '{name}'." for name in missing)
        raise fault(operation, Reason.INCOMPLETE, f"{text} Re-examine the query-string parameters.")
    if fields["X-Amz-Algorithm"] != ALGORITHM:
        raise fault(operation, Reason.INCOMPLETE, f"Unsupported AWS 'algorithm': '{fields['X-Amz-Algorithm']}'.")
    return Signature(
        _claim(fields["X-Amz-Credential"], fields["X-Amz-SignedHeaders"], operation),
        fields["X-Amz-Signature"],
        fields["X-Amz-Date"],
        fields.get("X-Amz-Security-Token"),
        _expires(expires, operation),
    )


def _expires(text: str, operation: SignedOperation) -> int:
    seconds = int(text) if text.isdecimal() and text.isascii() and len(text) < 12 else -1
    if 0 <= seconds <= WEEK:
        return seconds
    if operation.service != "s3":
        raise fault(operation, Reason.INCOMPLETE, "X-Amz-Expires must be a number from 0 to 604800 (seconds).")
    if seconds > WEEK:
        raise _s3_query(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than "
            "604800 seconds"
        )
    raise _s3_query("X-Amz-Expires should be a number")


def _s3_query(message: str) -> AwsError:
    return _S3QueryError(message)


class _S3QueryError(AwsError):
    code = "AuthorizationQueryParametersError"


def _incomplete(
    operation: SignedOperation, header: str, algorithm: str, fields: dict[str, str], timestamp: str
) -> AwsError:
    if operation.service == "s3":
        text = "The authorization header is malformed; the authorization header requires three components: "
        return fault(operation, Reason.INCOMPLETE, text + "Credential, SignedHeaders, and Signature.")
    lacks = [name for name in ("Credential", "Signature", "SignedHeaders") if name not in fields]
    sentences = [f"Authorization header requires '{name}' parameter." for name in lacks]
    if not timestamp:
        sentences.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    shown = algorithm if algorithm == ALGORITHM else header
    return fault(operation, Reason.INCOMPLETE, " ".join([*sentences, f"Authorization={shown}"]))


def _claim(credential: str, signed: str, operation: SignedOperation) -> Claim:
    parts = credential.rsplit("/", 4)
    if len(parts) != 5:
        form = "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term"
        raise fault(operation, Reason.INCOMPLETE, f"{form}, got '{credential}'.")
    names = signed.encode("latin-1")
    return Claim(parts[0], parts[1], parts[2], parts[3], parts[4], names, tuple(names.split(b";")), "/".join(parts[1:]))


def _of_date_header(request: Request) -> str:
    """The Date header in the form of X-Amz-Date; empty where there is none that can be read."""
    text = (request.header(b"date") or b"").decode("latin-1")
    if not text or epoch_of(text) is not None:
        return text
    try:
        return email.utils.parsedate_to_datetime(text).strftime("%Y%m%dT%H%M%SZ")
    except ValueError:
        return ""


def epoch_of(timestamp: str) -> int | None:
    """Seconds since the epoch of YYYYMMDD'T'HHMMSS'Z', None where it is something else."""
    if len(timestamp) != 16 or timestamp[8] != "T" or timestamp[15] != "Z":
        return None
    digits = timestamp[:8] + timestamp[9:15]
    if not digits.isdecimal() or not digits.isascii():
        return None
    year, month, day = int(digits[:4]), int(digits[4:6]), int(digits[6:8])
    clock = int(digits[8:10]), int(digits[10:12]), int(digits[12:14])
    if year < 1970 or not (1 <= month <= 12 and 1 <= day <= 31 and clock[0] < 24 and clock[1] < 60 and clock[2] < 61):
        return None
    return calendar.timegm((year, month, day, *clock))


def _query_fields(query: bytes) -> dict[str, str]:
    fields: dict[str, str] = {}
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        # The first one counts, here and in the canonical request's eyes both are signed.
        fields.setdefault(_decoded(name), _decoded(value))
    return fields


def _decoded(text: bytes) -> str:
    return (unquote_to_bytes(text) if b"%" in text else text).decode("utf-8", "replace")
