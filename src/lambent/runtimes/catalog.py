"""Every runtime id that Lambda knows, one row each, and how those that this host can run are started.

Interpreters are looked for once, when the catalog is made (as root if the region is started as root). What functions
see as /var/runtime is put together by `assembly`, what has to be fetched by `install`.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from pathlib import Path

from lambent.runtimes import assembly
from lambent.runtimes.discovery import Interpreter, NodeFinder, find_pythons, numbers
from lambent.sandbox.spec import RuntimeSpec

log = logging.getLogger(__name__)

_LANG = "/var/lang"
_RUNTIME = "/var/runtime"

#: Longest that the first start of a Python function waits for its SDK to be put in place.
_PREPARE_S = 10.0


class RuntimeMissing(LookupError):
    """A sentence for the customer and the operator: why a runtime cannot run here, and what mends it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One runtime id."""

    id: str
    #: python | nodejs | provided | another language, not available yet
    family: str
    #: Of the interpreter: 3.12, 22; "" for provided.
    version: str = ""
    #: AWS no longer lets one create functions with it.
    retired: bool = False


def _rows() -> dict[str, Row]:
    current = [
        *(Row(f"python3.{minor}", "python", f"3.{minor}") for minor in range(10, 15)),
        *(Row(f"nodejs{major}.x", "nodejs", str(major)) for major in (20, 22, 24)),
        *(Row(name, "provided") for name in ("provided.al2", "provided.al2023")),
        *(Row(f"java{version}", "java") for version in ("8.al2", "11", "17", "21", "25")),
        *(Row(f"dotnet{version}", "dotnet") for version in ("8", "10")),
        *(Row(f"ruby{version}", "ruby") for version in ("3.2", "3.3", "3.4", "4.0")),
    ]
    retired = [
        *(Row(f"python{version}", "python", version, True) for version in ("2.7", "3.6", "3.7", "3.8", "3.9")),
        *(Row(f"nodejs{major}.x", "nodejs", str(major), True) for major in (10, 12, 14, 16, 18)),
        *(Row(f"nodejs{version}", "nodejs", version, True) for version in ("4.3", "6.10", "8.10")),
        *(Row(name, "nodejs", "0", True) for name in ("nodejs", "nodejs4.3-edge")),
        Row("provided", "provided", "", True),
        Row("java8", "java", "", True),
        *(Row(f"dotnetcore{version}", "dotnet", "", True) for version in ("1.0", "2.0", "2.1", "3.1")),
        Row("dotnet6", "dotnet", "", True),
        *(Row(f"ruby{version}", "ruby", "", True) for version in ("2.5", "2.7")),
        Row("go1.x", "go", "", True),
    ]
    return {row.id: row for row in (*current, *retired)}


ROWS = _rows()

#: The oldest interpreters that Lambent's bootstraps run on.
_OLDEST_PYTHON = (3, 8)
_OLDEST_NODE = 16

#: What AWS's Node runtimes turn off unless the function sets NODE_OPTIONS; these releases know the options.
_NODE_DEFAULTS = {"22": "--no-experimental-require-module --no-experimental-detect-module"}


class Catalog:
    """The runtimes of one region."""

    def __init__(self, data_dir: Path, home: Path | None = None) -> None:
        home = Path.home() if home is None else home
        self.folder = data_dir / "runtimes"
        self._pythons = find_pythons(home)
        self._nodes = NodeFinder(home, self.folder, self.folder / "node-versions.json")
        self._nodes_found = self._find_nodes()
        self._preparing: threading.Thread | None = None
        #: Python versions whose byte code is there or under way.
        self._compiled: set[str] = set()
        #: Runtimes whose SDK has been looked for.
        self._warned: set[str] = set()

    def __repr__(self) -> str:
        return f"<Catalog: {', '.join(sorted(spec.name for spec in self.available()))}>"

    @staticmethod
    def known(runtime_id: str) -> bool:
        """Whether Lambda knows this id, today or from earlier."""
        return runtime_id in ROWS

    def find(self, runtime_id: str) -> RuntimeSpec:
        """How to start it. Raises RuntimeMissing."""
        row = ROWS.get(runtime_id)
        if row is None:
            raise RuntimeMissing(f"There is no runtime {runtime_id}.")
        spec = self._spec(row)
        if spec is None:
            raise RuntimeMissing(self._why_missing(row))
        if row.family == "python":
            self._await_sdk(row.version)
        self._warn_without_sdk(row)
        return spec

    def available(self) -> list[RuntimeSpec]:
        """What can run on this host now."""
        return [spec for row in ROWS.values() if (spec := self._spec(row)) is not None]

    def prepare(self) -> None:
        """Lay out /var/runtime for every family; the Python SDK, some thousand files, follows in a thread."""
        assembly.assemble_nodejs(self.node_runtime)
        assembly.assemble_provided(self.provided_runtime)
        for version in self._pythons:
            assembly.assemble_python(self.python_runtime(version))
        if self._preparing is None and any(_has_server_sdk(version) for version in self._pythons):
            self._preparing = threading.Thread(
                target=assembly.copy_packages,
                args=(assembly.SDK_PACKAGES, self.folder / "python"),
                name="copy the Python SDK",
                daemon=True,
            )
            self._preparing.start()

    def interpreter(self, row: Row) -> Interpreter | None:
        if row.family == "python":
            return self._pythons.get(row.version)
        return self._nodes_found.get(row.version) if row.family == "nodejs" else None

    def refresh(self) -> None:
        """Look again for what may have been installed since."""
        self._nodes_found = self._find_nodes()

    def python_runtime(self, version: str) -> Path:
        """What this Python's functions see as /var/runtime: one folder for all that run the server's own packages."""
        return self.folder / ("python" if _has_server_sdk(version) else f"python{version}")

    @property
    def node_runtime(self) -> Path:
        return self.folder / "nodejs"

    @property
    def provided_runtime(self) -> Path:
        return self.folder / "provided"

    def _await_sdk(self, version: str) -> None:
        if self._preparing is not None:
            self._preparing.join(_PREPARE_S)
        interpreter = self._pythons[version]
        folder = self.python_runtime(version)
        if version not in self._compiled and assembly.needs_compiling(version, folder):
            # At the lowest priority and awaited by nobody: until then imports of the SDK are only slower.
            args = (interpreter.program, interpreter.prefix, folder)
            threading.Thread(target=assembly.compile_python, args=args, name="compile the SDK", daemon=True).start()
        self._compiled.add(version)

    def _warn_without_sdk(self, row: Row) -> None:
        if row.family == "provided" or row.id in self._warned:
            return
        self._warned.add(row.id)
        is_python = row.family == "python"
        folder = self.python_runtime(row.version) / "boto3" if is_python else self.node_runtime / "node_modules"
        if not folder.exists():
            log.warning(
                "%s functions must bundle %s here. Run `lambent runtimes install %s` to have it as on AWS.",
                row.id,
                "boto3" if is_python else "the AWS SDK",
                row.id,
            )

    def _find_nodes(self) -> dict[str, Interpreter]:
        return {major: node for major, node in self._nodes.find().items() if int(major) >= _OLDEST_NODE}

    def _spec(self, row: Row) -> RuntimeSpec | None:
        if row.family == "provided":
            return _provided(row, self.provided_runtime)
        interpreter = self.interpreter(row)
        if interpreter is None:
            return None
        if row.family == "python":
            return _python(row, interpreter, self.python_runtime(row.version))
        return _nodejs(row, interpreter, self.node_runtime)

    def _why_missing(self, row: Row) -> str:
        if row.family not in ("python", "nodejs"):
            return f"The runtime {row.id} is not available yet."
        if row.family == "python" and numbers(row.version) < _OLDEST_PYTHON:
            return f"The runtime {row.id} is not available: Lambent runs Python 3.8 and later."
        if row.family == "nodejs" and numbers(row.version)[0] < _OLDEST_NODE:
            return f"The runtime {row.id} is not available: Lambent runs Node.js {_OLDEST_NODE} and later."
        return f"The runtime {row.id} is not installed here. Run `lambent runtimes install {row.id}`."


def _python(row: Row, interpreter: Interpreter, runtime_dir: Path) -> RuntimeSpec:
    # -S: functions see the runtime's packages and their own, none that happen to be on the host.
    return RuntimeSpec(
        name=row.id,
        start="fork",
        framed=True,
        command=(_program(interpreter), "-S", f"{_RUNTIME}/bootstrap.py"),
        runtime_dir=str(runtime_dir),
        lang_dir=_lang_dir(interpreter),
    )


def _nodejs(row: Row, interpreter: Interpreter, runtime_dir: Path) -> RuntimeSpec:
    return RuntimeSpec(
        name=row.id,
        start="pool",
        framed=True,
        command=(
            "/bin/sh",
            f"{_RUNTIME}/launch",
            _program(interpreter),
            _NODE_DEFAULTS.get(row.version, ""),
            "--expose-gc",
            "--max-http-header-size=81920",
            "--max-old-space-size={heap_mb}",
            f"{_RUNTIME}/index.mjs",
        ),
        runtime_dir=str(runtime_dir),
        lang_dir=_lang_dir(interpreter),
    )


def _provided(row: Row, runtime_dir: Path) -> RuntimeSpec:
    return RuntimeSpec(
        name=row.id,
        start="exec",
        framed=False,
        command=("/bin/sh", f"{_RUNTIME}/launch", "/opt/bootstrap"),
        runtime_dir=str(runtime_dir),
    )


def _program(interpreter: Interpreter) -> str:
    """The interpreter's path as functions see it."""
    if interpreter.is_system:
        return str(interpreter.program)
    return f"{_LANG}/{interpreter.program.relative_to(interpreter.prefix)}"


def _lang_dir(interpreter: Interpreter) -> str:
    return "" if interpreter.is_system else str(interpreter.prefix)


def _has_server_sdk(version: str) -> bool:
    """Whether the packages of the server's own environment, pure Python, run on that version."""
    return numbers(version) >= assembly.OLDEST_FOR_SDK
