"""Group commit, isolation of neighbours, faults and schema of `storage.database`, on real files."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from lambent.storage import migrations
from lambent.storage.database import Database
from lambent.storage.faults import StorageBusy, StorageError, StorageFull, StorageUnreadable
from lambent.storage.migrations.snapshot import migrated_schema


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Database]:
    database = Database(path)
    await database.start()
    try:
        await database.write(lambda tx: tx.execute(text("CREATE TABLE IF NOT EXISTS t (k TEXT PRIMARY KEY, v BLOB)")))
        yield database
    finally:
        await database.stop()


def put(key: str, value: Any = b"") -> Callable[[Connection], None]:
    def work(tx: Connection) -> None:
        tx.execute(text("INSERT INTO t VALUES (:k, :v)"), {"k": key, "v": value})

    return work


def keys(tx: Connection) -> list[str]:
    return list(tx.execute(text("SELECT k FROM t ORDER BY k")).scalars())


def run_with_database(path: Path, scenario: Callable[[Database], Any]) -> Any:
    async def main() -> Any:
        async with opened(path) as database:
            return await scenario(database)

    return asyncio.run(main())


def test_a_write_is_seen_by_the_next_read_and_after_reopening(tmp_path: Path) -> None:
    async def scenario(database: Database) -> None:
        await database.write(put("a"))
        assert await database.read(keys) == ["a"]

    run_with_database(tmp_path / "db", scenario)

    async def again(database: Database) -> list[str]:
        return await database.read(keys)

    assert run_with_database(tmp_path / "db", again) == ["a"]


def test_a_failing_write_leaves_the_neighbours_of_its_batch_alone(tmp_path: Path) -> None:
    def half_then_fail(tx: Connection) -> None:
        put("half")(tx)
        raise ValueError("after the first statement")

    async def scenario(database: Database) -> tuple[list[Any], list[str]]:
        works = [put("a"), half_then_fail, put("b"), put("a"), put("c")]
        results = await asyncio.gather(*(database.write(work) for work in works), return_exceptions=True)
        return results, await database.read(keys)

    results, stored = run_with_database(tmp_path / "db", scenario)
    assert stored == ["a", "b", "c"]
    assert [type(result) for result in results] == [type(None), ValueError, type(None), IntegrityError, type(None)]


def test_concurrent_writes_share_commits(tmp_path: Path) -> None:
    async def scenario(database: Database) -> int:
        # Kept alive, so that no two of them can have the same id.
        transactions: list[Any] = []
        release = threading.Event()
        busy = asyncio.ensure_future(database.write(lambda tx: release.wait(10)))
        rest = [
            asyncio.ensure_future(database.write(lambda tx: transactions.append(tx.get_transaction())))
            for _ in range(100)
        ]
        await asyncio.sleep(0)
        release.set()
        await asyncio.gather(busy, *rest)
        return len({id(transaction) for transaction in transactions})

    assert run_with_database(tmp_path / "db", scenario) == 1


def test_a_cancelled_caller_does_not_stop_the_writer(tmp_path: Path) -> None:
    async def scenario(database: Database) -> list[str]:
        gone = asyncio.ensure_future(database.write(put("gone")))
        await asyncio.sleep(0)
        gone.cancel()
        await database.write(put("next"))
        return await database.read(keys)

    assert run_with_database(tmp_path / "db", scenario) == ["gone", "next"]


def test_a_work_that_ends_the_transaction_fails_and_the_writer_goes_on(tmp_path: Path) -> None:
    async def scenario(database: Database) -> list[str]:
        for end in (lambda tx: tx.exec_driver_sql("ROLLBACK"), lambda tx: tx.rollback(), lambda tx: tx.close()):
            with pytest.raises(Exception):  # noqa: B017, PT011 - whatever the library makes of it
                await asyncio.wait_for(database.write(end), 10)
        await database.write(put("next"))
        return await database.read(keys)

    assert run_with_database(tmp_path / "db", scenario) == ["next"]


def test_readers_cannot_write(tmp_path: Path) -> None:
    async def scenario(database: Database) -> None:
        with pytest.raises(StorageUnreadable):
            await database.read(put("a"))

    run_with_database(tmp_path / "db", scenario)


def test_a_full_disk_fails_what_does_not_fit_and_keeps_the_rest(tmp_path: Path) -> None:
    async def scenario(database: Database) -> tuple[list[Any], list[str]]:
        await database.write(lambda tx: tx.exec_driver_sql("PRAGMA max_page_count = 40"))
        works = [put("a"), put("big", b"x" * 400_000), put("b")]
        results = await asyncio.gather(*(database.write(work) for work in works), return_exceptions=True)
        return results, await database.read(keys)

    results, stored = run_with_database(tmp_path / "db", scenario)
    assert stored == ["a", "b"]
    assert [type(result) for result in results] == [type(None), StorageFull, type(None)]
    assert "disk" in str(results[1])


def test_a_lock_held_by_somebody_else_is_a_clean_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lambent.storage.database.LOCK_TIMEOUT", 0.05)

    async def scenario(database: Database) -> list[str]:
        other = sqlite3.connect(tmp_path / "db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageBusy):
            await database.write(put("a"))
        other.execute("ROLLBACK")
        await database.write(put("b"))
        return await database.read(keys)

    assert run_with_database(tmp_path / "db", scenario) == ["b"]


def test_a_damaged_file_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "db").write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(StorageUnreadable, match="damaged"):
        asyncio.run(Database(tmp_path / "db").start())


def test_two_regions_cannot_share_a_data_directory(tmp_path: Path) -> None:
    async def scenario(_database: Database) -> None:
        with pytest.raises(StorageError, match="Another region is running"):
            await Database(tmp_path / "db").start()

    run_with_database(tmp_path / "db", scenario)


def test_a_closed_database_says_so(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path / "db") as database:
            pass
        with pytest.raises(StorageError, match="closed"):
            await database.write(put("a"))

    asyncio.run(main())


def test_the_schema_snapshot_is_what_the_migrations_come_to() -> None:
    assert migrations.SNAPSHOT.read_text() == migrated_schema()


def test_a_database_of_a_newer_lambent_is_refused(tmp_path: Path) -> None:
    async def scenario(database: Database) -> None:
        await database.write(lambda tx: tx.execute(text("UPDATE alembic_version SET version_num = '9999'")))

    run_with_database(tmp_path / "db", scenario)
    with pytest.raises(StorageError, match="newer Lambent"):
        asyncio.run(Database(tmp_path / "db").start())


_START_TWICE = """
import asyncio, sys
from pathlib import Path
from lambent.storage.database import Database
async def main():
    database = Database(Path(sys.argv[1]))
    await database.start()
    await database.stop()
asyncio.run(main())
asyncio.run(main())
print("alembic" in sys.modules)
"""


@pytest.mark.slow
def test_neither_a_new_database_nor_one_at_head_loads_alembic(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _START_TWICE, str(tmp_path / "db")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\n"
