"""An event that waits to be done, as the queue and the drain share it."""

from __future__ import annotations

from dataclasses import dataclass

from lambent.arn import function_arn
from lambent.ports import Event

#: Account, region and name of a function, and the qualifier that it was invoked with: whose events share one lane.
LaneKey = tuple[str, str, str, str]


@dataclass(slots=True, eq=False)
class Waiting:
    """One event. The queue makes it, the drain moves it on."""

    #: In the order of acceptance.
    id: int
    lane: LaneKey
    #: Seconds since the epoch.
    accepted_at: float
    #: When to try it (again).
    due_at: float
    #: None while it is on disk alone.
    event: Event | None
    #: How often the function ran it.
    attempts: int = 0
    #: How often Lambda itself failed to run it.
    failures: int = 0
    #: Bytes that it counts for in the queue's budget; 0 once it is finished.
    size: int = 0


def arn_of(lane: LaneKey) -> str:
    """Of the function as it was invoked."""
    account, region, name, qualifier = lane
    return function_arn(region, account, name, qualifier)


def lane_of(event: Event) -> LaneKey:
    return event.account, event.region, event.name, event.qualifier
