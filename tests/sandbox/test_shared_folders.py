"""Which folders of the host may be shared with functions, and what the server may ask of them."""

from __future__ import annotations

import os
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
    with pytest.raises(SandboxError, match=r"missing\) failed: No such file or directory. The table \[efs\] names it"):
        share(tmp_path / "missing")


def test_the_data_dir_is_not_shared_by_any_way(share: Share, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "data")
    for folder in (tmp_path, tmp_path / "data", tmp_path / "data" / "inner", tmp_path / "link"):
        with pytest.raises(SandboxError, match="Functions may not reach the data dir"):
            share(folder)


def test_a_folder_that_everybody_reaches_is_refused(share: Share) -> None:
    with pytest.raises(SandboxError, match="Other users of this machine must not reach it: chmod o-x /var"):
        share(Path("/var/tmp"))


def test_a_launch_names_what_the_operator_named_and_a_folder_of_mnt(share: Share, tmp_path: Path) -> None:
    shared = share(tmp_path / "shared")
    for wanted in (("another", "/mnt/x"), (ARN, "/etc"), (ARN, "/mnt/.."), (ARN, "/mnt/a/b"), (ARN, "/mnt/")):
        with pytest.raises(SandboxError, match="mount file system"):
            shared.check([wanted])
