"""One subscription at work: events gather for as long and as many as it asked for, then go to it in one delivery."""

from __future__ import annotations

from collections.abc import Callable

from lambent.invoke import records
from lambent.invoke.logs import Share
from lambent.invoke.telemetry.courier import Courier, HttpCourier, TcpCourier
from lambent.invoke.telemetry.events import Schema
from lambent.invoke.telemetry.outbox import Budget, Outbox
from lambent.invoke.telemetry.subscriptions import Api, Subscription
from lambent.invoke.telemetry.wire import Lines
from lambent.invoke.timers import Timer

#: AWS's words, of each API.
_BEHIND = {
    Api.TELEMETRY: "Some logs were dropped because the downstream consumer is slower than the logs production rate",
    Api.LOGS: "Consumer seems to have fallen behind as it has not acknowledged receipt of logs.",
}


class Subscriber:
    def __init__(
        self,
        name: str,
        subscription: Subscription,
        schema: Schema,
        lines: Lines,
        budget: Budget,
        dials: Share,
        on_settled: Callable[[], None],
    ) -> None:
        """`dials`: connections that its environment may make. `on_settled` is called whenever it has got everything."""
        #: Of the extension.
        self.name = name
        self.subscription = subscription
        self.schema = schema
        self.types = frozenset(subscription.types)
        self._timers = lines.timers
        self._clock = lines.clock
        self._on_settled = on_settled
        self._outbox = Outbox(subscription.max_items, subscription.max_bytes, budget, self._notice)
        courier = HttpCourier if subscription.destination.protocol == "HTTP" else TcpCourier
        paces = (dials, budget.dials)
        self._courier: Courier = courier(lines, subscription.destination, paces, self._delivered)
        #: When what has gathered is due.
        self._timer = Timer(self._on_due)
        #: Nothing gathers: what is there goes out at once.
        self._is_hasty = False

    def __repr__(self) -> str:
        return f"<Subscriber {self.name} {self.subscription.schema} {self._outbox!r}>"

    @property
    def is_settled(self) -> bool:
        """It has got everything."""
        return not self._outbox and not self._courier.is_busy

    def add(self, event: bytes) -> None:
        was_empty = not self._outbox
        self._outbox.add(event)
        if self._courier.is_busy:
            return
        if self._is_hasty or self._outbox.is_full:
            self._send()
        elif was_empty:
            self._gather()

    def drop(self, count: int, size: int) -> None:
        """Events are gone before they came to it."""
        was_empty = not self._outbox
        self._outbox.drop(count, size)
        self._outbox.tell_dropped()
        if was_empty and self._outbox and not self._courier.is_busy:
            self._gather()

    def hurry(self) -> None:
        """Gather no more: what is there goes out, however little, and what comes follows at once."""
        self._is_hasty = True
        self._on_due()

    def freeze(self) -> None:
        """Its process stands still."""
        self._timers.clear(self._timer)
        self._courier.freeze()

    def wake(self) -> None:
        """It moves again; events gather again."""
        self._is_hasty = False
        self._courier.thaw()
        if self._outbox and not self._courier.is_busy:
            self._gather()

    def close(self) -> list[bytes]:
        """Returns what it has not got."""
        self._timers.forget(self._timer)
        return [*self._courier.close(), *self._outbox.clear()]

    def _delivered(self) -> None:
        """The courier is back."""
        if self._outbox:
            if self._is_hasty or self._outbox.is_full:
                self._send()
            else:
                self._gather()
        else:
            self._on_settled()

    def _gather(self) -> None:
        self._timers.set(self._timer, self._clock.monotonic() + self.subscription.timeout_s)

    def _on_due(self) -> None:
        if self._outbox and not self._courier.is_busy:
            self._send()

    def _send(self) -> None:
        self._timers.clear(self._timer)
        self._courier.deliver(self._outbox.take())

    def _notice(self, count: int, size: int) -> bytes | None:
        if "platform" not in self.types:
            return None
        record = records.logs_dropped(_BEHIND[self.subscription.api], count, size)
        return self.schema.platform(self._clock.now(), "platform.logsDropped", record)
