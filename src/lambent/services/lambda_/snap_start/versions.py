"""Versions with SnapStart as the service keeps them: their snapshots are asked for, and what they cost is counted.

The data plane takes the snapshot and keeps it. Nothing here is on disk: a version's row says whether it has one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from lambent.clock import Clock
from lambent.periodic import Periodic
from lambent.ports import FunctionVersion, SnapshotMeter, SnapshotOutcome, Snapshots
from lambent.services.lambda_.directory import Directory
from lambent.services.lambda_.domain import Function
from lambent.services.lambda_.snap_start.domain import state_after
from lambent.services.lambda_.store import Key

#: AWS bills a snapshot for this long at least.
LEAST_CACHED_S = 3 * 3600.0
METER_INTERVAL_S = 60.0

_NO_SNAPSHOTS = SnapshotOutcome(False, "Fallback", "This region takes no snapshots: the function starts as any other.")


@dataclass(slots=True)
class _Cached:
    function: FunctionVersion
    #: Seconds since the epoch.
    counted_until: float


class VersionSnapshots:
    """Of all functions. Implements changes.Attachment."""

    def __init__(
        self, snapshots: Snapshots | None, meter: SnapshotMeter | None, directory: Directory, clock: Clock
    ) -> None:
        self._snapshots = snapshots
        self._meter = meter
        self._directory = directory
        self._clock = clock
        #: Those that have a snapshot, by function and version.
        self._cached: dict[Key, dict[str, _Cached]] = {}
        self._metering = Periodic("snapshot meter", self._keep_counting, METER_INTERVAL_S)

    def start(self, functions: Iterable[Function]) -> None:
        """With every function there is, once the directory is filled."""
        now = self._clock.now()
        for function in functions:
            if function.snapshot_ms is not None:
                self._keep(function, max(now, function.snapshot_ms / 1000 + LEAST_CACHED_S))
        self._metering.start()

    async def stop(self) -> None:
        await self._metering.stop()
        self.count()

    async def take(self, function: Function) -> dict[str, Any]:
        """The fields of a pending version that change, once its snapshot is there or cannot be."""
        target = self._directory.find(*function.key, function.version)
        if target is None:
            return {}  # deleted meanwhile
        outcome = _NO_SNAPSHOTS if self._snapshots is None else await self._snapshots.prepare(target)
        if self._meter is not None and outcome.init_ms:
            self._meter.initialised(target, outcome.init_ms)
        return state_after(outcome, self._clock.now())

    def taken(self, function: Function) -> None:
        """It is on disk that `function` has a snapshot, and the directory knows."""
        if function.snapshot_ms is None:
            return
        target = self._keep(function, function.snapshot_ms / 1000 + LEAST_CACHED_S)
        if self._meter is not None and target is not None:
            self._meter.cached(target, LEAST_CACHED_S)

    def count(self) -> None:
        """Every snapshot's time since the last call."""
        now = self._clock.now()
        for versions in self._cached.values():
            for cached in versions.values():
                self._count(cached, now)

    def _count(self, cached: _Cached, now: float) -> None:
        if now > cached.counted_until:
            if self._meter is not None:
                self._meter.cached(cached.function, now - cached.counted_until)
            cached.counted_until = now

    def _keep(self, function: Function, counted_until: float) -> FunctionVersion | None:
        target = self._directory.find(*function.key, function.version)
        if target is not None:
            self._cached.setdefault(function.key, {})[function.version] = _Cached(target, counted_until)
        return target

    async def _keep_counting(self) -> None:
        self.count()

    # ---- as an Attachment ----

    def delete(self, tx: Connection, key: Key, qualifier: str | None) -> None:
        """What is to know stands in the version's own row."""

    def forget(self, key: Key, qualifier: str | None) -> None:
        versions = self._cached.get(key, {})
        now = self._clock.now()
        for version in [*versions] if qualifier is None else [qualifier]:
            cached = versions.pop(version, None)
            if cached is not None:
                self._count(cached, now)
        if not versions:
            self._cached.pop(key, None)

    def delete_all(self, tx: Connection) -> None:
        """As `delete`."""

    def forget_all(self) -> None:
        # The ledger is emptied as well.
        self._cached.clear()
