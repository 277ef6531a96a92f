"""ListMetrics: which metrics there are."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from sqlalchemy import Connection

from lambent.clock import Clock
from lambent.context import Context
from lambent.services.cloudwatch.aggregation import Metrics
from lambent.services.cloudwatch.domain import LISTED_S, MINUTE, dimensions_from, has_dimensions
from lambent.services.cloudwatch.errors import InvalidParameterValueException
from lambent.services.cloudwatch.store import MetricStore

PAGE = 500
#: What RecentlyActive's one value means.
_RECENT_S = 3 * 3600


class ListingOperations:
    def __init__(self, metrics: Metrics, store: MetricStore, clock: Clock) -> None:
        self._metrics = metrics
        self._store = store
        self._clock = clock

    async def ListMetrics(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        if params.get("OwningAccount") not in (None, context.account):
            raise InvalidParameterValueException(
                f"The value {params['OwningAccount']} for parameter OwningAccount is invalid."
            )
        age = _RECENT_S if params.get("RecentlyActive") else LISTED_S
        since = int(self._clock.now() - age) // MINUTE
        filters = params.get("Dimensions") or []
        after = _after(params.get("NextToken"))

        def read(tx: Connection) -> list[tuple[int, dict[str, Any]]]:
            rows = self._store.list_series(
                tx, context.account, context.region, params.get("Namespace"), params.get("MetricName"), since, after
            )
            found: list[tuple[int, dict[str, Any]]] = []
            for row in rows:
                dimensions = dimensions_from(row.dimensions)
                if has_dimensions(dimensions, filters):
                    metric = {"Namespace": row.namespace, "MetricName": row.name, "Dimensions": dimensions}
                    found.append((row.id, metric))
                if len(found) > PAGE:
                    break
            return found

        found = await self._metrics.read(read)
        answer: dict[str, Any] = {"Metrics": [metric for _, metric in found[:PAGE]]}
        if params.get("IncludeLinkedAccounts"):
            answer["OwningAccounts"] = [context.account] * len(answer["Metrics"])
        if len(found) > PAGE:
            answer["NextToken"] = base64.urlsafe_b64encode(str(found[PAGE - 1][0]).encode()).decode()
        return answer


def _after(token: str | None) -> int:
    if token is None:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, binascii.Error):
        raise InvalidParameterValueException("The parameter NextToken is not a token of ListMetrics.") from None
