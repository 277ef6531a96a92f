"""Temporary credentials whose token carries everything: no row is written when a function starts.

A token is the sealed text of who holds it and until when; the secret is derived from it. Both need the region's key,
so nobody else can make either.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lambent.arn import Arn
from lambent.clock import Clock
from lambent.context import Caller, Session
from lambent.identity.faults import ExpiredToken, UnknownKey
from lambent.ports import Credentials, SigningIdentity

VERSION = b"\x01"
NONCE_BYTES = 12
#: Opened tokens kept; each is a few hundred bytes.
OPENED_CACHE = 4096
#: No token of ours is longer; nothing longer is looked at.
TOKEN_BYTES = 4096


class _Opened(NamedTuple):
    identity: SigningIdentity
    expires_at: float


class SessionTokens:
    """Issues (`ports.CredentialIssuer`) and opens session tokens with the region's key (at least 32 bytes)."""

    def __init__(self, key: bytes, clock: Clock) -> None:
        self._cipher = AESGCM(_derive(key, b"session tokens"))
        self._secret_key = _derive(key, b"session secrets")
        self._clock = clock
        #: (access key id, token) → what it says. Emptied when full.
        self._opened: dict[tuple[str, str], _Opened] = {}

    def role_credentials(self, role_arn: str, session_name: str, duration_s: int) -> Credentials:
        expires_at = self._clock.now() + duration_s
        access_key_id = "ASIA" + base64.b32encode(os.urandom(10)).decode()
        content = json.dumps({"role": role_arn, "session": session_name, "expires": expires_at}).encode()
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, content, access_key_id.encode())
        token = base64.b64encode(VERSION + nonce + sealed).decode()
        return Credentials(access_key_id, self._secret_of(token), token, expires_at)

    def open(self, access_key_id: str, token: str) -> SigningIdentity:
        """Raises UnknownKey for a token that is not ours or not this key's, ExpiredToken for one past its time."""
        opened = self._opened.get((access_key_id, token))
        if opened is None:
            opened = self._unseal(access_key_id, token)
            if len(self._opened) >= OPENED_CACHE:
                self._opened.clear()
            self._opened[access_key_id, token] = opened
        if self._clock.now() >= opened.expires_at:
            raise ExpiredToken
        return opened.identity

    def _unseal(self, access_key_id: str, token: str) -> _Opened:
        try:
            if len(token) > TOKEN_BYTES:
                raise ValueError
            raw = base64.b64decode(token, validate=True)
            if raw[:1] != VERSION:
                raise ValueError
            nonce, sealed = raw[1 : 1 + NONCE_BYTES], raw[1 + NONCE_BYTES :]
            content = json.loads(self._cipher.decrypt(nonce, sealed, access_key_id.encode()))
        except (ValueError, InvalidTag):
            raise UnknownKey from None
        caller = assumed_role_caller(content["role"], content["session"], access_key_id)
        return _Opened(SigningIdentity(self._secret_of(token), caller), content["expires"])

    def _secret_of(self, token: str) -> str:
        return base64.b64encode(hmac.digest(self._secret_key, token.encode(), "sha256")).decode()[:40]


def assumed_role_caller(role_arn: str, session_name: str, access_key_id: str) -> Caller:
    """Who a session of `role_arn` is."""
    arn = Arn.parse(role_arn)
    if arn is None:
        raise ValueError(f"{role_arn} is not the ARN of a role.")
    name = arn.resource.rpartition("/")[2]
    session = Arn(arn.partition, "sts", "", arn.account, f"assumed-role/{name}/{session_name}")
    # Until roles are stored, their id is made of their name: always the same one, as on AWS.
    role_id = "AROA" + base64.b32encode(hashlib.sha256(role_arn.encode()).digest()).decode()[:17]
    return Caller(
        arn.account,
        str(session),
        f"{role_id}:{session_name}",
        access_key_id,
        kind="role",
        name=name,
        principal_arn=role_arn,
        session=Session(session_name),
    )


def _derive(key: bytes, purpose: bytes) -> bytes:
    return hmac.digest(key, b"lambent " + purpose, "sha256")
