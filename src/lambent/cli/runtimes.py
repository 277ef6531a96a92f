"""`lambent runtimes`: which runtimes this machine can run, and fetching those it cannot yet."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from lambent.cli.common import DataDir, Failure, data_dir_of
from lambent.endpoint import Endpoint
from lambent.runtimes.catalog import ROWS, Catalog, RuntimeMissing
from lambent.runtimes.install import InstallError, install

#: Languages that Lambent has a bootstrap for.
FAMILIES = ("python", "nodejs", "provided")

app = typer.Typer(add_completion=False, no_args_is_help=True, help="List and install runtimes.")


@app.command("list")
def list_runtimes(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data_dir: DataDir = None,
) -> None:
    """List every runtime that Lambda knows and what runs it here."""
    available = {spec.name: spec for spec in Catalog(data_dir_of(data_dir)).available()}
    rows = [
        {"name": row.id, "available": row.id in available, "retired": row.retired, "built": row.family in FAMILIES}
        for row in ROWS.values()
        if row.id in available or not row.retired
    ]
    if as_json:
        print(json.dumps(rows))
        return
    table = Table("runtime", "here", "on AWS", box=None)
    for row in rows:
        mend = f"no: lambent runtimes install {row['name']}" if row["built"] else "not built yet"
        here = "yes" if row["available"] else mend
        table.add_row(str(row["name"]), here, "retired" if row["retired"] else "current")
    Console(highlight=False).print(table)


@app.command("install")
def install_runtime(
    runtime: Annotated[str, typer.Argument(help="Such as nodejs22.x.")],
    data_dir: DataDir = None,
) -> None:
    """Fetch what a runtime needs, once."""
    folder = data_dir_of(data_dir)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(runtime, total=1.0)
        try:
            install(Catalog(folder), runtime, lambda what, done: bar.update(task, description=what, completed=done))
        except (RuntimeMissing, InstallError) as error:
            raise Failure(str(error)) from None
    if Endpoint.of(folder).read() is not None:
        console.print("A region is running: restart it to use the runtime.")
