"""Function URLs by their id, in memory: every request to one is looked up here.

Rebuilt from the rows at start, replaced after each commit. Used on the event loop only.
"""

from __future__ import annotations

from lambent.ports import UrlTarget
from lambent.services.lambda_.store import Key


class Urls:
    """Implements ports.UrlDirectory."""

    def __init__(self) -> None:
        self._targets: dict[str, UrlTarget] = {}
        #: Ids by function, then by qualifier.
        self._ids: dict[Key, dict[str, str]] = {}

    def __repr__(self) -> str:
        return f"<Urls [{len(self._targets)} function URLs]>"

    def find(self, url_id: str) -> UrlTarget | None:
        return self._targets.get(url_id)

    def put(self, key: Key, qualifier: str, target: UrlTarget) -> None:
        self._targets[target.id] = target
        self._ids.setdefault(key, {})[qualifier] = target.id

    def remove(self, key: Key, qualifier: str | None) -> None:
        """Of one qualifier; None: of all."""
        of_function = self._ids.get(key, {})
        for gone in [qualifier] if qualifier is not None else list(of_function):
            if gone in of_function:
                del self._targets[of_function.pop(gone)]
        if not of_function:
            self._ids.pop(key, None)

    def clear(self) -> None:
        self._targets.clear()
        self._ids.clear()
