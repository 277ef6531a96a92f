"""The queue of environments to start: so many are made at once, function by function in turn.

Starting costs CPU. A thousand at once would each take as long as all of them together, and those who wait for a
function with one request would wait behind a function with a thousand.
"""

from __future__ import annotations

import os
from collections import deque
from typing import Any

from lambent.invoke.pool import Group, Start

#: Sandboxes being made at once: enough to keep every CPU and the supervisor's builders busy.
AT_ONCE = max(16, 8 * (os.cpu_count() or 1))


class StartQueue:
    """Starts that wait for their turn, by group."""

    def __init__(self) -> None:
        #: In turn. Invariant: the groups of `_turns` are the keys of `_starts`, and none of their deques is empty.
        self._turns: deque[Group[Any, Any]] = deque()
        self._starts: dict[Group[Any, Any], deque[Start[Any, Any]]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, start: Start[Any, Any]) -> None:
        starts = self._starts.get(start.group)
        if starts is None:
            starts = self._starts[start.group] = deque()
            self._turns.append(start.group)
        starts.append(start)
        self._count += 1

    def pop(self) -> Start[Any, Any] | None:
        """The next one, of the group whose turn it is."""
        if not self._turns:
            return None
        group = self._turns.popleft()
        starts = self._starts[group]
        start = starts.popleft()
        self._count -= 1
        if starts:
            self._turns.append(group)
        else:
            del self._starts[group]
        return start

    def clear(self) -> None:
        self._turns.clear()
        self._starts.clear()
        self._count = 0
