"""Runs waiting events: each lane has workers of its own, as many as help it, and every event ends exactly here.

An event ends by success, by its rules' limits or with its function; what it came to goes to its destination before
the queue forgets it, so that a crash in between repeats a delivery and loses none.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from asyncio import AbstractEventLoop, Task
from collections.abc import Sequence
from dataclasses import dataclass

from lambent.clock import Clock
from lambent.errors import AwsError
from lambent.invoke import tracing
from lambent.invoke.timers import Timer, Timers
from lambent.ports import (
    Delivery,
    Event,
    EventRules,
    EventRulesDirectory,
    FunctionDirectory,
    FunctionVersion,
    Invocation,
    Invoker,
    InvokeResult,
    MetricSink,
)
from lambent.storage.faults import StorageError
from lambent.triggers import destinations, retry
from lambent.triggers.destinations import Destinations
from lambent.triggers.event_queue import EventQueue
from lambent.triggers.lanes import Lane
from lambent.triggers.pace import STEP_S
from lambent.triggers.retry import Condition
from lambent.triggers.waiting import LaneKey, Waiting, arn_of

log = logging.getLogger(__name__)

#: Events brought into memory at once.
LOAD_AHEAD = 64
#: Seconds that a stop waits for what runs; what does not end by then is done again at the next start.
GRACE_S = 1.0
#: Seconds between two lines of log about one lane.
SILENCE_S = 10.0
#: HTTP statuses of the invoker's errors: no room now; never, such as for an event that runs in a loop.
THROTTLED, HOPELESS = 429, 400


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One event, with what decides over it this time."""

    lane: Lane
    waiting: Waiting
    event: Event
    function: FunctionVersion
    rules: EventRules


class Drain:
    def __init__(
        self,
        *,
        queue: EventQueue,
        functions: FunctionDirectory,
        rules: EventRulesDirectory,
        invoker: Invoker,
        destinations: Destinations,
        metrics: MetricSink,
        clock: Clock,
        retry_base_delay: float,
        most_at_once: int,
    ) -> None:
        """`most_at_once` runs of one lane go on at once: the account's concurrency."""
        self._queue = queue
        self._functions = functions
        self._rules = rules
        self._invoker = invoker
        self._destinations = destinations
        self._metrics = metrics
        self._clock = clock
        self._retry_base_delay = retry_base_delay
        self._most_at_once = most_at_once
        self._lanes: dict[LaneKey, Lane] = {}
        self._alarms: dict[LaneKey, Timer] = {}
        self._workers: set[Task[None]] = set()
        self._accepting = False
        # Set by start
        self._loop: AbstractEventLoop
        self._timers: Timers

    def __repr__(self) -> str:
        return f"<Drain {list(self._lanes.values())}>"

    # ---- lifecycle ----

    async def start(self) -> None:
        """After the functions are known; goes on with what waits since before."""
        self._loop = asyncio.get_running_loop()
        self._timers = Timers(self._loop, self._clock)
        self._accepting = True
        self._take(await self._queue.start(self._arrived))

    async def stop(self) -> None:
        """Begin nothing more and write down what ended; before the invoker stops."""
        self._accepting = False
        if self._workers:
            await asyncio.wait(self._workers, timeout=GRACE_S)
        await self._end_workers()
        self._timers.close()
        await self._queue.stop()

    async def reset(self) -> None:
        """Forget every event."""
        self._forget_lanes()
        await self._end_workers()
        await self._queue.reset()
        # What was being accepted meanwhile.
        self._forget_lanes()

    def forget(self, account: str, region: str, name: str, qualifier: str | None = None) -> None:
        """As EventSink has it."""
        for key in [key for key in self._lanes if key[:3] == (account, region, name)]:
            if qualifier is not None and key[3] != qualifier:
                continue
            for waiting in self._forget_lane(key):
                self._drop(waiting)

    def run_due(self) -> None:
        """The clock was moved."""
        self._timers.run_due()

    def statistics(self) -> dict[str, int]:
        return {
            "lanes": len(self._lanes),
            "waiting": sum(len(lane) for lane in self._lanes.values()),
            "running": len(self._workers),
        }

    def _forget_lanes(self) -> None:
        for key in list(self._lanes):
            self._forget_lane(key)

    def _forget_lane(self, key: LaneKey) -> Sequence[Waiting]:
        self._timers.forget(self._alarms.pop(key))
        return list(self._lanes.pop(key).clear())

    async def _end_workers(self) -> None:
        for worker in self._workers:
            worker.cancel()
        while self._workers:
            await asyncio.wait(self._workers)

    # ---- lanes ----

    def _arrived(self, waiting: Sequence[Waiting]) -> None:
        """Accepted, and on disk."""
        for entry in waiting:
            self._metrics.count(self._lane(entry.lane).arn, "AsyncEventsReceived")
        self._take(waiting)

    def _take(self, waiting: Sequence[Waiting]) -> None:
        now = self._clock.now()
        touched: dict[LaneKey, Lane] = {}
        for entry in waiting:
            lane = touched[entry.lane] = self._lane(entry.lane)
            lane.add(entry, now)
        for lane in touched.values():
            self._pump(lane)

    def _lane(self, key: LaneKey) -> Lane:
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(key, self._most_at_once, self._clock.monotonic())
            self._alarms[key] = Timer(lambda: self._pump(lane))
        return lane

    def _pump(self, lane: Lane) -> None:
        """Start what may start, and see to it that this is called again when that changes."""
        if not self._accepting or lane.forgotten:
            return
        now = self._clock.monotonic()
        lane.ripen(self._clock.now())
        if lane.ready and lane.workers >= lane.window.size:
            lane.window.step(now)
        for _ in range(lane.missing_workers(now)):
            lane.workers += 1
            worker = self._loop.create_task(self._work(lane), name=f"events of {lane.key[2]}")
            self._workers.add(worker)
            worker.add_done_callback(self._ended)
        self._set_alarm(lane, now)

    def _set_alarm(self, lane: Lane, now: float) -> None:
        at = []
        if lane.ready:
            at.append(lane.paused_until if now < lane.paused_until else now + STEP_S)
        elif (due := lane.next_due()) is not None:
            at.append(now + max(0.0, due - self._clock.now()))
        if at:
            self._timers.set(self._alarms[lane.key], min(at))
        elif not lane.workers:
            # Nothing is left of it.
            self._forget_lane(lane.key)

    async def _work(self, lane: Lane) -> None:
        """One event after another, as long as the lane has room for this worker."""
        try:
            while lane.ready and lane.workers <= lane.window.size and self._accepting:
                if self._clock.monotonic() < lane.paused_until:
                    break
                waiting = lane.ready.popleft()
                try:
                    await self._try(lane, waiting)
                except Exception as error:  # our own bug, or the disk's failure, must not lose the event
                    log.error("An event of %s is tried again later", lane.key[2], exc_info=error)
                    self._fail(lane, waiting)
        finally:
            lane.workers -= 1
            self._pump(lane)

    def _ended(self, worker: Task[None]) -> None:
        self._workers.discard(worker)
        if not worker.cancelled() and (error := worker.exception()) is not None:
            log.error("The task %r failed", worker.get_name(), exc_info=error)

    # ---- one event ----

    async def _try(self, lane: Lane, waiting: Waiting) -> None:
        event = waiting.event or await self._load(lane, waiting)
        function = None
        if event is not None:
            function = self._functions.find(event.account, event.region, event.name, event.qualifier or None)
        if event is None or function is None:
            # As on AWS, nobody is told: the rules went with the function.
            self._drop(waiting)
            return
        rules = self._rules.find(event.account, event.region, event.name, event.qualifier)
        attempt = _Attempt(lane, waiting, event, function, rules)
        if function.reserved_concurrency == 0:
            await self._end(attempt, Condition.ZERO_RESERVED_CONCURRENCY)
        elif retry.is_too_old(rules, waiting.accepted_at, self._clock.now()):
            await self._end(attempt, Condition.EVENT_AGE_EXCEEDED)
        else:
            await self._run(attempt)

    async def _load(self, lane: Lane, first: Waiting) -> Event | None:
        ahead = [entry for entry in itertools.islice(lane.ready, LOAD_AHEAD) if entry.event is None]
        await self._queue.load([first, *ahead])
        return first.event

    async def _run(self, attempt: _Attempt) -> None:
        lane, waiting, event, rules = attempt.lane, attempt.waiting, attempt.event, attempt.rules
        started, age_s = self._clock.monotonic(), self._clock.now() - waiting.accepted_at
        try:
            result = await self._invoker.invoke(attempt.function, _invocation(event, attempt.function))
        except AwsError as error:
            if error.status == HOPELESS:
                self._warn(lane, "it is given up", error)
                await self._end(attempt, Condition.RETRIES_EXHAUSTED)
            else:
                self._refused(attempt, error)
            return
        lane.window.finished(self._clock.monotonic() - started)
        lane.refusals = 0
        waiting.attempts += 1
        self._metrics.count(lane.arn, "AsyncEventAge", age_s * 1000, "Milliseconds")
        if result.function_error is None:
            await self._end(attempt, Condition.SUCCESS, result)
            return
        now = self._clock.now()
        outcome = retry.after_error(rules, self._retry_base_delay, waiting.accepted_at, waiting.attempts, now)
        if isinstance(outcome, Condition):
            await self._end(attempt, outcome, result)
        else:
            self._postpone(lane, waiting, outcome)

    def _refused(self, attempt: _Attempt, error: AwsError) -> None:
        """Lambda itself did not run it: it stays first in line where there was no room, else waits for another turn."""
        lane, waiting = attempt.lane, attempt.waiting
        now = self._clock.monotonic()
        others = lane.workers - 1
        lane.window.refused(others, now)
        if not others:
            # No run of this lane will end and make room: look again, less and less often.
            lane.refusals += 1
            lane.paused_until = now + retry.backoff_s(lane.refusals)
        if error.status != THROTTLED:
            self._warn(lane, "it is tried again later", error)
            self._fail(lane, waiting)
        elif lane.forgotten:
            self._drop(waiting)
        else:
            lane.ready.appendleft(waiting)

    def _warn(self, lane: Lane, outcome: str, error: AwsError) -> None:
        """Not of each of a thousand events that have the same trouble."""
        now = self._clock.monotonic()
        if now >= lane.silent_until:
            lane.silent_until = now + SILENCE_S
            log.warning("An event of %s met an error, %s: %s", lane.arn, outcome, error)

    def _fail(self, lane: Lane, waiting: Waiting) -> None:
        """It could not be done, through no fault of its function."""
        waiting.failures += 1
        self._postpone(lane, waiting, self._clock.now() + retry.backoff_s(waiting.failures))

    def _postpone(self, lane: Lane, waiting: Waiting, due_at: float) -> None:
        if lane.forgotten:
            self._drop(waiting)
            return
        waiting.due_at = due_at
        self._queue.postpone(waiting)
        lane.add(waiting, self._clock.now())

    async def _end(self, attempt: _Attempt, condition: Condition, result: InvokeResult | None = None) -> None:
        waiting, rules = attempt.waiting, attempt.rules
        succeeded = condition is Condition.SUCCESS
        target = rules.on_success if succeeded else rules.on_failure
        if target:
            try:
                await self._destinations.deliver(self._delivery(attempt, target, condition, result))
            except StorageError:
                # The disk, not the target: the event is done once more, rather than its record lost.
                raise
            except AwsError as error:
                self._warn(attempt.lane, f"{target} did not take the record", error)
                self._metrics.count(attempt.lane.arn, "DestinationDeliveryFailures")
        if succeeded:
            self._queue.finish(waiting)
        else:
            self._drop(waiting)

    def _delivery(self, attempt: _Attempt, target: str, condition: Condition, result: InvokeResult | None) -> Delivery:
        function, event, now = attempt.function, attempt.event, self._clock.now()
        return Delivery(
            target=target,
            function=function,
            request_id=event.request_id,
            # Whoever is next is part of the same chain of calls, so that a loop through destinations is seen.
            trace_id=result.record.trace_id
            if result is not None
            else tracing.header(event.trace_id, None, function.arn, now, tracing.mark(function.arn)),
            body=destinations.record(event, condition, attempt.waiting.attempts, result, now),
            success=condition is Condition.SUCCESS,
        )

    def _drop(self, waiting: Waiting) -> None:
        """It ends without a success."""
        self._metrics.count(arn_of(waiting.lane), "AsyncEventsDropped")
        self._queue.finish(waiting)


def _invocation(event: Event, function: FunctionVersion) -> Invocation:
    return Invocation(
        request_id=event.request_id,
        payload=event.payload,
        invoked_arn=f"{function.arn}:{event.qualifier}" if event.qualifier else function.arn,
        client_context=event.client_context,
        trace_id=event.trace_id,
        tenant_id=event.tenant_id,
    )
