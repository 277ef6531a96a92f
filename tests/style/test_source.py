"""House rules that no linter knows: where state, the environment and broad excepts may stand."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "lambent"
MODULES = sorted(path for path in SOURCE.rglob("*.py"))
#: What catches errors that nobody thought of.
BROAD = ("Exception", "BaseException")
#: What runs inside a sandbox sets up its own process, so it reads and writes that process's environment.
INSIDE = ("runtimes/python/", "sandbox/")


def relative(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def test_every_module_says_what_it_owns() -> None:
    silent = [
        relative(path)
        for path in MODULES
        if path.stat().st_size and ast.get_docstring(ast.parse(path.read_text())) is None
    ]
    assert silent == []


def test_every_broad_except_passes_the_error_on_or_says_why_not() -> None:
    bare = []
    for path in MODULES:
        text = path.read_text()
        lines = text.splitlines()
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.ExceptHandler) or not is_broad(node.type):
                continue
            last = node.body[-1]
            passes_on = isinstance(last, ast.Raise) and last.exc is None
            beside = lines[node.lineno - 2 : node.body[0].lineno]
            if not passes_on and not any("#" in line for line in beside):
                bare.append(f"{relative(path)}:{node.lineno}")
    assert bare == []


def is_broad(caught: ast.expr | None) -> bool:
    names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(name is None or (isinstance(name, ast.Name) and name.id in BROAD) for name in names)


def test_only_config_reads_the_environment() -> None:
    readers = [
        relative(path)
        for path in MODULES
        if re.search(r"os\.(environ|getenv)", path.read_text())
        and relative(path) != "config.py"
        and not relative(path).startswith(INSIDE)
    ]
    assert readers == []


def test_ctypes_is_used_in_one_module() -> None:
    users = [relative(path) for path in MODULES if re.search(r"^\s*(import|from) ctypes", path.read_text(), re.M)]
    assert users == ["sandbox/syscalls.py"]


def test_the_sandbox_imports_the_standard_library_alone() -> None:
    foreign = []
    for path in (SOURCE / "sandbox").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            for name in names:
                top = name.split(".")[0]
                if top not in __import__("sys").stdlib_module_names and not name.startswith("lambent.sandbox"):
                    foreign.append(f"{relative(path)}: {name}")
    assert foreign == []


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").glob("*.md")), ids=lambda p: p.name)
def test_links_within_the_documentation_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []
