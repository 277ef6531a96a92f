"""Random identifiers in the shapes that AWS gives them."""

from __future__ import annotations

import os
from random import randbytes


def request_id() -> str:
    """A version 4 UUID. It tells requests apart and keeps nothing secret, so it need not cost a system call."""
    raw = randbytes(16).hex()  # noqa: S311 - see above
    return f"{raw[:8]}-{raw[8:12]}-4{raw[13:16]}-{'89ab'[int(raw[16], 16) & 3]}{raw[17:20]}-{raw[20:]}"


def hex_id(length: int) -> str:
    """`length` random hexadecimal digits."""
    return os.urandom((length + 1) // 2).hex()[:length]


def trace_digits() -> str:
    """40 random hexadecimal digits: the rest of a trace id and the id of its first segment."""
    return randbytes(20).hex()  # noqa: S311 - it keeps nothing secret either


def revision_id() -> str:
    """A new RevisionId, a UUID as AWS gives it."""
    return request_id()
