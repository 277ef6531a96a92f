"""What keeps the log files in shape: sealing full journals, retention, the byte budget, merging small chunks.

The budget is fair: events are dropped from the group that holds most, its oldest first, so a group that floods eats its
own past and no quiet one's. Dropping takes runs out of the index; the bytes come back when the chunk they lie in is
removed or, when enough of it is dead, rewritten. One task does it all, one step at a time; flushing goes on meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TypeVar

from lambent.services.logs.catalogue import Group, Stream
from lambent.services.logs.index import Index
from lambent.services.logs.segments import Journal, Run, Segment, rewrite, unlink_all

T = TypeVar("T")
log = logging.getLogger(__name__)

SEGMENT_BYTES = 16 * 1024 * 1024
#: How often retention is looked at when nothing else wakes the task.
IDLE_SECONDS = 60.0
#: Full journals that may wait to be sealed before flushing waits for them.
MAX_BEHIND = 2
#: Segments of the budget kept free for what lies beside the chunks at the worst: the journal being written, full ones
#: that wait, and what a rewrite makes before it removes its sources.
RESERVED_SEGMENTS = 6
#: Chunks below a quarter of a full one are merged when so many are there: files, each with a descriptor, stay few.
MERGE_COUNT = 8
#: Blocks whose index entries change before the event loop may do something else: half a millisecond's worth.
ADOPTED_AT_ONCE = 200


class Upkeep:
    def __init__(
        self,
        index: Index,
        directory: Path,
        budget: int,
        *,
        executor: Executor,
        oldest_kept_ms: Callable[[Group], int],
    ) -> None:
        self._index = index
        self._directory = directory
        self._budget = budget
        self._executor = executor
        #: Tells the time before which a group's events have expired.
        self._oldest_kept_ms = oldest_kept_ms
        #: What a journal is charged at most. Small budgets get small files, so that there is something to drop.
        self.segment_bytes = max(64 * 1024, min(SEGMENT_BYTES, budget // 32))
        #: Journals that are written to no longer.
        self._full: list[Journal] = []
        self._wake = asyncio.Event()
        self._caught_up = asyncio.Event()
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._evicted_bytes = 0
        self._expired_bytes = 0
        self._rewritten_bytes = 0

    # ---- lifecycle

    def start(self, full: Iterable[Journal]) -> None:
        """`full` are journals left over from before."""
        self._full.extend(full)
        self._wake.set()
        self._task = asyncio.create_task(self._run(), name="logs upkeep")
        self._task.add_done_callback(self._ended)

    async def stop(self) -> None:
        if self._task is None:
            return
        async with self._lock:
            self._task.cancel()
        await asyncio.wait([self._task])

    def wake(self) -> None:
        """Something may be to do: a group was deleted, a retention set."""
        self._wake.set()

    async def seal(self, journal: Journal) -> None:
        """`journal` is full: make a chunk of it. Waits, and so holds back the flush, only while too many wait."""
        self._full.append(journal)
        self._caught_up.clear()
        self._wake.set()
        if len(self._full) > MAX_BEHIND and self._task is not None and not self._task.done():
            await self._caught_up.wait()

    @contextlib.asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """No file is rewritten or removed inside, and what was to be sealed is forgotten."""
        async with self._lock:
            self._full.clear()
            yield

    def statistics(self) -> dict[str, int]:
        return {
            "evicted_bytes": self._evicted_bytes,
            "expired_bytes": self._expired_bytes,
            "rewritten_bytes": self._rewritten_bytes,
        }

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(IDLE_SECONDS):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self.run_once()
            except OSError as error:
                # A full or failing disk: what is there stays as it is, and the next round tries again.
                log.error("The log store could not tidy %s: %s.", self._directory, error)
            finally:
                self._caught_up.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._caught_up.set()
        if not task.cancelled() and task.exception() is not None:
            log.critical("The log store's upkeep failed; its budget is not held.", exc_info=task.exception())

    async def run_once(self) -> None:
        async with self._lock:
            await self._seal_full()
            self._expire()
            await self._hold_budget()
            await self._merge_small()

    # ---- steps

    async def _seal_full(self) -> None:
        for journal in list(self._full):
            await self._rewrite([journal])
            self._full.remove(journal)

    def _expire(self) -> None:
        """Drop what is past its group's retention."""
        for group in list(self._index.catalogue.all_groups()):
            oldest = self._oldest_kept_ms(group)
            if oldest > 0:
                for stream in list(group.streams.values()):
                    old = [run for run in stream.runs if run.last_ms < oldest]
                    if old:
                        self._expired_bytes += self._index.drop(stream, old)

    async def _hold_budget(self) -> None:
        await self._remove_dead()
        limit = self._budget - RESERVED_SEGMENTS * self.segment_bytes
        while self._index.charge() > limit:
            deadest = max(self._index.sealed(), key=lambda segment: segment.size - segment.live, default=None)
            if deadest is not None and self._index.dead_bytes() >= self._budget // 8:
                await self._rewrite([deadest])
            elif not self._drop_oldest_of_biggest():
                return
            await self._remove_dead()

    def _drop_oldest_of_biggest(self) -> bool:
        """Drop what the group that holds most has in its oldest chunk. False: no chunk holds anything."""
        held: dict[Group, int] = {}
        for segment in self._index.sealed():
            for group, size in segment.groups.items():
                held[group] = held.get(group, 0) + size
        if not held:
            return False
        biggest = max(held, key=held.__getitem__)
        oldest = min((s for s in self._index.sealed() if biggest in s.groups), key=lambda segment: segment.age)
        runs = [run for run in oldest.runs if not run.dropped and run.stream.group is biggest]
        for stream, its_runs in _by_stream(runs).items():
            self._evicted_bytes += self._index.drop(stream, its_runs)
        return True

    async def _remove_dead(self) -> None:
        await self._remove([segment for segment in self._index.sealed() if not segment.live])

    async def _merge_small(self) -> None:
        """What quiet groups leave of many chunks goes into one."""
        small = [s for s in self._index.sealed() if s.size < self.segment_bytes // 4]
        if len(small) >= MERGE_COUNT:
            await self._rewrite(small)

    # ---- parts

    async def _rewrite(self, sources: Sequence[Segment]) -> None:
        """Replace `sources` by one chunk of what is live in them."""
        runs = [run for source in sources for run in source.runs if not run.dropped]
        if runs:
            number = self._index.take_number()
            chunk, moved = await self._in_thread(lambda: rewrite(self._directory, number, sources, runs))
            self._index.add_segment(chunk)
            self._rewritten_bytes += chunk.size
            await self._adopt(moved, set(sources))
        await self._remove(sources)

    async def _adopt(self, moved: Iterable[Run], sources: set[Segment]) -> None:
        """Let the streams' runs point into the new chunk, some at a time, between other work of the loop."""
        handled = 0
        for stream, runs in _by_stream(moved).items():
            handled += sum(run.blocks for run in runs)
            if handled > ADOPTED_AT_ONCE:
                handled = 0
                await asyncio.sleep(0)
            self._index.move(stream, sources, runs)

    async def _remove(self, segments: Sequence[Segment]) -> None:
        for segment in segments:
            self._index.remove_segment(segment)
        await self._in_thread(lambda: unlink_all(segments))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)


def _by_stream(runs: Iterable[Run]) -> dict[Stream, list[Run]]:
    grouped: dict[Stream, list[Run]] = {}
    for run in runs:
        grouped.setdefault(run.stream, []).append(run)
    return grouped
