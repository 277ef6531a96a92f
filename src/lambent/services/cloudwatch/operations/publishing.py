"""PutMetricData: what a client publishes is merged with what is there, and on disk when it is answered."""

from __future__ import annotations

from typing import Any

from lambent.clock import Clock
from lambent.context import Context
from lambent.services.cloudwatch.aggregation import Metrics
from lambent.services.cloudwatch.domain import data_of
from lambent.services.cloudwatch.errors import LimitExceededException


class PublishingOperations:
    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock

    async def PutMetricData(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        data = data_of(context.account, context.region, params, self._clock.now())
        if not self._metrics.has_room():
            raise LimitExceededException("This region has no room for more metrics until older ones go.")
        for datum in data:
            self._metrics.add(*datum)
        await self._metrics.flush()
        return {}
