"""Sockets that the supervisor makes inside a sandbox's network for the server reach that sandbox, at every level."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from test_levels import _HERE, place, run_at  # noqa: F401  a fixture

from lambent.sandbox import syscalls

pytestmark = pytest.mark.slow

_LISTEN = """
listener = socket.create_server(("", 0))
def greet():
    while True:
        listener.accept()[0].sendall(b"hello from inside")
threading.Thread(target=greet, daemon=True).start()
result = listener.getsockname()[1]
"""

_PROGRAM = """
import asyncio, json, sys
from pathlib import Path
sys.path[:0] = [{here!r}, {source!r}]
import supervisor_harness as harness
from lambent.sandbox.spec import SandboxError

async def talk(sandbox, host, port):
    sock = await sandbox.dial()
    with sock:
        try:
            await asyncio.get_running_loop().sock_connect(sock, (host, port))
            return (await asyncio.get_running_loop().sock_recv(sock, 100)).decode()
        except OSError as error:
            return type(error).__name__

async def main():
    answers = {{}}
    async with harness.running(Path({folder!r}), isolation={level!r}) as region:
        one, other = await region.launch(), await region.launch()
        port = await one.run({listen!r})
        answers["own"] = one.sandbox.has_own_network
        answers["loopback"] = await talk(one.sandbox, "127.0.0.1", port)
        answers["address"] = await talk(one.sandbox, "169.254.100.1", port)
        answers["other"] = await talk(other.sandbox, "127.0.0.1", port)
        answers["many"] = await asyncio.gather(*(talk(one.sandbox, "127.0.0.1", port) for _ in range(30)))
        answers["name"] = await one.run("open('/etc/hosts').read()")
        # The builder that made them makes sandboxes as before.
        third = await region.launch()
        answers["after"] = await talk(third.sandbox, "127.0.0.1", await third.run({listen!r}))
        answers["beside"] = await talk(third.sandbox, "127.0.0.1", port)
        held = await one.sandbox.dial()
        await one.sandbox.destroy("test")
        held.close()
        if answers["own"]:
            try:
                await one.sandbox.dial()
            except SandboxError as error:
                answers["gone"] = str(error)
    print(json.dumps(answers))

asyncio.run(main())
"""


@pytest.mark.parametrize("level", ["full", "reduced", "process"])
def test_a_dialled_socket_reaches_its_own_sandbox_alone(place: Path, level: str) -> None:  # noqa: F811
    if level == "full" and os.geteuid() != 0:
        pytest.skip("level full needs root")
    if level == "process" and not syscalls.landlock_abi():
        pytest.skip("this kernel lacks Landlock")
    program = _PROGRAM.format(
        here=str(_HERE), source=str(_HERE.parents[1] / "src"), folder=str(place), level=level, listen=_LISTEN
    )
    answers = run_at(level, program)
    hello = "hello from inside"
    assert answers["loopback"] == hello
    assert answers["many"] == [hello] * 30
    assert answers["after"] == hello
    if level == "process":
        assert answers["own"] is False
        return
    assert answers["own"] is True
    assert answers["address"] == hello
    assert (answers["other"], answers["beside"]) == ("ConnectionRefusedError", "ConnectionRefusedError")
    assert "169.254.100.1 sandbox.localdomain" in str(answers["name"])
    assert "no such environment" in str(answers["gone"])
