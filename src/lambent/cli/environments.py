"""`lambent status --environments`: what runs and what rests, as a table that lives until Ctrl-C."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from lambent.cli.clients import operator_call

REFRESH_SECONDS = 1.0
PIPED_WIDTH = 240


def show(data_dir: Path | None, as_json: bool) -> None:
    if as_json:
        print(json.dumps(_environments(data_dir)))
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        # Nobody's window: whoever reads it wants each environment on one line.
        Console(highlight=False, width=PIPED_WIDTH).print(table(_environments(data_dir)))
        return
    with contextlib.suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False) as live:
        while True:
            live.update(table(_environments(data_dir)), refresh=True)
            time.sleep(REFRESH_SECONDS)


def table(environments: Sequence[dict[str, Any]]) -> Table:
    """Busy ones first, then those that were used last."""
    states = [each["state"] for each in environments]
    counts = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states))) or "none"
    shown = Table("id", "function", "version", "state", "age", "idle", "memory", "runs", "tenant", box=None)
    shown.caption = f"{len(environments)} environments: {counts}"
    shown.caption_justify = "left"
    for column in shown.columns[4:8]:
        column.justify = "right"
    for each in sorted(environments, key=lambda each: (each["idle_s"] or 0.0, each["function"])):
        shown.add_row(
            each["id"][:8],
            each["function"],
            each["version"],
            f"{each['state']} (provisioned)" if each["provisioned"] else each["state"],
            span(each["age_s"]),
            "" if each["idle_s"] is None else span(each["idle_s"]),
            f"{each['memory_mb']}/{each['memory_limit_mb']} MB",
            str(each["invocations"]),
            each["tenant"],
        )
    return shown


def span(seconds: float) -> str:
    """`12s`, `3m 05s`, `2h 07m`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02}m"


def _environments(data_dir: Path | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = operator_call("GET", "/_lambent/environments", data_dir)["environments"]
    return found
