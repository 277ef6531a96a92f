"""Log events: put, read one stream, search a group."""

from __future__ import annotations

from typing import Any

from lambent.context import Context
from lambent.services.logs.catalogue import Group, Stream
from lambent.services.logs.domain import (
    FOREVER_MS,
    MAX_PAGE_EVENTS,
    Event,
    Position,
    admit_batch,
    page_token,
    parse_page_token,
    sequence_token,
)
from lambent.services.logs.errors import InvalidParameterException
from lambent.services.logs.filters import compile_pattern
from lambent.services.logs.operations.base import Operations, Params, Result
from lambent.services.logs.reader import Query, read_page

#: FilterLogEvents reads backward only from here on: 2024-01-01 (its model's documentation).
_BACKWARD_SINCE_MS = 1_704_067_200_000


class EventOperations(Operations):
    async def PutLogEvents(self, context: Context, params: Params) -> Result:
        await self._store.flush()
        group = self._group(context, params["logGroupName"])
        stream = self._stream(group, params["logStreamName"])
        batch = admit_batch(params["logEvents"], self._store.now_ms(), self._store.oldest_kept_ms(group))
        if batch.times:
            await self._store.put(stream, batch.times, batch.messages)
        result: Result = {"nextSequenceToken": sequence_token(stream.row.id, stream.next_sequence)}
        if batch.rejected:
            result["rejectedLogEventsInfo"] = batch.rejected
        if "entity" in params:
            # Entities belong to Application Signals, which is not served; the events count all the same.
            result["rejectedEntityInfo"] = {"errorType": "UnsupportedLogGroupType"}
        return result

    async def GetLogEvents(self, context: Context, params: Params) -> Result:
        await self._store.flush()
        group = self._identified_group(context, params)
        stream = self._stream(group, params["logStreamName"])
        start_ms = max(params.get("startTime", 0), self._store.oldest_kept_ms(group))
        backward, position = not params.get("startFromHead", False), None
        if token := params.get("nextToken"):
            direction, position = parse_page_token(token)
            backward = direction == "b"
        query = Query(
            [stream],
            start_ms,
            params["endTime"] - 1 if "endTime" in params else FOREVER_MS,
            position,
            backward,
            params.get("limit", MAX_PAGE_EVENTS),
        )
        # At either end the caller gets back the token that it came with, which tells it so.
        return await self._store.in_thread(_stream_page, query, position or Position(start_ms, 0, 0))

    async def FilterLogEvents(self, context: Context, params: Params) -> Result:
        pattern = compile_pattern(params.get("filterPattern", ""))
        await self._store.flush()
        group = self._identified_group(context, params)
        backward, position = _direction(params)
        query = Query(
            self._searched_streams(group, params),
            max(params.get("startTime", 0), self._store.oldest_kept_ms(group)),
            params.get("endTime", FOREVER_MS),
            position,
            backward,
            params.get("limit", MAX_PAGE_EVENTS),
            matches=pattern.matches,
            required=pattern.required,
        )
        return await self._store.in_thread(_group_page, query)

    def _searched_streams(self, group: Group, params: Params) -> list[Stream]:
        names, prefix = params.get("logStreamNames"), params.get("logStreamNamePrefix")
        if names is not None and prefix is not None:
            raise InvalidParameterException("logStreamNamePrefix and logStreamNames cannot both be specified.")
        if names is not None:
            return [self._stream(group, name) for name in dict.fromkeys(names)]
        if prefix is not None:
            return [stream for name, stream in group.streams.items() if name.startswith(prefix)]
        return list(group.streams.values())


def _direction(params: Params) -> tuple[bool, Position | None]:
    """Whether to read backward, and from where."""
    if token := params.get("nextToken"):
        direction, position = parse_page_token(token)
        return direction == "b", position
    if params.get("startFromHead", True):
        return False, None
    if params.get("startTime", 0) < _BACKWARD_SINCE_MS:
        raise InvalidParameterException(
            "startFromHead can be false only when startTime is on or after Jan 1, 2024 00:00:00 UTC."
        )
    return True, None


# ---- on a reader thread: a page may be ten thousand events


def _stream_page(query: Query, here: Position) -> Result:
    """GetLogEvents' answer; `here` is where an empty page stands."""
    page = read_page(query)
    events = page.events[::-1] if query.backward else page.events
    return {
        "events": [_shown(event) for event in events],
        "nextForwardToken": page_token("f", events[-1].after if events else here),
        "nextBackwardToken": page_token("b", events[0].before if events else here),
    }


def _group_page(query: Query) -> Result:
    """FilterLogEvents' answer."""
    page = read_page(query)
    # AWS leaves searchedLogStreams empty since May 2020.
    result: Result = {
        "events": [{"logStreamName": event.stream_name, "eventId": event.id, **_shown(event)} for event in page.events],
        "searchedLogStreams": [],
    }
    if page.next_position is not None:
        result["nextToken"] = page_token("b" if query.backward else "f", page.next_position)
    return result


def _shown(event: Event) -> dict[str, Any]:
    return {
        "timestamp": event.timestamp_ms,
        "message": event.message.decode("utf-8", "replace"),
        "ingestionTime": event.ingested_ms,
    }
