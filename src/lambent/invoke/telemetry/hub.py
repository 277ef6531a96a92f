"""Telemetry of one environment: what happens in it, to every extension that subscribed.

Extensions subscribe while the environment initialises, later than its first events; so those are kept until init is
over. Where nobody has subscribed by then this hears of nothing any more, and an invocation pays for none of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lambent.invoke import records
from lambent.invoke.faults import Outcome
from lambent.invoke.logs import Share
from lambent.invoke.records import Record
from lambent.invoke.telemetry.events import Schema
from lambent.invoke.telemetry.outbox import Budget
from lambent.invoke.telemetry.subscriber import Subscriber
from lambent.invoke.telemetry.subscriptions import Api, Subscription
from lambent.invoke.telemetry.wire import Lines
from lambent.ports import FunctionVersion, Invocation, InvocationRecord

#: Events, and bytes of lines, that are kept of an init for who subscribes late in it.
_MAX_HISTORY = 2000
_MAX_HISTORY_BYTES = 512 * 1024
#: Subscriptions of one init, those that take the place of others included: each is told to all, and logged.
_MAX_SUBSCRIPTIONS = 100
#: Connections that may be made for one environment in a second: one for each delivery of who keeps none, and some.
_DIALS_PER_S = 50
#: How long an environment stays awake for subscribers to take what there is, before it is frozen.
_PATIENCE_S = 1.0

#: (seconds since the epoch, type, record) of the platform, or (milliseconds, function | extension, line).
Happening = tuple[float, str, Record | str] | tuple[int, str, bytes]


@dataclass(frozen=True, slots=True)
class About:
    """The environment as its events name it."""

    function: FunctionVersion
    instance_id: str
    #: on-demand | provisioned-concurrency | snap-start
    initialization: str


@dataclass(frozen=True, slots=True)
class Legacy:
    """What a subscriber had not got when it ended, for the one that takes its place."""

    subscription: Subscription
    #: Not more than it asked to have buffered; what is missing of the rest.
    events: Sequence[bytes]
    dropped: int
    dropped_bytes: int

    @classmethod
    def of(cls, subscriber: Subscriber) -> Legacy:
        """Ends it."""
        events, size, kept = subscriber.close(), 0, 0
        for event in events:
            size += len(event)
            if size > subscriber.subscription.max_bytes:
                break
            kept += 1
        rest = events[kept:]
        return cls(subscriber.subscription, events[:kept], len(rest), sum(map(len, rest)))

    def hand_to(self, subscriber: Subscriber) -> None:
        """If it wants such events."""
        wanted = subscriber.subscription
        if (self.subscription.schema, self.subscription.types) != (wanted.schema, wanted.types):
            return
        for event in self.events:
            subscriber.add(event)
        if self.dropped:
            subscriber.drop(self.dropped, self.dropped_bytes)


class Telemetry:
    """Implements chronicle.Telemetry. Everything runs on the event loop; nothing waits or raises."""

    def __init__(self, about: About, lines: Lines, budget: Budget, on_settled: Callable[[], None]) -> None:
        """`on_settled` is called once everybody has got everything, after `rest` asked for that."""
        self._about = about
        self._lines = lines
        self._budget = budget
        self._dials = Share(lines.clock, _DIALS_PER_S, _DIALS_PER_S)
        self._on_settled = on_settled
        self._subscribers: list[Subscriber] = []
        self._schemas: dict[str, Schema] = {}
        #: Of the init under way; None when it is over.
        self._history: list[Happening] | None = []
        self._history_bytes = 0
        self._forgotten = 0
        self._forgotten_bytes = 0
        #: Subscriptions that this init may still take.
        self._places = _MAX_SUBSCRIPTIONS
        #: What those of the last init had not got, by extension.
        self._left: dict[str, Legacy] = {}
        #: When `rest` first asked to settle; None while there is no rest.
        self._rest_at: float | None = None

    def __repr__(self) -> str:
        return f"<Telemetry {'open ' if self.is_open else ''}{self._subscribers}>"

    # ---- subscribing ----

    @property
    def is_open(self) -> bool:
        """Extensions may subscribe."""
        return self._history is not None

    @property
    def has_subscribers(self) -> bool:
        return bool(self._subscribers)

    def cost(self) -> int:
        """Of telling them all a line, in times of what the log takes for it."""
        return 1 + len(self._subscribers) + len({subscriber.schema.key for subscriber in self._subscribers})

    def begin_init(self) -> None:
        """Extensions start anew, and subscribe anew; what they have not got yet they get then."""
        for subscriber in self._subscribers:
            self._left[subscriber.name] = Legacy.of(subscriber)
        self._subscribers = []
        self._forget_history()
        self._history = []
        self._places = _MAX_SUBSCRIPTIONS

    def end_init(self) -> None:
        """No one subscribes from here on."""
        self._history = None
        self._forget_history()
        self._left.clear()

    def other_api(self, name: str, api: Api) -> Api | None:
        """The one of the two that this extension has subscribed to instead of `api`, if it has."""
        for subscriber in self._subscribers:
            if subscriber.name == name and subscriber.subscription.api is not api:
                return subscriber.subscription.api
        return None

    @property
    def is_crowded(self) -> bool:
        """No more subscriptions fit into this init."""
        return self._places <= 0

    def has(self, name: str, subscription: Subscription) -> bool:
        """The extension has subscribed to just that already."""
        return any(each.name == name and each.subscription == subscription for each in self._subscribers)

    def subscribe(self, name: str, subscription: Subscription) -> None:
        """In place of what the extension subscribed to before, if it did."""
        self._places -= 1
        schema = self._schemas.get(subscription.schema)
        if schema is None:
            json_lines = self._about.function.log_format == "JSON"
            schema = self._schemas[subscription.schema] = Schema(subscription, json_lines)
        subscriber = Subscriber(name, subscription, schema, self._lines, self._budget, self._dials, self._settled)
        former = next((each for each in self._subscribers if each.name == name), None)
        if former is not None:
            self._subscribers.remove(former)
            Legacy.of(former).hand_to(subscriber)
        else:
            self._catch_up(subscriber)
        self._subscribers.append(subscriber)
        kind = "platform.telemetrySubscription" if subscription.api is Api.TELEMETRY else "platform.logsSubscription"
        self._tell(self._lines.clock.now(), kind, records.subscription(name, subscription.types))

    def _catch_up(self, subscriber: Subscriber) -> None:
        if left := self._left.pop(subscriber.name, None):
            left.hand_to(subscriber)
        for happening in self._history or ():
            self._give(subscriber, happening)
        if self._forgotten:
            subscriber.drop(self._forgotten, self._forgotten_bytes)

    # ---- what happens ----

    def init_start(self, wall: float, phase: str) -> None:
        about = self._about
        record = records.init_start(about.function, about.instance_id, about.initialization, phase)
        self._tell(wall, "platform.initStart", record)

    def init_runtime_done(self, wall: float, phase: str, outcome: Outcome) -> None:
        record = records.init_runtime_done(self._about.initialization, phase, outcome.status, outcome.error_type)
        self._tell(wall, "platform.initRuntimeDone", record)

    def init_report(self, wall: float, phase: str, duration_ms: float, outcome: Outcome) -> None:
        about, kind = self._about, outcome.error_type
        record = records.init_report(about.initialization, phase, duration_ms, outcome.status, kind)
        self._tell(wall, "platform.initReport", record)

    def restore_start(self, wall: float) -> None:
        record = records.restore_start(self._about.function, self._about.instance_id)
        self._tell(wall, "platform.restoreStart", record)

    def restore_runtime_done(self, wall: float, outcome: Outcome) -> None:
        record = records.restore_runtime_done(outcome.status, outcome.error_type)
        self._tell(wall, "platform.restoreRuntimeDone", record)

    def restore_report(self, wall: float, duration_ms: float, outcome: Outcome) -> None:
        record = records.restore_report(duration_ms, outcome.status, outcome.error_type)
        self._tell(wall, "platform.restoreReport", record)

    def start(self, wall: float, invocation: Invocation) -> None:
        self._tell(wall, "platform.start", records.start(self._about.function.version, invocation))

    def runtime_done(self, wall: float, record: Record, fault: str) -> None:
        if fault:
            self._tell(wall, "platform.fault", fault)
        self._tell(wall, "platform.runtimeDone", record)

    def report(self, wall: float, record: InvocationRecord) -> None:
        self._tell(wall, "platform.end", {"requestId": record.request_id})
        self._tell(wall, "platform.report", records.report(record))

    def extension(self, wall: float, name: str, state: str, events: Sequence[str], error_type: str | None) -> None:
        self._tell(wall, "platform.extension", records.extension(name, state, events, error_type))

    def function_line(self, timestamp_ms: int, message: bytes) -> None:
        self._hear(timestamp_ms, "function", message)

    def extension_line(self, timestamp_ms: int, message: bytes) -> None:
        self._hear(timestamp_ms, "extension", message)

    def _tell(self, wall: float, kind: str, record: Record | str) -> None:
        self._keep((wall, kind, record), 0)
        made: dict[str, bytes | None] = {}
        for subscriber in self._subscribers:
            if "platform" in subscriber.types:
                key = subscriber.schema.key
                if key not in made:
                    made[key] = subscriber.schema.platform(wall, kind, record)
                event = made[key]
                if event is not None:
                    subscriber.add(event)

    def _hear(self, timestamp_ms: int, category: str, message: bytes) -> None:
        self._keep((timestamp_ms, category, message), len(message))
        made: dict[str, bytes] = {}
        for subscriber in self._subscribers:
            if category in subscriber.types:
                key = subscriber.schema.key
                if key not in made:
                    made[key] = subscriber.schema.line(timestamp_ms, category, message)
                subscriber.add(made[key])

    @staticmethod
    def _give(subscriber: Subscriber, happening: Happening) -> None:
        at, kind, what = happening
        category = kind if isinstance(what, bytes) else "platform"
        if category not in subscriber.types:
            return
        if isinstance(what, bytes):
            subscriber.add(subscriber.schema.line(int(at), kind, what))
        elif (event := subscriber.schema.platform(at, kind, what)) is not None:
            subscriber.add(event)

    def _keep(self, happening: Happening, size: int) -> None:
        """For who subscribes later in this init."""
        history = self._history
        if history is None:
            return
        if size and (len(history) >= _MAX_HISTORY or self._history_bytes + size > _MAX_HISTORY_BYTES):
            self._forgotten += 1
            self._forgotten_bytes += size
        else:
            history.append(happening)
            self._history_bytes += size

    def _forget_history(self) -> None:
        self._history_bytes = self._forgotten = self._forgotten_bytes = 0

    # ---- rest and end ----

    def rest(self, now: float) -> float:
        """The environment is to be frozen: let everybody get what there is. Returns for how long to wait at most."""
        if self._rest_at is None:
            self._rest_at = now
            for subscriber in self._subscribers:
                subscriber.hurry()
        if all(subscriber.is_settled for subscriber in self._subscribers):
            return 0.0
        return max(0.0, self._rest_at + _PATIENCE_S - now)

    def freeze(self) -> None:
        """Nothing in the environment moves."""
        for subscriber in self._subscribers:
            subscriber.freeze()

    def wake(self) -> None:
        """It moves again, or goes on before it was frozen."""
        if self._rest_at is not None:
            self._rest_at = None
            for subscriber in self._subscribers:
                subscriber.wake()

    def hurry(self) -> None:
        """It shuts down: nothing gathers any more."""
        self.wake()
        for subscriber in self._subscribers:
            subscriber.hurry()

    def close(self) -> None:
        """Idempotent."""
        for subscriber in self._subscribers:
            subscriber.close()
        self._subscribers = []
        self._history = None

    def _settled(self) -> None:
        """A subscriber has got everything."""
        if self._rest_at is not None and all(subscriber.is_settled for subscriber in self._subscribers):
            self._on_settled()
