"""What Lambda authorizers said, for as long as their TTL: one call at a time for one identity, never a failure kept."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

from lambent.clock import Clock

V = TypeVar("V")

#: Results kept, whoever's they are; AWS bounds one to 8 KB.
MAX_RESULTS = 4096


def identity_key(values: Sequence[str]) -> bytes:
    """What the identity sources of a request held, as a short key: tokens are long and are not kept."""
    digest = hashlib.blake2b(digest_size=20)
    for value in values:
        raw = value.encode("utf-8", "surrogateescape")
        digest.update(len(raw).to_bytes(4, "big") + raw)
    return digest.digest()


class AuthorizerCache(Generic[V]):
    """Results by scope (an authorizer of a stage) and identity. Used on the event loop only."""

    def __init__(self, clock: Clock, max_results: int = MAX_RESULTS) -> None:
        self._clock = clock
        self._max_results = max_results
        #: Oldest first: (result, monotonic time of its end).
        self._results: OrderedDict[tuple[Hashable, bytes], tuple[V, float]] = OrderedDict()
        #: Calls under way, awaited by everybody who asks for the same.
        self._loading: dict[tuple[Hashable, bytes], asyncio.Task[V]] = {}

    def __repr__(self) -> str:
        return f"<AuthorizerCache: {len(self._results)} results, {len(self._loading)} being asked for>"

    async def get(self, scope: Hashable, identity: bytes, ttl_s: float, load: Callable[[], Awaitable[V]]) -> V:
        """The result for `identity`, from `load` where none is kept. Raises what `load` raises."""
        if ttl_s <= 0:
            return await load()
        key = (scope, identity)
        kept = self._results.get(key)
        if kept is not None:
            if self._clock.monotonic() < kept[1]:
                return kept[0]
            del self._results[key]
        task = self._loading.get(key)
        if task is None:
            task = asyncio.create_task(self._load(key, ttl_s, load), name="lambda authorizer")
            # Looked at, so that the loop does not complain where nobody waits any more.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._loading[key] = task
        # One who asked and went away does not take the answer from the others.
        return await asyncio.shield(task)

    def forget(self, scope: Hashable) -> None:
        """Whoever is asked for next in `scope` is asked for anew."""
        for key in [key for key in self._results if key[0] == scope]:
            del self._results[key]
        # What is under way was asked for before: it answers those who wait, and is not kept.
        for key in [key for key in self._loading if key[0] == scope]:
            del self._loading[key]

    def clear(self) -> None:
        self._results.clear()
        self._loading.clear()

    async def _load(self, key: tuple[Hashable, bytes], ttl_s: float, load: Callable[[], Awaitable[V]]) -> V:
        task = asyncio.current_task()
        try:
            result = await load()
            if self._loading.get(key) is task:
                self._results[key] = (result, self._clock.monotonic() + ttl_s)
                if len(self._results) > self._max_results:
                    self._results.popitem(last=False)
            return result
        finally:
            if self._loading.get(key) is task:
                del self._loading[key]
