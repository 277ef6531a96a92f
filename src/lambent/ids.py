"""Random identifiers in the shapes that AWS gives them."""

from __future__ import annotations

import os


def request_id() -> str:
    """A version 4 UUID; several times faster than `str(uuid.uuid4())`, which the invoke path would pay per request."""
    raw = os.urandom(16).hex()
    return f"{raw[:8]}-{raw[8:12]}-4{raw[13:16]}-{'89ab'[int(raw[16], 16) & 3]}{raw[17:20]}-{raw[20:]}"


def hex_id(length: int) -> str:
    """`length` random hexadecimal digits."""
    return os.urandom((length + 1) // 2).hex()[:length]


def revision_id() -> str:
    """A new RevisionId, a UUID as AWS gives it."""
    return request_id()
