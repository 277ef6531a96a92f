"""What is restored of a snapshot: as confined as anything, apart from its siblings, and in nobody's power."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from supervisor_harness import Probe, Region, children, running, wait_until
from test_levels import _HERE, place, run_at  # noqa: F401  a fixture

from lambent.sandbox import seccomp
from lambent.sandbox.spec import SandboxError

pytestmark = pytest.mark.slow

_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")

#: At both levels: what one restored environment sees of itself, of another, of the snapshot.
_PROGRAM = """
import asyncio, json, os, sys
from pathlib import Path
sys.path[:0] = [{here!r}, {source!r}]
import supervisor_harness as harness

SELF = "{{n: os.readlink('/proc/self/ns/' + n) for n in {namespaces!r}}}"
OWN = "sorted(int(n) for n in os.listdir('/proc/self/fd') if int(n) > 4)"
FILES = f"[os.readlink(f'/proc/self/fd/{{{{n}}}}') for n in {{OWN}} if os.path.lexists(f'/proc/self/fd/{{{{n}}}}')]"
STATUS = "dict(line.split(':\\\\t', 1) for line in open('/proc/self/status').read().splitlines() if ':\\\\t' in line)"

async def main():
    answers = {{}}
    async with harness.running(Path({folder!r}), isolation={level!r}) as region:
        code = region.code("f", **{{"app.py": "x = 1", "data.txt": "0123456789"}})
        layer = region.code("layer", **{{"in_layer.py": "y = 2"}})
        snapshot = await region.snapshot(
            "globals().update(secret='made at init', file=open('/var/task/data.txt'), first=[{{}}, {{}}])",
            "file.read(3)",
            "[f.write('init') + (f.close() or 0) for f in [open('/tmp/kept', 'w')]]" if {level!r} == "full" else "0",
            code_root=code, layers=(layer,), memory_mb=128,
        )
        one, two = [await region.restore(snapshot) for _ in range(2)]
        await two.run("[open('/tmp/' + n, 'w').close() for n in 'ab']")
        answers["secret"] = [await one.run("secret"), await two.run("secret")]
        answers["namespaces"] = [await one.run(SELF), await two.run(SELF)]
        status = await one.run(STATUS)
        names = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters", "Uid")
        answers["status"] = {{name: status[name] for name in names}}
        if {level!r} == "full":
            await one.run("open('/tmp/kept', 'w').write('one')")
            answers["changed"] = [await probe.run("open('/tmp/kept').read()") for probe in (one, two)]
        else:
            answers["changed"] = None
        answers["tmp"] = [await one.run("os.listdir('/tmp')"), sorted(await two.run("os.listdir('/tmp')"))]
        answers["pids"] = await one.run("sorted(int(n) for n in os.listdir('/proc') if n.isdigit())")
        answers["read"] = [await one.run("file.read(2)"), await two.run("file.read(3)"), await one.run("file.read(1)")]
        answers["code"] = await one.run("(*(open(n).read() for n in ('app.py', '/opt/in_layer.py')), os.getcwd())")
        answers["descriptors"] = await one.run(FILES)
        await two.run("globals().update(listener=socket.create_server(('127.0.0.1', 5000)))")
        await two.run("globals().update(named=socket.socket(socket.AF_UNIX))")
        await two.run("named.bind(chr(0) + 'here')")
        answers["reach"] = await one.run("socket.socket().connect_ex(('127.0.0.1', 5000))")
        answers["named"] = await one.run("socket.socket(socket.AF_UNIX).connect_ex(chr(0) + 'here')")
        answers["setns"] = await one.run("__import__('ctypes').CDLL(None).setns(os.open('/proc/self/ns/net', 0), 0)")
        answers["unshare"] = await one.run("__import__('ctypes').CDLL(None).unshare(0x0a000000)")
        answers["netlink"] = await one.run("socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)")
        answers["raw"] = await one.run("socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)")
        answers["program"] = await one.run("os.system('exit 3')")
        await one.sandbox.destroy("test")
        answers["alive"] = await two.run("secret")
        try:
            await two.run("os._exit(7)")
        except EOFError:
            answers["exit"] = (await asyncio.wait_for(two.sandbox.exited, 10)).code
        three = await region.restore(snapshot)
        three.sandbox.terminate(kill=False)
        answers["terminated"] = (await asyncio.wait_for(three.sandbox.exited, 10)).signal
        four = await region.restore(snapshot)
        four.sandbox.kill("test")
        answers["killed"] = (await asyncio.wait_for(four.sandbox.exited, 10)).signal
        pids = [region.client.pid, *harness.children(region.client.pid)]
    stats = [open(f"/proc/{{pid}}/stat").read() for pid in pids if os.path.exists(f"/proc/{{pid}}")]
    answers["left"] = [stat for stat in stats if ") Z " not in stat]
    print(json.dumps(answers))

asyncio.run(main())
"""


@pytest.mark.parametrize("level", ["full", "reduced"])
def test_what_is_restored_is_confined_and_apart_from_its_siblings(place: Path, level: str) -> None:  # noqa: F811
    if level == "full" and os.geteuid() != 0:
        pytest.skip("level full needs root")
    names = {"here": str(_HERE), "source": str(_HERE.parents[1] / "src"), "folder": str(place), "level": level}
    answers = run_at(level, _PROGRAM.format(namespaces=_NAMESPACES, **names))
    assert answers["secret"] == ["made at init"] * 2
    one, two = answers["namespaces"]  # type: ignore[misc]
    assert [name for name in _NAMESPACES if one[name] == two[name]] == []
    no_capabilities = {name: "0" * 16 for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    filters = {"NoNewPrivs": "1", "Seccomp": "2", "Seccomp_filters": "2"}
    assert answers["status"] == {**no_capabilities, **filters, "Uid": "993\t993\t993\t993"}
    # What the init left there is kept where disk images are; what is written is each one's own.
    kept = ["kept"] if level == "full" else []
    assert answers["tmp"] == [kept, ["a", "b", *kept]]
    assert answers["changed"] == (["one", "init"] if kept else None)
    assert len(answers["pids"]) == 2  # type: ignore[arg-type]  # its init and itself
    # Each has the file at the place where it was when the snapshot was taken.
    assert answers["read"] == ["34", "345", "5"]
    assert answers["code"] == ["x = 1", "y = 2", "/var/task"]
    assert answers["descriptors"] == ["/var/task/data.txt"]
    assert answers["reach"] == answers["named"] == 111
    assert (answers["setns"], answers["unshare"]) == (-1, -1)
    assert "Address family not supported" in str(answers["netlink"])
    assert "Operation not permitted" in str(answers["raw"])
    assert answers["program"] == 3 << 8
    assert answers["alive"] == "made at init"
    assert (answers["exit"], answers["terminated"], answers["killed"]) == (7, 15, 9)
    assert answers["left"] == []


Story = Callable[[Region], Awaitable[None]]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="level full needs root")


def play(folder: Path, story: Story, **options: object) -> None:
    async def main() -> None:
        async with running(folder, **options) as region:
            await story(region)

    asyncio.run(main())


async def _refused(region: Region, snapshot: Probe) -> str:
    with pytest.raises(SandboxError) as caught:
        await region.restore(snapshot)
    return str(caught.value)


@pytest.mark.root
@as_root
def test_memory_is_limited_for_each_and_what_the_init_took_is_shared(tmp_path: Path) -> None:
    async def story(region: Region) -> None:
        snapshot = await region.snapshot("globals().update(ballast=bytearray(os.urandom(60 << 20)))", memory_mb=128)
        probes = [await region.restore(snapshot) for _ in range(3)]
        assert [await probe.run("len(ballast)") for probe in probes] == [60 << 20] * 3
        assert max(probe.sandbox.memory_peak() for probe in probes) < 20 << 20
        with pytest.raises(EOFError):
            await probes[0].run("len(bytearray(os.urandom(200 << 20)))")
        status = await asyncio.wait_for(probes[0].sandbox.exited, 10)
        assert (status.signal, status.out_of_memory) == (9, True)
        assert await probes[1].run("len(ballast)") == 60 << 20

    play(tmp_path, story)


@pytest.mark.root
@as_root
def test_the_death_of_a_snapshot_ends_nothing_that_was_restored(tmp_path: Path) -> None:
    async def story(region: Region) -> None:
        snapshot = await region.snapshot("globals().update(x=1)")
        probe = await region.restore(snapshot)
        snapshot.sandbox.kill("test")
        await asyncio.wait_for(snapshot.sandbox.exited, 10)
        assert "snapshot is gone" in await _refused(region, snapshot)
        await snapshot.sandbox.destroy("test")
        assert "no such snapshot" in await _refused(region, snapshot)
        assert await probe.run("x + 1") == 2
        assert (await region.client.stats())["snapshots"]["snapshots"] == 1
        await probe.sandbox.destroy("test")
        # With the last of them goes what was kept of it.
        for _ in range(200):
            stats = await region.client.stats()
            if stats["snapshots"]["snapshots"] == 0 and stats["shells"]["dying"] == stats["cgroups_to_remove"] == 0:
                break
            await asyncio.sleep(0.02)
        assert stats["snapshots"] == {"snapshots": 0, "ready": 0, "entering": 0, "members": 0, "waiting": 0}
        assert stats["shells"]["assigned"] == 0

    play(tmp_path, story)


@pytest.mark.root
@as_root
def test_an_init_that_dies_takes_its_environment_alone(tmp_path: Path) -> None:
    async def story(region: Region) -> None:
        snapshot = await region.snapshot("globals().update(x=1)")
        one, two = [await region.restore(snapshot) for _ in range(2)]
        await one.run("os.kill(os.getpid(), 9) if os.kill(1, 9) else 0")
        assert await one.run("x") == 1  # a pid namespace's init cannot be killed from within
        await one.sandbox.destroy("test")
        assert await two.run("x") == 1
        assert await (await region.restore(snapshot)).run("x") == 1

    play(tmp_path, story)


@pytest.mark.root
@as_root
def test_a_region_on_the_hosts_network_restores_too(tmp_path: Path) -> None:
    async def story(region: Region) -> None:
        snapshot = await region.snapshot("globals().update(x=1)")
        one, two = [await region.restore(snapshot) for _ in range(2)]
        assert await one.run("x") == await two.run("x") == 1
        assert await one.run("os.readlink('/proc/self/ns/net')") == os.readlink("/proc/self/ns/net")

    play(tmp_path, story, network="host")


#: What a snapshot that does not keep to what was agreed does instead of waiting; the control socket is descriptor 5.
HOSTILE = {
    "closes": "os.close(5)",
    "talks": "os.write(5, b'x' * 1000)",
    "ends": "os.write(3, b'1\\n') and os._exit(3)",
    "never answers": "time.sleep(3600)",
    "lies": (
        "import array\n"
        "while True:\n"
        "    data, found, _, _ = snapshot._control.recvmsg(65536, 4096)\n"
        "    fds = array.array('i', found[0][2])\n"
        "    for fd in fds:\n"
        "        try:\n"
        "            os.write(fd, b'\\xff' * 5000)\n"
        "        except OSError:\n"
        "            pass\n"
    ),
}


@pytest.mark.root
@as_root
@pytest.mark.parametrize("what", HOSTILE)
def test_a_snapshot_that_does_not_fork_is_given_up(tmp_path: Path, what: str) -> None:
    async def story(region: Region) -> None:
        other = await region.snapshot("globals().update(x='well')")
        snapshot = await region.launch(snapshot=True)
        channel = snapshot.sandbox.channel
        assert channel is not None
        await asyncio.get_running_loop().sock_sendall(channel, HOSTILE[what].encode())
        snapshot.sandbox.snapshot_taken()
        reasons = [await _refused(region, snapshot) for _ in range(3)]
        assert all(reason.startswith("restore(") for reason in reasons)
        assert "gone" in await _refused(region, snapshot)
        await asyncio.wait_for(snapshot.sandbox.exited, 10)
        assert await (await region.restore(other)).run("x") == "well"
        await snapshot.sandbox.destroy("test")

    play(tmp_path, story)


@pytest.mark.root
@as_root
def test_a_snapshot_that_forks_wildly_bombs_itself_alone(tmp_path: Path) -> None:
    bomb = "while True:\n    try:\n        os.fork()\n    except OSError:\n        pass\n"

    async def story(region: Region) -> None:
        other = await region.snapshot("globals().update(x='well')")
        snapshot = await region.launch(snapshot=True)
        channel = snapshot.sandbox.channel
        assert channel is not None
        await asyncio.get_running_loop().sock_sendall(channel, bomb.encode())
        snapshot.sandbox.snapshot_taken()
        assert await (await region.restore(other)).run("x") == "well"
        await wait_until(lambda: len(children(region.client.pid)) > 200, 20)
        assert len(children(region.client.pid)) < 1300
        await snapshot.sandbox.destroy("test")
        assert await (await region.restore(other)).run("x") == "well"

    play(tmp_path, story)


#: Forks as it should, and keeps the socket by which the end of what it forked is told: it tells one that cannot be.
_LIES_ABOUT_ENDS = """
message, fds = snapshot.wait.__globals__["commands"].receive(snapshot._control)
kept = os.dup(fds[message["fds"].index("status")])
if snapshot._fork(message, fds, lambda: None):
    os.close(kept)
    os.write(3, b"None\\n")
    os.read(3, 100)
time.sleep(0.2)
os.write(kept, b"\\xff" * 4)
time.sleep(3600)
"""

#: Never forks, and looks into all that it sees meanwhile: builders make the next shells.
_LOOKS_AROUND = """
snapshot.wait.__globals__["commands"].receive(snapshot._control)
found, seen = set(), set()
deadline = time.monotonic() + 2
while time.monotonic() < deadline:
    for name in os.listdir("/proc"):
        if not name.isdigit() or name in ("1", str(os.getpid())):
            continue
        seen.add(name)
        for what in ("fd", "map_files", "root/", "cwd/", "task"):
            try:
                found.update(os.readlink(f"/proc/{name}/fd/{fd}") for fd in os.listdir(f"/proc/{name}/{what}"))
            except OSError:
                pass
        for what in ("mem", "environ", "maps"):
            try:
                with open(f"/proc/{name}/{what}", "rb", 0) as file:
                    # Who has just ended has no memory, which anybody may read.
                    found.update([what] if file.read(1) else [])
            except OSError:
                pass
os.write(3, repr((len(seen), sorted(found))).encode() + b"\\n")
time.sleep(3600)
"""

#: Stops all that it sees, also when it should be frozen: its child forks nothing.
_STOPS_OTHERS = """
if os.fork() == 0:
    own = (1, os.getpid(), os.getppid())
    while True:
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) not in own:
                try:
                    os.kill(int(name), signal.SIGSTOP)
                except OSError:
                    pass
snapshot.wait.__globals__["commands"].receive(snapshot._control)
time.sleep(3600)
"""

#: Keeps what its forks join their cgroups by, and has a process of its own move into the first one's once that is gone.
_OUTLIVES = """
commands = snapshot.wait.__globals__["commands"]
kept = []
for number in range(2):
    message, fds = commands.receive(snapshot._control)
    kept.append([os.dup(fd) for name, fd in zip(message["fds"], fds) if name == "join"])
    if number == 1 and os.fork() == 0:
        for fd in kept[1]:
            os.write(fd, b"0")
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        for _ in range(600):
            time.sleep(0.002)
            if os.fork() == 0:
                for fd in kept[0]:
                    try:
                        os.write(fd, b"0")
                    except OSError:
                        os._exit(0)
                time.sleep(3600)
        time.sleep(3600)
    if number == 1:
        time.sleep(0.3)
    if snapshot._fork(message, fds, lambda: None):
        os.write(3, b"None\\n")
        while True:
            os.write(3, repr(len(os.read(3, 100))).encode() + b"\\n")
time.sleep(3600)
"""


#: Moves all that it sees into the cgroup of what was restored first, which is frozen.
_FREEZES_OTHERS = """
commands = snapshot.wait.__globals__["commands"]
message, fds = commands.receive(snapshot._control)
kept = [os.dup(fd) for name, fd in zip(message["fds"], fds) if name == "join"]
if snapshot._fork(message, fds, lambda: None):
    os.write(3, b"None\\n")
    time.sleep(3600)
commands.receive(snapshot._control)
while True:
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) not in (1, os.getpid()):
            for fd in kept:
                try:
                    os.write(fd, name.encode())
                except OSError:
                    pass
"""


async def _hostile(region: Region, program: str) -> Probe:
    snapshot = await region.launch(snapshot=True)
    assert snapshot.sandbox.channel is not None
    await asyncio.get_running_loop().sock_sendall(snapshot.sandbox.channel, program.encode())
    snapshot.sandbox.snapshot_taken()
    return snapshot


@pytest.mark.root
@as_root
def test_an_end_that_cannot_be_ends_that_environment_alone(tmp_path: Path) -> None:
    async def story(region: Region) -> None:
        other = await region.launch()
        probe = await region.restore(await _hostile(region, _LIES_ABOUT_ENDS))
        await asyncio.wait_for(probe.sandbox.exited, 10)
        assert await other.run("1 + 1") == 2
        assert await (await region.launch()).run("2 + 2") == 4

    play(tmp_path, story)


@pytest.mark.root
@as_root
def test_a_snapshot_cannot_look_into_what_makes_shells_within_its_own(tmp_path: Path) -> None:
    async def story(region: Region) -> None:
        snapshot = await _hostile(region, _LOOKS_AROUND)
        waiting = [asyncio.ensure_future(_refused(region, snapshot)) for _ in range(6)]
        seen, found = await asyncio.wait_for(snapshot.hear(), 20)
        assert seen > 0
        assert found == []
        await snapshot.sandbox.destroy("test")
        await asyncio.gather(*waiting)

    play(tmp_path, story, pool_size=4)


@pytest.mark.root
@as_root
def test_a_snapshot_that_freezes_what_is_made_for_it_holds_up_nobody_for_long(tmp_path: Path) -> None:
    async def story(region: Region) -> None:
        snapshot = await _hostile(region, _FREEZES_OTHERS)
        probe = await region.restore(snapshot)
        probe.sandbox.freeze()
        refused = await asyncio.gather(*(region.restore(snapshot) for _ in range(6)), return_exceptions=True)
        assert [type(each) for each in refused] == [SandboxError] * 6
        probes = await asyncio.wait_for(asyncio.gather(*(region.launch() for _ in range(8))), 15)
        assert [await each.run("1 + 1") for each in probes] == [2] * 8
        await snapshot.sandbox.destroy("test")

    play(tmp_path, story, pool_size=0)


@pytest.mark.root
@as_root
def test_nothing_of_a_snapshots_lives_on_in_the_cgroup_of_what_was_destroyed(tmp_path: Path) -> None:
    async def story(region: Region) -> None:
        snapshot = await _hostile(region, _OUTLIVES)
        one, two = [await region.restore(snapshot) for _ in range(2)]
        await one.sandbox.destroy("test")
        for _ in range(200):
            stats = await region.client.stats()
            if stats["shells"]["dying"] == stats["cgroups_to_remove"] == 0:
                break
            await asyncio.sleep(0.02)
        assert stats["cgroups_to_remove"] == 0
        assert await two.run("1 + 1") == 5  # the length of what it was asked
        await snapshot.sandbox.destroy("test")

    play(tmp_path, story, pool_size=0)


@pytest.mark.root
@as_root
def test_a_snapshot_that_stops_what_is_made_for_it_holds_up_nobody_for_long(tmp_path: Path) -> None:
    async def story(region: Region) -> None:
        snapshot = await _hostile(region, _STOPS_OTHERS)
        assert len(await asyncio.gather(*(_refused(region, snapshot) for _ in range(4)))) == 4
        probes = await asyncio.wait_for(asyncio.gather(*(region.launch() for _ in range(8))), 15)
        assert [await probe.run("1 + 1") for probe in probes] == [2] * 8
        await snapshot.sandbox.destroy("test")

    play(tmp_path, story, pool_size=2)


#: What keeps a process from being a snapshot, and the word that tells of it.
OBSTACLES = {
    "threads": "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
    "child": "globals().update(kept=subprocess.Popen(['sleep', '60']))",
    "socket": "globals().update(kept=socket.socket())",
    "pipe": "globals().update(kept=os.pipe())",
    "writing": "globals().update(kept=open('/tmp/a', 'w'))",
    "shared memory": "globals().update(kept=mmap.mmap(-1, 4096))",
}


@pytest.mark.root
@as_root
def test_a_process_knows_what_keeps_it_from_being_a_snapshot(tmp_path: Path) -> None:
    async def story(region: Region) -> None:
        for word, action in OBSTACLES.items():
            probe = await region.launch(snapshot=True)
            assert await probe.run("snapshot.obstacle()") == ""
            assert not isinstance(await probe.run(f"[{action}] and 0"), str)
            assert word.replace("threads", "2 threads") in await probe.run("snapshot.obstacle()")
            await probe.sandbox.destroy("test")

    play(tmp_path, story)


@pytest.mark.root
@as_root
def test_a_snapshot_gains_nothing_by_the_calls_that_it_alone_may_make(tmp_path: Path) -> None:
    libc = "__import__('ctypes').CDLL(None, use_errno=True)"

    async def story(region: Region) -> None:
        probe = await region.launch(snapshot=True)
        for name in ("user", "mnt", "pid", "net", "uts", "ipc", "cgroup"):
            assert await probe.run(f"{libc}.setns(os.open('/proc/self/ns/{name}', 0), 0)") == -1, name
            assert await probe.run(f"{libc}.setns(os.open('/proc/1/ns/{name}', 0), 0)") != 0, name
        for flags in (0x10000000, 0x1A000000, 0x20000, 0x40000000, 0x0A000000):
            assert await probe.run(f"{libc}.unshare({flags})") == -1
        assert "Address family not supported" in await probe.run("socket.socket(16, 3)")
        assert "Operation not permitted" in await probe.run("socket.socket(2, 3, 1)")
        with contextlib.suppress(EOFError):
            assert "not permitted" in await probe.run("socket.socket().setsockopt(0, 64, b'')")
        await probe.sandbox.destroy("test")

    play(tmp_path, story)


def test_the_filter_of_snapshots_is_the_ordinary_one_but_for_two_calls() -> None:
    def looked_for(program: bytes) -> set[int]:
        steps = (program[start : start + 8] for start in range(0, len(program), 8))
        return {int.from_bytes(step[4:], "little") for step in steps if step[0] == 0x15}

    # `setns` passes; `unshare` is looked at, for what it leaves.
    assert looked_for(seccomp.program("x86_64")) - looked_for(seccomp.program("x86_64", snapshot=True)) == {308}
