"""`POST /_lambent/clock {"advance": seconds}`: what waits for a time has it at once, for test suites.

It moves what retries, ages and idle limits go by. What runs, and what is signed, stays with the machine's clock: an
invocation under way does not time out by it, and credentials do not expire.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import msgspec

from lambent.clock import MovableClock
from lambent.edge.local import json_response
from lambent.edge.operator import OperatorCheck
from lambent.errors import ValidationException
from lambent.request import Request, Response

log = logging.getLogger(__name__)

#: Seconds of one move; a year is longer than anything waits for.
FARTHEST = 366 * 86_400.0


class _Move(msgspec.Struct, forbid_unknown_fields=True):
    advance: float


_read = msgspec.json.Decoder(_Move).decode


class ClockRoute:
    def __init__(
        self, clock: MovableClock | None, told: Sequence[Callable[[float], None]], operator: OperatorCheck
    ) -> None:
        """`clock` None: the region was started without --test-clock. `told` hear how far it was moved, each time."""
        self._clock = clock
        self._told = tuple(told)
        self._operator = operator

    async def post(self, request: Request) -> Response:
        self._operator.check(request)
        if self._clock is None:
            raise ValidationException("This region's clock cannot be moved: start it with --test-clock.")
        try:
            seconds = _read(request.body).advance
        except msgspec.DecodeError as error:
            raise ValidationException(f'The body must be {{"advance": seconds}}: {error}') from None
        if not 0 <= seconds <= FARTHEST:
            raise ValidationException(f"The clock can be advanced by 0 to {FARTHEST:.0f} seconds, not by {seconds}.")
        self._clock.advance(seconds)
        for tell in self._told:
            tell(seconds)
        log.info("The clock was advanced by %g seconds.", seconds)
        return json_response({"now": self._clock.now()})
