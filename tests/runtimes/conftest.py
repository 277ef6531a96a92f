"""Runtimes as the catalog lays them out, started without a sandbox."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from runtime_bench import INTERPRETERS, SERVER_PYTHON, Workbench

from lambent.runtimes import assembly


@pytest.fixture(scope="session")
def runtime_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("runtimes")
    assembly.assemble_python(root / "python")
    assembly.assemble_nodejs(root / "nodejs")
    assembly.assemble_provided(root / "provided")
    return {name: root / name for name in ("python", "nodejs", "provided")}


def _parameters() -> list[Any]:
    """The server's own Python and the oldest Node always, the others too where there is time."""
    fast = {f"python{SERVER_PYTHON}", next((name for name in INTERPRETERS if name.startswith("nodejs")), "")}
    return [pytest.param(name, id=name, marks=() if name in fast else (pytest.mark.slow,)) for name in INTERPRETERS]


@pytest.fixture(params=_parameters())
def bench(request: pytest.FixtureRequest, runtime_folders: dict[str, Path], tmp_path: Path) -> Workbench:
    """One per interpreter of this machine."""
    return Workbench(request.param, runtime_folders, tmp_path)


@pytest.fixture
def make_bench(runtime_folders: dict[str, Path], tmp_path: Path) -> Callable[[str], Workbench]:
    def make(runtime_id: str) -> Workbench:
        if runtime_id not in INTERPRETERS:
            pytest.skip(f"{runtime_id} is not on this machine")
        return Workbench(runtime_id, runtime_folders, tmp_path)

    return make
