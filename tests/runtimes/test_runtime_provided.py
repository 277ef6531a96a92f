"""How a customer's own `bootstrap` is found and started."""

from __future__ import annotations

import subprocess
from pathlib import Path

from lambent.runtimes.provided import entrypoint_fault


def bootstrap(folder: Path, text: str, mode: int = 0o755) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "bootstrap").write_text(f"#!/bin/sh\necho {text} $_HANDLER\n")
    (folder / "bootstrap").chmod(mode)


def launch(folders: dict[str, Path], task_root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", folders["provided"] / "launch"],
        env={"LAMBDA_TASK_ROOT": str(task_root), "_HANDLER": "my.handler"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_bootstrap_of_the_package_is_run(runtime_folders: dict[str, Path], tmp_path: Path) -> None:
    bootstrap(tmp_path, "mine")
    assert launch(runtime_folders, tmp_path).stdout == "mine my.handler\n"
    assert entrypoint_fault(tmp_path, ()) is None


def test_a_bootstrap_in_a_layer_counts_where_the_package_has_none(tmp_path: Path) -> None:
    bootstrap(tmp_path / "layer", "layer")
    (tmp_path / "code").mkdir()
    assert entrypoint_fault(tmp_path / "code", (tmp_path / "layer",)) is None


def test_a_missing_bootstrap_is_named_in_awss_words(runtime_folders: dict[str, Path], tmp_path: Path) -> None:
    assert entrypoint_fault(tmp_path, ()) == ("Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]")
    assert launch(runtime_folders, tmp_path).returncode == 127


def test_a_bootstrap_that_may_not_be_executed_is_refused(tmp_path: Path) -> None:
    bootstrap(tmp_path, "mine", 0o644)
    assert entrypoint_fault(tmp_path, ()) == "fork/exec /var/task/bootstrap: permission denied"
