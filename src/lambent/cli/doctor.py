"""`lambent doctor`: how well functions can be isolated on this machine, and what would make it better."""

from __future__ import annotations

import asyncio
import platform
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

import lambent
from lambent.cli.common import DataDir, Failure, data_dir_of
from lambent.config import Isolation, Network
from lambent.runtimes.catalog import Catalog
from lambent.sandbox.client import SupervisorClient
from lambent.sandbox.spec import IsolationReport, SandboxError, SupervisorOptions

app = typer.Typer(add_completion=False)


@app.command()
def doctor(
    isolation: Annotated[Isolation, typer.Option(help="Look at this level alone.")] = Isolation.AUTO,
    data_dir: DataDir = None,
) -> None:
    """Say which isolation level functions get here, what withholds the next one, and the command that mends it."""
    console = Console(highlight=False)
    console.print(f"Lambent {lambent.__version__}, Python {platform.python_version()}, {platform.platform()}")
    report = probe(isolation)
    console.print(f"Isolation: [bold]{report.summary}[/bold]")
    console.print(f"Network of functions: [bold]{report.network}[/bold]")
    if not report.missing:
        console.print("Nothing is missing.")
    for level, reason, mend in report.missing:
        console.print(f"  {level} is withheld: {reason}", markup=False, soft_wrap=True)
        if mend:
            console.print(f"    mend it with: {mend}", markup=False, soft_wrap=True)
    console.print(_runtimes(data_dir_of(data_dir)))


def probe(isolation: Isolation) -> IsolationReport:
    """Try it: start a supervisor as `lambent up` would, and stop it again. Raises Failure."""
    with tempfile.TemporaryDirectory(prefix="lambent-doctor-") as folder:
        # Without namespaces functions reach their code by its path, as users of their own.
        Path(folder).chmod(0o711)
        client = SupervisorClient.fork(_options(isolation, folder))
        try:
            return asyncio.run(_ask(client))
        except SandboxError as error:
            raise Failure(str(error)) from None


def _options(isolation: Isolation, folder: str) -> SupervisorOptions:
    return SupervisorOptions(isolation=isolation.value, data_dir=folder, network=Network.AUTO.value, pool_size=0)


async def _ask(client: SupervisorClient) -> IsolationReport:
    try:
        return await client.start(0)
    finally:
        await client.stop()


def _runtimes(data_dir: Path) -> Table:
    table = Table("runtime", "interpreter", box=None)
    for spec in Catalog(data_dir).available():
        table.add_row(spec.name, spec.lang_dir or ("the host's" if spec.framed else "the function's own"))
    return table
