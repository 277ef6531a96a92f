"""From an operation to the method that bears its name."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from lambent.context import Context
from lambent.errors import NotImplementedOperation

Handler = Callable[[Context, dict[str, Any]], Awaitable[dict[str, Any]]]


class NamedOperation(Protocol):
    @property
    def service(self) -> str: ...
    @property
    def name(self) -> str: ...


class Dispatch:
    """Built once from the services' operation objects; awaits the method named like the operation."""

    def __init__(self, services: Mapping[str, Sequence[object]]) -> None:
        self._handlers: dict[tuple[str, str], Handler] = {}
        for service, providers in services.items():
            for provider in providers:
                self._register(service, provider)

    def __call__(
        self, operation: NamedOperation, context: Context, params: dict[str, Any]
    ) -> Awaitable[dict[str, Any]]:
        handler = self._handlers.get((operation.service, operation.name))
        if handler is None:
            raise NotImplementedOperation(f"The operation {operation.name} of {operation.service} is not implemented.")
        return handler(context, params)

    def implemented(self) -> frozenset[tuple[str, str]]:
        """(service, operation) of everything that is built."""
        return frozenset(self._handlers)

    def _register(self, service: str, provider: object) -> None:
        for name, method in inspect.getmembers(provider, inspect.iscoroutinefunction):
            # Operations are written as AWS writes them; whatever else a provider has starts in lower case.
            if not name[0].isupper():
                continue
            if (service, name) in self._handlers:
                raise ValueError(f"Two objects implement {name} of {service}.")
            self._handlers[service, name] = method
