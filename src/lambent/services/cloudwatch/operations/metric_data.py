"""GetMetricData: many metrics and expressions over them, in pages."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from lambent.context import Context
from lambent.services.cloudwatch.aggregation import Metrics
from lambent.services.cloudwatch.domain import DAY, MINUTE, RETENTION_DAYS
from lambent.services.cloudwatch.errors import InvalidNextToken, ValidationError
from lambent.services.cloudwatch.queries import MAX_POINTS, Evaluation, Query, Result, cut, queries_of
from lambent.services.cloudwatch.store import MetricStore

#: Of all metrics of a request together, that statistics are made of.
MAX_MINUTES = 1_000_000
_ASCENDING = "TimestampAscending"
_TIMEZONE = re.compile(r"[+-]\d{4}")


class MetricDataOperations:
    def __init__(self, metrics: Metrics, store: MetricStore) -> None:
        self._metrics = metrics
        self._store = store

    async def GetMetricData(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        queries = queries_of(context.account, context.region, params["MetricDataQueries"])
        start, end = params["StartTime"].timestamp(), params["EndTime"].timestamp()
        if start >= end:
            raise ValidationError("The parameter StartTime must be less than the parameter EndTime.")
        begin, last = int(start) // MINUTE * MINUTE, int(-(-end // 1))
        _check_amount(queries, last - begin)
        _check_timezone(params)
        skip = _skipped(params.get("NextToken"))

        def read(tx: Connection) -> list[Result]:
            return Evaluation(self._store, tx, {query.id: query for query in queries}, begin, last).results()

        results = await self._metrics.read(read)
        ascending = params.get("ScanBy") == _ASCENDING
        if not ascending:
            results = [Result(each.id, each.label, each.points[::-1]) for each in results]
        page, rest = cut(results, skip, _page_size(params))
        answer: dict[str, Any] = {"MetricDataResults": [_described(*each) for each in page], "Messages": []}
        if rest is not None:
            answer["NextToken"] = base64.urlsafe_b64encode(str(rest).encode()).decode()
        return answer


def _described(result: Result, whole: bool) -> dict[str, Any]:
    return {
        "Id": result.id,
        "Label": result.label,
        "Timestamps": [datetime.fromtimestamp(at, UTC) for at, _ in result.points],
        "Values": [value for _, value in result.points],
        "StatusCode": "Complete" if whole else "PartialData",
    }


def _check_amount(queries: Sequence[Query], span: int) -> None:
    """A request reads every minute that it asks statistics of, and FILL makes a point of every period."""
    points = max(-(-span // query.period) for query in queries)
    if points > MAX_POINTS:
        raise ValidationError(
            f"You have requested up to {points:,} datapoints of a metric, which exceeds the limit of {MAX_POINTS:,}. "
            "You may reduce the datapoints requested by increasing Period, or decreasing the time range."
        )
    minutes = min(span, RETENTION_DAYS * DAY) // MINUTE * sum(1 for query in queries if query.metric is not None)
    if minutes > MAX_MINUTES:
        raise ValidationError(
            f"You have requested statistics of up to {minutes:,} minutes, which exceeds the limit of {MAX_MINUTES:,}. "
            "You may reduce them by asking for fewer metrics, or decreasing the time range."
        )


def _check_timezone(params: dict[str, Any]) -> None:
    timezone = (params.get("LabelOptions") or {}).get("Timezone")
    if timezone is not None and not _TIMEZONE.fullmatch(timezone):
        raise ValidationError(f"The value {timezone} for parameter LabelOptions.Timezone is invalid.")


def _page_size(params: dict[str, Any]) -> int:
    given = params.get("MaxDatapoints")
    if given is None:
        return MAX_POINTS
    if not 1 <= given <= MAX_POINTS:
        raise ValidationError(f"The value {given} for parameter MaxDatapoints is invalid: it is 1 to {MAX_POINTS}.")
    return int(given)


def _skipped(token: str | None) -> int:
    if token is None:
        return 0
    try:
        return max(0, int(base64.urlsafe_b64decode(token.encode())))
    except (ValueError, binascii.Error):
        raise InvalidNextToken from None
