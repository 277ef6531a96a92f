"""What answers X-Ray's API: loaded at the first call, for a region must start within a second."""

from __future__ import annotations

from collections.abc import Sequence

from lambent.clock import Clock
from lambent.services.xray.collector import Traces
from lambent.services.xray.operations.reporting import ReportingOperations
from lambent.services.xray.operations.sampling import SamplingOperations, Seen
from lambent.services.xray.operations.settings import SettingsOperations
from lambent.services.xray.operations.traces import TraceOperations
from lambent.services.xray.store import TraceStore


def operations(traces: Traces, store: TraceStore, clock: Clock, seen: Seen) -> Sequence[object]:
    """`seen`: what SDKs told of their sampling."""
    return (
        ReportingOperations(traces, clock),
        TraceOperations(traces, store),
        SamplingOperations(clock, seen),
        SettingsOperations(),
    )
