"""The log store on real files: what is written is read back in order, survives restarts, and waits politely."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from log_store_helpers import MIB, NOW, WHO, files, group, messages, opened, pages, run, seal, stream, until

from lambent.services.logs.catalogue import Stream
from lambent.services.logs.errors import ServiceUnavailableException
from lambent.services.logs.store import LogStore
from lambent.services.logs.writer import WRITER_LIMIT

FUNCTION = "/aws/lambda/f"


# ---- writing and reading ---------------------------------------------------------------------------------------------


def test_first_line_makes_group_and_stream_and_can_be_read_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            writer = store.open_stream(*WHO, FUNCTION, "s")
            assert store.find_group(*WHO, FUNCTION) is None
            assert writer.write(NOW, b"START\n")
            assert writer.write(NOW + 1, b"END\n")
            await store.flush()
            assert await messages(store, stream(store, FUNCTION)) == [b"START\n", b"END\n"]

    run(scenario())


def test_lines_reach_the_file_within_a_second_though_nobody_reads(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            store.open_stream(*WHO, FUNCTION, "s").write(NOW, b"needle")
            await until(lambda: b"needle" in files(tmp_path, ".journal")[0].read_bytes(), 1.0)

    run(scenario())


def test_empty_message_is_no_event_and_a_huge_one_becomes_several(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            writer = store.open_stream(*WHO, FUNCTION, "s")
            writer.write(NOW, b"")
            writer.write(NOW, b"x" * (MIB + 5))
            assert [len(message) for message in await messages(store, await flushed(store))] == [MIB, 5]

    async def flushed(store: LogStore) -> Stream:
        await store.flush()
        return stream(store, FUNCTION)

    run(scenario())


def test_lines_written_out_of_turn_are_read_in_order_of_time(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            writer = store.open_stream(*WHO, FUNCTION, "s")
            for offset in (3, 1, 2, 1):
                writer.write(NOW + offset, b"%d" % offset)
            await store.flush()
            writer.write(NOW, b"0")
            await store.flush()
            assert await messages(store, stream(store, FUNCTION)) == [b"0", b"1", b"1", b"2", b"3"]

    run(scenario())


@pytest.mark.parametrize("timestamp", [-1, -(2**70), 10**14, 2**64, 2**70])
def test_absurd_timestamp_of_a_function_stops_nobodys_log(tmp_path: Path, timestamp: int) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            writer = store.open_stream(*WHO, FUNCTION, "s")
            writer.write(timestamp, b"odd")
            store.open_stream(*WHO, FUNCTION, "other").write(NOW, b"line")
            await store.flush()
            assert await messages(store, stream(store, FUNCTION)) == [b"odd"]
            assert await messages(store, stream(store, FUNCTION, "other")) == [b"line"]

    run(scenario())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    flushes=st.lists(
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), min_size=1, max_size=12), min_size=1, max_size=8
    ),
    limit=st.integers(1, 7),
    scan_bytes=st.sampled_from([1, 200, 10**9]),
    bounds=st.tuples(st.integers(0, 45), st.integers(0, 45)),
    sealed=st.booleans(),
)
@pytest.mark.slow
def test_pages_of_any_size_in_either_direction_give_every_event_once_in_order(
    tmp_path: Path, flushes: Any, limit: int, scan_bytes: int, bounds: tuple[int, int], sealed: bool
) -> None:
    async def scenario() -> None:
        directory = tmp_path / os.urandom(8).hex()
        async with opened(directory) as store:
            for number, lines in enumerate(flushes):
                for index, (which, offset) in enumerate(lines):
                    store.open_stream(*WHO, "g", f"s{which}").write(NOW + offset, b"%d.%d" % (number, index))
                await store.flush()
            if sealed:
                await seal(store)
            low, high = NOW + bounds[0], NOW + bounds[1]
            expected = sorted(
                (NOW + offset, b"%d.%d" % (number, index))
                for number, lines in enumerate(flushes)
                for index, (_, offset) in enumerate(lines)
                if low <= NOW + offset <= high
            )
            for backward in (False, True):
                read = await pages(
                    store,
                    *group(store, "g").streams.values(),
                    start_ms=low,
                    end_ms=high,
                    limit=limit,
                    backward=backward,
                    scan_bytes=scan_bytes,
                )
                events = [event for page in read for event in page]
                assert all(len(page) <= limit for page in read)
                assert events == sorted(events, reverse=backward)
                assert len({event.id for event in events}) == len(events)
                assert sorted((event.timestamp_ms, event.message) for event in events) == expected

    run(scenario())


def test_page_ends_at_a_megabyte(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            writer = store.open_stream(*WHO, FUNCTION, "s")
            for offset in range(5):
                writer.write(NOW + offset, b"x" * 400_000)
            await store.flush()
            read = await pages(store, stream(store, FUNCTION))
            assert [len(page) for page in read] == [2, 2, 1]

    run(scenario())


def test_event_ids_stay_the_same_when_files_are_rewritten(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            writer = store.open_stream(*WHO, FUNCTION, "s")
            for offset in range(10):
                writer.write(NOW + offset, b"line")
                await store.flush()
            before = await pages(store, stream(store, FUNCTION))
            await seal(store)
            assert [path.suffix for path in files(tmp_path)] == [".journal", ".chunk", ".log"]
            assert await pages(store, stream(store, FUNCTION)) == before
        async with opened(tmp_path) as store:
            assert await pages(store, stream(store, FUNCTION)) == before

    run(scenario())


# ---- back-pressure ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_flooding_writer_is_stopped_and_told_once_while_a_quiet_one_goes_on(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            flood = store.open_stream(*WHO, FUNCTION, "flood")
            quiet = store.open_stream(*WHO, FUNCTION, "quiet")
            line = b"x" * 1000
            accepted = 0
            while flood.write(NOW, line):
                accepted += 1
            assert accepted * 1064 < WRITER_LIMIT <= (accepted + 1) * 1064
            drained: list[int] = []
            flood.on_drain(lambda: drained.append(1))
            assert quiet.write(NOW, b"still here")
            assert drained == []
            await until(lambda: drained)
            assert flood.write(NOW, line)
            await store.flush()
            assert drained == [1]
            assert len(await messages(store, stream(store, FUNCTION, "flood"))) == accepted + 2

    run(scenario())


def test_drain_is_told_even_when_there_is_room_already(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            drained = asyncio.Event()
            store.open_stream(*WHO, FUNCTION, "s").on_drain(drained.set)
            async with asyncio.timeout(5):
                await drained.wait()

    run(scenario())


# ---- restarts --------------------------------------------------------------------------------------------------------


def test_restart_finds_groups_streams_settings_and_events(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            made = store.create_group(*WHO, "made", tags={"a": "b"})
            written = store.create_stream(made, "one")
            await store.put(written, [NOW, NOW + 5], [b"first", b"second"])
            store.delete_stream(store.create_stream(made, "deleted"))
            store.open_stream(*WHO, FUNCTION, "s").write(NOW, b"line")
        async with opened(tmp_path) as store:
            assert set(group(store, "made").streams) == {"one"}
            assert group(store, "made").row.tags == {"a": "b"}
            one = stream(store, "made", "one")
            assert (one.first_ms, one.last_ms, one.next_sequence) == (NOW, NOW + 5, 2)
            assert group(store, "made").stored_bytes == len(b"firstsecond") + 2 * 26
            assert await messages(store, one) == [b"first", b"second"]
            assert await messages(store, stream(store, FUNCTION)) == [b"line"]
            await store.put(one, [NOW + 6], [b"third"])
        async with opened(tmp_path) as store:
            assert await messages(store, stream(store, "made", "one")) == [b"first", b"second", b"third"]

    run(scenario())


@pytest.mark.parametrize("damage", ["cut", "flip", "garbage"])
def test_torn_end_of_the_journal_is_cut_off_and_writing_goes_on(tmp_path: Path, damage: str) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            made = store.create_stream(store.create_group(*WHO, "g"), "s")
            for number in range(3):
                await store.put(made, [NOW + number], [b"event %d" % number])
        (journal,) = files(tmp_path, ".journal")
        whole = journal.read_bytes()
        damaged = {"cut": whole[:-4], "flip": whole[:-1] + b"\0", "garbage": whole + b"\x07\0\0\0garbage"}[damage]
        journal.write_bytes(damaged)
        kept = [b"event 0", b"event 1"] + [b"event 2"] * (damage == "garbage")
        async with opened(tmp_path) as store:
            assert await messages(store, stream(store, "g")) == kept
            await store.put(stream(store, "g"), [NOW + 9], [b"later"])
        async with opened(tmp_path) as store:
            assert await messages(store, stream(store, "g")) == [*kept, b"later"]

    run(scenario())


def test_torn_end_of_the_catalogue_is_cut_off(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            store.create_group(*WHO, "first")
            store.create_group(*WHO, "second")
            await store.commit()
        catalogue = tmp_path / "logs" / "catalogue.log"
        catalogue.write_bytes(catalogue.read_bytes()[:-3])
        async with opened(tmp_path) as store:
            assert [found.row.name for found in store.groups(*WHO)] == ["first"]
            store.create_group(*WHO, "third")
            await store.commit()
        async with opened(tmp_path) as store:
            assert [found.row.name for found in store.groups(*WHO)] == ["first", "third"]

    run(scenario())


def test_crash_between_a_chunk_and_the_removal_of_its_journal_leaves_nothing_double(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            made = store.create_stream(store.create_group(*WHO, "g"), "s")
            await store.put(made, [NOW], [b"once"])
            (journal,) = files(tmp_path, ".journal")
            content = journal.read_bytes()
            await seal(store)
            assert not journal.exists()
        journal.write_bytes(content)
        async with opened(tmp_path) as store:
            assert await messages(store, stream(store, "g")) == [b"once"]
        assert not journal.exists()

    run(scenario())


def test_chunk_with_a_damaged_index_is_read_by_its_blocks(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            made = store.create_stream(store.create_group(*WHO, "g"), "s")
            await store.put(made, [NOW], [b"safe"])
            await seal(store)
        (chunk,) = files(tmp_path, ".chunk")
        chunk.write_bytes(chunk.read_bytes()[:-20])
        async with opened(tmp_path) as store:
            assert await messages(store, stream(store, "g")) == [b"safe"]

    run(scenario())


# ---- deleting --------------------------------------------------------------------------------------------------------


def test_deleted_group_is_gone_with_its_bytes_and_its_name_begins_anew(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            writer = store.open_stream(*WHO, FUNCTION, "s")
            writer.write(NOW, b"old" * 1000)
            await store.flush()
            await seal(store)
            store.delete_group(group(store, FUNCTION))
            await store.commit()
            await until(lambda: not files(tmp_path, ".chunk"))
            assert store.find_group(*WHO, FUNCTION) is None
            # The environment is still there and prints: Lambda makes the group again.
            writer.write(NOW, b"new")
            await store.flush()
            assert await messages(store, stream(store, FUNCTION)) == [b"new"]
        async with opened(tmp_path) as store:
            assert await messages(store, stream(store, FUNCTION)) == [b"new"]

    run(scenario())


def test_group_deleted_while_its_events_are_on_their_way_stays_deleted(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            made = store.create_group(*WHO, "g")
            put = asyncio.create_task(store.put(store.create_stream(made, "s"), [NOW], [b"late"]))
            await asyncio.sleep(0)
            store.delete_group(made)
            await put
            await store.commit()
            assert store.find_group(*WHO, "g") is None
            assert store.statistics()["stored_bytes"] == 0
        async with opened(tmp_path) as store:
            assert store.find_group(*WHO, "g") is None

    run(scenario())


def test_reset_empties_memory_and_disk_and_what_waits(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            writer = store.open_stream(*WHO, FUNCTION, "s")
            writer.write(NOW, b"flushed")
            await store.flush()
            writer.write(NOW, b"waiting")
            await store.reset()
            assert list(store.groups(*WHO)) == []
            assert store.statistics()["disk_bytes"] == 0
            assert store.statistics()["buffered_bytes"] == 0
            writer.write(NOW, b"afterwards")
            await store.flush()
            assert await messages(store, stream(store, FUNCTION)) == [b"afterwards"]
        async with opened(tmp_path) as store:
            assert await messages(store, stream(store, FUNCTION)) == [b"afterwards"]

    run(scenario())


def test_catalogue_of_many_short_lived_streams_does_not_grow_without_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            made = store.create_group(*WHO, "g")
            for _ in range(20):
                for number in range(100):
                    store.delete_stream(store.create_stream(made, f"s{number}"))
                await store.commit()
            kept = store.create_stream(made, "kept")
            await store.commit()
            assert (tmp_path / "logs" / "catalogue.log").stat().st_size < 100_000
            last_id = kept.row.id
        async with opened(tmp_path) as store:
            assert set(group(store, "g").streams) == {"kept"}
            assert store.create_stream(group(store, "g"), "next").row.id > last_id

    run(scenario())


def test_stopped_store_refuses_instead_of_waiting_for_ever(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            pass
        with pytest.raises(ServiceUnavailableException):
            await store.commit()

    run(scenario())


@pytest.mark.slow
def test_reading_goes_on_while_files_are_rewritten(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, budget=MIB) as store:
            writers = [store.open_stream(*WHO, FUNCTION, f"s{number}") for number in range(5)]
            chooser = random.Random(1)
            written = 0
            for _ in range(60):
                for _ in range(20):
                    chooser.choice(writers).write(NOW + written, b"%06d" % written)
                    written += 1
                await store.flush()
                if chooser.random() < 0.3:
                    await store._roll()
                found = await messages(store, *group(store, FUNCTION).streams.values())
                assert found == [b"%06d" % number for number in range(written)]

    run(scenario())
