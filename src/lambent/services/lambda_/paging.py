"""Pages of lists: AWS gives 50 entries at most whatever MaxItems says, and a Marker that only it can read."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from lambent.services.lambda_.errors import InvalidParameterValueException

PAGE_LIMIT = 50


def limit(params: dict[str, Any]) -> int:
    """Entries of one page."""
    return min(params.get("MaxItems") or PAGE_LIMIT, PAGE_LIMIT)


def marker(place: str) -> str:
    """A Marker for the page behind `place`."""
    return base64.urlsafe_b64encode(place.encode()).decode()


def place(params: dict[str, Any]) -> str:
    """Where the last page ended; "" at the beginning."""
    try:
        return base64.b64decode(params.get("Marker") or "", altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise bad_marker() from None


def bad_marker() -> InvalidParameterValueException:
    return InvalidParameterValueException("The Marker is not one that this operation gave.")
