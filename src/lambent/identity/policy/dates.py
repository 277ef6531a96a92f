"""Dates and numbers as conditions write them: ISO 8601 or seconds since the epoch, and decimal numbers."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

_NUMBER = re.compile(r"[+-]?\d{1,64}(\.\d{1,64})?", re.ASCII)
_EPOCH = re.compile(r"-?\d{1,19}", re.ASCII)
_ISO = re.compile(
    r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?"
    r"(?:[Tt](\d{1,2})(?::(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?)?)?"
    r"([Zz]|[+-]\d{2}(?::?\d{2})?)?",
    re.ASCII,
)
#: Larger numbers of seconds overflow what AWS counts with.
_EPOCH_LIMIT = 2**63


def number_of(text: str) -> Decimal | None:
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def instant_of(text: str) -> Decimal | None:
    """Seconds since the epoch; None where `text` is no date. Four digits are a year."""
    found = _ISO.fullmatch(text)
    if found is not None:
        return _from_iso(found)
    if _EPOCH.fullmatch(text) and -_EPOCH_LIMIT <= int(text) < _EPOCH_LIMIT:
        return Decimal(text)
    return None


def _from_iso(found: re.Match[str]) -> Decimal | None:
    year, month, day, hour, minute, second = (
        int(part) if part else least for part, least in zip(found.groups()[:6], (1, 1, 1, 0, 0, 0), strict=True)
    )
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=_zone(found[8]))
    except ValueError:
        return None
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return since.days * 86400 + since.seconds + Decimal(f"0.{found[7] or 0}")


def _zone(text: str | None) -> timezone:
    if text is None or text in "Zz":
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if text[0] == "-" else offset)
