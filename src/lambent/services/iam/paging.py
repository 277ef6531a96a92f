"""Lists by Marker and MaxItems: a Marker is the key of the last entry shown, in a form that only IAM reads."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from lambent.services.iam.errors import ValidationError

T = TypeVar("T")

DEFAULT_LIMIT = 100


def after(params: Mapping[str, Any]) -> str:
    """The key that the last page ended with; "" at the beginning."""
    try:
        return base64.b64decode(params.get("Marker") or "", altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise ValidationError("Invalid Marker.") from None


def limit(params: Mapping[str, Any]) -> int:
    """Entries of one page; ask the store for one more, to know whether there are others."""
    return params.get("MaxItems") or DEFAULT_LIMIT


def answer(
    member: str,
    found: Sequence[T],
    params: Mapping[str, Any],
    key: Callable[[T], str],
    show: Callable[[T], Any],
) -> dict[str, Any]:
    """`found` begins behind the last page; what is beyond this one's limit only tells that there is more."""
    shown = found[: limit(params)]
    result: dict[str, Any] = {member: [show(one) for one in shown], "IsTruncated": len(found) > len(shown)}
    if len(found) > len(shown):
        result["Marker"] = base64.urlsafe_b64encode(key(shown[-1]).encode()).decode()
    return result


def of_all(
    member: str,
    entries: Iterable[T],
    params: Mapping[str, Any],
    key: Callable[[T], str],
    show: Callable[[T], Any],
) -> dict[str, Any]:
    """A page of `entries`, which are all there are, in the order of `key`."""
    place = after(params)
    return answer(member, sorted((one for one in entries if key(one) > place), key=key), params, key, show)
