"""Log streams: create, describe, delete."""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Sequence

from lambent.context import Context
from lambent.services.logs.catalogue import Stream
from lambent.services.logs.domain import group_arn, sequence_token
from lambent.services.logs.errors import InvalidParameterException, ResourceAlreadyExistsException
from lambent.services.logs.operations.base import Operations, Params, Result, decode_token, encode_token

_PAGE = 50
Key = Callable[[Stream], str]
_TIME_KEY = re.compile(r"\d{20}.*", re.DOTALL)


class StreamOperations(Operations):
    async def CreateLogStream(self, context: Context, params: Params) -> Result:
        await self._store.flush()
        group = self._group(context, params["logGroupName"])
        if params["logStreamName"] in group.streams:
            raise ResourceAlreadyExistsException("The specified log stream already exists")
        self._store.create_stream(group, params["logStreamName"])
        await self._store.commit()
        return {}

    async def DeleteLogStream(self, context: Context, params: Params) -> Result:
        await self._store.flush()
        stream = self._stream(self._group(context, params["logGroupName"]), params["logStreamName"])
        self._store.delete_stream(stream)
        await self._store.commit()
        return {}

    async def DescribeLogStreams(self, context: Context, params: Params) -> Result:
        by_time = params.get("orderBy", "LogStreamName") == "LastEventTime"
        prefix = params.get("logStreamNamePrefix", "")
        if by_time and prefix:
            raise InvalidParameterException("Cannot order by LastEventTime with a logStreamNamePrefix.")
        await self._store.flush()
        group = self._identified_group(context, params)
        key = _time_key if by_time else _name_key
        limit = params.get("limit", _PAGE)
        page = await self._store.in_thread(
            _select,
            list(group.streams.values()),
            key,
            prefix,
            _token(params, by_time=by_time),
            params.get("descending", False),
            limit + 1,
        )
        result: Result = {"logStreams": [_described(stream) for stream in page[:limit]]}
        if len(page) > limit:
            result["nextToken"] = encode_token(key(page[limit - 1]))
        return result


def _name_key(stream: Stream) -> str:
    return stream.row.name


def _time_key(stream: Stream) -> str:
    """Sorts by time as text, so that it can be a token; a stream without events comes first."""
    return f"{stream.last_ms or 0:020d}{stream.row.name}"


def _token(params: Params, *, by_time: bool) -> str | None:
    if "nextToken" not in params:
        return None
    token = decode_token(params["nextToken"])
    if by_time and not _TIME_KEY.fullmatch(token):
        raise InvalidParameterException("The specified nextToken is invalid.")
    return token


def _select(
    streams: Sequence[Stream], key: Key, prefix: str, token: str | None, descending: bool, count: int
) -> list[Stream]:
    """The first `count` in the order asked for; in a thread, as a busy function has a stream for each cold start."""
    wanted = (
        stream
        for stream in streams
        if stream.row.name.startswith(prefix)
        and (token is None or (key(stream) < token if descending else key(stream) > token))
    )
    return (heapq.nlargest if descending else heapq.nsmallest)(count, wanted, key=key)


def _described(stream: Stream) -> Result:
    group = stream.group.row
    described: Result = {
        "logStreamName": stream.row.name,
        "creationTime": stream.row.created_ms,
        "uploadSequenceToken": sequence_token(stream.row.id, stream.next_sequence),
        "arn": f"{group_arn(group.account, group.region, group.name)}:log-stream:{stream.row.name}",
        # AWS reports zero for every stream since June 2019.
        "storedBytes": 0,
    }
    if stream.last_ms is not None:
        described["firstEventTimestamp"] = stream.first_ms
        described["lastEventTimestamp"] = stream.last_ms
        described["lastIngestionTime"] = stream.ingested_ms
    return described
