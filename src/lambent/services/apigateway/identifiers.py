"""Random identifiers as API Gateway makes them: lower-case letters and digits."""

from __future__ import annotations

import os

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
#: Letters of an id: APIs and roots have ten, everything else six.
API_LENGTH = 10
SHORT_LENGTH = 6


def api_id() -> str:
    return _random(API_LENGTH)


def short_id() -> str:
    return _random(SHORT_LENGTH)


def _random(length: int) -> str:
    # 252 = 7 × 36: bytes above it would make some letters likelier.
    letters: list[str] = []
    while len(letters) < length:
        letters += [_ALPHABET[byte % 36] for byte in os.urandom(2 * length) if byte < 252]
    return "".join(letters[:length])
