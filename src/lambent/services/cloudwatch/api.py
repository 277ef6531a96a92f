"""What answers CloudWatch's API: loaded at the first call, for a region must start within a second."""

from __future__ import annotations

from collections.abc import Sequence

from lambent.clock import Clock
from lambent.services.cloudwatch.aggregation import Metrics
from lambent.services.cloudwatch.operations.listing import ListingOperations
from lambent.services.cloudwatch.operations.metric_data import MetricDataOperations
from lambent.services.cloudwatch.operations.publishing import PublishingOperations
from lambent.services.cloudwatch.operations.statistics import StatisticsOperations
from lambent.services.cloudwatch.store import MetricStore


def operations(metrics: Metrics, store: MetricStore, clock: Clock) -> Sequence[object]:
    return (
        PublishingOperations(metrics, clock),
        StatisticsOperations(metrics, store),
        MetricDataOperations(metrics, store),
        ListingOperations(metrics, store, clock),
    )
