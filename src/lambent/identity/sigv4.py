"""Signature Version 4, verified: header or presigned, whole bodies or signed chunks, with AWS's own refusals.

`SignatureVerifier` is what `strict` and `audit` put before every call; `AnyCaller` stands there under `--auth off`.
Both are synchronous and keep no lock: the edge runs them on a thread where the body is large.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import NamedTuple

from lambent.arn import partition_of
from lambent.clock import Clock
from lambent.context import Caller
from lambent.errors import AwsError, UncodedError
from lambent.identity import chunks
from lambent.identity.canonical import canonical_headers, canonical_path, canonical_query
from lambent.identity.credential import (
    ALGORITHM,
    Claim,
    Signature,
    claimed_credential,
    epoch_of,
    read_signature,
    split_header,
)
from lambent.identity.faults import (
    MISMATCH,
    UNKNOWN_TOKEN,
    ExpiredToken,
    Reason,
    SignedOperation,
    UnknownKey,
    fault,
)
from lambent.ports import Identity, KeyUseSink
from lambent.request import Request

SKEW_SECONDS = 15 * 60
UNSIGNED = b"UNSIGNED-PAYLOAD"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest().encode()
DEFAULT_ACCOUNT = "000000000000"
#: Of these only one value is ever signed: where a second one stands, somebody put it there on the way.
ONCE = frozenset((b"authorization", b"x-amz-date", b"x-amz-security-token", b"x-amz-content-sha256"))
#: Derived keys kept; a key serves one access key, day, region and service.
KEY_CACHE = 4096
#: Requests that others are likened to, and how long what is signed of one may be without its body.
_PREPARED_KEPT = 1024
_PREPARED_BYTES = 4096
#: What X-Amz-Content-Sha256 says where it names no hash.
_NOT_HASHES = (UNSIGNED, b"STREAMING-")
#: Services with rules for signatures beyond everybody's.
_MORE_RULES = frozenset(("s3", "iam"))


class Verified(NamedTuple):
    caller: Caller
    #: Of the credential scope.
    region: str


class _Prepared:
    """What two requests have in common that differ in nothing but their bodies and signatures."""

    __slots__ = ("canonical", "claim", "proof", "signed_at", "to_sign")

    def __init__(self, claim: Claim, signed_at: int, canonical: bytes, to_sign: bytes) -> None:
        self.claim = claim
        self.signed_at = signed_at
        #: The canonical request up to the hash of the body, and the string to sign up to the hash of that.
        self.canonical = canonical
        self.to_sign = to_sign
        #: Key, body and signature that were found to belong together last. SDKs send equal requests within a second.
        self.proof: tuple[bytes, bytes, bytes] = (b"", b"", b"")

    def is_signed_by(self, key: bytes, body: bytes, signature: bytes) -> bool:
        known_key, known_body, made = self.proof
        if key != known_key or body != known_body:
            digest = hashlib.sha256(self.canonical + hashlib.sha256(body).hexdigest().encode()).hexdigest()
            made = hmac.digest(key, self.to_sign + digest.encode(), "sha256").hex().encode()
            if len(body) <= _PREPARED_BYTES:
                self.proof = (key, body, made)
        return hmac.compare_digest(made, signature)


class SignatureVerifier:
    """Believes a caller whose signature is made with the secret of a key that `identity` knows."""

    def __init__(self, identity: Identity, clock: Clock, uses: KeyUseSink | None = None) -> None:
        """`uses` is told of each use of a user's key and of a role."""
        self._identity = identity
        self._clock = clock
        self._uses = uses
        #: (secret, date, region, service) → signing key. Emptied when full: it refills in microseconds.
        self._keys: dict[tuple[str, str, str, str], bytes] = {}
        #: Authorization headers less their signatures → what they claim, of requests that proved to be genuine.
        self._claims: dict[bytes, Claim] = {}
        #: By all that a signature covers but the body. A client that calls often repeats it for a second.
        self._prepared: dict[tuple[bytes | str | None, ...], _Prepared] = {}
        #: The timestamp read last; clients that call often send the same one for a second.
        self._last_timestamp: tuple[str, int] = ("", 0)

    def verify(self, request: Request, operation: SignedOperation) -> Verified:
        """Who sent `request`. A chunked body is checked, decoded and put in the place of the one received."""
        likeness = self._likeness(request, operation)
        prepared = self._prepared.get(likeness) if likeness else None
        if prepared is not None:
            verified = self._verify_like(prepared, request)
            if verified is not None:
                return verified
        return self._verify_anew(request, operation, likeness)

    def _likeness(self, request: Request, operation: SignedOperation) -> tuple[bytes | str | None, ...] | None:
        """The key of `_prepared`; None for a request that is read from the beginning each time."""
        index = request.unrepeated()
        if index is None or operation.service in _MORE_RULES:
            return None
        header, stamp = index.get(b"authorization"), index.get(b"x-amz-date")
        if header is None or not stamp:
            return None
        prefix = header[:-64]
        claim = self._claims.get(prefix)
        if claim is None or (index.get(b"x-amz-content-sha256") or b"").startswith(_NOT_HASHES):
            return None
        return (
            prefix,
            stamp,
            operation.signing_name,
            request.method,
            request.raw_path,
            request.query,
            *map(index.get, claim.signed_names),
        )

    def _verify_like(self, prepared: _Prepared, request: Request) -> Verified | None:
        """None: not so easily; what is wrong, if anything, is found by reading all of it."""
        claim = prepared.claim
        index = request.unrepeated()
        assert index is not None
        token = index.get(b"x-amz-security-token")
        try:
            known = self._identity.find_key(claim.access_key_id, token.decode("latin-1") if token else None)
        except AwsError:
            return None
        key = self._keys.get((known.secret_access_key, claim.date, claim.region, claim.service))
        if key is None or not -SKEW_SECONDS <= self._clock.now() - prepared.signed_at <= SKEW_SECONDS:
            return None
        if not prepared.is_signed_by(key, request.body, index[b"authorization"][-64:]):
            return None
        if known.caller.kind != "root":
            self._note_use(known.caller, claim)
        return Verified(known.caller, claim.region)

    def _prepare(
        self, likeness: tuple[bytes | str | None, ...], request: Request, signature: Signature, headers: bytes
    ) -> None:
        claim = signature.claim
        path, query = canonical_path(request.raw_path, s3=False), canonical_query(request.query)
        canonical = b"\n".join((request.method.encode(), path, query, headers, claim.signed_headers, b""))
        signed_at = epoch_of(signature.timestamp)
        if signed_at is None or len(canonical) > _PREPARED_BYTES:
            return
        if len(self._prepared) >= _PREPARED_KEPT:
            self._prepared.clear()
        to_sign = f"{ALGORITHM}\n{signature.timestamp}\n{claim.scope}\n".encode()
        self._prepared[likeness] = _Prepared(claim, signed_at, canonical, to_sign)

    def _verify_anew(
        self, request: Request, operation: SignedOperation, likeness: tuple[bytes | str | None, ...] | None
    ) -> Verified:
        signature = self._read(request, operation)
        claim = signature.claim
        self._check_scope(signature, operation)
        try:
            known = self._identity.find_key(claim.access_key_id, signature.session_token)
        except UnknownKey as error:
            raise fault(operation, Reason.UNKNOWN_KEY, error.message) from None
        except ExpiredToken as error:
            raise fault(operation, Reason.EXPIRED, error.message) from None
        if operation.service == "iam" and is_without_mfa(known.caller):
            raise fault(operation, Reason.UNKNOWN_KEY, UNKNOWN_TOKEN)
        self._check_time(signature, operation)
        key = self._signing_key(known.secret_access_key, claim, operation)
        body_hash = _body_hash(request, signature, operation)
        headers = self._check_signature(request, operation, signature, key, body_hash)
        self._remember(request, claim)
        if likeness is not None:
            self._prepare(likeness, request, signature, headers)
        if body_hash.startswith(b"STREAMING-"):
            signer = chunks.ChunkSigner(key, signature.timestamp, claim.scope, signature.value)
            chunks.decode(request, body_hash, signer)
        self._note_use(known.caller, claim)
        return Verified(known.caller, claim.region)

    def _note_use(self, caller: Caller, claim: Claim) -> None:
        if self._uses is None:
            return
        if caller.kind == "role":
            # `<id of the role>:<session>`
            self._uses.note(caller.user_id.partition(":")[0], claim.service, claim.region)
        elif caller.kind == "user" and caller.session is None:
            self._uses.note(claim.access_key_id, claim.service, claim.region)

    def _read(self, request: Request, operation: SignedOperation) -> Signature:
        """`read_signature`, without taking apart again what an earlier request began with too."""
        if request.unrepeated() is None:
            _refuse_repeated(request, operation)
        header, stamp = request.header(b"authorization"), request.header(b"x-amz-date")
        if header is not None and stamp:
            prefix, value = split_header(header)
            claim = self._claims.get(prefix)
            if claim is not None:
                token = request.header(b"x-amz-security-token")
                return Signature(
                    claim,
                    value.decode("latin-1"),
                    stamp.decode("latin-1"),
                    token.decode("latin-1") if token else None,
                    None,
                )
        return read_signature(request, operation)

    def _remember(self, request: Request, claim: Claim) -> None:
        header = request.header(b"authorization")
        if header is None:
            return
        prefix, _ = split_header(header)
        if prefix not in self._claims and prefix.endswith(b"Signature="):
            if len(self._claims) >= KEY_CACHE:
                self._claims.clear()
            self._claims[prefix] = claim

    def _check_signature(
        self, request: Request, operation: SignedOperation, signature: Signature, key: bytes, body_hash: bytes
    ) -> bytes:
        """The canonical headers."""
        claim = signature.claim
        headers = _signed_headers(request, operation, claim)
        s3 = operation.service == "s3"
        given = signature.value.encode("latin-1")
        for recode in (False, True):
            # What the client sent first; then what it may have meant, where its HTTP library encodes differently.
            path = canonical_path(request.raw_path, s3=s3, recode=recode)
            query = canonical_query(request.query, recode=recode)
            canonical = b"\n".join((request.method.encode(), path, query, headers, claim.signed_headers, body_hash))
            digest = hashlib.sha256(canonical).hexdigest()
            text = f"{ALGORITHM}\n{signature.timestamp}\n{claim.scope}\n{digest}".encode()
            if hmac.compare_digest(hmac.digest(key, text, "sha256").hex().encode(), given):
                return headers
        raise fault(operation, Reason.MISMATCH, MISMATCH)

    def _signing_key(self, secret: str, claim: Claim, operation: SignedOperation) -> bytes:
        cached = (secret, claim.date, claim.region, claim.service)
        key = self._keys.get(cached)
        if key is None:
            if not is_region_name(claim.region):
                raise fault(operation, Reason.MISMATCH, "Credential should be scoped to a valid region. ")
            key = signing_key(*cached)
            if len(self._keys) >= KEY_CACHE:
                self._keys.clear()
            self._keys[cached] = key
        return key

    def _check_scope(self, signature: Signature, operation: SignedOperation) -> None:
        claim = signature.claim
        if claim.service != operation.signing_name:
            message = f"Credential should be scoped to correct service: '{operation.signing_name}'. "
        elif claim.terminator != "aws4_request":
            message = f"Credential should be scoped with a valid terminator: 'aws4_request', not '{claim.terminator}'. "
        elif signature.timestamp[:8] != claim.date:
            message = (
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
                f"'{claim.date}' != '{signature.timestamp[:8]}', from '{signature.timestamp}'. "
            )
        else:
            return
        raise fault(operation, Reason.MISMATCH, message)

    def _check_time(self, signature: Signature, operation: SignedOperation) -> None:
        stamp, signed_at = self._last_timestamp
        if stamp != signature.timestamp:
            parsed = epoch_of(signature.timestamp)
            if parsed is None:
                message = f"Date must be in ISO-8601 'basic format'. Got '{signature.timestamp}'. See http://en.wikipedia.org/wiki/ISO_8601"
                raise fault(operation, Reason.INCOMPLETE, message)
            signed_at = parsed
            self._last_timestamp = (signature.timestamp, parsed)
        now = self._clock.now()
        valid = SKEW_SECONDS if signature.expires is None else signature.expires
        if signed_at - SKEW_SECONDS <= now <= signed_at + valid:
            return
        raise _out_of_time(signature, operation, int(now), valid, late=now > signed_at)


class AnyCaller:
    """`--auth off`: every request is believed to come from whom it says, or from the default account."""

    def __init__(self, identity: Identity, default_region: str) -> None:
        self._identity = identity
        self._default_region = default_region

    def verify(self, request: Request, operation: SignedOperation) -> Verified:
        declared = request.header(b"x-amz-content-sha256") or b""
        if declared.startswith(b"STREAMING-"):
            chunks.decode(request, declared, None)
        claimed = claimed_credential(request)
        if claimed is None:
            return Verified(_root(DEFAULT_ACCOUNT, "", self._default_region), self._default_region)
        access_key_id, region, token = claimed
        if not is_region_name(region):
            region = self._default_region
        try:
            caller = self._identity.find_key(access_key_id, token).caller
        except (UnknownKey, ExpiredToken):
            account = access_key_id if len(access_key_id) == 12 and access_key_id.isdecimal() else DEFAULT_ACCOUNT
            caller = _root(account, access_key_id, region)
        return Verified(caller, region)


def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = b"AWS4" + secret.encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def is_region_name(text: str) -> bool:
    """Any name in the form of AWS's is served: `us-east-1`, `eu-isoe-west-1`, `my-lab-1`."""
    return len(text) <= 32 and text.isascii() and text.islower() and text.replace("-", "").isalnum()


def _refuse_repeated(request: Request, operation: SignedOperation) -> None:
    names = [name for name, _ in request.headers if name in ONCE]
    for name in ONCE:
        if names.count(name) > 1:
            message = f"The header '{name.decode()}' must be given once."
            raise fault(operation, Reason.INCOMPLETE, message)


def is_without_mfa(caller: Caller) -> bool:
    """Of a session that GetSessionToken or GetFederationToken gave: IAM takes these with a second factor alone."""
    session = caller.session
    return session is not None and caller.kind != "role" and not session.mfa


def _root(account: str, access_key_id: str, region: str) -> Caller:
    return Caller.root(account, access_key_id, partition_of(region))


def _body_hash(request: Request, signature: Signature, operation: SignedOperation) -> bytes:
    """The last line of the canonical request."""
    declared = request.header(b"x-amz-content-sha256")
    if declared is not None and (declared == UNSIGNED or declared.startswith(b"STREAMING-")):
        return declared
    if operation.service != "s3":
        return hashlib.sha256(request.body).hexdigest().encode() if request.body else EMPTY_SHA256
    if declared is None:
        if signature.expires is not None:
            return UNSIGNED
        raise UncodedError("InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
    if hashlib.sha256(request.body).hexdigest().encode() != declared.lower():
        raise UncodedError(
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        )
    return declared


def _signed_headers(request: Request, operation: SignedOperation, claim: Claim) -> bytes:
    """The canonical headers; refuses where one that must be signed is not, or one that is signed did not come."""
    listed = claim.signed_names
    if b"host" not in listed:
        raise fault(
            operation, Reason.MISMATCH, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
        )
    if operation.service == "s3":
        unsigned = [name for name, _ in request.headers if name.startswith(b"x-amz-") and name not in listed]
        if unsigned:
            message = "There were headers present in the request which were not signed"
            names_text = ", ".join(name.decode("latin-1") for name in unsigned)
            raise UncodedError("AccessDenied", message, 403, HeadersNotSigned=names_text)
    headers = canonical_headers(listed, request)
    if headers is None:
        raise fault(operation, Reason.MISMATCH, MISMATCH)
    return headers


def _out_of_time(signature: Signature, operation: SignedOperation, now: int, valid: int, *, late: bool) -> AwsError:
    if operation.service == "s3":
        if signature.expires is not None and late:
            expired_at = _iso((epoch_of(signature.timestamp) or 0) + valid)
            return UncodedError("AccessDenied", "Request has expired", 403, Expires=expired_at, ServerTime=_iso(now))
        message = "The difference between the request time and the current time is too large."
        return UncodedError(
            "RequestTimeTooSkewed",
            message,
            403,
            RequestTime=signature.timestamp,
            ServerTime=_iso(now),
            MaxAllowedSkewMilliseconds=str(SKEW_SECONDS * 1000),
        )
    if late:
        bound, shift = _basic(now - valid), f"- {valid // 60} min."
        text = f"Signature expired: {signature.timestamp} is now earlier than {bound} ({_basic(now)} {shift})"
    else:
        bound, shift = _basic(now + SKEW_SECONDS), f"+ {SKEW_SECONDS // 60} min."
        text = f"Signature not yet current: {signature.timestamp} is still later than {bound} ({_basic(now)} {shift})"
    return fault(operation, Reason.MISMATCH, text)


def _basic(epoch: int) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(epoch))


def _iso(epoch: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))
