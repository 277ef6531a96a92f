"""One page of events, merged from the runs of any number of streams in order of time; forward or backward.

Runs on reader threads and blocks. It opens runs in order of their first (backward: last) timestamp and gives out what
no unopened run can precede, so a page costs the runs it lies in, however long the streams are. A search that finds
little stops after `scan_bytes` with a page that may be empty and a position to go on from, as AWS does.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from lambent.services.logs import blocks
from lambent.services.logs.catalogue import Stream
from lambent.services.logs.domain import BILLED_OVERHEAD, FOREVER_MS, MAX_PAGE_BYTES, MAX_PAGE_EVENTS, Event, Position
from lambent.services.logs.segments import Run


@dataclass(frozen=True, slots=True)
class Query:
    streams: Sequence[Stream]
    #: Timestamps, both inclusive.
    start_ms: int = 0
    end_ms: int = FOREVER_MS
    #: Forward from here (inclusive) or backward (exclusive); None = from the very start or end.
    position: Position | None = None
    backward: bool = False
    limit: int = MAX_PAGE_EVENTS
    max_bytes: int = MAX_PAGE_BYTES
    #: Whether an event is wanted; None = every one.
    matches: Callable[[bytes], bool] | None = None
    #: Bytes that every wanted message contains: a run without them is not looked into.
    required: tuple[bytes, ...] = ()
    scan_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Page:
    #: In reading direction.
    events: list[Event]
    #: Where the next page goes on; None when everything was read.
    next_position: Position | None


def read_page(query: Query) -> Page:
    low, high = _time_bounds(query)
    runs = _runs(query, low, high)
    ready: list[Event] = []
    events: list[Event] = []
    scanned = size = 0
    #: Nothing in `ready` lies before it.
    edge = _start(query, runs[0]) if runs else 0
    for run, following in zip_longest(runs, runs[1:]):
        ready += _wanted(query, run, low, high)
        scanned += run.length
        frontier = None if following is None else _start(query, following)
        if frontier == edge:
            continue
        for event in _settled(ready, frontier, backward=query.backward):
            size += len(event.message) + BILLED_OVERHEAD
            if len(events) == query.limit or (size > query.max_bytes and events):
                return Page(events, event.after if query.backward else event.before)
            events.append(event)
        if frontier is None:
            break
        edge = frontier
        if scanned >= query.scan_bytes:
            resume = Position(frontier + 1, 0, 0) if query.backward else Position(frontier, 0, 0)
            if _advances(query, resume):
                return Page(events, resume)
    return Page(events, None)


def _time_bounds(query: Query) -> tuple[int, int]:
    low, high = query.start_ms, query.end_ms
    if query.position is not None:
        if query.backward:
            high = min(high, query.position.timestamp_ms)
        else:
            low = max(low, query.position.timestamp_ms)
    return low, high


def _runs(query: Query, low: int, high: int) -> list[Run]:
    runs = [
        run
        for stream in query.streams
        if stream.last_ms is not None and stream.last_ms >= low
        for run in tuple(stream.runs)
        if run.last_ms >= low and run.first_ms <= high
    ]
    runs.sort(key=lambda run: _start(query, run), reverse=query.backward)
    return runs


def _start(query: Query, run: Run) -> int:
    """The timestamp that reading meets first."""
    return run.last_ms if query.backward else run.first_ms


def _settled(ready: list[Event], frontier: int | None, *, backward: bool) -> list[Event]:
    """Take out of `ready`, in order, the events that lie before the frontier."""
    ready.sort(reverse=backward)
    if frontier is None:
        cut = len(ready)
    elif backward:
        cut = bisect_left(ready, -frontier, key=lambda event: -event.timestamp_ms)
    else:
        cut = bisect_left(ready, frontier, key=lambda event: event.timestamp_ms)
    settled = ready[:cut]
    del ready[:cut]
    return settled


def _advances(query: Query, resume: Position) -> bool:
    """Whether stopping there gets anywhere; else a page could return the position it began at, for ever."""
    if query.position is None:
        return True
    return resume < query.position if query.backward else resume > query.position


def _wanted(query: Query, run: Run, low: int, high: int) -> list[Event]:
    data = run.segment.read(run)
    if any(term not in data for term in query.required):
        return []
    name, matches = run.stream.row.name, query.matches
    events: list[Event] = []
    for block in blocks.decode(data):
        stream_id, sequence, ingested, times, lengths, ends, body = block
        for i in range(bisect_left(times, low), bisect_right(times, high)):
            message = body[ends[i] - lengths[i] : ends[i]]
            if matches is None or matches(message):
                events.append(Event(times[i], stream_id, sequence + i, message, ingested, name))
    if query.position is not None:
        position, backward = query.position, query.backward
        events = [event for event in events if (event < position if backward else event >= position)]
    return events
