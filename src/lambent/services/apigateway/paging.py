"""Lists by `position` and `limit`: a position is the key of the last item that was shown, in a form of its own."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from lambent.services.apigateway.errors import BadRequestException

T = TypeVar("T")

DEFAULT_LIMIT = 25
LARGEST_LIMIT = 500


def page(
    found: Iterable[T], params: Mapping[str, Any], key: Callable[[T], str], show: Callable[[T], dict[str, Any]]
) -> dict[str, Any]:
    """The page that `params` ask for, in the order of `key`, as an answer's `items` and `position`."""
    limit = params.get("limit")
    limit = DEFAULT_LIMIT if limit is None else limit
    if limit < 1:
        raise BadRequestException("Invalid limit specified. Must be at least 1")
    after = _decoded(params.get("position"))
    rest = sorted(((key(one), one) for one in found if key(one) > after), key=lambda row: row[0])
    shown = rest[: min(limit, LARGEST_LIMIT)]
    answer: dict[str, Any] = {"items": [show(one) for _, one in shown]}
    if len(rest) > len(shown):
        answer["position"] = base64.urlsafe_b64encode(shown[-1][0].encode()).decode()
    return answer


def _decoded(position: str | None) -> str:
    try:
        return base64.urlsafe_b64decode(position or "").decode()
    except (binascii.Error, ValueError):
        raise BadRequestException("Invalid position specified") from None
