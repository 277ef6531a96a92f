"""When an event is tried again, and when it is given up. Pure.

A function's error is tried again after one and after two base delays, as often as its rules say; what Lambda itself
could not run waits from one second to five minutes, as long as the event is young enough.
"""

from __future__ import annotations

import enum

from lambent.ports import EventRules

FIRST_BACKOFF_S = 1.0
LAST_BACKOFF_S = 300.0


class Condition(enum.StrEnum):
    """How an event ended, in the words of destination records."""

    SUCCESS = "Success"
    RETRIES_EXHAUSTED = "RetriesExhausted"
    EVENT_AGE_EXCEEDED = "EventAgeExceeded"
    ZERO_RESERVED_CONCURRENCY = "ZeroReservedConcurrency"


def backoff_s(failures: int) -> float:
    """How long to wait after so many failures of Lambda's own in a row."""
    # Ten doublings are beyond the limit already.
    return min(LAST_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** min(failures - 1, 10))


def is_too_old(rules: EventRules, accepted_at: float, now: float) -> bool:
    return now >= accepted_at + rules.max_age_s


def after_error(
    rules: EventRules, base_delay_s: float, accepted_at: float, attempts: int, now: float
) -> float | Condition:
    """The function failed at `attempts` runs: when to try again, or that it was enough."""
    if attempts > rules.retries:
        return Condition.RETRIES_EXHAUSTED
    return min(now + base_delay_s * attempts, accepted_at + rules.max_age_s)
