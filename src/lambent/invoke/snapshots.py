"""Snapshots of initialised functions: taken when a version is published, and anew when one is needed that is gone.

A snapshot is a sandbox whose function's process waits to be forked (`sandbox.snapshots`); what is restored from it goes
on when it is gone. Mutable state: for each version its snapshot, or the attempt to take it that is under way.
"""

from __future__ import annotations

import asyncio
import json
import logging
from asyncio import Future
from collections.abc import Callable

from lambent.invoke.initialising import Initialised, Initialising
from lambent.invoke.launch import Blueprint
from lambent.invoke.surroundings import START_LIMIT_S, Services
from lambent.invoke.timers import Timer
from lambent.ports import FunctionVersion, SnapshotOutcome
from lambent.sandbox.spec import NO_SNAPSHOT, SandboxError

log = logging.getLogger(__name__)

#: A snapshot that nothing was restored from for so long goes; the next invocation pays for an init.
KEPT_S = 3600.0
#: Of the node's memory, what snapshots may have together.
_SHARE = 4
_FALLBACK = "The function starts without a snapshot: "
_BROKEN = "Lambda could not take the snapshot."


class _Entry:
    """Of one version."""

    def __init__(self, function: FunctionVersion, now: float, attempt: Future[SnapshotOutcome]) -> None:
        self.function = function
        #: What became of taking it.
        self.attempt = attempt
        self.taken: Initialised | None = None
        self.initialising: Initialising | None = None
        self.used_at = now
        #: The version is gone while it is being taken.
        self.is_retired = False


class SnapshotKeeper:
    """Implements ports.Snapshots and environment.SnapshotSource."""

    def __init__(self, budget_mb: int, on_memory: Callable[[int], None]) -> None:
        """`on_memory` is told how much more of the node's memory snapshots take (less: negative)."""
        self._budget_mb = max(1, budget_mb // _SHARE)
        self._on_memory = on_memory
        self._entries: dict[str, _Entry] = {}
        self._timer = Timer(self._expire)
        # Set by `start`
        self._services: Services

    def start(self, services: Services) -> None:
        self._services = services

    def statistics(self) -> dict[str, int]:
        taken = [entry.taken for entry in self._entries.values() if entry.taken is not None]
        return {"snapshots": len(taken), "snapshots_mb": sum(snapshot.memory_mb for snapshot in taken)}

    # ---- what is asked ------------------------------------------------------------------------------------------

    async def prepare(self, function: FunctionVersion) -> SnapshotOutcome:
        """Implements ports.Snapshots."""
        # Whoever asks may go away: others ask for the same.
        return await asyncio.shield(self._entry(function).attempt)

    async def find(self, function: FunctionVersion) -> str:
        """The id of the snapshot to restore it from, taken now if it has none; "" where it starts as any other."""
        entry = self._entry(function)
        if entry.taken is None:
            await asyncio.shield(entry.attempt)
        entry.used_at = self._services.clock.monotonic()
        return entry.taken.sandbox.id if entry.taken is not None else ""

    def lost(self, function: FunctionVersion, snapshot_id: str) -> None:
        """It could not be restored from."""
        entry = self._entries.get(_key(function))
        if entry is not None and entry.taken is not None and entry.taken.sandbox.id == snapshot_id:
            self._drop(entry, "it could not be restored from")

    def retire(self, account: str, region: str, name: str, version: str | None = None) -> None:
        for entry in [*self._entries.values()]:
            function = entry.function
            is_it = (function.account, function.region, function.name) == (account, region, name)
            if is_it and version in (None, function.version):
                self._drop(entry, "its version is gone")

    def clear(self, reason: str) -> None:
        for entry in [*self._entries.values()]:
            self._drop(entry, reason)

    def age(self, seconds: float) -> None:
        """As if nothing had been restored for so much longer."""
        for entry in self._entries.values():
            entry.used_at -= seconds
        self._expire()

    # ---- taking one ---------------------------------------------------------------------------------------------

    def _entry(self, function: FunctionVersion) -> _Entry:
        key = _key(function)
        entry = self._entries.get(key)
        if entry is None:
            services = self._services
            attempt: Future[SnapshotOutcome] = services.loop.create_future()
            entry = self._entries[key] = _Entry(function, services.clock.monotonic(), attempt)
            services.owner.spawn(self._take(entry), f"snapshot {function.name}:{function.version}")
        return entry

    async def _take(self, entry: _Entry) -> None:
        outcome = SnapshotOutcome(False, "Internal", _BROKEN)
        try:
            outcome = await self._attempt(entry)
        except SandboxError as error:
            log.log(logging.INFO if error.call == NO_SNAPSHOT else logging.ERROR, "No snapshot: %s", error)
            if error.call == NO_SNAPSHOT:
                outcome = _fallback("this host's isolation has no namespaces to restore it into")
        except LookupError as error:
            outcome = SnapshotOutcome(False, "Internal", str(error))
        except Exception:  # whatever it is, who waits for it is told
            log.exception("No snapshot of %s:%s", entry.function.arn, entry.function.version)
        finally:
            entry.initialising = None
            if entry.taken is None and outcome.reason_code != "Fallback":
                # The next who needs one tries again.
                self._forget(entry)
            entry.attempt.set_result(outcome)

    async def _attempt(self, entry: _Entry) -> SnapshotOutcome:
        function, services = entry.function, self._services
        blueprint = await services.starter.blueprint(function)
        obstacle = _obstacle(blueprint)
        if obstacle:
            return _fallback(obstacle)
        initialising = entry.initialising = Initialising(services, function, blueprint)
        try:
            async with asyncio.timeout(START_LIMIT_S):
                sandbox = await services.launcher.launch(initialising.spec())
            result = await initialising.run(sandbox)
        finally:
            initialising.close()
        if result.is_ok and not entry.is_retired:
            self._keep(entry, result)
        else:
            await sandbox.destroy("it is no snapshot")
        return _outcome(result, initialising.log_stream)

    def _keep(self, entry: _Entry, result: Initialised) -> None:
        entry.taken = result
        entry.used_at = self._services.clock.monotonic()
        result.sandbox.exited.add_done_callback(lambda _: self._on_exit(entry))
        self._on_memory(result.memory_mb)
        self._make_room(entry)
        self._set_timer()

    def _make_room(self, newest: _Entry) -> None:
        """Those used last stay."""
        kept = sorted(
            (entry for entry in self._entries.values() if entry.taken is not None and entry is not newest),
            key=lambda entry: entry.used_at,
        )
        while kept and self.statistics()["snapshots_mb"] > self._budget_mb:
            self._drop(kept.pop(0), "its memory was needed")

    # ---- ends ---------------------------------------------------------------------------------------------------

    def _on_exit(self, entry: _Entry) -> None:
        """What was restored from it goes on."""
        if entry.taken is not None:
            self._drop(entry, "its process ended")

    def _drop(self, entry: _Entry, reason: str) -> None:
        entry.is_retired = True
        self._forget(entry)
        if entry.initialising is not None:
            entry.initialising.abort()
        taken, entry.taken = entry.taken, None
        if taken is not None:
            self._on_memory(-taken.memory_mb)
            self._services.owner.spawn(_destroy(taken, reason), f"destroy snapshot of {entry.function.name}")

    def _forget(self, entry: _Entry) -> None:
        key = _key(entry.function)
        if self._entries.get(key) is entry:
            del self._entries[key]

    def _expire(self) -> None:
        now = self._services.clock.monotonic()
        for entry in [*self._entries.values()]:
            if entry.taken is not None and now - entry.used_at >= KEPT_S:
                self._drop(entry, "nothing was restored from it for too long")
        self._set_timer()

    def _set_timer(self) -> None:
        used = [entry.used_at for entry in self._entries.values() if entry.taken is not None]
        if used:
            self._services.timers.set(self._timer, min(used) + KEPT_S)


async def _destroy(taken: Initialised, reason: str) -> None:
    await taken.sandbox.destroy(reason)


def _key(function: FunctionVersion) -> str:
    return f"{function.arn}:{function.version} {function.environment_key}"


def _obstacle(blueprint: Blueprint) -> str:
    """What is known before anything runs."""
    if blueprint.is_wrapped:
        return "AWS_LAMBDA_EXEC_WRAPPER starts its process"
    if blueprint.plain_exec:
        return "it sets variables or brings libraries that are looked at when a process starts, which forks do not"
    if blueprint.runtime.start != "fork":
        return f"{blueprint.function.runtime} cannot be forked"
    if blueprint.extensions:
        return "it has extensions, whose processes would not be restored"
    return ""


def _fallback(obstacle: str) -> SnapshotOutcome:
    return SnapshotOutcome(False, "Fallback", f"{_FALLBACK}{obstacle}.")


def _outcome(result: Initialised, log_stream: str) -> SnapshotOutcome:
    if result.is_ok:
        return SnapshotOutcome(True, init_ms=result.init_ms, log_stream=log_stream)
    if result.obstacle:
        return SnapshotOutcome(
            False, "Fallback", f"{_FALLBACK}{result.obstacle}.", init_ms=result.init_ms, log_stream=log_stream
        )
    code = {"Sandbox.Timedout": "InitTimeout", "Runtime.BeforeSnapshotError": "HookError"}
    return SnapshotOutcome(
        False,
        code.get(result.error_type, "InitError"),
        _words_of(result.payload),
        result.init_ms,
        result.error_type,
        result.payload,
        log_stream,
    )


def _words_of(payload: bytes) -> str:
    """What the function's error says; it is the function's own document."""
    try:
        words = json.loads(payload)["errorMessage"]
    except (ValueError, TypeError, KeyError):
        return ""
    return words[:1000] if isinstance(words, str) else ""
