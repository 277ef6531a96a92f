"""Scalars as text, both ways: timestamps in AWS's three formats, booleans, numbers, base64.

Shared by everything that writes or reads text: URIs, headers, query strings, XML, and timestamps in JSON.
Readers raise SerializationException for what they can't read.
"""

from __future__ import annotations

import binascii
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

from lambent.errors import SerializationException
from lambent.wire.api_model import Shape

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_INTEGER_BITS = {"integer": 31, "long": 63}
_SPECIAL_FLOATS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


# ---- reading -------------------------------------------------------------------------------------------------------


def read_timestamp(value: Any) -> datetime:
    """Epoch seconds (a number, or its text), ISO 8601 or RFC 822: AWS takes each wherever it takes one of them."""
    try:
        if isinstance(value, str):
            if "T" in value and "," not in value:
                return _in_utc(datetime.fromisoformat(value))
            if "," in value:
                return _in_utc(parsedate_to_datetime(value))
            value = float(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return _EPOCH + timedelta(seconds=value)
    except (ValueError, OverflowError, TypeError, IndexError):
        pass
    raise SerializationException(f"{str(value)[:100]!r} is not a timestamp.")


def _in_utc(value: datetime) -> datetime:
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def read_base64(value: str) -> bytes:
    try:
        return binascii.a2b_base64(value, strict_mode=True) if value else b""
    except (binascii.Error, ValueError) as error:
        raise SerializationException("A blob is not valid base64.") from error


def read_integer(value: str, bits: int = 63) -> int:
    try:
        number = int(value) if len(value) < 30 and "_" not in value else None
    except ValueError:
        number = None
    if number is None or not -(1 << bits) <= number < 1 << bits:
        raise SerializationException(f"{value[:100]!r} is not an integer.")
    return number


def read_float(value: str) -> float:
    special = _SPECIAL_FLOATS.get(value)
    if special is not None:
        return special
    try:
        number = float(value) if "_" not in value else math.inf
    except ValueError:
        number = math.inf
    if not math.isfinite(number):
        raise SerializationException(f"{value[:100]!r} is not a number.")
    return number


def read_boolean(value: str) -> bool:
    if value == "true":
        return True
    if value == "false":
        return False
    raise SerializationException(f"{value[:100]!r} is not a boolean.")


def read_json_value(value: str) -> Any:
    """The JSON text inside a header, in base64."""
    try:
        return msgspec.json.decode(read_base64(value))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SerializationException("A header does not hold JSON in base64.") from error


def text_reader(shape: Shape) -> Callable[[str], Any]:
    """How a scalar of this shape is read from text."""
    if shape.jsonvalue:
        return read_json_value
    if shape.type in _INTEGER_BITS:
        bits = _INTEGER_BITS[shape.type]
        return lambda value: read_integer(value, bits)
    return _READERS.get(shape.type, str)


_READERS: dict[str, Callable[[str], Any]] = {
    "timestamp": read_timestamp,
    "blob": read_base64,
    "float": read_float,
    "double": read_float,
    "boolean": read_boolean,
}


def unquote(raw: bytes) -> str:
    """Percent-decoded, strictly UTF-8."""
    if b"%" in raw:
        raw = unquote_to_bytes(raw)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise SerializationException("The request's URI is not valid UTF-8.") from error


def parse_query(query: bytes) -> dict[str, list[str]]:
    """A query string or a form, decoded; names without `=` have the value "". AWS reads `+` as a space."""
    found: dict[str, list[str]] = {}
    for part in query.split(b"&"):
        if part:
            name, _, value = part.partition(b"=")
            found.setdefault(unquote(name.replace(b"+", b" ")), []).append(unquote(value.replace(b"+", b" ")))
    return found


# ---- writing -------------------------------------------------------------------------------------------------------


def as_datetime(value: Any) -> datetime:
    """What a handler may give for a timestamp: a datetime, epoch seconds, or ISO 8601."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return read_timestamp(value)


def write_iso8601(value: Any) -> str:
    moment = as_datetime(value).astimezone(UTC)
    micros = moment.microsecond
    fraction = "" if not micros else f".{micros:06d}" if micros % 1000 else f".{micros // 1000:03d}"
    return f"{moment.replace(microsecond=0, tzinfo=None).isoformat()}{fraction}Z"


def write_rfc822(value: Any) -> str:
    return format_datetime(as_datetime(value).astimezone(UTC).replace(microsecond=0), usegmt=True)


def write_epoch(value: Any) -> int | float:
    """Epoch seconds, whole where they are."""
    micros = (as_datetime(value) - _EPOCH) // _MICROSECOND
    return micros // 1_000_000 if micros % 1_000_000 == 0 else micros / 1_000_000


TIMESTAMP_WRITERS: dict[str, Callable[[Any], Any]] = {
    "iso8601": write_iso8601,
    "rfc822": write_rfc822,
    "unixtimestamp": write_epoch,
}


def write_boolean(value: Any) -> str:
    return "true" if value else "false"


def write_base64(value: Any) -> str:
    data = value.encode() if isinstance(value, str) else value
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def special_float(value: float) -> float | str:
    """The names that AWS gives to floats which JSON and XML can't write."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def write_float(value: Any) -> str:
    return str(special_float(value))


def write_json_value(value: Any) -> str:
    return write_base64(msgspec.json.encode(value))


def text_writer(shape: Shape, timestamps: str) -> Callable[[Any], str]:
    """How a scalar of this shape is written as text; `timestamps` is the format where the shape has none of its own."""
    if shape.jsonvalue:
        return write_json_value
    if shape.type == "timestamp":
        write = TIMESTAMP_WRITERS[shape.timestamp_format or timestamps]
        return lambda value: str(write(value))
    return _WRITERS.get(shape.type, str)


_WRITERS: dict[str, Callable[[Any], str]] = {
    "blob": write_base64,
    "float": write_float,
    "double": write_float,
    "boolean": write_boolean,
}
