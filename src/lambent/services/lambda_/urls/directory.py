"""Function URLs by their id, in memory: every request to one is looked up here.

Rebuilt from the rows at start, replaced after each commit. Used on the event loop only.
"""

from __future__ import annotations

from lambent.ports import UrlTarget


class Urls:
    """Implements ports.UrlDirectory."""

    def __init__(self) -> None:
        self._targets: dict[str, UrlTarget] = {}

    def __repr__(self) -> str:
        return f"<Urls [{len(self._targets)} function URLs]>"

    def find(self, url_id: str) -> UrlTarget | None:
        return self._targets.get(url_id)

    def put(self, target: UrlTarget) -> None:
        self._targets[target.id] = target

    def remove(self, url_id: str) -> None:
        self._targets.pop(url_id, None)

    def clear(self) -> None:
        self._targets.clear()
