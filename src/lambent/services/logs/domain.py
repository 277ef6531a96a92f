"""Values and pure rules of CloudWatch Logs: limits, ARNs, the order of events, page tokens. No I/O."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from lambent.arn import Arn, partition_of
from lambent.services.logs.errors import (
    InvalidParameterException,
    ResourceNotFoundException,
    TooManyTagsException,
)

#: What AWS adds to each event's message when it counts bytes.
BILLED_OVERHEAD = 26
MAX_BATCH_BYTES = 1_048_576
MAX_EVENT_BYTES = 1_048_576
MAX_PAGE_BYTES = 1_048_576
MAX_PAGE_EVENTS = 10_000
DAY_MS = 86_400_000
BATCH_SPAN_MS = DAY_MS
OLDEST_MS = 14 * DAY_MS
NEWEST_MS = 2 * 3_600_000
MAX_TAGS = 50
#: Later than any event.
FOREVER_MS = 10**14 - 1

RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
)  # fmt: skip


class Position(NamedTuple):
    """A place between events: before the event of this timestamp, stream and number, after all lesser ones."""

    timestamp_ms: int
    stream_id: int
    sequence: int


class Event(NamedTuple):
    """One event as it is read. Compares by time, then stream, then its place in the stream."""

    timestamp_ms: int
    stream_id: int
    sequence: int
    message: bytes
    ingested_ms: int
    stream_name: str

    @property
    def id(self) -> str:
        """56 digits, as AWS's; the same on every read."""
        return f"{self.timestamp_ms:018d}{self.stream_id:018d}{self.sequence:020d}"

    @property
    def before(self) -> Position:
        return Position(self.timestamp_ms, self.stream_id, self.sequence)

    @property
    def after(self) -> Position:
        return Position(self.timestamp_ms, self.stream_id, self.sequence + 1)


def group_arn(account: str, region: str, name: str) -> str:
    """Without the `:*` that DescribeLogGroups' `arn` has and its `logGroupArn` has not."""
    return f"arn:{partition_of(region)}:logs:{region}:{account}:log-group:{name}"


def group_name(identifier: str, account: str, region: str) -> str:
    """The group that a name or an ARN (with or without `:*`) stands for.

    Raises ResourceNotFoundException where the ARN is another account's or region's.
    """
    arn = Arn.parse(identifier)
    if arn is None:
        return identifier
    kind, _, name = arn.resource.removesuffix(":*").partition(":")
    if arn.service != "logs" or kind != "log-group" or not name:
        raise InvalidParameterException(f"Invalid log group ARN: {identifier}")
    if (arn.account, arn.region) != (account, region):
        raise ResourceNotFoundException
    return name


# ---- tokens --------------------------------------------------------------------------------------------------------


def page_token(direction: str, position: Position) -> str:
    """GetLogEvents' `f/<56 digits>/s` and `b/…`; FilterLogEvents' too, so that a token tells which way it goes."""
    return f"{direction}/{position.timestamp_ms:018d}{position.stream_id:018d}{position.sequence:020d}/s"


def parse_page_token(token: str) -> tuple[str, Position]:
    direction, _, rest = token.partition("/")
    digits, _, end = rest.partition("/")
    if direction not in ("f", "b") or end != "s" or len(digits) != 56 or not (digits.isascii() and digits.isdigit()):
        raise InvalidParameterException("The specified nextToken is invalid.")
    return direction, Position(int(digits[:18]), int(digits[18:36]), int(digits[36:]))


def sequence_token(stream_id: int, next_sequence: int) -> str:
    """Never checked (as on AWS since 2023), always returned."""
    return f"49{stream_id:026d}{next_sequence:028d}"


# ---- PutLogEvents --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AdmittedBatch:
    """What PutLogEvents stores, and its `rejectedLogEventsInfo` (empty: nothing was rejected)."""

    times: list[int]
    messages: list[bytes]
    rejected: dict[str, int]


def admit_batch(events: Sequence[Mapping[str, Any]], now_ms: int, oldest_kept_ms: int) -> AdmittedBatch:
    """AWS's rules on a batch. Those on its shape fail the request; events too old or too new are left out."""
    times = [event["timestamp"] for event in events]
    messages = [event["message"].encode("utf-8", "replace") for event in events]
    _check_sizes(messages)
    if any(later < earlier for earlier, later in pairwise(times)):
        raise InvalidParameterException("Log events in a single PutLogEvents request must be in chronological order.")
    # In chronological order, what is rejected lies at the two ends.
    expired = bisect_left(times, oldest_kept_ms)
    too_old = bisect_left(times, now_ms - OLDEST_MS)
    too_new = bisect_left(times, now_ms + NEWEST_MS + 1)
    first = max(expired, too_old)
    if first < too_new and times[too_new - 1] - times[first] > BATCH_SPAN_MS:
        raise InvalidParameterException(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours."
        )
    rejected = {}
    if too_new < len(times):
        rejected["tooNewLogEventStartIndex"] = too_new
    if too_old:
        rejected["tooOldLogEventEndIndex"] = too_old
    if expired:
        rejected["expiredLogEventEndIndex"] = expired
    return AdmittedBatch(times[first:too_new], messages[first:too_new], rejected)


def _check_sizes(messages: Sequence[bytes]) -> None:
    largest = max(map(len, messages))
    if largest > MAX_EVENT_BYTES:
        raise InvalidParameterException(f"Log event too large: {largest} bytes exceeds limit of {MAX_EVENT_BYTES}")
    size = sum(map(len, messages)) + BILLED_OVERHEAD * len(messages)
    if size > MAX_BATCH_BYTES:
        raise InvalidParameterException(f"Upload too large: {size} bytes exceeds limit of {MAX_BATCH_BYTES}")


# ---- tags ----------------------------------------------------------------------------------------------------------


def check_tags(tags: Mapping[str, str], resource: str) -> None:
    """`tags` are all that `resource` would have."""
    for key in tags:
        if key.lower().startswith("aws:"):
            raise InvalidParameterException("Tag keys starting with aws: are reserved for system use.")
    if len(tags) > MAX_TAGS:
        raise TooManyTagsException(resourceName=resource)
