"""JSON Web Tokens of JWT authorizers: the checks of AWS, in its order, with its words in `www-authenticate`.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import msgspec

from lambent.clock import Clock
from lambent.edge.execute_api.http.compiled import CompiledAuthorizer
from lambent.edge.execute_api.http.exchange import Exchange
from lambent.edge.execute_api.http.failures import AuthorizerFailure, challenged
from lambent.edge.execute_api.http.parameters import RequestVariables
from lambent.identity.signing_keys import NoKeys, SigningKeys
from lambent.services.apigatewayv2.domain import JwtConfiguration

#: Characters; a longer one is not looked at. Heads of requests may be larger, tokens in queries too.
TOKEN_LIMIT = 16 * 1024
_NO_TOKEN = AuthorizerFailure(401, "Unauthorized", "no token", headers=((b"www-authenticate", b"Bearer"),))


class InvalidToken(Exception):
    """A sentence without an end, as AWS writes them."""


class JwtAuthorizers:
    def __init__(self, keys: SigningKeys, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock

    async def check(self, exchange: Exchange, authorizer: CompiledAuthorizer) -> None:
        """Fills in `claims` and `scopes`. Raises AuthorizerFailure."""
        assert exchange.route is not None
        wanted = exchange.route.route.authorization_scopes or ()
        token = _bearer(RequestVariables(exchange)(authorizer.sources[0]))
        if not token:
            raise AuthorizerFailure(401, _NO_TOKEN.message, _NO_TOKEN.reason, headers=_NO_TOKEN.headers)
        configuration = authorizer.authorizer.jwt_configuration
        assert configuration is not None
        try:
            claims = await self._claims(token, configuration)
        except InvalidToken as error:
            raise challenged(401, wanted, "invalid_token", str(error)) from None
        granted = _scopes(claims)
        if wanted and not any(scope in granted for scope in wanted):
            raise challenged(403, wanted, "insufficient_scope", "the token does not have the required scopes")
        exchange.claims = {name: as_text(value) for name, value in claims.items()}
        exchange.scopes = [scope for scope in wanted if scope in granted] if wanted else None

    async def _claims(self, token: str, configuration: JwtConfiguration) -> Mapping[str, Any]:
        """Raises InvalidToken."""
        if len(token) > TOKEN_LIMIT:
            raise InvalidToken("the token is too long")
        algorithm, key_id = _header(token)
        tokens = await self._keys.load()
        # Before any key is looked for: what a token says of itself is not believed.
        if algorithm not in tokens.ALGORITHMS:
            raise InvalidToken(f"signing method {algorithm[:32]} is invalid")
        try:
            key = await self._keys.find(configuration.issuer, key_id)
        except NoKeys as error:
            raise InvalidToken(str(error)) from None
        if key is None:
            raise InvalidToken("unable to find a key of the issuer that matches the kid of the token")
        try:
            payload = tokens.payload_of(token, algorithm, key)
        except tokens.BadSignature as error:
            raise InvalidToken(str(error)) from None
        claims = _object(payload, "the claims of the token are not a JSON object")
        self._validate(claims, configuration)
        return claims

    def _validate(self, claims: Mapping[str, Any], configuration: JwtConfiguration) -> None:
        if claims.get("iss") != configuration.issuer:
            raise InvalidToken("the token does not have a valid issuer")
        # client_id counts only where there is no aud.
        given = claims["aud"] if "aud" in claims else claims.get("client_id")
        audiences = given if isinstance(given, list) else [given]
        if not any(isinstance(audience, str) and audience in configuration.audience for audience in audiences):
            raise InvalidToken("the token does not have a valid audience")
        now = self._clock.now()
        if now >= _time(claims, "exp", default=0.0):
            raise InvalidToken("the token has expired")
        if now < _time(claims, "nbf", default=0.0):
            raise InvalidToken("the token is not valid yet")
        if now < _time(claims, "iat", default=0.0):
            raise InvalidToken("the token was issued in the future")


def _bearer(value: str | None) -> str:
    """The token, with or without its scheme."""
    text = (value or "").strip()
    return text[7:].strip() if text[:7].lower() == "bearer " else text


def _header(token: str) -> tuple[str, str]:
    """(alg, kid) of a token's head. Raises InvalidToken."""
    if token.count(".") != 2 or not token.isascii():
        raise InvalidToken("token contains an invalid number of segments")
    head = token.partition(".")[0]
    try:
        raw = base64.b64decode(head + "=" * (-len(head) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise InvalidToken("the head of the token is not base64") from None
    header = _object(raw, "the head of the token is not a JSON object")
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or not isinstance(key_id, str):
        raise InvalidToken("the token does not name its algorithm and key (alg, kid)")
    if "crit" in header:
        raise InvalidToken("the token has critical headers that are not understood")
    return algorithm, key_id


def _object(raw: bytes, otherwise: str) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InvalidToken(otherwise)
    return value


def _time(claims: Mapping[str, Any], name: str, default: float) -> float:
    value = claims.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidToken(f"the {name} of the token is not a number")
    return value


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    found: set[str] = set()
    for name in ("scope", "scp"):
        value = claims.get(name)
        if isinstance(value, str):
            found.update(value.split())
        elif isinstance(value, list):
            found.update(each for each in value if isinstance(each, str))
    return frozenset(found)


def as_text(value: Any) -> str:
    """A claim as events have it: text as it is, lists as `[a b]`."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return f"[{' '.join(as_text(each) for each in value)}]"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{name}:{as_text(each)}' for name, each in sorted(value.items()))}]"
    return msgspec.json.encode(value).decode()
