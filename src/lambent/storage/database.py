"""The region's state: one SQLite file that takes `read(work)` and `write(work)`, where `work(tx)` is plain SQL code.

Writes group-commit in one thread and are on disk when `write` returns (WAL, synchronous=FULL); reads run beside them
on a few threads, each in a snapshot. Stores own the tables; this module knows none of them.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

from lambent.storage import migrations
from lambent.storage.faults import StorageError, translated
from lambent.storage.files import make_folder
from lambent.storage.writer import GroupCommitWriter

T = TypeVar("T")

#: Reads at a time; more of them would only wait for the same disk and the same GIL.
READERS = 4
#: Seconds to wait for a lock held by somebody else, such as an operator's `sqlite3` shell.
LOCK_TIMEOUT = 5.0


class Database:
    def __init__(self, path: Path) -> None:
        self._path = path
        # Set by start, None again after stop.
        self._lock: int | None = None
        self._reading: Engine | None = None
        self._writing: Engine | None = None
        self._writer: GroupCommitWriter | None = None
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="database reader")

    async def start(self) -> None:
        """Open the file (or make it) and bring its schema up to date. Raises StorageError."""
        await asyncio.get_running_loop().run_in_executor(self._threads, self._open)

    async def stop(self) -> None:
        """Finish every write, then close."""
        await asyncio.get_running_loop().run_in_executor(self._threads, self._close)
        self._threads.shutdown(wait=False)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """`work(tx)` on a reader thread, in one consistent snapshot that holds every acknowledged write."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """`work(tx)` on the writer thread; returns once it is on disk. What it raises undoes its changes alone.

        `work` may run more than once, so it must not touch anything but `tx`.
        """
        if self._writer is None:
            raise StorageError("The region's database is closed.")
        result: T = await self._writer.submit(work)
        return result

    def _read(self, work: Callable[[Connection], T]) -> T:
        if self._reading is None:
            raise StorageError("The region's database is closed.")
        with translated(), self._reading.begin() as tx:
            return work(tx)

    def _open(self) -> None:
        make_folder(self._path.parent, mode=0o700)
        self._lock = _lock(self._path)
        # SQLite gives its own files the mode of this one, and would make it readable by all.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        with translated():
            self._writing = _engine(self._path, writable=True)
            self._reading = _engine(self._path, writable=False)
            migrations.bring_to_head(self._writing, self._path)
        self._writer = GroupCommitWriter(self._writing)
        self._writer.start()

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.stop()
            self._writer = None
        for engine in (self._reading, self._writing):
            if engine is not None:
                engine.dispose()
        self._reading = self._writing = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _lock(path: Path) -> int:
    """Two regions on one data directory would undo each other; the kernel frees the lock of a killed one."""
    descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StorageError(f"Another region is running with the data directory {path.parent}.") from None
    return descriptor


def _engine(path: Path, *, writable: bool) -> Engine:
    engine = create_engine(
        f"sqlite+pysqlite:///{path}",
        # isolation_level None: transactions begin where we say, not where the driver guesses.
        connect_args={"isolation_level": None, "check_same_thread": False, "timeout": LOCK_TIMEOUT},
        poolclass=QueuePool,
        pool_size=READERS,
        max_overflow=0,
        pool_reset_on_return="rollback",
    )

    def prepare(connection: Any, _record: Any) -> None:
        for pragma in _PRAGMAS_WRITING if writable else _PRAGMAS_READING:
            connection.execute(f"PRAGMA {pragma}")

    def begin(connection: Connection) -> None:
        # A deferred write transaction could fail half-way at taking the lock; an immediate one fails at once or never.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writable else "BEGIN")

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", begin)
    return engine


_PRAGMAS_READING = ("query_only = ON",)
_PRAGMAS_WRITING = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "foreign_keys = ON",
    # A checkpoint leaves the log file at its largest size; this cuts it back.
    "journal_size_limit = 67108864",
)
