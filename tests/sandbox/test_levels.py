"""One conformance suite for the three isolation levels, and what is said about each.

As root the lower two are tried as a fresh user without privilege, in a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from supervisor_harness import running

from lambent.sandbox import syscalls
from lambent.sandbox.spec import SandboxError

pytestmark = pytest.mark.slow

_FRESH_UID = 61234
_HERE = Path(__file__).parent

#: What the probe is asked at each level; the answers are compared by the tests.
_QUESTIONS = {
    "uid": "os.getuid()",
    "code": "open('app.py').read()",
    "cwd": "sorted(os.listdir('.'))",
    "write_code": "open('app.py', 'w')",
    "tmp": "[os.close(__import__('tempfile').mkstemp()[0]), 'ok'][1]",
    "capabilities": "[l for l in open('/proc/self/status') if l.startswith('CapEff')][0].split()[1]",
    "no_new_privs": "[l for l in open('/proc/self/status') if l.startswith('NoNewPrivs')][0].split()[1]",
    "seccomp": "[l for l in open('/proc/self/status') if l.startswith('Seccomp:')][0].split()[1]",
    "secret": "open({secret!r}).read()",
    "list_secret": "os.listdir({folder!r})",
    "shadow": "open('/etc/shadow').read()",
    "files": "__import__('resource').getrlimit(__import__('resource').RLIMIT_NOFILE)[1]",
    "unshare": "subprocess.run(['unshare', '-U', 'true'], capture_output=True).returncode",
    "ptrace": "__import__('ctypes').CDLL(None).ptrace(0, 0, 0, 0)",
    "shell": "subprocess.run('echo $((6 * 7))', shell=True, capture_output=True, text=True).stdout.strip()",
    "threads": "[threading.Thread(target=print).start(), 'ok'][1]",
    "descriptors": "sorted(os.listdir('/proc/self/fd'))",
}

_PROGRAM = """
import asyncio, contextlib, json, os, sys
from pathlib import Path
sys.path[:0] = [{here!r}, {source!r}]
import supervisor_harness as harness

async def main():
    folder = Path({folder!r})
    answers = {{}}
    async with harness.running(folder, isolation={level!r}) as region:
        answers["level"] = region.report.level.value
        answers["missing"] = region.report.missing
        code = region.code(**{{"app.py": "x = 1"}})
        probe = await region.launch(code_root=code, memory_mb=256)
        for name, question in json.loads({questions!r}).items():
            answers[name] = await probe.run(question)
        await probe.run("os.system('(setsid sleep 3000 &) ; sleep 3000 &')")
        await probe.run("open(os.environ.get('TMPDIR', '/tmp') + '/kept', 'w').write('yes')")
        answers["peak"] = probe.sandbox.memory_peak() > 1 << 20
        await probe.sandbox.restart()
        answers["kept"] = await probe.run("open(os.environ.get('TMPDIR', '/tmp') + '/kept').read()")
        await harness.wait_until(lambda: not sleepers())
        answers["restarted"] = await probe.run("os.getcwd()") == probe.sandbox.task_root
        await probe.run("os.system('setsid sleep 3000 &')")
        probe.sandbox.kill("test")
        answers["killed"] = (await asyncio.wait_for(probe.sandbox.exited, 10)).signal
        await harness.wait_until(lambda: not sleepers())
        second = await region.launch("probe-pool", code_root=code)
        answers["second"] = await second.run("sorted(os.listdir(os.environ.get('TMPDIR', '/tmp')))")
        third = await region.launch("script", code_root=region.code("s", bootstrap="ls; exit 5"))
        answers["exit"] = (await asyncio.wait_for(third.sandbox.exited, 10)).code
        answers["output"] = third.output()
        layers = tuple(region.code(name, **{{name: name, "both": name}}) for name in ("one", "two"))
        layered = await region.launch(code_root=code, layers=layers)
        crowd = await asyncio.gather(*(region.launch(code_root=code) for _ in range(10)))
        answers["crowd"] = await asyncio.gather(*(probe.run("1 + 1") for probe in crowd))
        answers["idle"] = (await region.client.stats())["shells"]["idle"]
        pids = [region.client.pid, *harness.children(region.client.pid)]
    answers["left"] = [open(f"/proc/{{pid}}/stat").read() for pid in pids if os.path.exists(f"/proc/{{pid}}")]
    answers["left_files"] = sorted(
        name for kind in ("tmp", "opt") for name in os.listdir(folder / "data/sandbox" / kind)
        if (folder / "data/sandbox" / kind).exists()
    ) if (folder / "data/sandbox/tmp").exists() else []
    print(json.dumps(answers))

def sleepers():
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{{name}}/cmdline").read_bytes() == b"sleep\\x003000\\x00":
                found.append(name)
    return found

asyncio.run(main())
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that a fresh user owns and reaches, with what a function must not find beside the data dir."""
    with tempfile.TemporaryDirectory(prefix="lambent-level-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "secret").write_text("of the host")
        if os.geteuid() == 0:
            for path in (folder, folder / "secret"):
                os.chown(path, _FRESH_UID, _FRESH_UID)
        yield folder


def _ask(folder: Path, level: str) -> dict[str, object]:
    """The probe's answers at that level, given to an unprivileged user (but for full)."""
    questions = {
        name: question.format(secret=str(folder / "secret"), folder=str(folder))
        for name, question in _QUESTIONS.items()
    }
    program = _PROGRAM.format(
        here=str(_HERE),
        source=str(_HERE.parents[1] / "src"),
        folder=str(folder),
        level=level,
        questions=json.dumps(questions),
    )
    return run_at(level, program)


def run_at(level: str, program: str) -> dict[str, object]:
    """What a program prints as JSON at last, run by an unprivileged user (but for full)."""
    command = [_interpreter(), "-c", program]
    if os.geteuid() == 0 and level != "full":
        ids = [f"--reuid={_FRESH_UID}", f"--regid={_FRESH_UID}", "--clear-groups"]
        command = ["setpriv", *ids, *command]
    environment = {"PATH": os.environ["PATH"]}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False, cwd="/")
    if "lambent.sandbox.spec.SandboxError: isolation(" in done.stderr:
        pytest.skip(f"This host does not allow it: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    answers: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return answers


def _interpreter() -> str:
    """One that a user without privilege can reach."""
    return "/usr/bin/python3" if os.geteuid() == 0 else sys.executable


@pytest.mark.parametrize("level", ["full", "reduced", "process"])
def test_every_level_confines_runs_restarts_kills_and_leaves_nothing(place: Path, level: str) -> None:
    if level == "full" and os.geteuid() != 0:
        pytest.skip("level full needs root")
    if level == "process" and not syscalls.landlock_abi():
        pytest.skip("this kernel lacks Landlock, and health says that files are open then")
    answers = _ask(place, level)
    assert answers["level"] == level
    assert answers["code"] == "x = 1"
    assert answers["cwd"] == ["app.py"]
    assert answers["tmp"] == "ok"
    assert answers["capabilities"] == "0" * 16
    assert (answers["no_new_privs"], answers["seccomp"]) == ("1", "2")
    assert "Error" in str(answers["secret"])
    assert "Error" in str(answers["list_secret"])
    assert "Error" in str(answers["shadow"])
    assert "Error" in str(answers["write_code"])
    assert answers["files"] == 1024
    assert answers["unshare"] != 0
    assert answers["ptrace"] == -1
    assert answers["shell"] == "42"
    assert answers["threads"] == "ok"
    assert answers["descriptors"] == ["0", "1", "2", "3", "4", "5"]
    assert answers["peak"] is True
    assert answers["kept"] == "yes"
    assert answers["restarted"] is True
    assert answers["killed"] == 9
    assert answers["second"] == []
    assert (answers["exit"], answers["output"]) == (5, "bootstrap\n")
    assert answers["crowd"] == [2] * 10
    assert int(str(answers["idle"])) <= 4
    assert answers["left"] == []
    assert answers["left_files"] == []
    if level != "process":
        assert answers["uid"] == 993


def test_full_is_refused_with_the_reason_where_it_cannot_be_had(place: Path) -> None:
    program = _PROGRAM.format(
        here=str(_HERE), source=str(_HERE.parents[1] / "src"), folder=str(place), level="full", questions="{}"
    )
    if os.geteuid() != 0:
        pytest.skip("as an ordinary user it may be had, with a delegated cgroup and subordinate ids")
    ids = [f"--reuid={_FRESH_UID}", f"--regid={_FRESH_UID}", "--clear-groups"]
    command = ["setpriv", *ids, _interpreter(), "-c", program]
    done = subprocess.run(
        command, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=100, check=False, cwd="/"
    )
    assert done.returncode != 0
    assert "isolation(full)" in done.stderr
    assert "cgroup" in done.stderr or "subordinate" in done.stderr


def test_unknown_level_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path, isolation="none"):
            pass

    with pytest.raises(SandboxError, match="One of auto, full, reduced, process"):
        asyncio.run(main())


@pytest.mark.skipif(os.geteuid() != 0, reason="as an ordinary user a function runs as that user")
def test_process_as_root_gives_each_function_a_user_of_its_own(place: Path) -> None:
    async def main() -> None:
        # Each function's user needs to reach the interpreter too.
        async with running(place, isolation="process", python="/usr/bin/python3") as region:
            code = region.code(**{"app.py": "x = 1"})
            first, second = await asyncio.gather(*(region.launch(code_root=code) for _ in range(2)))
            uids = {await first.run("os.getuid()"), await second.run("os.getuid()")}
            assert len(uids) == 2
            assert min(uids) >= 0x70000000
            path = await first.run("[open(os.environ['TMPDIR'] + '/mine', 'w').name][0]")
            assert "PermissionError" in await second.run(f"open({path!r}).read()")

    asyncio.run(main())


@pytest.mark.skipif(os.geteuid() != 0, reason="level full needs root")
def test_process_as_root_is_refused_where_functions_have_no_way_to_their_code(place: Path) -> None:
    place.chmod(0o700)

    async def main() -> None:
        async with running(place, isolation="process"):
            pass

    with pytest.raises(SandboxError, match="chmod o\\+x"):
        asyncio.run(main())


@pytest.mark.skipif(os.geteuid() != 0, reason="level full needs root")
def test_network_host_shares_the_hosts_loopback_and_serves_the_runtime_api_there(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path, network="host") as region:
            probe = await region.launch()
            assert probe.sandbox.endpoint is None
            assert probe.sandbox.runtime_api is not None
            host, port = probe.sandbox.runtime_api.getsockname()
            assert probe.sandbox.runtime_api_address == f"{host}:{port}"
            answer = asyncio.ensure_future(probe.run(f"socket.create_connection({(host, port)!r}, 5).recv(5)"))
            connection, _ = await asyncio.get_running_loop().sock_accept(probe.sandbox.runtime_api)
            await asyncio.get_running_loop().sock_sendall(connection, b"hello")
            assert await answer == b"hello"
            connection.close()
            script = region.code("s", bootstrap="echo $AWS_LAMBDA_RUNTIME_API $AWS_XRAY_DAEMON_ADDRESS")
            places = {"AWS_LAMBDA_RUNTIME_API": "169.254.100.1:9001", "AWS_XRAY_DAEMON_ADDRESS": "169.254.100.1:2000"}
            second = await region.launch("script", code_root=script, environment=places)
            await asyncio.wait_for(second.sandbox.exited, 5)
            assert second.sandbox.daemon is not None
            host, port = second.sandbox.daemon.getsockname()
            assert second.output().split() == [second.sandbox.runtime_api_address, f"{host}:{port}"]

    asyncio.run(main())


@pytest.mark.skipif(os.geteuid() != 0, reason="level full needs root")
def test_rootfs_takes_the_hosts_place(tmp_path: Path) -> None:
    root = tmp_path / "rootfs"
    (root / "usr").mkdir(parents=True)
    for name in ("bin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    for folder in ("bin", "lib", "lib64", "share"):
        (root / "usr" / folder).mkdir()
    (root / "usr/share/mark").write_text("of the rootfs")

    async def main() -> None:
        async with running(tmp_path, rootfs=str(root)) as region:
            # Nothing in it can run a program: what is said is that the program is missing.
            probe = await region.launch("script", code_root=region.code(bootstrap=""))
            status = await asyncio.wait_for(probe.sandbox.exited, 5)
            assert status.code == 127
            assert "/bin/sh: No such file" in probe.output()

    asyncio.run(main())
