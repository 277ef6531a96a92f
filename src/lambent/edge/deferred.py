"""Parts of a region that are built at their first need, or a moment after the start, whichever comes first.

A region must answer within a second of its start; what few requests need at once must not make all of them wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Deferred(Generic[T]):
    """Builds one thing, once, whoever asks first and however many ask meanwhile. A build that fails is tried anew."""

    def __init__(self, build: Callable[[], Awaitable[T]]) -> None:
        self._build = build
        self._lock = asyncio.Lock()
        #: None until it is built.
        self.built: T | None = None

    async def get(self) -> T:
        """Raises what the building raises."""
        if self.built is None:
            async with self._lock:
                if self.built is None:
                    self.built = await self._build()
        return self.built
