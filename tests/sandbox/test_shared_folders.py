"""Which folders of the host may be shared with functions, and what the server may ask of them."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lambent.sandbox.file_systems import FileSystems
from lambent.sandbox.spec import SandboxError

ARN = "arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/fsap-0123456789abcdef0"

Share = Callable[[Path], FileSystems]


@pytest.fixture
def share(tmp_path: Path) -> Iterator[Share]:
    """Opens folders as a supervisor whose data dir is `data`, but for owners, which only root maps."""
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
    (tmp_path / "data" / "inner").mkdir(parents=True)
    (tmp_path / "shared").mkdir()
    tmp_path.chmod(0o700)
    yield lambda folder: FileSystems([(ARN, str(folder))], str(tmp_path / "data"), proc, False)
    os.close(proc)


def test_a_folder_behind_a_closed_one_is_taken(share: Share, tmp_path: Path) -> None:
    share(tmp_path / "shared").check([(ARN, "/mnt/shared")])


def test_a_folder_that_is_not_there_is_named(share: Share, tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match=r"missing\) failed: No such file or directory. \[efs\] names it"):
        share(tmp_path / "missing")


def test_the_data_dir_is_not_shared_by_any_way(share: Share, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "data", tmp_path / "data" / "inner", tmp_path / "data" / "inner" / ".."):
        with pytest.raises(SandboxError, match="Functions may not reach the data dir"):
            share(folder)


def test_a_link_that_a_function_may_have_left_on_the_way_is_not_followed(share: Share, tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "shared" / "inner").symlink_to(tmp_path / "private")
    (tmp_path / "shared" / "way").symlink_to(tmp_path)
    for folder in (tmp_path / "shared" / "inner", tmp_path / "shared" / "way" / "private"):
        with pytest.raises(SandboxError, match="a folder, by a path without links"):
            share(folder)


def test_a_folder_that_everybody_reaches_is_refused(share: Share) -> None:
    with pytest.raises(SandboxError, match="Other users of this machine must not reach it: chmod o-x /var"):
        share(Path("/var/tmp"))


def test_a_launch_names_what_the_operator_named_and_a_folder_of_mnt(share: Share, tmp_path: Path) -> None:
    shared = share(tmp_path / "shared")
    for wanted in (("another", "/mnt/x"), (ARN, "/etc"), (ARN, "/mnt/.."), (ARN, "/mnt/a/b"), (ARN, "/mnt/")):
        with pytest.raises(SandboxError, match="mount file system"):
            shared.check([wanted])


_ROOTLESS = """
import asyncio, json, sys
from pathlib import Path
sys.path[:0] = [{here!r}, {source!r}]
import supervisor_harness as harness

async def main():
    folder = Path({folder!r})
    shared = [({arn!r}, str(folder / "shared"))]
    async with harness.running(folder, isolation="reduced", file_systems=shared) as region:
        first = await region.launch(file_systems=[({arn!r}, "/mnt/a")])
        await first.run("open('/mnt/a/file', 'w').write('kept')")
        second = await region.launch("probe-pool", file_systems=[({arn!r}, "/mnt/b")])
        answers = [await second.run(question) for question in (
            "open('/mnt/b/file').read()", "os.listdir('/mnt')", "os.stat('/mnt/b/file').st_uid",
        )]
        plain = await region.launch()
        print(json.dumps([*answers, await plain.run("os.listdir('/mnt')"), region.report.no_file_systems]))

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="an unprivileged user without subordinate ids is made by root")
def test_without_root_a_folder_of_the_operators_is_shared() -> None:
    uid = 61235
    with tempfile.TemporaryDirectory(prefix="lambent-shared-") as name:
        folder = Path(name)
        (folder / "shared").mkdir()
        for path in (folder, folder / "shared"):
            os.chown(path, uid, uid)
        here = Path(__file__).parent
        program = _ROOTLESS.format(here=str(here), source=str(here.parents[1] / "src"), folder=name, arn=ARN)
        command = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "/usr/bin/python3", "-c", program]
        environment = {"PATH": os.environ["PATH"]}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd="/")
        if "lambent.sandbox.spec.SandboxError: isolation(" in done.stderr:
            pytest.skip(f"This host does not allow it: {done.stderr.strip().splitlines()[-1]}")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == ["kept", ["b"], 993, [], ""]
        status = (folder / "shared" / "file").stat()
        assert (status.st_uid, status.st_gid) == (uid, uid)
