"""How the region's own log reads: a line for each event, whatever functions and clients put into it."""

from __future__ import annotations

import logging

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
#: Characters of one message; what others sent can be megabytes.
_LONGEST = 4000


class LineFormatter(logging.Formatter):
    """A message quotes what a function answered or a client asked for: it must not look like events of its own."""

    def __init__(self) -> None:
        super().__init__(LOG_FORMAT)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        message = record.message
        if len(message) > _LONGEST:
            message = f"{message[:_LONGEST]}… ({len(message)} characters)"
        if not message.isprintable():
            message = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in message)
        record.message = message
        return super().formatMessage(record)
