"""The `provided` runtimes: the customer brings the process, as a file named `bootstrap`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

#: What the process is told where it finds none: the error of the invocation, and its words.
ENTRYPOINT_ERROR = "Runtime.InvalidEntrypoint"


def entrypoint_fault(code_root: Path, layers: Iterable[Path]) -> str | None:
    """AWS's words for why nothing can be started, or None where there is a `bootstrap` that can."""
    for folder, shown in [(code_root, "/var/task"), *((layer, "/opt") for layer in layers)]:
        program = folder / "bootstrap"
        if program.is_file():
            return None if os.access(program, os.X_OK) else f"fork/exec {shown}/bootstrap: permission denied"
    return "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"
