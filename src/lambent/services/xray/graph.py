"""The service graph of traces: each service that took part with what it did, and who called whom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from lambent.services.xray.summary import Trace, service_of
from lambent.services.xray.tree import Node, roots_of

#: Seconds that an entry of a histogram stands for.
_GRAIN = 3
_MOST = 500


@dataclass(slots=True)
class _Sums:
    """Of a service, or of the calls from one to another."""

    start: float = float("inf")
    end: float = 0.0
    ok: int = 0
    errors: int = 0
    throttles: int = 0
    faults: int = 0
    seconds: float = 0.0
    histogram: dict[float, int] = field(default_factory=dict)

    def add(self, node: Node) -> None:
        self.start = min(self.start, node.started_at)
        self.end = max(self.end, node.ended_at or node.started_at)
        if node.flag("fault"):
            self.faults += 1
        elif node.flag("throttle"):
            self.throttles += 1
        elif node.flag("error"):
            self.errors += 1
        else:
            self.ok += 1
        self.seconds += node.duration
        place = round(node.duration, _GRAIN)
        self.histogram[place] = self.histogram.get(place, 0) + 1

    def told(self) -> dict[str, Any]:
        count = self.ok + self.errors + self.throttles + self.faults
        return {
            "StartTime": self.start,
            "EndTime": self.end,
            "SummaryStatistics": {
                "OkCount": self.ok,
                "ErrorStatistics": {
                    "ThrottleCount": self.throttles,
                    "OtherCount": self.errors,
                    "TotalCount": self.errors + self.throttles,
                },
                "FaultStatistics": {"OtherCount": self.faults, "TotalCount": self.faults},
                "TotalCount": count,
                "TotalResponseTime": self.seconds,
            },
            "ResponseTimeHistogram": [{"Value": value, "Count": n} for value, n in sorted(self.histogram.items())],
        }


@dataclass(slots=True)
class _Service:
    number: int
    about: dict[str, Any]
    is_root: bool = False
    sums: _Sums = field(default_factory=_Sums)
    edges: dict[int, _Sums] = field(default_factory=dict)


class Graph:
    def __init__(self) -> None:
        self._services: dict[tuple[str, str, str], _Service] = {}

    def add(self, trace: Trace) -> None:
        roots = {id(root) for root in roots_of(trace.segments)}
        for segment in trace.segments:
            source = self._service(trace, segment)
            if source is None:
                continue
            source.sums.add(segment)
            source.is_root = source.is_root or id(segment) in roots
            for called in _called(segment):
                target = self._service(trace, called)
                if target is None:
                    continue
                source.edges.setdefault(target.number, _Sums()).add(called)
                if called.inside:
                    # Whoever was called reports nothing itself.
                    target.sums.add(called)

    def services(self) -> list[dict[str, Any]]:
        return [self._told(service) for service in self._services.values()]

    def _service(self, trace: Trace, node: Node) -> _Service | None:
        about = service_of(trace, node)
        if node.inside:
            about["Type"] = "AWS::" + node.name if node.fields.get("namespace") == "aws" else "remote"
        key = about["Name"], about.get("Type", ""), about["AccountId"]
        found = self._services.get(key)
        if found is None and len(self._services) < _MOST:
            found = self._services[key] = _Service(len(self._services), about)
        return found

    def _told(self, service: _Service) -> dict[str, Any]:
        summed = service.sums.told()
        histogram = summed.pop("ResponseTimeHistogram")
        return {
            "ReferenceId": service.number,
            **service.about,
            **({"Root": True} if service.is_root else {}),
            "State": "active",
            **summed,
            "Edges": [{"ReferenceId": number, **sums.told(), "Aliases": []} for number, sums in service.edges.items()],
            "DurationHistogram": histogram,
            "ResponseTimeHistogram": histogram,
        }


def _called(segment: Node) -> Iterable[Node]:
    """Segments that it caused, and its calls of what reports no segments."""
    for node in segment.walk():
        others = [child for child in node.children if not child.inside]
        yield from others
        if node is not segment and not others and node.fields.get("namespace") in ("aws", "remote"):
            yield node
