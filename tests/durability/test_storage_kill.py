"""SIGKILL during group commits: what was acknowledged is there, and no write is there by half."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

ROUNDS = 5

#: Writes pairs for ever, eight at a time, and prints the number of each once it is acknowledged.
WRITER = """
import asyncio, itertools, sys
from pathlib import Path
from sqlalchemy import text
from lambent.storage.blobs import Blobs
from lambent.storage.database import Database

async def main():
    database = Database(Path(sys.argv[1]) / "db")
    blobs = Blobs(Path(sys.argv[1]) / "blobs")
    await database.start()
    await database.write(lambda tx: tx.execute(text("CREATE TABLE IF NOT EXISTS pairs (n INTEGER, half TEXT)")))
    numbers = itertools.count(int(sys.argv[2]))

    async def write_for_ever():
        for n in numbers:
            def work(tx):
                for half in ("left", "right"):
                    tx.execute(text("INSERT INTO pairs VALUES (:n, :half)"), {"n": n, "half": half})
            digest = blobs.put(str(n).encode() * 1000)
            await database.write(work)
            print(n, digest, flush=True)

    await asyncio.gather(*(write_for_ever() for _ in range(8)))

asyncio.run(main())
"""


def kill_while_writing(folder: Path, first: int, after: float) -> dict[int, str]:
    """Acknowledged numbers and their blobs."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), str(first)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    acknowledged = dict([parse(process.stdout.readline())])  # from here on it is writing
    deadline = time.monotonic() + after
    while time.monotonic() < deadline:
        acknowledged.update([parse(process.stdout.readline())])
    process.kill()
    rest = process.stdout.read()
    process.wait()
    acknowledged.update(parse(line) for line in rest.splitlines(keepends=True) if line.endswith("\n"))
    return acknowledged


def parse(line: str) -> tuple[int, str]:
    number, digest = line.split()
    return int(number), digest


@pytest.mark.slow
def test_every_acknowledged_write_survives_sigkill_and_none_is_half_there(tmp_path: Path) -> None:
    acknowledged: dict[int, str] = {}
    for round_number in range(ROUNDS):
        acknowledged |= kill_while_writing(tmp_path, round_number * 1_000_000, random.uniform(0.0, 0.3))
        engine = create_engine(f"sqlite:///{tmp_path / 'db'}")
        with engine.connect() as tx:
            pairs = dict(tx.execute(text("SELECT n, count(DISTINCT half) FROM pairs GROUP BY n")).all())
            assert tx.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
        engine.dispose()
        assert set(acknowledged) <= set(pairs)
        assert set(pairs.values()) == {2}
    for number, digest in acknowledged.items():
        assert (tmp_path / "blobs" / digest[:2] / digest).read_bytes() == str(number).encode() * 1000
    assert len(acknowledged) > ROUNDS
