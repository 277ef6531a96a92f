"""The only importer of joserfc: public keys of a JWKS document, and the signature of a JSON Web Token.

Loaded by `signing_keys` at the first token. Which algorithms may be used is said by the caller, never by the token:
https://www.rfc-editor.org/rfc/rfc8725.
"""

from __future__ import annotations

import json
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

#: AWS takes RSA alone; elliptic curves harm nobody and let small test issuers work.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")

#: Keys of one document; more are no issuer's.
_KEY_LIMIT = 100
#: A shorter one can be factored.
_RSA_BITS = 1024
_REGISTRY = jws.JWSRegistry(algorithms=list(ALGORITHMS))

Key = RSAKey | ECKey


class BadSignature(Exception):
    """A sentence without an end, as AWS writes them: why the token is not what its issuer signed."""


def import_keys(document: bytes) -> dict[str, Key]:
    """Signature keys by id; those of other kinds are left out. Raises ValueError where it is no JWKS document."""
    content = json.loads(document)
    listed = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(listed, list):
        raise ValueError("there is no list of keys in it")
    keys: dict[str, Key] = {}
    for fields in listed[:_KEY_LIMIT]:
        key = _imported(fields) if isinstance(fields, dict) else None
        if key is not None:
            keys[str(fields.get("kid", ""))] = key
    return keys


def payload_of(token: str, algorithm: str, key: Key) -> bytes:
    """What was signed. Raises BadSignature."""
    expected = RSAKey if algorithm[:2] in ("RS", "PS") else ECKey
    if algorithm not in ALGORITHMS or not isinstance(key, expected):
        raise BadSignature(f"signing method {algorithm} is invalid")
    try:
        return bytes(jws.deserialize_compact(token, key, [algorithm], registry=_REGISTRY).payload)
    except (JoseError, ValueError, TypeError):
        # Also what its segments are not: base64, JSON, of the right length for the curve.
        raise BadSignature("signature is invalid") from None


def _imported(fields: dict[str, Any]) -> Key | None:
    if fields.get("use", "sig") != "sig":
        return None
    # A private key in a public place is used as a public one.
    public = {name: value for name, value in fields.items() if name in ("kty", "n", "e", "crv", "x", "y", "kid", "alg")}
    try:
        if fields.get("kty") == "RSA":
            key = RSAKey.import_key(public)
            return key if key.public_key.key_size >= _RSA_BITS else None
        return ECKey.import_key(public) if fields.get("kty") == "EC" else None
    except (JoseError, ValueError, TypeError, KeyError):
        return None
