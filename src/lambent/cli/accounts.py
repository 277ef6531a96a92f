"""`lambent accounts`: the accounts of the running region, each apart from every other."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from lambent.cli.clients import operator_call
from lambent.cli.common import DataDir

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Show and make the accounts of the region.")

PATH = "/_lambent/accounts"


@app.command("list")
def list_accounts(data_dir: DataDir = None) -> None:
    """Show every account with the id of its root key."""
    table = Table("Account", "Name", "Made", "Root key", box=None)
    for account in operator_call("GET", PATH, data_dir)["accounts"]:
        created = account["created"]
        made = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%d %H:%M") if created else "with the region"
        table.add_row(account["id"], account["name"], made, account["access_key_id"])
    Console(highlight=False).print(table)


@app.command()
def create(
    account_id: Annotated[str | None, typer.Argument(help="Twelve digits.", show_default="any free ones")] = None,
    name: Annotated[str, typer.Option(help="A word of your own for it.")] = "",
    data_dir: DataDir = None,
) -> None:
    """Make an account and print its root key, which is shown this once."""
    account = operator_call("POST", PATH, data_dir, {"id": account_id, "name": name})
    print(f"# Account {account['id']}. The secret is not shown again.")
    print(f"export AWS_ACCESS_KEY_ID={account['access_key_id']}")
    print(f"export AWS_SECRET_ACCESS_KEY={account['secret_access_key']}")
