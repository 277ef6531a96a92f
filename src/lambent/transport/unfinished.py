"""What all clients together may have sent of bodies that are not whole yet.

One client is bounded by `Limits`; a thousand of them that trickle would still fill the memory. Past the limit the body
that began first is given up: who sends at a common pace has long finished by then.
"""

from __future__ import annotations

from typing import Protocol


class Holder(Protocol):
    #: Loop time.
    body_started: float

    def give_up(self) -> None:
        """Answer that there is no room, and forget what has come. Calls `release`."""


class UnfinishedBodies:
    def __init__(self, limit: int) -> None:
        self._limit = limit
        # Invariant: the sum of the values of `_held`.
        self._total = 0
        self._held: dict[Holder, int] = {}

    def __repr__(self) -> str:
        return f"<UnfinishedBodies {self._total} bytes of {len(self._held)} clients>"

    def hold(self, holder: Holder, size: int) -> None:
        """`holder` has `size` bytes of its body now. It, or another one, may be told to give up."""
        self._total += size - self._held.get(holder, 0)
        self._held[holder] = size
        while self._total > self._limit:
            min(self._held, key=_beginning).give_up()

    def release(self, holder: Holder) -> None:
        """The body is whole or gone. Idempotent."""
        self._total -= self._held.pop(holder, 0)


def _beginning(holder: Holder) -> float:
    return holder.body_started
