"""Reading traces: whole ones by id, summaries of those of a time, and the graph of the services in them."""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from lambent.context import Context
from lambent.services.xray import filters
from lambent.services.xray.collector import Traces
from lambent.services.xray.domain import is_trace_id
from lambent.services.xray.errors import InvalidRequestException
from lambent.services.xray.graph import Graph
from lambent.services.xray.store import TraceRow, TraceStore
from lambent.services.xray.summary import Trace, summary_of

#: Traces of one BatchGetTraces or GetTraceGraph.
MOST_IDS = 5
#: Traces that one page of summaries looks at, and those that one page of a graph adds up; fewer where they are large.
PAGE = 200
_GRAPH_PAGE = 500
_PAGE_BYTES = 8 * 1024 * 1024
#: Hours that one request may ask for.
_LONGEST_S = 24 * 3600
_COLUMNS = {"TraceId": "started_at", "Event": "updated_at", "Service": "ended_at"}
_MOST_EXPRESSION = 2000


class TraceOperations:
    def __init__(self, traces: Traces, store: TraceStore) -> None:
        self._traces = traces
        self._store = store

    async def BatchGetTraces(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        ids = _checked(params["TraceIds"])
        found = await self._traces.read(functools.partial(self._load, context=context, ids=ids))
        told = [
            {
                "Id": trace.trace_id,
                "Duration": round(trace.duration, 3),
                "LimitExceeded": trace.limit_exceeded,
                "Segments": [{"Id": node.id, "Document": node.document().decode()} for node in trace.segments],
            }
            for trace in found
        ]
        known = {trace.trace_id for trace in found}
        return {"Traces": told, "UnprocessedTraceIds": [each for each in ids if each.lower() not in known]}

    async def GetTraceSummaries(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        _refuse_sampling(params)
        span = _span(params)
        expression = params.get("FilterExpression") or ""
        if len(expression) > _MOST_EXPRESSION:
            raise InvalidRequestException(f"A filter expression has at most {_MOST_EXPRESSION} characters.")
        matches = filters.parse(expression) if expression.strip() else None
        column = _COLUMNS[params.get("TimeRangeType") or "TraceId"]
        before = _place_of(params.get("NextToken"))

        def look(tx: Connection) -> tuple[_Page, list[dict[str, Any]]]:
            page = self._page(tx, context, span, column, before, PAGE)
            summaries = []
            for row in page.rows:
                trace = self._trace(tx, context.account, row)
                if matches is None or matches(trace, None):
                    at = row.updated_at if column == "updated_at" else trace.started_at
                    summaries.append({**summary_of(trace), "MatchedEventTime": at})
            return page, summaries

        page, summaries = await self._traces.read(look)
        answer = {
            "TraceSummaries": summaries,
            "ApproximateTime": span[0],
            "TracesProcessedCount": len(page.rows),
        }
        return {**answer, **page.further}

    async def GetTraceGraph(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        ids = _checked(params["TraceIds"])
        graph = Graph()
        for trace in await self._traces.read(functools.partial(self._load, context=context, ids=ids)):
            graph.add(trace)
        return {"Services": graph.services()}

    async def GetServiceGraph(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Each page is a graph of its own, of so many traces."""
        if params.get("GroupName", "Default") != "Default" or params.get("GroupARN"):
            raise InvalidRequestException("Only the group Default is served here.")
        span = _span(params)
        before = _place_of(params.get("NextToken"))

        def look(tx: Connection) -> tuple[_Page, Graph]:
            graph = Graph()
            page = self._page(tx, context, span, "started_at", before, _GRAPH_PAGE)
            for row in page.rows:
                graph.add(self._trace(tx, context.account, row))
            return page, graph

        page, graph = await self._traces.read(look)
        answer = {
            "StartTime": span[0],
            "EndTime": span[1],
            "Services": graph.services(),
            "ContainsOldGroupVersions": False,
        }
        return {**answer, **page.further}

    def _page(
        self,
        tx: Connection,
        context: Context,
        span: tuple[float, float],
        column: str,
        before: tuple[float, int] | None,
        most: int,
    ) -> _Page:
        rows = self._store.between(tx, context.account, context.region, span, column, before, most + 1)
        size = count = 0
        while count < min(most, len(rows)) and size < _PAGE_BYTES:
            size += rows[count].size
            count += 1
        return _Page(rows[:count], _further(rows[:count], column) if count < len(rows) else {})

    def _load(self, tx: Connection, context: Context, ids: Sequence[str]) -> list[Trace]:
        rows = (self._store.find(tx, context.account, context.region, trace_id.lower()) for trace_id in ids)
        return [self._trace(tx, context.account, row) for row in rows if row is not None]

    def _trace(self, tx: Connection, account: str, row: TraceRow) -> Trace:
        documents = self._store.documents(tx, row.id)
        exceeded = bool(row.limit_exceeded)
        return Trace.of(row.trace_id, account, documents, row.started_at, row.ended_at, row.revision, exceeded)


def _checked(ids: Sequence[str]) -> list[str]:
    if not 1 <= len(ids) <= MOST_IDS:
        raise InvalidRequestException(f"TraceIds are 1 to {MOST_IDS}, not {len(ids)}.")
    for trace_id in ids:
        if not is_trace_id(trace_id):
            raise InvalidRequestException(f"Invalid trace id: {trace_id}")
    return list(dict.fromkeys(ids))


def _span(params: dict[str, Any]) -> tuple[float, float]:
    start, end = (params[name].timestamp() for name in ("StartTime", "EndTime"))
    if end < start:
        raise InvalidRequestException("EndTime must not be before StartTime.")
    if end - start > _LONGEST_S:
        raise InvalidRequestException("The time range must not be longer than 24 hours.")
    return start, end


def _refuse_sampling(params: dict[str, Any]) -> None:
    strategy = params.get("SamplingStrategy") or {}
    if params.get("Sampling") or strategy.get("Name"):
        raise InvalidRequestException("Summaries of a subset of traces are not served here: leave Sampling out.")


# ---- pages ----------------------------------------------------------------------------------------------------------


class _Page(NamedTuple):
    rows: list[TraceRow]
    #: NextToken, where there is more.
    further: dict[str, Any]


def _further(rows: Sequence[TraceRow], column: str) -> dict[str, Any]:
    last = rows[-1]
    place = json.dumps([getattr(last, column), last.id])
    return {"NextToken": base64.urlsafe_b64encode(place.encode()).decode()}


def _place_of(token: str | None) -> tuple[float, int] | None:
    """Where the last page ended."""
    if not token:
        return None
    try:
        at, number = json.loads(base64.urlsafe_b64decode(token))
        if type(number) is not int or not 0 <= number < 2**63:
            raise ValueError(number)
        return float(at), number
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise InvalidRequestException("Invalid next token") from None
