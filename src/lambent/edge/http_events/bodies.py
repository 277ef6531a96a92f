"""Bodies in JSON: as text or in base64, by the rule of each kind of front door."""

from __future__ import annotations

import base64
from collections.abc import Iterable

_TEXT_MARKS = ("text/", "json", "xml", "javascript")


def by_content_type(body: bytes, content_type: str | None) -> tuple[str, bool]:
    """(body, is it base64?) as function URLs and HTTP APIs decide: text types as they are, all else in base64."""
    if not body:
        return "", False
    kind = (content_type or "").partition(";")[0].strip().lower()
    if any(mark in kind for mark in _TEXT_MARKS):
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode("ascii"), True


class BinaryMediaTypes:
    """The binaryMediaTypes of a REST API: `image/png`, `image/*`, `*/*`."""

    def __init__(self, types: Iterable[str] = ()) -> None:
        self._exact = frozenset(kind.strip().lower() for kind in types)
        self._families = frozenset(kind[:-1] for kind in self._exact if kind.endswith("/*") and kind != "*/*")
        self.everything = "*/*" in self._exact

    def match(self, content_type: str | None) -> bool:
        """Is a body of this type binary?"""
        if self.everything:
            return True
        if not self._exact or not content_type:
            return False
        kind = content_type.partition(";")[0].strip().lower()
        return kind in self._exact or f"{kind.partition('/')[0]}/" in self._families

    def accepted(self, accept: str | None) -> bool:
        """Does the client ask for a binary body? The first media type of its Accept header decides."""
        return self.match((accept or "").partition(",")[0])

    def encode(self, body: bytes, content_type: str | None) -> tuple[str | None, bool]:
        """(body, is it base64?) of a REST API's event; None for no body."""
        if not body:
            return None, False
        if self.match(content_type):
            return base64.b64encode(body).decode("ascii"), True
        return body.decode("utf-8", "replace"), False
