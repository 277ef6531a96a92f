"""Which of a function's lines its log shows: ApplicationLogLevel of the JSON log format.

AWS's runtimes filter what goes through their loggers themselves; what else a function prints is looked at here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from lambent.ports import FunctionVersion

#: Where the type of a log frame holds its level: TRACE is 4, FATAL 24.
LEVEL_BITS = 0x1C

_RANKS = {"TRACE": 4, "DEBUG": 8, "INFO": 12, "WARN": 16, "ERROR": 20, "FATAL": 24}
#: Names of loggers for those levels.
_RANKS_OF_LOGGERS = {**_RANKS, "WARNING": 16, "CRITICAL": 24}

#: Whether a line is shown, by the level of its frame (0 without) and its text.
Shows = Callable[[int, bytes], bool]


_NOTHING = msgspec.Raw(b"")
#: A level or a time is shorter, as JSON text.
_LONGEST = 66


class _Leveled(msgspec.Struct):
    """What of a line in JSON tells its level; a line whose time is no RFC 3339 time counts as INFO.

    As it stands in the line: who prints may put arrays of a hundred thousand others there, which nobody is to build.
    """

    level: msgspec.Raw = _NOTHING
    timestamp: msgspec.Raw = _NOTHING
    time: msgspec.Raw = _NOTHING
    at_timestamp: msgspec.Raw = msgspec.field(default=_NOTHING, name="@timestamp")
    ts: msgspec.Raw = _NOTHING


_decode = msgspec.json.Decoder(_Leveled).decode
_decode_text = msgspec.json.Decoder(str).decode


def shows(function: FunctionVersion) -> Shows | None:
    """What `function`'s log shows; None where that is everything."""
    lowest = _RANKS.get(function.application_log_level or "INFO", _RANKS["INFO"])
    if function.log_format != "JSON" or lowest == _RANKS["TRACE"]:
        return None
    return lambda level, message: (level or rank(message)) >= lowest


def rank(message: bytes) -> int:
    """Level of one line without a frame that tells it; INFO where it does not say so in JSON."""
    if message[:1] != b"{":
        return _RANKS["INFO"]
    try:
        line = _decode(message)
        level = _text(line.level) if _has_time(line) else ""
    except (ValueError, RecursionError):
        return _RANKS["INFO"]
    return _RANKS_OF_LOGGERS.get(level.upper(), _RANKS["INFO"])


def _has_time(line: _Leveled) -> bool:
    return any(_is_rfc3339(_text(value)) for value in (line.timestamp, line.time, line.at_timestamp, line.ts))


def _text(raw: msgspec.Raw) -> str:
    """ "" where it is no text, or none of a level or time."""
    return _decode_text(raw) if len(raw) <= _LONGEST and bytes(raw)[:1] == b'"' else ""


def _is_rfc3339(value: str) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False
