"""Request bodies that clients compress for some operations (`Content-Encoding: gzip`), such as PutMetricData's.

Signatures cover the compressed bytes, so this comes after them. Elsewhere, as in S3, such a body is opaque.
"""

from __future__ import annotations

import zlib
from dataclasses import replace

from lambent.errors import SerializationException
from lambent.request import Request

#: What a body may grow to; AWS takes 1 MB of compressed metrics.
_LARGEST = 16 * 1024 * 1024
#: zlib's way of saying that gzip's header is expected.
_GZIP = 31


def decompressed(request: Request) -> Request:
    """The request with its body plain."""
    if (request.header(b"content-encoding") or b"").strip().lower() != b"gzip":
        return request
    inflate = zlib.decompressobj(_GZIP)
    try:
        body = inflate.decompress(request.body, _LARGEST)
    except zlib.error as error:
        raise SerializationException("The request body is not valid gzip.") from error
    if not inflate.eof:
        raise SerializationException("The request body is cut off, or too large when decompressed.")
    return replace(request, body=body)
