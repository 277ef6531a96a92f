"""`Code.Location`: links to packages that work without a signature of the caller's, for ten minutes, like S3's.

`/_lambent/code/<sha256>?Expires=<epoch>&Signature=<hex>`; the seal covers package and expiry.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from urllib.parse import parse_qs

from lambent.clock import Clock
from lambent.request import Request, Response
from lambent.services.lambda_.code.store import CodeStore

PREFIX = "/_lambent/code/"
LIFETIME_S = 600


class CodeLinks:
    def __init__(self, key: bytes, store: CodeStore, clock: Clock) -> None:
        self._key = key
        self._store = store
        self._clock = clock

    def url(self, base_url: str, digest: str) -> str:
        expires = int(self._clock.now()) + LIFETIME_S
        return f"{base_url}{PREFIX}{digest}?Expires={expires}&Signature={self._seal(digest, str(expires))}"

    async def get(self, request: Request) -> Response:
        """Serve GET below PREFIX; errors look like those of S3, whose place it takes."""
        digest = request.raw_path.decode("latin-1").removeprefix(PREFIX)
        query = parse_qs(request.query.decode("latin-1"))
        expires, signature = query.get("Expires", [""])[0], query.get("Signature", [""])[0]
        if not hmac.compare_digest(self._seal(digest, expires).encode(), signature.encode()):
            return _error(403, "SignatureDoesNotMatch", "The link to the package is not one that this region made.")
        if int(expires) < self._clock.now():
            return _error(403, "AccessDenied", "Request has expired")
        try:
            body = await asyncio.to_thread(self._store.open_zip, digest)
        except FileNotFoundError:
            return _error(404, "NoSuchKey", "The specified key does not exist.")
        return Response(200, [(b"content-type", b"application/zip")], body)

    def _seal(self, digest: str, expires: str) -> str:
        return hmac.digest(self._key, f"{digest}\n{expires}".encode("utf-8", "replace"), hashlib.sha256).hex()


def _error(status: int, code: str, message: str) -> Response:
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Response(status, [(b"content-type", b"application/xml")], body.encode())
