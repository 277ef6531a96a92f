"""What code sees and may do in a sandbox of level full, and what the client can do with it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from supervisor_harness import Region, has, running

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="level full needs root"),
    pytest.mark.skipif(not has("mkfs.ext4"), reason="mkfs.ext4 makes /tmp"),
]

Story = Callable[[Region], Awaitable[None]]


def play(folder: Path, story: Story, **options: object) -> None:
    async def main() -> None:
        async with running(folder, **options) as region:
            await story(region)

    asyncio.run(main())


@pytest.mark.slow
def test_function_sees_lambdas_file_system_and_nothing_of_the_host(tmp_path: Path) -> None:
    async def story(region: Region) -> None:
        assert region.report is not None
        assert region.report.level.value == "full"
        probe = await region.launch(code_root=region.code(**{"app.py": "x = 1"}))
        assert await probe.run("os.getcwd()") == "/var/task"
        assert await probe.run("os.listdir('/var/task')") == ["app.py"]
        assert await probe.run("(os.getuid(), os.getgid(), os.getgroups())") == (993, 990, [])
        assert await probe.run("__import__('pwd').getpwuid(os.getuid()).pw_name") == "sbx_user1051"
        assert await probe.run("sys.prefix") == "/var/lang"
        assert await probe.run("socket.gethostbyname('sandbox.localdomain')") == "169.254.100.1"
        root = set(await probe.run("os.listdir('/')"))
        assert root <= {"bin", "dev", "etc", "lib", "lib32", "lib64", "libx32", "mnt", "node_modules"} | {
            *("opt", "proc", "sbin", "tmp", "usr", "var")
        }
        assert await probe.run("open('/var/task/app.py', 'w')") == (
            "OSError: [Errno 30] Read-only file system: '/var/task/app.py'"
        )
        assert await probe.run("open('/tmp/a', 'w').write('yes')") == 3

    play(tmp_path, story)


@pytest.mark.slow
def test_function_holds_no_privilege_and_no_descriptor_of_lambents(tmp_path: Path) -> None:
    async def story(region: Region) -> None:
        probe = await region.launch()
        status = dict(
            line.split(":\t", 1) for line in (await probe.run("open('/proc/self/status').read()")).splitlines()
        )
        assert {status[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
        assert await probe.run("sorted(os.listdir('/proc/self/fd'))") == ["0", "1", "2", "3", "4", "5"]
        assert await probe.run("[name for name in sys.modules if 'lambent' in name]") == []
        assert await probe.run("[path for path in sys.path if 'mnt' in path]") == []
        assert await probe.run("[p for p in os.listdir('/proc') if p.isdigit()]") == ["1", "2"]

    play(tmp_path, story)


@pytest.mark.slow
def test_plain_program_runs_with_its_environment_and_its_exit_code_is_reported(tmp_path: Path) -> None:
    async def story(region: Region) -> None:
        code = region.code(bootstrap='echo "$NAME $AWS_LAMBDA_RUNTIME_API $(env | wc -l)"; exit 7')
        environment = {"NAME": "seven", "AWS_LAMBDA_RUNTIME_API": "169.254.100.1:9001"}
        probe = await region.launch("script", code_root=code, environment=environment)
        status = await asyncio.wait_for(probe.sandbox.exited, 10)
        assert (status.code, status.signal) == (7, None)
        assert probe.output() == "seven 169.254.100.1:9001 3\n"  # the shell adds PWD
        assert probe.sandbox.channel is None

    play(tmp_path, story)


@pytest.mark.slow
def test_runtime_api_and_endpoint_listen_inside_and_are_served_from_outside(tmp_path: Path) -> None:
    async def story(region: Region) -> None:
        probe = await region.launch()
        loop = asyncio.get_running_loop()
        for listener, address in (
            (probe.sandbox.runtime_api, ("169.254.100.1", 9001)),
            (probe.sandbox.endpoint, ("127.0.0.1", 4566)),
        ):
            assert listener is not None
            answer = asyncio.ensure_future(probe.run(f"socket.create_connection({address!r}, 5).recv(5)"))
            connection, _ = await loop.sock_accept(listener)
            await loop.sock_sendall(connection, b"hello")
            assert await answer == b"hello"
            connection.close()
        assert probe.sandbox.daemon is not None
        datagrams = "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'segment', ('169.254.100.1', 2000))"
        assert await probe.run(datagrams) == len(b"segment")
        assert probe.sandbox.daemon.recv(100) == b"segment"

    play(tmp_path, story)
