"""What GetTraceSummaries tells of a trace, and what filter expressions ask: all of it from the trace's segments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from lambent.services.xray.tree import Node, mapping, number, roots_of, segments_of, text

#: Users, services and the like that a summary tells.
_MOST = 100
#: Annotations of one trace that can be searched for and are told in its summary, as on AWS.
_MOST_ANNOTATIONS = 50

#: Key, value, and the segment that it stands in.
Annotation = tuple[str, str | float | bool, Node]


@dataclass(frozen=True, slots=True)
class Trace:
    """One trace, taken apart."""

    trace_id: str
    account: str
    started_at: float
    ended_at: float
    revision: int
    segments: Sequence[Node]
    #: The first that no other caused.
    root: Node | None
    annotations: Sequence[Annotation]
    #: By the `id()` of the segment that they stand in.
    _annotations_of: Mapping[int, Sequence[Annotation]]
    limit_exceeded: bool = False

    @classmethod
    def of(
        cls,
        trace_id: str,
        account: str,
        documents: Iterable[bytes],
        started_at: float,
        ended_at: float,
        revision: int,
        limit_exceeded: bool,
    ) -> Trace:
        segments = segments_of(documents)
        # Filters ask for these over and over.
        root = next(iter(roots_of(segments)), None)
        annotations = list(islice(_annotated(segments), _MOST_ANNOTATIONS))
        by_segment: dict[int, list[Annotation]] = {}
        for annotation in annotations:
            by_segment.setdefault(id(annotation[2]), []).append(annotation)
        return cls(
            trace_id,
            account,
            started_at,
            ended_at,
            revision,
            segments,
            root,
            annotations,
            by_segment,
            limit_exceeded,
        )

    def annotations_of(self, segment: Node | None) -> Sequence[Annotation]:
        """Those of one segment; None: all."""
        return self.annotations if segment is None else self._annotations_of.get(id(segment), ())

    @property
    def duration(self) -> float:
        return max(0.0, self.ended_at - self.started_at)

    @property
    def response_time(self) -> float:
        return self.root.duration if self.root is not None else 0.0

    def any(self, flag: str) -> bool:
        return any(node.flag(flag) for node in self.segments)

    def root_flag(self, flag: str) -> bool:
        """Of what the client saw."""
        return self.root is not None and self.root.flag(flag)

    def nodes(self) -> Iterator[Node]:
        for segment in self.segments:
            yield from segment.walk()

    def http(self) -> dict[str, Any]:
        """Of the request that began it, as a summary has it."""
        if self.root is None:
            return {}
        request, response = (mapping(self.root.part("http").get(part)) for part in ("request", "response"))
        status = number(response.get("status"))
        told = {
            "HttpURL": text(request.get("url")),
            "HttpStatus": int(status) if status is not None and abs(status) < 1e9 else None,
            "HttpMethod": text(request.get("method")),
            "UserAgent": text(request.get("user_agent")),
            "ClientIp": text(request.get("client_ip")),
        }
        return {name: value for name, value in told.items() if value not in ("", None)}

    def users(self) -> Iterator[tuple[str, Node]]:
        for segment in self.segments:
            user = text(segment.fields.get("user"))
            if user:
                yield user, segment

    def is_partial(self) -> bool:
        return any(node.ended_at is None for node in self.segments)


def _annotated(segments: Iterable[Node]) -> Iterator[Annotation]:
    for segment in segments:
        for node in segment.walk():
            for key, value in node.part("annotations").items():
                # JSON has numbers that no float can be.
                if isinstance(value, (str, bool)) or number(value) is not None:
                    yield key, value, segment


def service_of(trace: Trace, node: Node) -> dict[str, Any]:
    """A ServiceId."""
    names = {node.name: None, text(mapping(node.part("http").get("request")).get("host")): None}
    return {
        "Name": node.name,
        "Names": [name for name in names if name],
        "AccountId": text(node.part("aws").get("account_id")) or trace.account,
        **({"Type": node.origin} if node.origin else {}),
    }


def summary_of(trace: Trace) -> dict[str, Any]:
    """A TraceSummary."""
    root = trace.root
    summary: dict[str, Any] = {
        "Id": trace.trace_id,
        "StartTime": trace.started_at,
        "Duration": round(trace.duration, 3),
        "ResponseTime": round(trace.response_time, 3),
        "HasFault": trace.root_flag("fault"),
        "HasError": trace.root_flag("error"),
        "HasThrottle": trace.any("throttle"),
        "IsPartial": trace.is_partial(),
        "Http": trace.http(),
        "Annotations": _annotations(trace),
        "Users": [
            {"UserName": user, "ServiceIds": [service_of(trace, node)]} for user, node in list(trace.users())[:_MOST]
        ],
        "ServiceIds": _unique(service_of(trace, node) for node in trace.segments),
        "ResourceARNs": [{"ARN": arn} for arn in _resources(trace)],
        "InstanceIds": [],
        "AvailabilityZones": [],
        "ResponseTimeRootCauses": [],
        "FaultRootCauses": [],
        "ErrorRootCauses": [],
        "Revision": trace.revision,
    }
    if root is not None:
        summary["EntryPoint"] = service_of(trace, root)
    return summary


def annotation_value(value: str | float | bool) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"BooleanValue": value}
    return {"StringValue": value} if isinstance(value, str) else {"NumberValue": float(value)}


def _annotations(trace: Trace) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for key, value, node in trace.annotations:
        entry = {"AnnotationValue": annotation_value(value), "ServiceIds": [service_of(trace, node)]}
        entries = found.setdefault(key, [])
        if entry not in entries:
            entries.append(entry)
    return found


def _resources(trace: Trace) -> Iterator[str]:
    seen: set[str] = set()
    for node in trace.segments:
        arn = text(node.fields.get("resource_arn"))
        if arn and arn not in seen and len(seen) < _MOST:
            seen.add(arn)
            yield arn


def _unique(values: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for value in values:
        if value not in found and len(found) < _MOST:
            found.append(value)
    return found
