"""Temporary credentials whose token carries everything: no row is written when a function starts.

A token is the sealed text of who holds it, what limits it and until when; the secret is derived from it. Both need the
region's key, so nobody else can make either. What the holder may do is not in it: the role or user is asked for that at
each call, so that a change, a deletion or a revocation (a policy that looks at aws:TokenIssueTime) counts at once.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import NamedTuple, Protocol

import msgspec

from lambent.arn import Arn
from lambent.clock import Clock
from lambent.context import Caller, Session
from lambent.identity.faults import ExpiredToken, UnknownKey
from lambent.identity.key_ids import new_access_key_id
from lambent.identity.principals import RoleFacts
from lambent.identity.sealing import Seal, derive
from lambent.ports import Credentials, SigningIdentity

#: Opened tokens kept; each is a few hundred bytes.
OPENED_CACHE = 4096
#: No token of ours is longer; nothing longer is looked at.
TOKEN_BYTES = 4096


class Roles(Protocol):
    def role(self, arn: str) -> RoleFacts | None: ...


class _Content(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a token says; the id of its access key is not in it but bound to it."""

    caller: Caller
    expires_at: float
    #: Nothing but length, for whoever asked for a longer token.
    padding: str = ""


class _Opened(NamedTuple):
    identity: SigningIdentity
    expires_at: float


_decode = msgspec.json.Decoder(_Content).decode


class SessionTokens:
    """Issues (`ports.CredentialIssuer`) and opens session tokens with the region's key (at least 32 bytes)."""

    def __init__(self, key: bytes, clock: Clock, roles: Roles | None = None) -> None:
        self._seal = Seal(key, b"session tokens", TOKEN_BYTES)
        self._secret_key = derive(key, b"session secrets")
        self._clock = clock
        self._roles = roles
        #: (access key id, token) → what it says. Emptied when full.
        self._opened: dict[tuple[str, str], _Opened] = {}

    def role_credentials(
        self, role_arn: str, session_name: str, duration_s: int, function_arn: str = ""
    ) -> Credentials:
        facts = self._roles.role(role_arn) if self._roles is not None else None
        session = Session(session_name, issued_at=self._clock.now(), function=function_arn)
        return self.issue(session_caller(role_arn, facts.role_id if facts else "", session), duration_s)

    def issue(self, caller: Caller, duration_s: int, padding: str = "") -> Credentials:
        """Credentials of `caller`, who has a session; the id of the access key is made here."""
        access_key_id = new_access_key_id("ASIA", caller.account)
        expires_at = self._clock.now() + duration_s
        token = self._seal.close(msgspec.json.encode(_Content(caller, expires_at, padding)), access_key_id)
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
        text = self._seal.open(token, access_key_id)
        if text is None:
            raise UnknownKey
        content = _decode(text)
        caller = msgspec.structs.replace(content.caller, access_key_id=access_key_id)
        return _Opened(SigningIdentity(self._secret_of(token), caller), content.expires_at)

    def _secret_of(self, token: str) -> str:
        return base64.b64encode(hmac.digest(self._secret_key, token.encode(), "sha256")).decode()[:40]


def session_caller(role_arn: str, role_id: str, session: Session) -> Caller:
    """Who a session of `role_arn` is. Raises ValueError where that is no ARN.

    `role_id` "": of a role that does not exist, as `--auth off` lets be; its id is made of its name, always the same.
    """
    arn = Arn.parse(role_arn)
    if arn is None:
        raise ValueError(f"{role_arn} is not the ARN of a role.")
    if not role_id:
        role_id = "AROA" + base64.b32encode(hashlib.sha256(role_arn.encode()).digest()).decode()[:17]
    name = arn.resource.rpartition("/")[2]
    own = Arn(arn.partition, "sts", "", arn.account, f"assumed-role/{name}/{session.name}")
    return Caller(
        arn.account,
        str(own),
        f"{role_id}:{session.name}",
        "",
        kind="role",
        name=name,
        principal_arn=role_arn,
        session=session,
    )


def assumed_role_caller(role_arn: str, session_name: str, access_key_id: str) -> Caller:
    """Who a session of `role_arn` is that a service of the region makes for itself."""
    caller = session_caller(role_arn, "", Session(session_name))
    return msgspec.structs.replace(caller, access_key_id=access_key_id)
