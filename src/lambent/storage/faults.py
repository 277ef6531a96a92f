"""What can go wrong with the database, as errors that callers and operators understand."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DatabaseError, IntegrityError

from lambent.errors import InternalFailure


class StorageError(InternalFailure):
    """The region could not store or read its state."""

    code = "InternalFailure"


class StorageFull(StorageError):
    """The disk that holds the region's data directory is full; nothing was changed."""


class StorageBusy(StorageError):
    """Another process holds the region's database locked; nothing was changed."""


class StorageUnreadable(StorageError):
    """The region's database file cannot be read or written, or is damaged."""


_BY_RESULT_CODE: dict[int, type[StorageError]] = {
    sqlite3.SQLITE_FULL: StorageFull,
    sqlite3.SQLITE_BUSY: StorageBusy,
    sqlite3.SQLITE_LOCKED: StorageBusy,
    sqlite3.SQLITE_IOERR: StorageUnreadable,
    sqlite3.SQLITE_CORRUPT: StorageUnreadable,
    sqlite3.SQLITE_NOTADB: StorageUnreadable,
    sqlite3.SQLITE_CANTOPEN: StorageUnreadable,
    sqlite3.SQLITE_READONLY: StorageUnreadable,
}


def translate(error: DatabaseError) -> Exception:
    """The storage error that `error` means, or itself where the statement is at fault, not the store."""
    if isinstance(error, IntegrityError):
        return error
    # The low byte is the primary code; the rest says which call failed.
    primary = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    kind = _BY_RESULT_CODE.get(primary)
    return error if kind is None else kind(f"{kind.__doc__} ({error.orig})")


@contextmanager
def translated() -> Iterator[None]:
    """Raise the storage error for what SQLite reports inside."""
    try:
        yield
    except DatabaseError as error:
        meaning = translate(error)
        if meaning is error:
            raise
        raise meaning from error
