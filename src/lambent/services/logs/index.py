"""What the store knows in memory: the catalogue, the segments, and the runs that tie each stream to its events.

Only the event loop changes it. Reader threads take a copy of a stream's `runs`, so those lists are appended to or
replaced whole, never edited. The sums kept beside the runs (a segment's live bytes, a group's bytes) change here alone.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Sequence

from lambent.services.logs.catalogue import Catalogue, Group, Stream
from lambent.services.logs.segments import Journal, Run, Segment


class Index:
    def __init__(self) -> None:
        self.catalogue = Catalogue()
        self.segments: dict[int, Segment] = {}
        self.next_number = 1

    def __repr__(self) -> str:
        return f"<Index: {self.catalogue!r}, {len(self.segments)} segments, {self.charge()} bytes>"

    def take_number(self) -> int:
        self.next_number += 1
        return self.next_number - 1

    def add_segment(self, segment: Segment) -> None:
        self.segments[segment.number] = segment

    def remove_segment(self, segment: Segment) -> None:
        del self.segments[segment.number]
        # Runs and segment refer to each other: untied, the file is closed with the last reader's run, not by the
        # garbage collector some day.
        segment.runs.clear()

    def sealed(self) -> list[Segment]:
        return [segment for segment in self.segments.values() if not isinstance(segment, Journal)]

    def charge(self) -> int:
        """Bytes that count against the budget."""
        return sum(segment.charge for segment in self.segments.values())

    def dead_bytes(self) -> int:
        return sum(segment.size - segment.live for segment in self.sealed())

    # ---- runs

    def append(self, runs: Iterable[Run]) -> None:
        """New runs, each after those its stream has."""
        for run in runs:
            # One deleted while its events were on their way leaves them in the file, unreferenced.
            if not run.stream.gone:
                self._count(run)
                run.stream.runs.append(run)

    def move(self, stream: Stream, sources: Collection[Segment], runs: Sequence[Run]) -> None:
        """The runs of `stream` in `sources` now lie where `runs`, in their order, say."""
        if stream.gone:
            return
        # Only the part of a long list that the move concerns is looked at.
        start = bisect_left(stream.runs, runs[0].first_sequence, key=_first_sequence)
        end = bisect_right(stream.runs, runs[-1].first_sequence + runs[-1].events, key=_first_sequence)
        part = list(runs)
        for run in stream.runs[start:end]:
            if run.segment in sources:
                self._discount(run)
            else:
                part.append(run)
        for run in runs:
            self._count(run)
        part.sort(key=_first_sequence)
        stream.runs = stream.runs[:start] + part + stream.runs[end:]

    def drop(self, stream: Stream, runs: Sequence[Run]) -> int:
        """Forget `runs`; a stream that an environment made goes with its last one. Returns their bytes."""
        for run in runs:
            self._discount(run)
        stream.runs = [run for run in stream.runs if not run.dropped]
        if not stream.runs and stream.row.transient:
            self.catalogue.delete_stream(stream)
        return sum(run.length for run in runs)

    # ---- groups and streams

    def delete_group(self, group: Group) -> None:
        for stream in group.streams.values():
            self._forget_events(stream)
        self.catalogue.delete_group(group)

    def delete_stream(self, stream: Stream) -> None:
        self._forget_events(stream)
        self.catalogue.delete_stream(stream)

    def clear(self) -> list[Segment]:
        """Nothing is known any more; returns the segments there were."""
        for group in list(self.catalogue.all_groups()):
            self.delete_group(group)
        segments, self.segments = list(self.segments.values()), {}
        return segments

    # ---- sums

    def _forget_events(self, stream: Stream) -> None:
        for run in stream.runs:
            self._discount(run)
        stream.runs = []

    def _count(self, run: Run) -> None:
        stream = run.stream
        stream.saw(run.first_ms, run.last_ms, run.ingested_ms, run.first_sequence + run.events)
        run.segment.add(run)
        stream.group.disk_bytes += run.length
        stream.group.stored_bytes += run.stored_bytes

    def _discount(self, run: Run) -> None:
        group = run.stream.group
        run.segment.drop(run)
        group.disk_bytes -= run.length
        group.stored_bytes -= run.stored_bytes


def _first_sequence(run: Run) -> int:
    return run.first_sequence
