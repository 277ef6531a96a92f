"""Finds interpreters on the host by looking at files: nothing is run that a region's start would have to wait for.

Looks where people keep them: PATH, pyenv, uv, nvm, fnm, volta, the system's folders, and the server's own Python.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SYSTEM_FOLDERS = (Path("/usr/local/bin"), Path("/usr/bin"))
_NODE_MAJOR = re.compile(rb"#define NODE_MAJOR_VERSION (\d+)")
_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A program and the folder that holds all of it."""

    #: `3.12` for Python, the major version for Node.
    version: str
    program: Path
    prefix: Path

    @property
    def is_system(self) -> bool:
        """Below /usr, which every sandbox sees."""
        return self.prefix.is_relative_to("/usr")


def find_pythons(home: Path) -> dict[str, Interpreter]:
    """The first interpreter of each version."""
    found: dict[str, Interpreter] = {}
    for program in _python_programs(home):
        interpreter = _python(program)
        if interpreter is not None:
            found.setdefault(interpreter.version, interpreter)
    return found


def _python_programs(home: Path) -> Iterator[Path]:
    folders = [
        *_newest_first(home / ".pyenv" / "versions"),
        *_newest_first(home / ".local" / "share" / "uv" / "python", "cpython-"),
    ]
    for folder in folders:
        yield from _versioned_programs(folder / "bin")
    yield Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    for folder in _search_path():
        yield from _versioned_programs(folder)


def _versioned_programs(folder: Path) -> Iterator[Path]:
    for minor in range(8, 30):
        program = folder / f"python3.{minor}"
        # Unlike Path.exists, False for what lies in a folder that is closed to us.
        if os.path.exists(program):
            yield program


def _python(program: Path) -> Interpreter | None:
    """None for what is no whole interpreter: a shim, or one without its standard library."""
    real = Path(os.path.realpath(program))
    version = real.name.removeprefix("python")
    prefix = real.parent.parent
    library = prefix / "lib" / f"python{version}"
    if not _is_binary(real) or not os.path.exists(library / "json" / "__init__.py"):
        return None
    return Interpreter(version, real, prefix)


class NodeFinder:
    """Finds Node by major version; remembers what had to be run once to tell its version, by path, size and time."""

    def __init__(self, home: Path, installed: Path, memory: Path) -> None:
        """`installed`: what `lambent runtimes install` made. `memory`: a file of the data dir."""
        self._home = home
        self._installed = installed
        self._memory = memory

    def find(self) -> dict[str, Interpreter]:
        found: dict[str, Interpreter] = {}
        for program in self._programs():
            real = Path(os.path.realpath(program))
            major = self._major(real) if _is_binary(real) else None
            if major is not None:
                found.setdefault(major, Interpreter(major, real, real.parent.parent))
        return found

    def _programs(self) -> Iterator[Path]:
        yield from sorted(self._installed.glob("nodejs*/lang/bin/node"))
        for folder in _newest_first(self._home / ".nvm" / "versions" / "node"):
            yield folder / "bin" / "node"
        for folder in _newest_first(self._home / ".local" / "share" / "fnm" / "node-versions"):
            yield folder / "installation" / "bin" / "node"
        for folder in _newest_first(self._home / ".volta" / "tools" / "image" / "node"):
            yield folder / "bin" / "node"
        for folder in _search_path():
            yield folder / "node"

    def _major(self, program: Path) -> str | None:
        header = program.parent.parent / "include" / "node" / "node_version.h"
        try:
            match = _NODE_MAJOR.search(header.read_bytes())
            if match:
                return match[1].decode()
        except OSError:
            pass
        for part in program.parts:
            if named := _VERSION.fullmatch(part):
                return named[1]
        return self._ask(program)

    def _ask(self, program: Path) -> str | None:
        status = program.stat()
        key = f"{program}:{status.st_size}:{status.st_mtime_ns}"
        known = self._remembered()
        if key not in known:
            try:
                answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10).stdout
            except (OSError, subprocess.TimeoutExpired):
                return None
            match = _VERSION.match(answer)
            known[key] = match[1] if match else ""
            self._remember(known)
        return known[key] or None

    def _remembered(self) -> dict[str, str]:
        try:
            known = json.loads(self._memory.read_bytes())
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}

    def _remember(self, known: dict[str, str]) -> None:
        with contextlib.suppress(OSError):  # then it is asked again next time
            self._memory.parent.mkdir(parents=True, exist_ok=True)
            self._memory.write_text(json.dumps(known))


def _search_path() -> list[Path]:
    return [*(Path(folder) for folder in os.get_exec_path()), *_SYSTEM_FOLDERS]


def _newest_first(folder: Path, prefix: str = "") -> list[Path]:
    """The folders in it that are named after versions."""
    versions = []
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    for name in names:
        match = _VERSION.match(name.removeprefix(prefix))
        if match:
            versions.append(([int(number) for number in match.groups()], folder / name))
    return [path for _, path in sorted(versions, reverse=True)]


def _is_binary(program: Path) -> bool:
    """False for scripts, such as the shims of version managers."""
    try:
        with program.open("rb") as file:
            return file.read(4) in (b"\x7fELF", b"\xcf\xfa\xed\xfe") and os.access(program, os.X_OK)
    except OSError:
        return False


def numbers(version: str) -> tuple[int, ...]:
    """A version as something to compare."""
    return tuple(int(number) for number in version.split("."))
