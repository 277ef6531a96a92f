"""Texts that only this region can make and read: what a client carries for it, and hands back unchanged.

AES-256-GCM under a key of its own for each purpose; what is long is packed first, most of it being JSON.
"""

from __future__ import annotations

import base64
import hmac
import os
import zlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION = b"\x02"
_NONCE_BYTES = 12
#: Smaller contents are not packed: that takes longer than all else.
_PACKED_FROM = 512
_PLAIN, _PACKED = b"\0", b"\1"


class Seal:
    """Safe to share between threads."""

    def __init__(self, key: bytes, purpose: bytes, limit: int) -> None:
        """`key`: of the region, at least 32 bytes. `limit`: no text of ours is longer; nothing longer is looked at."""
        self._cipher = AESGCM(derive(key, purpose))
        self._limit = limit

    def close(self, content: bytes, bound: str = "") -> str:
        """Sealed, as base64. Opens only with the same `bound`, which is not in it."""
        nonce = os.urandom(_NONCE_BYTES)
        packed = _PLAIN + content if len(content) < _PACKED_FROM else _PACKED + zlib.compress(content)
        sealed = self._cipher.encrypt(nonce, packed, bound.encode())
        return base64.b64encode(_VERSION + nonce + sealed).decode()

    def open(self, text: str, bound: str = "") -> bytes | None:
        """None for what was not sealed by this one, or for another `bound`."""
        try:
            if len(text) > self._limit:
                return None
            raw = base64.b64decode(text, validate=True)
            nonce, sealed = raw[1 : 1 + _NONCE_BYTES], raw[1 + _NONCE_BYTES :]
            if raw[:1] != _VERSION or len(nonce) < _NONCE_BYTES:
                return None
            packed = self._cipher.decrypt(nonce, sealed, bound.encode())
        except (ValueError, InvalidTag):
            return None
        return packed[1:] if packed[:1] == _PLAIN else zlib.decompress(packed[1:])


def derive(key: bytes, purpose: bytes) -> bytes:
    return hmac.digest(key, b"lambent " + purpose, "sha256")
