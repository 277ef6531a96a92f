"""The log store's budget, retention and durability: what is dropped, what never is, and what a crash may cost."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import msgspec
import pytest
from log_store_helpers import MIB, NOW, WHO, disk_bytes, files, group, numbers, opened, run, seal, stream, until

from lambent.clock import SystemClock, TestClock
from lambent.services.logs.domain import DAY_MS
from lambent.services.logs.errors import ServiceUnavailableException
from lambent.services.logs.store import LogStore

# ---- budget ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_flooding_group_eats_its_own_oldest_events_and_no_quiet_groups(tmp_path: Path) -> None:
    async def scenario() -> None:
        budget = 2 * MIB
        async with opened(tmp_path, budget) as store:
            quiet = [store.open_stream(*WHO, f"quiet-{number}", "s") for number in range(20)]
            flood = store.open_stream(*WHO, "flood", "s")
            for number in range(300):
                quiet[number % 20].write(NOW + number, b"%d a line now and then" % number)
                for line in range(60):
                    flood.write(NOW + number, b"%d " % (number * 60 + line) + b"x" * 1000)
                await store.flush()
                assert disk_bytes(tmp_path) <= budget
            await store.upkeep()
            assert disk_bytes(tmp_path) <= budget
            for number in range(20):
                assert await numbers(store, stream(store, f"quiet-{number}")) == list(range(number, 300, 20))
            kept = await numbers(store, stream(store, "flood"))
            assert kept == list(range(kept[0], 18_000))
            assert len(kept) > 500
            statistics = store.statistics()
            assert statistics["evicted_bytes"] > 14 * MIB
            # Rewriting stays in proportion: sealing each byte once, and little on top.
            assert statistics["rewritten_bytes"] < 1.5 * 18_000 * 1100
        async with opened(tmp_path, budget) as store:
            assert await numbers(store, stream(store, "quiet-7")) == list(range(7, 300, 20))
            again = await numbers(store, stream(store, "flood"))
            assert again[-1] == 17_999
            assert again[0] <= kept[0]

    run(scenario())


@pytest.mark.slow
def test_equal_groups_lose_their_oldest_events_about_equally(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, 2 * MIB) as store:
            writers = [store.open_stream(*WHO, f"g{number}", "s") for number in range(8)]
            for number in range(600):
                for writer in writers:
                    writer.write(NOW + number, b"%d " % number + b"x" * 1000)
                if number % 5 == 0:
                    await store.flush()
            await store.flush()
            await store.upkeep()
            kept = [await numbers(store, stream(store, f"g{number}")) for number in range(8)]
            assert all(some == list(range(some[0], 600)) for some in kept)
            assert max(map(len, kept)) < 2 * min(map(len, kept))
            assert sum(map(len, kept)) * 1000 > MIB

    run(scenario())


@pytest.mark.slow
def test_streams_of_environments_are_forgotten_with_their_last_event_but_created_ones_stay(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, MIB) as store:
            made = store.create_group(*WHO, "g")
            await store.put(store.create_stream(made, "created"), [NOW], [b"0 " + b"x" * 1000])
            for number in range(100):
                store.open_stream(*WHO, "g", f"environment-{number:03d}").write(NOW, b"0 " + b"x" * 50_000)
                await store.flush()
            await store.upkeep()
            names = set(made.streams)
            assert "created" in names
            assert "environment-000" not in names
            assert "environment-099" in names
            assert len(names) < 30

    run(scenario())


def test_bytes_of_small_leftover_chunks_are_merged_into_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, MIB) as store:
            writer = store.open_stream(*WHO, "g", "s")
            for number in range(40):
                writer.write(NOW + number, b"%d" % number)
                await seal(store)
            assert len(files(tmp_path, ".chunk")) < 20
            assert await numbers(store, stream(store, "g")) == list(range(40))
        async with opened(tmp_path, MIB) as store:
            assert await numbers(store, stream(store, "g")) == list(range(40))

    run(scenario())


# ---- retention -------------------------------------------------------------------------------------------------------


def test_events_past_retention_are_removed_from_disk(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = TestClock(NOW / 1000)
        async with opened(tmp_path, MIB, clock) as store:
            writer = store.open_stream(*WHO, "g", "s")
            writer.write(NOW, b"0 old")
            await seal(store)
            made = group(store, "g")
            store.update_group(made, msgspec.structs.replace(made.row, retention_days=3))
            clock.advance(2 * 86_400)
            writer.write(NOW + 2 * DAY_MS, b"1 new")
            await store.flush()
            await store.upkeep()
            assert await numbers(store, stream(store, "g")) == [0, 1]
            clock.advance(86_401)
            await store.upkeep()
            assert await numbers(store, stream(store, "g")) == [1]
            assert files(tmp_path, ".chunk") == []
            assert made.stored_bytes == len(b"1 new") + 26

    run(scenario())


# ---- durability ------------------------------------------------------------------------------------------------------

WRITER = """
    import asyncio, sys
    from pathlib import Path
    from lambent.clock import SystemClock
    from lambent.services.logs.store import LogStore

    async def main():
        store = LogStore(Path(sys.argv[1]) / "logs", SystemClock(), 1 << 20)
        await store.start()
        group = store.find_group("0", "r", "g") or store.create_group("0", "r", "g")
        stream = group.streams.get("s") or store.create_stream(group, "s")
        number = stream.next_sequence
        noise = store.open_stream("0", "r", "noise", "s")
        while True:
            for _ in range(50):
                noise.write(1_750_000_000_000, b"x" * 300)
            await store.put(stream, [1_750_000_000_000 + number], [b"%d" % number])
            print(number, flush=True)
            number += 1

    asyncio.run(main())
"""


@pytest.mark.slow
def test_acknowledged_events_survive_kill_9_at_any_moment(tmp_path: Path) -> None:
    acknowledged = -1
    for round_number in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WRITER), str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        # Each round dies at another point of a seal or an eviction: the budget is small, the noise is not.
        for _ in range(60 + 37 * round_number):
            acknowledged = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        acknowledged = max([acknowledged, *map(int, process.stdout.read().split())])
        process.stdout.close()
        assert process.wait() == -signal.SIGKILL

        async def check(expected: int) -> None:
            store = LogStore(tmp_path / "logs", SystemClock(), MIB)
            await store.start()
            survivor = store.find_group("0", "r", "g")
            assert survivor is not None
            found = await numbers(store, survivor.streams["s"])
            # What was on its way may be there too, whole.
            assert found in (list(range(expected + 1)), list(range(expected + 2)))
            await store.stop()

        run(check(acknowledged))
    assert acknowledged > 500


def test_put_is_on_disk_when_it_returns_and_is_not_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    real = os.fdatasync

    def recording(fd: int) -> None:
        synced.append(os.path.basename(os.readlink(f"/proc/self/fd/{fd}")))
        real(fd)

    async def scenario() -> None:
        async with opened(tmp_path) as store:
            made = store.create_stream(store.create_group(*WHO, "g"), "s")
            await store.put(made, [NOW], [b"1"])
            assert synced == ["catalogue.log", "0000000001.journal"]
            synced.clear()
            # Callers at the same time share one.
            await asyncio.gather(*(store.put(made, [NOW], [b"1"]) for _ in range(50)))
            assert len(synced) <= 4

    monkeypatch.setattr(os, "fdatasync", recording)
    run(scenario())


@pytest.mark.slow
def test_lines_are_synced_within_about_a_second_without_anybody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[float] = []
    monkeypatch.setattr(os, "fdatasync", lambda fd: synced.append(time.monotonic()))

    async def scenario() -> None:
        async with opened(tmp_path) as store:
            start = time.monotonic()
            store.open_stream(*WHO, "g", "s").write(NOW, b"line")
            await until(lambda: synced)
            assert synced[0] - start < 2

    run(scenario())


def test_full_disk_fails_the_caller_loses_no_older_event_and_passes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            made = store.create_stream(store.create_group(*WHO, "g"), "s")
            await store.put(made, [NOW], [b"0"])
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
            try:
                with pytest.raises(ServiceUnavailableException):
                    await store.put(made, [NOW], [b"1 " + b"x" * 8192])
                store.open_stream(*WHO, "g", "other").write(NOW, b"2 " + b"x" * 8192)
                with pytest.raises(ServiceUnavailableException):
                    await store.flush()
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            assert store.statistics()["lost_events"] == 2
            assert store.statistics()["buffered_bytes"] == 0
            await store.put(made, [NOW + 3], [b"3"])
            assert await numbers(store, made) == [0, 3]
        async with opened(tmp_path) as store:
            assert await numbers(store, stream(store, "g")) == [0, 3]
            assert "other" in stream(store, "g").group.streams

    run(scenario())


# ---- cost ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_40_000_lines_a_second_of_200_streams_are_absorbed_with_little_of_a_cpu(tmp_path: Path) -> None:
    line = b"2025-06-15T15:06:40.000Z\t8f1d9a0e\tINFO\t" + b"x" * 60 + b"\n"
    seconds, rate = 3.0, 40_000

    async def scenario() -> None:
        async with opened(tmp_path, 512 * MIB) as store:
            writers = [store.open_stream(*WHO, f"/aws/lambda/f{number}", "s") for number in range(200)]
            busy = -time.process_time()
            start = time.monotonic()
            written = 0
            while (elapsed := time.monotonic() - start) < seconds:
                for _ in range(int(elapsed * rate) - written):
                    assert writers[written % 200].write(NOW + int(elapsed * 1000), line)
                    written += 1
                await asyncio.sleep(0.005)
            await store.commit()
            busy += time.process_time()
            assert written > 0.95 * seconds * rate
            assert store.statistics()["events"] == written
            assert store.statistics()["lost_events"] == 0
            print(f"{written / seconds:,.0f} lines/s took {busy / seconds:.1%} of a CPU, test included")
            assert busy / seconds < 0.35

    run(scenario())


@pytest.mark.slow
def test_write_costs_at_most_two_microseconds(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            writer = store.open_stream(*WHO, "/aws/lambda/f", "s")
            best = 1.0
            for _ in range(10):
                start = time.perf_counter()
                for _ in range(5_000):
                    writer.write(NOW, b"a line of a function")
                best = min(best, (time.perf_counter() - start) / 5_000)
                await store.flush()
            print(f"write costs {best * 1e6:.2f} µs")
            assert best < 2e-6

    run(scenario())
