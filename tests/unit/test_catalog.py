"""Which runtimes are known, which are found, how they are started, and what is said of the others."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lambent.runtimes import assembly, install
from lambent.runtimes.catalog import ROWS, Catalog, RuntimeMissing
from lambent.runtimes.discovery import NodeFinder, find_pythons

SERVER = f"{sys.version_info[0]}.{sys.version_info[1]}"


def fake_python(prefix: Path, version: str) -> Path:
    """What discovery asks of an interpreter: a binary, and the library beside it."""
    program = prefix / "bin" / f"python{version}"
    program.parent.mkdir(parents=True)
    program.write_bytes(b"\x7fELF")
    program.chmod(0o755)
    library = prefix / "lib" / f"python{version}" / "json"
    library.mkdir(parents=True)
    (library / "__init__.py").touch()
    return program


def fake_node(prefix: Path, major: int | None = None) -> Path:
    program = prefix / "bin" / "node"
    program.parent.mkdir(parents=True)
    program.write_bytes(b"\x7fELF")
    program.chmod(0o755)
    if major:
        header = prefix / "include" / "node" / "node_version.h"
        header.parent.mkdir(parents=True)
        header.write_text(f"#define NODE_MAJOR_VERSION {major}\n")
    return program


@pytest.fixture
def lonely(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with nothing on PATH and in the system's folders."""
    monkeypatch.setattr("lambent.runtimes.discovery._SYSTEM_FOLDERS", ())
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    return tmp_path


def test_every_runtime_id_of_the_service_model_has_a_row() -> None:
    botocore = pytest.importorskip("botocore.session")
    known = botocore.get_session().get_service_model("lambda").shape_for("Runtime").enum
    beyond = {"nodejs26.x", "python3.15", "java8.al2023", "java11.al2023", "java17.al2023", "custom"}
    assert {name for name in known if not Catalog.known(name)} <= beyond


def test_the_newest_patch_of_pyenv_and_uv_is_taken(lonely: Path) -> None:
    for patch in ("3.12.1", "3.12.10", "3.12.9"):
        fake_python(lonely / ".pyenv" / "versions" / patch, "3.12")
    uv = lonely / ".local" / "share" / "uv" / "python" / "cpython-3.13.2-linux-x86_64-gnu"
    fake_python(uv, "3.13")
    found = find_pythons(lonely)
    assert found["3.12"].prefix == lonely / ".pyenv" / "versions" / "3.12.10"
    assert found["3.13"].prefix == uv


def test_the_servers_own_python_is_always_found(lonely: Path) -> None:
    assert find_pythons(lonely)[SERVER].program.exists()


def test_shims_and_interpreters_without_their_library_are_passed_over(lonely: Path) -> None:
    shim = lonely / ".pyenv" / "versions" / "3.9.1" / "bin" / "python3.9"
    shim.parent.mkdir(parents=True)
    shim.write_text("#!/bin/sh\nexec pyenv\n")
    shim.chmod(0o755)
    program = fake_python(lonely / ".pyenv" / "versions" / "3.10.1", "3.10")
    shutil.rmtree(program.parent.parent / "lib")
    assert set(find_pythons(lonely)) == {SERVER}


def test_node_is_told_apart_by_header_folder_or_by_asking_once(lonely: Path) -> None:
    fake_node(lonely / ".nvm" / "versions" / "node" / "v22.11.0")
    fake_node(lonely / "runtimes" / "nodejs24.x" / "lang", 24)
    memory = lonely / "memory.json"
    finder = NodeFinder(lonely, lonely / "runtimes", memory)
    assert sorted(finder.find()) == ["22", "24"]
    program = fake_node(lonely / "volta")
    program.write_bytes(b"\x7fELF")
    status = program.stat()
    memory.write_text(json.dumps({f"{program}:{status.st_size}:{status.st_mtime_ns}": "20"}))
    assert finder._major(program) == "20"


def test_the_whole_host_is_searched_in_fifty_milliseconds(tmp_path: Path) -> None:
    script = (
        "import time; from pathlib import Path; from lambent.runtimes.catalog import Catalog; "
        f"data = Path({str(tmp_path)!r}); Catalog(data); start = time.perf_counter(); Catalog(data); "
        "print(time.perf_counter() - start)"
    )
    seconds = min(
        float(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)
        for _ in range(3)
    )
    assert seconds < 0.05


def test_an_interpreter_of_its_own_folder_is_shown_at_var_lang(lonely: Path) -> None:
    prefix = lonely / ".pyenv" / "versions" / "3.12.1"
    fake_python(prefix, "3.12")
    spec = Catalog(lonely / "data", lonely).find("python3.12")
    assert (spec.start, spec.framed) == ("fork", True)
    assert spec.command == ("/var/lang/bin/python3.12", "-S", "/var/runtime/bootstrap.py")
    assert spec.lang_dir == str(prefix)
    assert spec.runtime_dir == str(lonely / "data" / "runtimes" / "python")


def test_node_waits_in_the_pool_with_a_heap_that_follows_memory(lonely: Path) -> None:
    fake_node(lonely / ".nvm" / "versions" / "node" / "v22.11.0")
    spec = Catalog(lonely / "data", lonely).find("nodejs22.x")
    assert (spec.start, spec.framed) == ("pool", True)
    assert spec.command[:3] == ("/bin/sh", "/var/runtime/launch", "/var/lang/bin/node")
    assert "--max-old-space-size={heap_mb}" in spec.command
    assert "--no-experimental-require-module" in spec.command[3]


@pytest.mark.parametrize("runtime_id", ["provided", "provided.al2", "provided.al2023"])
def test_provided_runtimes_are_always_there(lonely: Path, runtime_id: str) -> None:
    spec = Catalog(lonely / "data", lonely).find(runtime_id)
    assert (spec.start, spec.framed, spec.lang_dir) == ("exec", False, "")


@pytest.mark.parametrize(
    ("runtime_id", "message"),
    [
        (
            "nodejs22.x",
            "The runtime nodejs22.x is not installed here. Run `lambent runtimes install nodejs22.x`.",
        ),
        ("java21", "The runtime java21 is not available yet."),
        ("python3.7", "The runtime python3.7 is not available: Lambent runs Python 3.8 and later."),
        ("nodejs12.x", "The runtime nodejs12.x is not available: Lambent runs Node.js 16 and later."),
        ("cobol", "There is no runtime cobol."),
    ],
)
def test_what_cannot_run_is_told_with_what_mends_it(lonely: Path, runtime_id: str, message: str) -> None:
    with pytest.raises(RuntimeMissing) as caught:
        Catalog(lonely / "data", lonely).find(runtime_id)
    assert str(caught.value) == message


def test_a_retired_runtime_runs_where_its_interpreter_is_found(lonely: Path) -> None:
    fake_node(lonely / ".nvm" / "versions" / "node" / "v18.20.0")
    assert ROWS["nodejs18.x"].retired
    assert Catalog(lonely / "data", lonely).find("nodejs18.x").name == "nodejs18.x"


def test_the_region_says_once_that_a_runtime_has_no_sdk(lonely: Path, caplog: pytest.LogCaptureFixture) -> None:
    fake_node(lonely / ".nvm" / "versions" / "node" / "v22.11.0")
    catalog = Catalog(lonely / "data", lonely)
    for _ in range(2):
        catalog.find("nodejs22.x")
    assert caplog.messages == [
        "nodejs22.x functions must bundle the AWS SDK here. "
        "Run `lambent runtimes install nodejs22.x` to have it as on AWS."
    ]


@pytest.mark.slow
def test_preparing_lays_out_every_runtime_and_the_sdk_for_pythons_that_can_use_it(lonely: Path) -> None:
    fake_python(lonely / ".pyenv" / "versions" / "3.9.1", "3.9")
    catalog = Catalog(lonely / "data", lonely)
    catalog.prepare()
    catalog.find(f"python{SERVER}")  # waits for the copy
    folder = lonely / "data" / "runtimes"
    assert (folder / "nodejs" / "index.mjs").exists()
    assert (folder / "provided" / "launch").exists()
    assert (folder / "python3.9" / "awslambdaric").exists()
    assert not (folder / "python3.9" / "boto3").exists()
    script = "import boto3, awslambdaric.bootstrap; print(boto3.__file__)"
    output = subprocess.run(
        [sys.executable, "-S", "-c", script],
        env={"PYTHONPATH": str(folder / "python")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert output.strip() == str(folder / "python" / "boto3" / "__init__.py")


def test_a_changed_package_replaces_the_copy_and_an_unchanged_one_is_left(tmp_path: Path) -> None:
    assembly.assemble_python(tmp_path)
    kept = (tmp_path / "awslambdaric" / "bootstrap.py").stat().st_ino
    (tmp_path / "awslambdaric" / "extra.so").touch()
    (tmp_path / "bootstrap.py").write_text("old")
    assembly.assemble_python(tmp_path)
    assert (tmp_path / "awslambdaric" / "bootstrap.py").stat().st_ino == kept
    assert (tmp_path / "awslambdaric" / "extra.so").exists()
    assert (tmp_path / "bootstrap.py").read_text() != "old"
    # Another version, which differs in time and size.
    (tmp_path / "awslambdaric" / "__init__.py").unlink()
    assembly.assemble_python(tmp_path)
    assert not (tmp_path / "awslambdaric" / "extra.so").exists()


def test_installing_a_python_that_is_not_there_says_how_to_get_it(lonely: Path) -> None:
    catalog = Catalog(lonely / "data", lonely)
    with pytest.raises(install.InstallError, match=r"There is no Python 3\.14 on this machine\. Install it with"):
        install.install(catalog, "python3.14", lambda text, part: None)
    with pytest.raises(RuntimeMissing, match="not available yet"):
        install.install(catalog, "ruby3.2", lambda text, part: None)


def test_a_failing_tool_is_quoted() -> None:
    with pytest.raises(install.InstallError, match=r"(?s)sh failed with status 3:.*no such thing"):
        install._run(["sh", "-c", "echo no such thing; exit 3"])
