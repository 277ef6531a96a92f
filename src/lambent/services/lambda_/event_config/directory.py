"""The rules of functions' events in memory: every attempt at one looks them up here.

Rebuilt from the rows at start, replaced after each commit. Used on the event loop only.
"""

from __future__ import annotations

from lambent.ports import EventRules
from lambent.services.lambda_.names import LATEST
from lambent.services.lambda_.store import Key

_DEFAULTS = EventRules()


class Rules:
    """Implements ports.EventRulesDirectory."""

    def __init__(self) -> None:
        #: By function, then by qualifier.
        self._rules: dict[Key, dict[str, EventRules]] = {}

    def __repr__(self) -> str:
        return f"<Rules [{sum(map(len, self._rules.values()))} event invoke configs]>"

    def find(self, account: str, region: str, name: str, qualifier: str) -> EventRules:
        of_function = self._rules.get((account, region, name))
        return _DEFAULTS if of_function is None else of_function.get(qualifier or LATEST, _DEFAULTS)

    def put(self, key: Key, qualifier: str, rules: EventRules) -> None:
        self._rules.setdefault(key, {})[qualifier] = rules

    def remove(self, key: Key, qualifier: str | None) -> None:
        """Of one qualifier; None: of all."""
        of_function = self._rules.get(key, {})
        if qualifier is not None:
            of_function.pop(qualifier, None)
        if qualifier is None or not of_function:
            self._rules.pop(key, None)

    def clear(self) -> None:
        self._rules.clear()
