"""The canonical request of Signature Version 4: the bytes that client and server must agree on.

Every service but S3 encodes the path once more and resolves its dot segments; S3 signs the path as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote_from_bytes, unquote_to_bytes

from lambent.request import Headers, Request

#: What no encoding changes; a path or query of these alone is its own canonical form.
_PLAIN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
_PLAIN_PATH = _PLAIN + b"/"
_SPACES = re.compile(rb"\s+")


def canonical_path(raw_path: bytes, *, s3: bool, recode: bool = False) -> bytes:
    """`recode`: as a client sees it that encoded other characters than it sent (`/a+b` signed as `/a%2Bb`)."""
    if recode:
        raw_path = b"/".join(_encode(unquote_to_bytes(part)) for part in raw_path.split(b"/"))
    if s3:
        return raw_path
    if b"//" in raw_path or b"/." in raw_path:
        raw_path = _without_dot_segments(raw_path)
    if not raw_path.translate(None, _PLAIN_PATH):
        return raw_path
    return quote_from_bytes(raw_path, safe="/-._~").encode()


def canonical_query(query: bytes, *, recode: bool = False) -> bytes:
    """Parameters sorted by name and value, less the signature itself. `recode`: encoded anew, `+` as a space."""
    if not query:
        return b""
    pairs = []
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        if name == b"X-Amz-Signature" or not part:
            continue
        if recode:
            name, value = (_encode(unquote_to_bytes(text.replace(b"+", b" "))) for text in (name, value))
        pairs.append((name, value))
    pairs.sort()
    return b"&".join(name + b"=" + value for name, value in pairs)


def canonical_headers(names: Sequence[bytes], request: Request) -> bytes | None:
    """`name:value` lines of the signed headers; None where one of them did not come."""
    index = request.unrepeated() or _joined(request.headers)
    lines = []
    for name in names:
        value = index.get(name)
        if value is None:
            return None
        if b"  " in value or b"\t" in value:
            value = _SPACES.sub(b" ", value)
        lines.append(name + b":" + value.strip() + b"\n")
    return b"".join(lines)


def _joined(headers: Headers) -> dict[bytes, bytes]:
    """Repeated headers as one, values in order."""
    values: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        values.setdefault(name, []).append(value.strip())
    return {name: b",".join(found) for name, found in values.items()}


def _encode(text: bytes) -> bytes:
    return quote_from_bytes(text, safe="-._~").encode()


def _without_dot_segments(path: bytes) -> bytes:
    kept: list[bytes] = []
    for segment in path.split(b"/"):
        if segment == b"..":
            del kept[-1:]
        elif segment not in (b"", b"."):
            kept.append(segment)
    return b"/" + b"/".join(kept) + (b"/" if kept and path.endswith(b"/") else b"")
