"""Why somebody was refused, in a form that whoever was refused cannot read: `DecodeAuthorizationMessage` opens it.

What it holds may tell of policies that the refused one must not know, so it travels sealed with the region's key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from lambent.identity.sealing import Seal

#: As long as STS takes them.
MESSAGE_CHARACTERS = 10240


class AuthorizationMessages:
    def __init__(self, key: bytes) -> None:
        """`key`: of the region, at least 32 bytes."""
        self._seal = Seal(key, b"authorization messages", MESSAGE_CHARACTERS)

    def encode(self, account: str, document: Mapping[str, Any]) -> str:
        """`document` in a form that only callers of `account` can have decoded."""
        return self._seal.close(msgspec.json.encode(document), account)

    def decode(self, account: str, text: str) -> str | None:
        """The document as JSON; None for anything that was not encoded for `account` here."""
        content = self._seal.open(text, account)
        return None if content is None else content.decode()
