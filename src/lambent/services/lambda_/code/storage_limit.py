"""How many bytes of packages an account may keep in a region, of functions, their versions and layers together."""

from __future__ import annotations

from typing import Protocol

from sqlalchemy import Connection

from lambent.services.lambda_.errors import CodeStorageExceededException

LIMIT_BYTES = 322_122_547_200


class Functions(Protocol):
    """The part of FunctionStore that counts."""

    def usage(self, tx: Connection, account: str, region: str) -> tuple[int, int]: ...


class Layers(Protocol):
    """The part of LayerStore that counts."""

    def stored_bytes(self, tx: Connection, account: str, region: str) -> int: ...


class StorageLimit:
    def __init__(self, functions: Functions, layers: Layers) -> None:
        self._functions = functions
        self._layers = layers

    def used(self, tx: Connection, account: str, region: str) -> int:
        _count, functions = self._functions.usage(tx, account, region)
        return functions + self._layers.stored_bytes(tx, account, region)

    def check(self, tx: Connection, account: str, region: str, more: int) -> None:
        """Raises CodeStorageExceededException where `more` bytes are too many."""
        if self.used(tx, account, region) + more > LIMIT_BYTES:
            raise CodeStorageExceededException
