"""Interpreters of this machine, and a workbench that writes a function and starts its runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runtime_harness import Runtime
from runtime_languages import LANGUAGES, Language

from lambent.runtimes.discovery import Interpreter, NodeFinder, find_pythons

SERVER_PYTHON = "3.11"


def _interpreters() -> list[tuple[str, Interpreter]]:
    nodes = NodeFinder(Path.home(), Path("/nonexistent"), Path("/nonexistent/memory")).find()
    return [
        *((f"python{version}", found) for version, found in sorted(find_pythons(Path.home()).items())),
        *((f"nodejs{version}.x", found) for version, found in sorted(nodes.items()) if int(version) >= 20),
    ]


INTERPRETERS = dict(_interpreters())


def command_of(runtime_id: str, folders: dict[str, Path]) -> list[str]:
    program = str(INTERPRETERS[runtime_id].program)
    if runtime_id.startswith("python"):
        return [program, "-S", str(folders["python"] / "bootstrap.py")]
    return ["/bin/sh", str(folders["nodejs"] / "launch"), program, "", str(folders["nodejs"] / "index.mjs")]


class Workbench:
    """Writes a function and makes its runtime."""

    def __init__(self, runtime_id: str, folders: dict[str, Path], task_root: Path) -> None:
        self.runtime_id = runtime_id
        self.language: Language = LANGUAGES["python" if runtime_id.startswith("python") else "nodejs"]
        self.task_root = task_root
        self.runtime_folder = folders["python" if runtime_id.startswith("python") else "nodejs"]
        self._command = command_of(runtime_id, folders)

    def write(self, source: str, name: str = "") -> None:
        file = self.task_root / (name or self.language.file)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source)

    def runtime(self, source: str = "", **options: Any) -> Runtime:
        if source:
            self.write(source)
        return Runtime(self._command, self.task_root, **options)

    def behaving(self, behaviour: str, **options: Any) -> Runtime:
        """A function of the conformance suite, by name."""
        return self.runtime(self.language.functions[behaviour], **options)
