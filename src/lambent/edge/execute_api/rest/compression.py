"""Compression of APIs with a minimumCompressionSize: answers for clients that take gzip, bodies that came so."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from concurrent.futures import Executor

from lambent.edge.execute_api.door import BODY_LIMIT
from lambent.edge.execute_api.rest.exchange import Exchange
from lambent.edge.execute_api.rest.failures import (
    BAD_REQUEST_BODY,
    REQUEST_TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    GatewayError,
)
from lambent.request import Response

#: Compressing a body of this size takes longer than handing it to a thread.
LARGE_BODY = 64 * 1024


async def decompress(exchange: Exchange, workers: Executor) -> None:
    """Puts the plain body in the place of a compressed one. Raises GatewayError."""
    coding = (exchange.facts.header("content-encoding") or "identity").strip().lower()
    if exchange.api.definition.minimum_compression_size is None or coding == "identity":
        return
    if coding not in ("gzip", "deflate"):
        raise GatewayError(UNSUPPORTED_MEDIA_TYPE)
    loop = asyncio.get_running_loop()
    facts = exchange.facts
    facts.request.body = await loop.run_in_executor(workers, _plain, facts.request.body)
    facts.headers = [pair for pair in facts.headers if pair[0] != "content-encoding"]


async def compress(exchange: Exchange, response: Response, workers: Executor) -> None:
    smallest = exchange.api.definition.minimum_compression_size
    if smallest is None or not response.body or len(response.body) < smallest:
        return
    if not _takes_gzip(exchange.facts.header("accept-encoding") or ""):
        return
    if any(name == b"content-encoding" for name, _ in response.headers):
        return
    body = response.body
    if len(body) < LARGE_BODY:
        response.body = gzip.compress(body, 6, mtime=0)
    else:
        response.body = await asyncio.get_running_loop().run_in_executor(workers, gzip.compress, body, 6)
    response.headers.append((b"content-encoding", b"gzip"))


def _takes_gzip(accept: str) -> bool:
    for part in accept.lower().split(","):
        coding, _, weight = part.strip().partition(";")
        if coding.strip() in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _plain(body: bytes) -> bytes:
    # 32: a gzip or zlib header tells which it is. The bound keeps a small body from becoming an enormous one.
    decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        plain = decoder.decompress(body, BODY_LIMIT + 1)
    except zlib.error:
        raise GatewayError(BAD_REQUEST_BODY, "Bad Request") from None
    if len(plain) > BODY_LIMIT:
        raise GatewayError(REQUEST_TOO_LARGE)
    if not decoder.eof:
        raise GatewayError(BAD_REQUEST_BODY, "Bad Request")
    return plain
