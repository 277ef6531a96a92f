"""The body of a streamed answer on its way through a REST API: within its times, counted, told of at its end.

AWS's limits: https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from lambent.clock import Clock
from lambent.edge.execute_api.rest.exchange import Exchange
from lambent.edge.http_proxy import Incoming
from lambent.request import BrokenOff

#: Longest that nothing may come, by type of endpoint.
_IDLE_S = {"EDGE": 30.0}
_REGIONAL_IDLE_S = 300.0


class TimedBody:
    """Ends in BrokenOff once the integration's time is over, or nothing came for too long."""

    def __init__(self, source: Incoming, exchange: Exchange, clock: Clock, *, began: float, timeout_s: float) -> None:
        """`began`: when the integration was called, monotonic."""
        self._source = source
        self._exchange = exchange
        self._clock = clock
        self._began = began
        self._ends_at = began + timeout_s
        self._idle_s = _IDLE_S.get(exchange.api.definition.endpoint_type, _REGIONAL_IDLE_S)
        self._closed = False
        #: Bytes so far, those left out that went with the head.
        self.size = 0
        #: Called once when it has ended, however it does.
        self.ended: Callable[[], None] | None = None

    def __aiter__(self) -> TimedBody:
        return self

    async def __anext__(self) -> bytes:
        left_s = self._ends_at - self._clock.monotonic()
        try:
            async with asyncio.timeout(min(left_s, self._idle_s)):
                piece = await self._source.__anext__()
        except TimeoutError:
            reason = "it took longer than its timeout" if left_s <= self._idle_s else f"idle for {self._idle_s:g} s"
            raise self._broken(f"Execution failed due to a timeout error: {reason}") from None
        except BrokenOff as error:
            raise self._broken(f"The integration failed within its response: {error}") from None
        self.first_byte()
        self.size += len(piece)
        return piece

    def first_byte(self) -> None:
        """A byte of the body is there."""
        if self._exchange.content_ms is None:
            self._exchange.content_ms = self._elapsed_ms()

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        await self._source.aclose()
        self._exchange.integration_latency_ms = self._elapsed_ms()
        if self.ended is not None:
            self.ended()

    def _broken(self, reason: str) -> BrokenOff:
        self._exchange.log.error(reason)
        return BrokenOff(reason)

    def _elapsed_ms(self) -> int:
        return int((self._clock.monotonic() - self._began) * 1000)
