"""Joins telemetry to one environment: to what is told in its chronicle, printed to its pipes and asked of its API.

Where nobody subscribes during init all of it is taken apart again: an invocation then asks whether there is a station,
and there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from lambent.clock import Clock
from lambent.invoke.chronicle import Chronicle
from lambent.invoke.extensions import Extensions
from lambent.invoke.http import SandboxApi
from lambent.invoke.logs import OutputReader, Share
from lambent.invoke.telemetry.api import PATHS, TelemetryApi
from lambent.invoke.telemetry.hub import About, Telemetry
from lambent.invoke.telemetry.outbox import Budget
from lambent.invoke.telemetry.wire import Lines

#: For the outboxes of all environments, beyond what is each one's own.
REGION_BYTES = 64 * 1024 * 1024
#: Connections of all environments together, in a second.
REGION_DIALS = 500


def region_budget(clock: Clock) -> Budget:
    return Budget(REGION_BYTES, Share(clock, REGION_DIALS, REGION_DIALS))


class TelemetryStation:
    def __init__(
        self,
        about: About,
        lines: Lines,
        budget: Budget,
        chronicle: Chronicle,
        output: OutputReader,
        on_settled: Callable[[], None],
    ) -> None:
        """`on_settled` is called when `rest` asked for it and everybody has got everything."""
        self._telemetry = Telemetry(about, lines, budget, on_settled)
        self._clock = lines.clock
        self._chronicle = chronicle
        self._output = output

    def __repr__(self) -> str:
        return f"<TelemetryStation {self._telemetry!r}>"

    def begin_init(self) -> None:
        """Before anything of a new init is told."""
        self._telemetry.begin_init()
        self._chronicle.telemetry = self._telemetry
        telemetry = self._telemetry
        self._output.listen(telemetry.function_line, telemetry.extension_line, telemetry.cost)

    def serve(self, api: SandboxApi, extensions: Extensions, reserved: Collection[int]) -> None:
        """Let these subscribe. `reserved` are ports that no events may go to."""
        service = TelemetryApi(self._telemetry, extensions, reserved, self._tell_subscribed)
        for path in PATHS:
            api.mount(path, service)

    def end_init(self) -> bool:
        """No more subscriptions. False: there are none, and this is of no further use."""
        self._telemetry.end_init()
        if self._telemetry.has_subscribers:
            return True
        self._chronicle.telemetry = None
        self._output.listen(None, None)
        return False

    def rest(self, now: float) -> float:
        """Before a freeze. Returns for how long to wait with it at most, for subscribers to take what there is."""
        return self._telemetry.rest(now)

    def freeze(self) -> None:
        """Its processes stand still, or are dead until the next init."""
        self._telemetry.freeze()

    def wake(self) -> None:
        """They move."""
        self._telemetry.wake()

    def hurry(self) -> None:
        """They are about to end."""
        self._telemetry.hurry()

    def close(self) -> None:
        self._telemetry.close()

    def _tell_subscribed(self, api: str, name: str, types: Collection[str]) -> None:
        self._chronicle.subscription(self._clock.now(), api, name, list(types))
