"""Memory, /tmp, processes and time of a sandbox: what is limited, frozen, killed and kept."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from supervisor_harness import PATIENCE, Region, has, running, wait_until

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="level full needs root"),
    pytest.mark.skipif(not has("mkfs.ext4"), reason="mkfs.ext4 makes /tmp"),
]

Story = Callable[[Region], Awaitable[None]]


def play(folder: Path, story: Story, **options: object) -> None:
    async def main() -> None:
        async with running(folder, **options) as region:
            await asyncio.wait_for(story(region), 60 * PATIENCE)

    asyncio.run(main())


def test_memory_beyond_the_limit_ends_the_process_and_says_why(tmp_path: Path) -> None:
    async def story(region: Region) -> None:
        probe = await region.launch(memory_mb=128)
        assert await probe.run("len(bytearray(64 << 20))") == 64 << 20
        with pytest.raises(EOFError):
            await probe.run("len(bytearray(b'x') * (200 << 20))")
        status = await asyncio.wait_for(probe.sandbox.exited, 10)
        assert (status.signal, status.out_of_memory) == (9, True)
        await probe.sandbox.restart()
        assert await probe.run("1 + 1") == 2

    play(tmp_path, story)


def test_a_woken_function_does_not_take_the_processor_from_the_server(tmp_path: Path) -> None:
    async def story(region: Region) -> None:
        for runtime in ("probe", "probe-pool", "probe-exec"):
            probe = await region.launch(runtime)
            assert await probe.run("os.sched_getscheduler(0)") == os.SCHED_BATCH

    play(tmp_path, story)


def test_memory_peak_tells_what_was_used(tmp_path: Path) -> None:
    async def story(region: Region) -> None:
        probe = await region.launch(memory_mb=512)
        assert probe.sandbox.memory_peak() < 40 << 20
        await probe.run("len(bytearray(b'x') * (100 << 20))")
        assert 100 << 20 <= probe.sandbox.memory_peak() < 160 << 20

    play(tmp_path, story)


def test_128_mb_function_writes_and_reads_back_400_mb_in_tmp(tmp_path: Path) -> None:
    async def story(region: Region) -> None:
        probe = await region.launch(memory_mb=128)
        program = """
import hashlib
block = os.urandom(1 << 20)
with open("/tmp/large", "wb") as file:
    for _ in range(400):
        file.write(block)
read = 0
with open("/tmp/large", "rb") as file:
    while True:
        part = file.read(1 << 20)
        if not part:
            break
        assert part == block
        read += len(part)
result = read
"""
        assert await probe.run(program) == 400 << 20
        assert not probe.sandbox.exited.done()

    play(tmp_path, story)


@pytest.mark.parametrize("size_mb", [512, 600])
def test_tmp_has_the_size_asked_for_and_no_more(tmp_path: Path, size_mb: int) -> None:
    async def story(region: Region) -> None:
        probe = await region.launch(memory_mb=256, tmp_mb=size_mb)
        space = await probe.run("[s := os.statvfs('/tmp'), s.f_bavail * s.f_frsize][1]")
        assert size_mb << 20 <= space < (size_mb * 1.06) * (1 << 20)
        program = f"""
try:
    with open("/tmp/all", "wb") as file:
        for _ in range({size_mb + 100}):
            file.write(bytes(1 << 20))
except OSError as error:
    result = error.strerror
"""
        assert await probe.run(program) == "No space left on device"
        assert await probe.run("sorted(os.listdir('/tmp'))") == ["all"]

    play(tmp_path, story)


@pytest.mark.alone
def test_processes_are_limited_to_1024(tmp_path: Path) -> None:
    async def story(region: Region) -> None:
        probe = await region.launch(memory_mb=2048)
        program = """
children = 0
try:
    for _ in range(2000):
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        children += 1
except BlockingIOError:
    pass
result = children
"""
        assert 900 < await probe.run(program) < 1024
        await probe.sandbox.restart()
        assert await probe.run("len([p for p in os.listdir('/proc') if p.isdigit()])") == 2

    play(tmp_path, story)


def test_freeze_stops_it_and_thaw_lets_it_go_on(tmp_path: Path) -> None:
    async def story(region: Region) -> None:
        probe = await region.launch()
        probe.sandbox.freeze()
        answer = asyncio.ensure_future(probe.run("6 * 7"))
        done, _ = await asyncio.wait([answer], timeout=0.3)
        assert not done
        probe.sandbox.thaw()
        assert await asyncio.wait_for(answer, 5) == 42

    play(tmp_path, story)


def test_kill_reaches_every_descendant_even_frozen_or_daemonized(tmp_path: Path) -> None:
    async def story(region: Region) -> None:
        probe = await region.launch()
        await probe.run("os.system('(setsid sleep 1001 &) ; sleep 1001 &')")
        await wait_until(lambda: len(_sleepers()) == 2)
        probe.sandbox.freeze()
        probe.sandbox.kill("test")
        status = await asyncio.wait_for(probe.sandbox.exited, 5)
        assert status.signal == 9
        await wait_until(lambda: not _sleepers())

    play(tmp_path, story)


def _sleepers() -> list[str]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if Path(f"/proc/{name}/cmdline").read_bytes() == b"sleep\x001001\x00":
                found.append(name)
        except OSError:
            continue
    return found


def test_restart_keeps_tmp_and_replaces_everything_else(tmp_path: Path) -> None:
    async def story(region: Region) -> None:
        probe = await region.launch()
        await probe.run("open('/tmp/kept', 'w').write('yes')")
        await probe.run("os.system('setsid sleep 1001 &')")
        first = await probe.run("os.getpid()")
        with pytest.raises(EOFError):
            await probe.run("os._exit(3)")
        assert (await asyncio.wait_for(probe.sandbox.exited, 5)).code == 3
        await probe.sandbox.restart()
        assert await probe.run("open('/tmp/kept').read()") == "yes"
        assert await probe.run("os.getpid()") != first
        assert await probe.run("os.getcwd()") == "/var/task"
        assert not _sleepers()
        assert not probe.sandbox.exited.done()

    play(tmp_path, story)


def test_restart_works_on_a_frozen_sandbox_and_again_and_again(tmp_path: Path) -> None:
    async def story(region: Region) -> None:
        probe = await region.launch()
        for _ in range(5):
            probe.sandbox.freeze()
            await probe.sandbox.restart()
            assert await asyncio.wait_for(probe.run("2 + 2"), 5) == 4

    play(tmp_path, story)


def test_tmp_of_one_function_is_never_seen_by_the_next(tmp_path: Path) -> None:
    async def story(region: Region) -> None:
        for _ in range(3):
            probe = await region.launch()
            assert await probe.run("os.listdir('/tmp')") == []
            await probe.run("open('/tmp/secret', 'w').write('mine')")
            await probe.sandbox.destroy("test")

    play(tmp_path, story, pool_size=0)


def test_layers_are_merged_in_order_and_read_only(tmp_path: Path) -> None:
    async def story(region: Region) -> None:
        lower = region.code("lower", **{"a": "lower", "b": "lower"})
        upper = region.code("upper", **{"b": "upper"})
        probe = await region.launch(layers=(lower, upper))
        assert await probe.run("{n: open('/opt/' + n).read() for n in os.listdir('/opt')}") == {
            "a": "lower",
            "b": "upper",
        }
        assert "Read-only" in await probe.run("open('/opt/c', 'w')")
        single = await region.launch(layers=(lower,))
        assert await single.run("sorted(os.listdir('/opt'))") == ["a", "b"]

    play(tmp_path, story)


@pytest.mark.alone
def test_cpu_quota_caps_only_from_when_init_is_over(tmp_path: Path) -> None:
    async def story(region: Region) -> None:
        probe = await region.launch(memory_mb=256)
        burn = """
began, used = time.monotonic(), time.process_time()
while time.monotonic() - began < 0.5:
    pass
result = (time.process_time() - used) / 0.5
"""
        free = await probe.run(burn)
        probe.sandbox.limit_cpu()
        capped = await probe.run(burn)
        assert capped < 0.25  # 256 MB buy 0.145 of a processor
        assert capped < free / 2

    play(tmp_path, story, cpu="quota")


@pytest.mark.parametrize("runtime", ["probe", "probe-pool", "probe-exec"])
def test_every_way_of_starting_gives_the_same_place(tmp_path: Path, runtime: str) -> None:
    async def story(region: Region) -> None:
        environment = {"LANG": "C.UTF-8"} if runtime == "probe-exec" else {}
        for _ in range(3):
            probe = await region.launch(runtime, environment=environment)
            assert await probe.run("os.listdir('/var/task'), os.getuid(), os.path.exists('/tmp')") == ([], 993, True)
            assert await probe.run("open('/proc/self/status').read().count('Seccomp:\\t2')") == 1
            assert await probe.run("sorted(os.listdir('/proc/self/fd'))") == ["0", "1", "2", "3", "4", "5"]
            await probe.sandbox.restart()
            assert await probe.run("os.getcwd()") == "/var/task"

    play(tmp_path, story)
