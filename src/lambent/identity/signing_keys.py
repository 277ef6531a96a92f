"""Keys of token issuers: found by OpenID discovery or where they are said to be, kept for two hours, looked for anew
when one is rotated.

Strangers choose what stands in a token, so none of it makes more requests to an issuer than `RETRY_S` allows.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from lambent.clock import Clock

log = logging.getLogger(__name__)

#: Seconds that AWS keeps keys.
KEEP_S = 2 * 3600.0
#: Seconds between two looks for a key that was not there, or at an issuer that did not answer.
RETRY_S = 30.0
MAX_ISSUERS = 1024

#: Gets a document by its URL. Raises NoKeys.
Get = Callable[[str], Awaitable[bytes]]


class NoKeys(Exception):
    """A sentence without an end: why the issuer's keys cannot be had."""


@dataclass(slots=True)
class _Issuer:
    keys: Mapping[str, Any] = field(default_factory=dict)
    #: Monotonic seconds; None: never.
    fetched: float | None = None
    #: When it was last asked, with or without success.
    asked: float | None = None
    #: Why it last failed, "" otherwise.
    failure: str = ""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class SigningKeys:
    def __init__(self, get: Get, clock: Clock, places: Mapping[str, str] | None = None) -> None:
        """`places`: files or URLs of JWKS documents, by issuer; others are asked where theirs is."""
        self._get = get
        self._clock = clock
        self._places = places or {}
        self._issuers: dict[str, _Issuer] = {}
        self._tokens: ModuleType | None = None

    def __repr__(self) -> str:
        return f"<SigningKeys of {len(self._issuers)} issuers>"

    def forget(self) -> None:
        self._issuers.clear()

    async def load(self) -> ModuleType:
        """The module `jwt`, imported in a thread at its first use."""
        if self._tokens is None:
            self._tokens = await asyncio.to_thread(importlib.import_module, "lambent.identity.jwt")
        return self._tokens

    async def find(self, url: str, key_id: str) -> Any:
        """The key `key_id` of the issuer at `url`, None where it has no such key. Raises NoKeys."""
        issuer = self._issuers.get(url)
        if issuer is None:
            if len(self._issuers) >= MAX_ISSUERS:
                self._issuers.clear()
            issuer = self._issuers[url] = _Issuer()
        if key_id not in issuer.keys or self._is_old(issuer):
            async with issuer.lock:
                # Whoever waited here finds what the one before has fetched.
                if self._may_ask(issuer) and (key_id not in issuer.keys or self._is_old(issuer)):
                    await self._refresh(url, issuer)
        if issuer.fetched is None:
            raise NoKeys(issuer.failure)
        return issuer.keys.get(key_id)

    def _is_old(self, issuer: _Issuer) -> bool:
        return issuer.fetched is None or self._clock.monotonic() - issuer.fetched >= KEEP_S

    def _may_ask(self, issuer: _Issuer) -> bool:
        return issuer.asked is None or self._clock.monotonic() - issuer.asked >= RETRY_S

    async def _refresh(self, url: str, issuer: _Issuer) -> None:
        issuer.asked = self._clock.monotonic()
        try:
            issuer.keys = await self._fetch(url)
        except NoKeys as error:
            issuer.failure = str(error)
            log.warning("The keys of the token issuer %s cannot be had: %s", url, error)
            # Keys that were good stay so for a while: an issuer's outage is not its clients'.
            return
        issuer.fetched, issuer.failure = self._clock.monotonic(), ""

    async def _fetch(self, url: str) -> Mapping[str, Any]:
        address = self._places.get(url) or await self._discovered(url)
        is_url = address.startswith(("https://", "http://"))
        document = await (self._get(address) if is_url else asyncio.to_thread(_read, Path(address)))
        tokens = await self.load()
        try:
            keys: Mapping[str, Any] = tokens.import_keys(document)
        except (ValueError, RecursionError) as error:
            raise NoKeys(f"{address} is not a JWKS document: {error}") from None
        return keys

    async def _discovered(self, url: str) -> str:
        discovery = f"{url.rstrip('/')}/.well-known/openid-configuration"
        try:
            configuration = msgspec.json.decode(await self._get(discovery))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise NoKeys(f"{discovery} is not JSON") from None
        if not isinstance(configuration, dict):
            raise NoKeys(f"{discovery} is not an object")
        if configuration.get("issuer") != url:
            raise NoKeys("the issuer in the OIDC configuration does not match the issuer of the authorizer")
        address = configuration.get("jwks_uri")
        if not isinstance(address, str) or not address.startswith(("https://", "http://")):
            raise NoKeys(f"there is no jwks_uri in {discovery}")
        return address


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise NoKeys(f"{file} cannot be read: {error.strerror}") from None
