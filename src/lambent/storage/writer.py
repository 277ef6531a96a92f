"""The one thread that writes: it takes every write waiting, runs them in one transaction, and commits once.

So a hundred concurrent writes cost one fsync. Each runs in a savepoint of its own: one that fails undoes itself and
leaves its neighbours alone. Results are given out only after the commit.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DatabaseError

from lambent.storage.faults import StorageError, translate

#: Writes per transaction: bounds how long the first of them waits for the last.
BATCH_LIMIT = 256

Work = Callable[[Connection], Any]


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    work: Work
    future: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Outcome:
    job: _Job
    value: Any = None
    error: Exception | None = None


class _TransactionLost(Exception):
    """SQLite rolled the whole transaction back (disk full, I/O error), neighbours included."""


class GroupCommitWriter:
    """Owns the writing connection. Works may run more than once (after a lost transaction), so they only touch `tx`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="database writer", daemon=True)
        self._open = False

    def start(self) -> None:
        self._open = True
        self._thread.start()

    def stop(self) -> None:
        """Finish every write submitted so far. Blocks."""
        self._open = False
        self._jobs.put(None)
        self._thread.join()

    def submit(self, work: Work) -> asyncio.Future[Any]:
        """Queue `work`; the future is done once it is committed. Call on the event loop."""
        if not self._open:
            raise StorageError("The region's database is closed.")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._jobs.put(_Job(work, future))
        return future

    def _run(self) -> None:
        connection = self._engine.connect()
        while batch := self._wait_for_jobs():
            try:
                outcomes = self._run_batch(connection, batch)
            except Exception as error:  # such as a work that ended the transaction: its callers must not wait for ever
                if not connection.closed:
                    connection.invalidate()
                connection.close()
                connection = self._engine.connect()
                outcomes = [_Outcome(job, error=error) for job in batch]
            _deliver(outcomes)
        connection.close()

    def _wait_for_jobs(self) -> list[_Job]:
        """All writes that wait, at least one; empty at the end."""
        first = self._jobs.get()
        if first is None:
            return []
        batch = [first]
        while len(batch) < BATCH_LIMIT:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                self._jobs.put(None)  # the end stays in the queue, for the next round
                break
            batch.append(job)
        return batch

    def _run_batch(self, connection: Connection, batch: list[_Job]) -> list[_Outcome]:
        try:
            with connection.begin():
                return [_run_job(connection, job) for job in batch]
        except (_TransactionLost, DatabaseError) as error:
            if len(batch) == 1:
                return [_Outcome(batch[0], error=_meaning(error))]
            # Alone, each gets its own answer: the one that did not fit must not fail those that do.
            return [outcome for job in batch for outcome in self._run_batch(connection, [job])]


def _run_job(connection: Connection, job: _Job) -> _Outcome:
    savepoint = connection.begin_nested()
    try:
        value = job.work(connection)
    except Exception as error:  # whatever the work raises belongs to its caller, and must not end the writer
        try:
            savepoint.rollback()
        except DatabaseError:
            raise _TransactionLost from error
        return _Outcome(job, error=_meaning(error))
    savepoint.commit()
    return _Outcome(job, value)


def _meaning(error: Exception) -> Exception:
    if isinstance(error, _TransactionLost) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return translate(error) if isinstance(error, DatabaseError) else error


def _deliver(outcomes: list[_Outcome]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[_Outcome]] = {}
    for outcome in outcomes:
        by_loop.setdefault(outcome.job.future.get_loop(), []).append(outcome)
    for loop, group in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle, group)
        except RuntimeError:
            # The loop is closed: nobody waits for the answer any more, and the write itself is committed.
            continue


def _settle(outcomes: list[_Outcome]) -> None:
    """Called on the event loop, in the order of the commits."""
    for outcome in outcomes:
        future = outcome.job.future
        if future.cancelled():
            continue
        if outcome.error is not None:
            future.set_exception(outcome.error)
        else:
            future.set_result(outcome.value)
