"""The processes of extensions in a sandbox, at every level and beside every kind of runtime."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from test_levels import _HERE, place, run_at  # noqa: F401  a fixture

from lambent.sandbox import syscalls

pytestmark = pytest.mark.slow

_EXTENSION = """#!/bin/sh
echo "$0 as $(id -u) with $GIVEN at $AWS_LAMBDA_RUNTIME_API says $(cat $TMP_FILE 2>/dev/null)"
grep -E '^(Seccomp|NoNewPrivs|CapEff):' /proc/self/status | tr '\\n' ' '
echo
case $0 in *ends) exit 7;; esac
sleep 3001 &
wait
"""
_RUNTIME = """#!/bin/sh
trap 'echo terminated; exit 3' TERM
echo started
while :; do sleep 0.01; done
"""

_PROGRAM = """
import asyncio, json, os, sys
from pathlib import Path
sys.path[:0] = [{here!r}, {source!r}]
import supervisor_harness as harness
from lambent.sandbox.spec import SandboxError

def sleepers():
    return harness.processes("sleep\\x003001")

async def read(fd, text):
    found = ""
    async def more():
        nonlocal found
        while text not in found:
            try:
                found += os.read(fd, 4096).decode()
            except BlockingIOError:
                await asyncio.sleep(0.005)
    await asyncio.wait_for(more(), 10)
    return found

async def main():
    answers = {{}}
    folder = Path({folder!r})
    async with harness.running(folder, isolation={level!r}) as region:
        layer = Path(region.code("layer")) / "extensions"
        layer.mkdir()
        for name in ("one", "ends"):
            (layer / name).write_text({extension!r})
            (layer / name).chmod(0o755)
        given = {{"GIVEN": "what is given", "AWS_LAMBDA_RUNTIME_API": "-", "PATH": "/usr/bin:/bin"}}
        fields = dict(
            layers=(str(layer.parent),), extensions=("one", "ends"), extension_environment=given,
            code_root=region.code("f", bootstrap={runtime!r}),
        )
        for runtime in ("probe", "probe-pool", "probe-exec"):
            probe = await region.launch(runtime, **fields)
            sandbox = probe.sandbox
            said = await read(sandbox.extension_fds[0], "Seccomp:\\t2")
            ended = await asyncio.wait_for(sandbox.extensions_exited[1], 10)
            answers[runtime] = [said, ended.code, sandbox.extensions_exited[0].done(), await probe.run("6 * 7")]
            await harness.wait_until(lambda: len(sleepers()) > 0)
            await sandbox.restart()
            assert "at 1" in await read(sandbox.extension_fds[0], "Seccomp:\\t2")
            assert (await asyncio.wait_for(sandbox.extensions_exited[1], 10)).code == 7
            answers[runtime].append(await probe.run("6 * 7"))
            sandbox.kill("test")
            ends = await asyncio.wait_for(asyncio.gather(sandbox.exited, *sandbox.extensions_exited), 10)
            answers[runtime].append([end.signal for end in ends])
            await harness.wait_until(lambda: not sleepers())
            await sandbox.destroy("test")
        waiting = (await region.launch("script", runtime_waits=True, **fields)).sandbox
        await read(waiting.extension_fds[0], "Seccomp:\\t2")
        answers["waited"] = [waiting.output_fd, waiting.exited.done()]
        await waiting.start_runtime()
        await read(waiting.output_fd, "started")
        try:
            await waiting.start_runtime()
        except SandboxError as error:
            answers["twice"] = str(error)
        waiting.terminate(kill=False)
        answers["ended"] = (await asyncio.wait_for(waiting.exited, 10)).code
        answers["goes on"] = waiting.extensions_exited[0].done()
        refused = []
        for names in (["../one"], ["a/b"], [""], [".."], ["x\\0y"], [str(n) for n in range(11)]):
            try:
                await region.launch("probe", **{{**fields, "extensions": tuple(names)}})
            except SandboxError as error:
                refused.append(error.call)
        answers["refused"] = refused
        pids = [region.client.pid, *harness.children(region.client.pid)]
    stats = [open(f"/proc/{{pid}}/stat").read() for pid in pids if os.path.exists(f"/proc/{{pid}}")]
    # Who is dead and not yet buried by the host's init is gone.
    answers["left"] = [stat for stat in stats if ") Z " not in stat]
    print(json.dumps(answers))

asyncio.run(main())
"""


@pytest.mark.parametrize("level", ["full", "reduced", "process"])
def test_extensions_run_confined_beside_every_kind_of_runtime_and_end_with_it(place: Path, level: str) -> None:  # noqa: F811
    if level == "full" and os.geteuid() != 0:
        pytest.skip("level full needs root")
    if level == "process" and not syscalls.landlock_abi():
        pytest.skip("this kernel lacks Landlock")
    answers = run_at(
        level,
        _PROGRAM.format(
            here=str(_HERE),
            source=str(_HERE.parents[1] / "src"),
            folder=str(place),
            level=level,
            extension=_EXTENSION,
            runtime=_RUNTIME,
        ),
    )
    for runtime in ("probe", "probe-pool", "probe-exec"):
        said, code, is_gone, before, after, signals = answers[runtime]  # type: ignore[misc]
        assert "with what is given at 1" in said
        assert said.rstrip().endswith("CapEff:\t0000000000000000 NoNewPrivs:\t1 Seccomp:\t2")
        assert level == "process" or said.startswith("/opt/extensions/one as 993 ")
        assert (code, is_gone, before, after) == (7, False, 42, 42)
        assert signals == [9, 9, None]
    assert answers["waited"] == [-1, False]
    assert "waits for one" in str(answers["twice"])
    assert answers["ended"] == 3
    assert answers["goes on"] is False
    assert answers["refused"] == ["launch"] * 6
    assert answers["left"] == []
