"""How a customer's own `bootstrap` is found and started."""

from __future__ import annotations

import subprocess
from pathlib import Path


def launch(folders: dict[str, Path], task_root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", folders["provided"] / "launch"],
        env={"LAMBDA_TASK_ROOT": str(task_root), "_HANDLER": "my.handler"},
        capture_output=True,
        text=True,
        check=False,
    )


def bootstrap(folder: Path, text: str, mode: int = 0o755) -> None:
    (folder / "bootstrap").write_text(text)
    (folder / "bootstrap").chmod(mode)


def test_the_bootstrap_of_the_package_becomes_the_process(runtime_folders: dict[str, Path], tmp_path: Path) -> None:
    bootstrap(tmp_path, "#!/bin/sh\necho mine $_HANDLER\nexit 5\n")
    done = launch(runtime_folders, tmp_path)
    assert (done.stdout, done.returncode) == ("mine my.handler\n", 5)


def test_without_a_bootstrap_the_start_fails_as_a_program_that_is_not_found(
    runtime_folders: dict[str, Path], tmp_path: Path
) -> None:
    done = launch(runtime_folders, tmp_path)
    assert (done.stderr, done.returncode) == ("There is no bootstrap in the package or in a layer.\n", 127)


def test_a_bootstrap_that_may_not_be_executed_fails_the_start(runtime_folders: dict[str, Path], tmp_path: Path) -> None:
    bootstrap(tmp_path, "#!/bin/sh\n", 0o644)
    assert launch(runtime_folders, tmp_path).returncode == 126
