"""Nothing is left behind: leaks, deaths of server and supervisor, sweeping; and what the supervisor refuses."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from supervisor_harness import Region, children, has, options, running, wait_until

from lambent.sandbox import cgroup, levels
from lambent.sandbox.client import SupervisorClient
from lambent.sandbox.spec import LaunchSpec, SandboxError

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="level full needs root"),
    pytest.mark.skipif(not has("mkfs.ext4"), reason="mkfs.ext4 makes /tmp"),
]

Story = Callable[[Region], Awaitable[None]]


def play(folder: Path, story: Story, **fields: object) -> None:
    async def main() -> None:
        async with running(folder, **fields) as region:
            await asyncio.wait_for(story(region), 60)

    asyncio.run(main())


def _region_folders(folder: Path) -> list[Path]:
    """The region's cgroup in every hierarchy."""
    tag = levels.region_tag(str(folder / "data"))
    # Others' cgroups come and go meanwhile.
    return [Path(folder, tag) for folder, names, _ in os.walk("/sys/fs/cgroup") if tag in names]


def _mounts() -> int:
    return len(Path("/proc/self/mounts").read_text().splitlines())


def _loops(folder: Path) -> int:
    """Loop devices over images of this region."""
    found = 0
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            found += path.read_text().startswith(str(folder))
    return found


@pytest.mark.alone
def test_hundred_lives_leak_no_process_mount_cgroup_loop_device_or_descriptor(tmp_path: Path) -> None:
    async def story(region: Region) -> None:
        async def state() -> tuple[int, ...]:
            pid = region.client.pid
            workers = [pid, *children(pid)]
            stats = await region.client.stats()
            return (
                len(workers),
                _mounts(),
                sum(1 for path in _region_folders(tmp_path) for entry in os.scandir(path) if entry.is_dir()),
                _loops(tmp_path),
                len(os.listdir(f"/proc/{pid}/fd")),
                len(os.listdir("/proc/self/fd")),
                stats["shells"]["dying"] + stats["cgroups_to_remove"] + stats["shells"]["building"],
            )

        async def settled() -> tuple[int, ...]:
            last = await state()
            for _ in range(100):
                await asyncio.sleep(0.05)
                now = await state()
                if now == last and not now[-1]:
                    return now
                last = now
            raise AssertionError(f"It does not come to rest: {last}")

        first = await region.launch()
        await first.run("1")
        await first.sandbox.destroy("warm up")
        before = await settled()
        for _ in range(10):
            probes = await asyncio.gather(*(region.launch() for _ in range(10)))
            await asyncio.gather(*(probe.run("1") for probe in probes))
            await probes[0].sandbox.restart()
            await asyncio.gather(*(probe.sandbox.destroy("test") for probe in probes))
        for _ in range(100):
            # The kernel takes a moment to let go of a mount and its loop device.
            if (after := await settled()) == before:
                break
        assert after == before

    play(tmp_path, story)


def test_stop_leaves_nothing(tmp_path: Path) -> None:
    async def story(region: Region) -> None:
        for _ in range(3):
            await region.launch()
        story.pids = [region.client.pid, *children(region.client.pid)]  # type: ignore[attr-defined]

    play(tmp_path, story)
    assert [pid for pid in story.pids if Path(f"/proc/{pid}").exists()] == []  # type: ignore[attr-defined]
    assert _region_folders(tmp_path) == []
    asyncio.run(wait_until(lambda: _loops(tmp_path) == 0))


_SERVER = """
import asyncio, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
import supervisor_harness as harness

async def main():
    async with harness.running(Path(sys.argv[1])) as region:
        for _ in range(3):
            probe = await region.launch()
            await probe.run("os.system('setsid sleep 2000 &')")
        probe.sandbox.freeze()
        print(region.client.pid, flush=True)
        await asyncio.sleep(1000)

asyncio.run(main())
"""


@pytest.mark.alone
@pytest.mark.parametrize("victim", ["server", "supervisor"])
def test_death_of_server_or_supervisor_ends_every_process_at_once(tmp_path: Path, victim: str) -> None:
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(tmp_path), str(Path(__file__).parent)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        supervisor = int(server.stdout.readline())
        all_pids = children(supervisor)
        assert len(all_pids) > 9
        os.kill(server.pid if victim == "server" else supervisor, signal.SIGKILL)

        async def gone() -> None:
            await wait_until(lambda: not any(_is_alive(pid) for pid in all_pids))

        asyncio.run(gone())
    finally:
        server.kill()
        server.wait()
        assert server.stdout is not None
        server.stdout.close()
    if victim == "supervisor":
        # It could not remove its cgroups; the next start does.
        assert _region_folders(tmp_path)
    play(tmp_path, _nothing)
    assert _region_folders(tmp_path) == []


async def _nothing(region: Region) -> None:
    probe = await region.launch()
    assert await probe.run("1") == 1


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.alone
def test_start_sweeps_what_dead_regions_left_and_spares_living_ones(tmp_path: Path) -> None:
    found = cgroup.find("lambent-0123456789ab", is_root=True)
    folders = [Path(folder) for _, folder in found.folders.values()]
    for folder in folders:
        (folder / "1").mkdir(exist_ok=True)
    sign = cgroup.claim("lambent-0123456789ab")
    assert sign is not None
    with sign:
        play(tmp_path, _nothing)
        assert all(folder.exists() for folder in folders)
    play(tmp_path, _nothing)
    assert not any(folder.exists() for folder in folders)


def test_a_region_in_another_network_namespace_is_spared_too(tmp_path: Path) -> None:
    found = cgroup.find("lambent-0123456789ef", is_root=True)
    folders = [Path(folder) for _, folder in found.folders.values()]
    sign = cgroup.settle(found, "lambent-0123456789ef")
    # As another network namespace sees it: without the abstract socket.
    assert sign._sign is not None
    sign._sign.close()
    with contextlib.closing(sign):
        play(tmp_path, _nothing)
        assert all(folder.exists() for folder in folders)
    play(tmp_path, _nothing)
    assert not any(folder.exists() for folder in folders)


def test_folders_that_another_start_swept_are_made_anew() -> None:
    found = cgroup.find("lambent-0123456789cd", is_root=True)
    folders = {Path(folder) for _, folder in found.folders.values()}
    for folder in folders:
        folder.rmdir()
    with contextlib.closing(cgroup.settle(found, "lambent-0123456789cd")):
        assert all(folder.is_dir() for folder in folders)
        group = cgroup.Cgroup(found, "1")
        group.make()
        group.limit(128)
        assert group.remove()
    cgroup.remove_region(found)


def test_client_learns_of_the_supervisors_death(tmp_path: Path) -> None:
    async def main() -> None:
        client = SupervisorClient.fork(options(tmp_path))
        lost: list[str] = []
        await client.start(0, on_lost=lost.append)
        region = Region(tmp_path, client)
        probe = await region.launch()
        os.kill(client.pid, signal.SIGKILL)
        status = await asyncio.wait_for(probe.sandbox.exited, 5)
        assert status.signal == 9
        assert len(lost) == 1
        with pytest.raises(SandboxError, match="not running"):
            await region.launch()
        await probe.sandbox.destroy("test")
        await client.stop()

    asyncio.run(main())


def test_environments_outlive_their_template_and_their_end_is_still_seen(tmp_path: Path) -> None:
    async def story(region: Region) -> None:
        probe = await region.launch()
        # A second start is only served once the first was told of.
        assert await (await region.launch()).run("1 + 1") == 2
        _kill_workers(region.client.pid, "template")
        assert await probe.run("1 + 1") == 2
        with pytest.raises(EOFError):
            await probe.run("os._exit(4)")
        assert (await asyncio.wait_for(probe.sandbox.exited, 5)).code == 4
        await probe.sandbox.restart()
        assert await probe.run("1 + 1") == 2

    play(tmp_path, story)


def test_environments_end_with_their_builder_and_new_ones_are_made(tmp_path: Path) -> None:
    async def story(region: Region) -> None:
        probe = await region.launch()
        script = region.code("s", bootstrap="echo ready; sleep 1000")
        program = await region.launch("script", code_root=script)
        assert await probe.run("1 + 1") == 2
        await wait_until(lambda: "ready" in program.output())
        _kill_workers(region.client.pid, "builder")
        for sandbox in (probe.sandbox, program.sandbox):
            assert (await asyncio.wait_for(sandbox.exited, 5)).signal == 9
        with pytest.raises(SandboxError):
            await asyncio.wait_for(probe.sandbox.restart(), 5)
        await probe.sandbox.destroy("lost")
        again = await region.launch()
        assert await again.run("1 + 1") == 2

    play(tmp_path, story)


def _kill_workers(supervisor: int, kind: str) -> None:
    """Kill its templates or its builders, and nothing that they made."""
    for pid in map(int, Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()):
        if Path(f"/proc/{pid}/comm").read_text().startswith(f"lambent-{kind}"[:15]):
            os.kill(pid, signal.SIGKILL)


def test_only_one_supervisor_serves_a_data_dir(tmp_path: Path) -> None:
    async def story(region: Region) -> None:
        probe = await region.launch()
        second = SupervisorClient.fork(options(tmp_path))
        with pytest.raises(SandboxError, match="another"):
            await second.start(0)
        await second.stop()
        assert await probe.run("1") == 1

    play(tmp_path, story)


def test_launch_refuses_what_it_is_not_meant_for(tmp_path: Path) -> None:
    async def story(region: Region) -> None:
        code = region.code()
        outside = tmp_path / "outside"
        outside.mkdir()
        os.symlink(outside, Path(code).parent / "link")
        good = LaunchSpec("ab", "probe", code)
        for change, words in (
            ({"id": "../x"}, "hexadecimal"),
            ({"id": ""}, "hexadecimal"),
            ({"runtime": "cobol"}, "runtime"),
            ({"code_root": str(outside)}, "below the data dir"),
            ({"code_root": f"{code}/../../../outside"}, "openat2"),
            ({"code_root": str(Path(code).parent / "link")}, "openat2"),
            ({"code_root": f"{code}/missing"}, "openat2"),
            ({"layers": (code, str(outside))}, "below the data dir"),
            ({"layers": (code,) * 6}, "layers"),
            ({"memory_mb": 0}, "memory"),
        ):
            with pytest.raises(SandboxError, match=words):
                await region.client.launch(dataclasses.replace(good, **change))  # type: ignore[arg-type]
        assert (await region.client.stats())["shells"]["assigned"] == 0
        await region.client.launch(good)
        with pytest.raises(SandboxError, match="hexadecimal"):
            await region.client.launch(good)

    play(tmp_path, story)


def test_program_that_is_not_there_exits_127_and_says_so(tmp_path: Path) -> None:
    async def story(region: Region) -> None:
        probe = await region.launch("script")
        status = await asyncio.wait_for(probe.sandbox.exited, 5)
        assert status.code == 127 or status.code == 2
        assert "/var/task/bootstrap" in probe.output()

    play(tmp_path, story)


@pytest.mark.parametrize("ready", [0, 2])
def test_launch_given_up_gives_its_sandbox_back(tmp_path: Path, ready: int) -> None:
    async def story(region: Region) -> None:
        async def shells() -> dict[str, Any]:
            counts: dict[str, Any] = (await region.client.stats())["shells"]
            return counts

        await region.client.prepare("probe")
        for _ in range(1000):
            if (await shells())["started"]["probe"] == ready:
                break
            await asyncio.sleep(0.01)
        launching = asyncio.ensure_future(region.launch())
        await asyncio.sleep(0)
        launching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await launching
        assert (await shells())["assigned"] == 0
        assert (await region.client.stats())["waiting"] == 0

    play(tmp_path, story, pool_size=ready)


def test_burst_of_sixty_is_served_in_order_and_whole(tmp_path: Path) -> None:
    async def story(region: Region) -> None:
        probes = await asyncio.gather(*(region.launch() for _ in range(60)))
        assert await asyncio.gather(*(probe.run("1 + 1") for probe in probes)) == [2] * 60
        assert len({probe.sandbox.id for probe in probes}) == 60

    play(tmp_path, story)


def test_hybrid_or_unified_hierarchies_are_found() -> None:
    found = cgroup.find("lambent-test-find", is_root=True)
    try:
        assert found.mode in ("v1", "hybrid", "v2")
        assert found.missing() == []
    finally:
        cgroup.remove_region(found)
