"""Memory, disk, descriptors and log: a function takes no more than its share, and no one else notices that it tried."""

from __future__ import annotations

import os
import statistics
import subprocess
import threading
from pathlib import Path

import pytest
from claims import CONFINED, LIMITED
from places import PATIENCE, PROCESS, REDUCED_CGROUP
from region import LOG_BUDGET, Region, until

pytestmark = pytest.mark.slow

MIB = 1024 * 1024


@pytest.fixture
def small(region: Region) -> str:
    """A function of 128 MB; made once for each region."""
    try:
        region.client.get_function_configuration(FunctionName="small")
    except region.client.exceptions.ResourceNotFoundException:
        region.deploy("small", MemorySize=128, Timeout=30 * PATIENCE)
    return "small"


def too_much(region: Region) -> int:
    """MiB over what `small` may have: where /tmp lies in memory, its limit is raised by the size of /tmp."""
    return 900 if region.place.column == REDUCED_CGROUP else 600


def assert_it_works_again(region: Region, function: str) -> None:
    assert region.attempt("files.leave", function, name="after", text="").got == "after"
    assert region.invoke("neighbour", 1).payload == {"pong": 1}


def test_memory_of_one_process_is_limited(region: Region, small: str) -> None:
    assert region.attempt("resources.private_memory", small, megabytes=too_much(region)).refused is not None
    assert_it_works_again(region, small)


MEMORY = (
    "many_small_processes",
    "memory_file",
    "shared_memory_folder",
    "system_v_memory",
    "socket_buffers",
    "page_tables",
    "write_anywhere_in_memory",
)


@pytest.mark.levels(*LIMITED)
@pytest.mark.parametrize("kind", MEMORY)
def test_memory_is_limited_however_it_is_taken(region: Region, small: str, kind: str) -> None:
    outcome = region.attempt(f"resources.{kind}", small, megabytes=too_much(region))
    assert outcome.refused is not None, outcome
    assert "Timedout" not in outcome.refused
    assert_it_works_again(region, small)


@pytest.mark.levels(*LIMITED)
def test_memory_of_an_ended_runtime_is_given_back(region: Region, small: str) -> None:
    """Shared memory belongs to a namespace, not to a process: it must not weigh on the next runtime in its place."""
    assert region.attempt("resources.system_v_memory", small, megabytes=too_much(region)).refused is not None
    assert region.attempt("resources.private_memory", small, megabytes=64).got == 64


@pytest.mark.alone
@pytest.mark.levels(PROCESS)
def test_no_shared_memory_is_left_on_the_host(region: Region) -> None:
    """Without a namespace of its own a segment belongs to the host, and stays until somebody removes it."""
    before = shared_memory_segments()
    region.attempt("resources.system_v_memory", megabytes=16)
    left = shared_memory_segments() - before
    for identifier in left:
        subprocess.run(["ipcrm", "-m", identifier], check=True)
    assert not left


@pytest.mark.levels(*CONFINED)
def test_tmp_is_full_at_its_size(region: Region, small: str) -> None:
    assert 400 <= region.attempt("resources.fill_tmp", small, megabytes=700).got <= 512
    assert_it_works_again(region, small)


def test_a_function_of_128_mb_writes_and_reads_back_400_mb_in_tmp(region: Region, small: str) -> None:
    assert region.attempt("resources.write_and_read_back", small, megabytes=400).got == 400


def test_descriptors_are_limited_in_number(region: Region) -> None:
    assert 900 < region.attempt("resources.open_until_refused", limit=5000).got <= 1024


@pytest.mark.native
@pytest.mark.alone
@pytest.mark.parametrize("channel", ["stdout", "raw"])
def test_a_flood_of_log_lines_slows_no_neighbour(region: Region, channel: str) -> None:
    region.invoke("neighbour", 0)
    flood = threading.Thread(
        target=lambda client: region.invoke(
            "hostile", {"attempt": "resources.flood_log", "arguments": {"seconds": 2, "channel": channel}}, client
        ),
        args=(region.new_client("lambda"),),
    )
    flood.start()
    times = []
    while flood.is_alive():
        times.append(region.invoke("neighbour", len(times)).seconds)
    assert statistics.median(times) < 0.1 * PATIENCE, times


@pytest.mark.native
def test_the_log_store_keeps_to_its_budget(region: Region) -> None:
    for _ in range(3):
        region.attempt("resources.flood_log", seconds=1, channel="raw")
    until(lambda: log_bytes(region) <= LOG_BUDGET + 4 * MIB, "the log store is within its budget", 10)


@pytest.mark.native
def test_an_endless_line_costs_the_server_no_memory(region: Region) -> None:
    before = region.resident_memory()
    region.attempt("resources.endless_line", megabytes=100)
    assert region.resident_memory() - before < 48 * MIB
    assert_it_works_again(region, "hostile")


def log_bytes(region: Region) -> int:
    """What the log store takes of the disk, files that are deleted but held open among it."""
    folder = region.data_dir / "logs"
    assert folder.is_dir(), "the log store is not where this test looks for it"
    sizes = {}
    for path in [*folder.rglob("*"), *Path(f"/proc/{region.server_pid}/fd").iterdir()]:
        try:
            if not path.is_symlink() or str(folder) in os.readlink(path):
                found = path.stat()
                sizes[found.st_ino] = found.st_blocks * 512
        except FileNotFoundError:
            continue
    return sum(sizes.values())


def shared_memory_segments() -> set[str]:
    return {line.split()[1] for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]}
