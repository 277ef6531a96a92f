"""Encryption of secrets at rest with one key file per data directory that only its owner reads.

AES-256-GCM; each sealed text is a version byte, a random nonce, and the ciphertext with its tag.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lambent.storage.files import make_folder, write_durably

_KEY_BYTES = 32
_NONCE_BYTES = 12
_VERSION = b"\x01"


class SecretError(Exception):
    """A sentence for the operator: why secrets cannot be read."""


class SecretBox:
    """Seals and opens; safe to share between threads."""

    def __init__(self, key_file: Path) -> None:
        """Read the key, or make one where there is none. Raises SecretError for a file that cannot be the key."""
        self._key_file = key_file
        self._key = _read_key(key_file) if key_file.exists() else _make_key(key_file)
        self._cipher = AESGCM(self._key)

    def seal(self, plain: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, plain, None)

    def open(self, sealed: bytes) -> bytes:
        """What was sealed; raises SecretError for anything changed or sealed with another key."""
        nonce, ciphertext = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            if sealed[:1] != _VERSION or len(nonce) != _NONCE_BYTES:
                raise InvalidTag
            return self._cipher.decrypt(nonce, ciphertext, None)
        except InvalidTag:
            raise SecretError(f"A stored secret was not sealed with the key in {self._key_file}.") from None

    def derive(self, purpose: str) -> bytes:
        """A 32-byte key for `purpose` alone, the same at every start; learning it tells nothing about the others."""
        return hmac.digest(self._key, b"lambent/" + purpose.encode(), hashlib.sha256)


def _make_key(key_file: Path) -> bytes:
    make_folder(key_file.parent, mode=0o700)
    key = os.urandom(_KEY_BYTES)
    write_durably(key_file, key.hex().encode() + b"\n", mode=0o600)
    return key


def _read_key(key_file: Path) -> bytes:
    if key_file.stat().st_mode & 0o077:
        raise SecretError(f"Others may read the key file {key_file}: run `chmod 600 {key_file}`.")
    try:
        key = bytes.fromhex(key_file.read_text().strip())
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise SecretError(f"The key file {key_file} does not hold {_KEY_BYTES} bytes in hexadecimal.")
    return key
