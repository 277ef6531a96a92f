"""From an operation to the method that bears its name."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from lambent.context import Context
from lambent.errors import NotImplementedOperation

Late = Callable[[], Awaitable[Sequence[object]]]
Handler = Callable[[Context, dict[str, Any]], Awaitable[dict[str, Any]]]


class NamedOperation(Protocol):
    @property
    def service(self) -> str: ...
    @property
    def name(self) -> str: ...


class Dispatch:
    """Built once from the services' operation objects; awaits the method named like the operation."""

    def __init__(self, services: Mapping[str, Sequence[object]], late: Mapping[str, Late] | None = None) -> None:
        """`late` services give their objects when an operation of theirs is asked for."""
        self._handlers: dict[tuple[str, str], Handler] = {}
        self._late = dict(late or {})
        for service, providers in services.items():
            for provider in providers:
                self._register(service, provider)

    def __call__(
        self, operation: NamedOperation, context: Context, params: dict[str, Any]
    ) -> Awaitable[dict[str, Any]]:
        handler = self._handlers.get((operation.service, operation.name))
        if handler is None:
            if operation.service in self._late:
                return self._with_late(operation, context, params)
            raise NotImplementedOperation(f"The operation {operation.name} of {operation.service} is not implemented.")
        return handler(context, params)

    async def _with_late(self, operation: NamedOperation, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        providers = await self._late[operation.service]()
        # Another request may have waited for the same.
        if self._late.pop(operation.service, None) is not None:
            for provider in providers:
                self._register(operation.service, provider)
        return await self(operation, context, params)

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
