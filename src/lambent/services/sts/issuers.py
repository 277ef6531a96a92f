"""Web identity tokens: of an issuer that the configuration file names, for an audience that it names there.

The region has these OpenID Connect providers in every account; IAM's own operations on them are not built.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import msgspec

from lambent.clock import Clock
from lambent.config import OidcIssuer
from lambent.identity.signing_keys import NoKeys, SigningKeys
from lambent.services.sts.errors import ExpiredTokenException, InvalidIdentityTokenException

#: Seconds that the clock of an issuer may be ahead.
LEEWAY_S = 300
_NOT_A_TOKEN = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"  # noqa: S105

Claims = Mapping[str, Any]


class WebIdentity(msgspec.Struct, frozen=True):
    """A token that was believed."""

    #: `https://token.actions.githubusercontent.com`
    issuer: str
    claims: Claims

    @property
    def name(self) -> str:
        """What ARNs and condition keys call the issuer: `token.actions.githubusercontent.com`."""
        return self.issuer.partition("://")[2]

    @property
    def audience(self) -> str:
        """Who the token was made for; of several the one that it authorizes."""
        audience = self.claims.get("azp") or self.claims.get("aud")
        return str(audience[0] if isinstance(audience, list) else audience)


class Issuers:
    def __init__(self, known: Mapping[str, OidcIssuer], keys: SigningKeys, clock: Clock) -> None:
        self._known = known
        self._keys = keys
        self._clock = clock

    async def believed(self, token: str) -> WebIdentity:
        """Raises InvalidIdentityTokenException, ExpiredTokenException."""
        header, claims = _part(token, 0), _part(token, 1)
        issuer = str(claims.get("iss"))
        known = self._known.get(issuer)
        if known is None:
            raise InvalidIdentityTokenException(f"No OpenIDConnect provider found in your account for {issuer}")
        # From here on what the issuer signed, not what the token says that it did.
        claims = await self._signed(token, header, issuer)
        identity = WebIdentity(issuer, claims)
        self._check(identity, known)
        return identity

    async def _signed(self, token: str, header: Claims, issuer: str) -> Claims:
        tokens = await self._keys.load()
        try:
            key = await self._keys.find(issuer, str(header.get("kid", "")))
        except NoKeys:
            key = None
        if key is None:
            raise InvalidIdentityTokenException(
                "Couldn't retrieve verification key from your identity provider,  please reference "
                "AssumeRoleWithWebIdentity documentation for requirements"
            )
        if "crit" in header:
            raise InvalidIdentityTokenException("The token has critical headers that are not understood")
        try:
            payload = tokens.payload_of(token, str(header.get("alg")), key)
        except tokens.BadSignature as error:
            raise InvalidIdentityTokenException(f"The token is not valid: {error}") from None
        return _object(payload)

    def _check(self, identity: WebIdentity, known: OidcIssuer) -> None:
        claims = identity.claims
        audiences = claims.get("aud")
        listed = audiences if isinstance(audiences, list) else [audiences]
        if claims.get("iss") != identity.issuer or not any(each in known.client_ids for each in listed):
            raise InvalidIdentityTokenException("Incorrect token audience")
        if not isinstance(claims.get("sub"), str) or not claims["sub"]:
            raise InvalidIdentityTokenException("The token has no subject")
        now = self._clock.now()
        expires = _seconds(claims, "exp")
        if expires is None:
            raise InvalidIdentityTokenException("The token has no expiration date/time")
        if now >= expires:
            raise ExpiredTokenException(
                f"Token expired: current date/time {int(now)} must be before the expiration date/time {int(expires)}"
            )
        for name in ("nbf", "iat"):
            if (_seconds(claims, name) or 0) > now + LEEWAY_S:
                raise InvalidIdentityTokenException("The token is not valid yet")


def _part(token: str, index: int) -> Claims:
    parts = token.split(".")
    if len(parts) != 3 or not token.isascii():
        raise InvalidIdentityTokenException(_NOT_A_TOKEN)
    part = parts[index]
    try:
        return _object(base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        raise InvalidIdentityTokenException(_NOT_A_TOKEN) from None


def _object(text: bytes) -> Claims:
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InvalidIdentityTokenException(_NOT_A_TOKEN)
    return value


def _seconds(claims: Claims, name: str) -> float | None:
    value = claims.get(name)
    return None if isinstance(value, bool) or not isinstance(value, int | float) else float(value)
