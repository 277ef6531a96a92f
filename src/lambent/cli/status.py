"""`lambent status`: whether a region runs, and what it is."""

from __future__ import annotations

import http.client
import importlib
import json
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.table import Table

from lambent.cli.common import DataDir, Failure, running_region

app = typer.Typer(add_completion=False)

ANSWER_SECONDS = 5


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    environments: Annotated[
        bool, typer.Option("--environments", help="Show execution environments; on a terminal until Ctrl-C.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Show the running region. Ends with 1 where none runs."""
    if environments:
        # It speaks to the region as an SDK does, whose modules take longer to import than all the rest here.
        importlib.import_module("lambent.cli.environments").show(data_dir, as_json)
        return
    region = running_region(data_dir)
    health = ask(region.url)
    if as_json:
        print(json.dumps({"url": region.url, "pid": region.pid, **health}))
        return
    table = Table(show_header=False, box=None)
    isolation = health["isolation"]
    rows = {
        "URL": region.url,
        "Process": str(region.pid),
        "Region": region.region,
        "Version": health["version"],
        "Isolation": isolation["summary"],
        "Services": ", ".join(health["services"]),
    }
    for name, value in rows.items():
        table.add_row(name, value)
    Console(highlight=False).print(table)


def ask(url: str) -> Any:
    """What `/_lambent/health` says. Raises Failure where nothing answers."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/_lambent/health")
        return json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Failure(f"The region at {url} does not answer: {error}.") from None
    finally:
        connection.close()
