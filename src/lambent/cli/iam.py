"""`lambent iam`: who was missing what, the least that would do, and why something is allowed or not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console
from rich.table import Table

from lambent.cli.clients import operator_call
from lambent.cli.common import DataDir, Failure

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="See what principals need and what decides for them."
)

#: What the recorded calls stand for, by the mode of the region.
NOTES = {
    "audit": "Made of all that was asked for.",
    "strict": "Made of what was refused: start the region with --auth audit to see all that is used.",
    "off": "Nothing is written down with --auth off.",
}


@app.command()
def audit(
    principal: Annotated[str | None, typer.Option(help="Of this user or role alone, by its ARN.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Show who was missing which permission, and a policy that allows what was used and nothing else."""
    query = f"?principal={quote(principal, safe='')}" if principal else ""
    found = operator_call("GET", f"/_lambent/iam/audit{query}", data_dir)
    if as_json:
        print(json.dumps(found, indent=2))
        return
    shown = [entry for entry in found["principals"] if entry["needed"]]
    if not shown:
        print(f"Nothing was written down of {principal or 'anybody'}. {NOTES[found['mode']]}")
    console = Console(highlight=False, soft_wrap=True)
    for entry in shown:
        _print_principal(console, entry, NOTES[found["mode"]])
    if found["dropped"]:
        console.print(f"{found['dropped']} more calls needed something that there was no room to write down.")


@app.command()
def explain(
    principal: Annotated[str, typer.Argument(help="ARN of a user, a role or a root.")],
    action: Annotated[str, typer.Argument(help="Such as lambda:InvokeFunction.")],
    resource: Annotated[str, typer.Argument(help="Its ARN.")] = "*",
    context: Annotated[list[str] | None, typer.Option(help="A condition key of the request: aws:SourceIp=…")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Tell which statement decides. Ends with 1 where it is denied."""
    asked = {"principal": principal, "action": action, "resource": resource, "context": _context(context or [])}
    answer = operator_call("POST", "/_lambent/iam/explain", data_dir, asked)
    if as_json:
        print(json.dumps(answer))
    else:
        print(f"{'Allowed by' if answer['allowed'] else 'Denied'} {answer['why']}.")
        if "statement" in answer:
            statement = answer["statement"]
            sid = f" ({statement['sid']})" if statement["sid"] else ""
            print(f"{statement['effect']}: statement {statement['number']}{sid} of {answer['policy']}")
    if not answer["allowed"]:
        raise typer.Exit(1)


def _context(pairs: list[str]) -> dict[str, list[str]]:
    """Raises Failure."""
    found: dict[str, list[str]] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise Failure(f"--context is a key and its value, such as aws:SourceIp=10.0.0.1, not {pair!r}.")
        found.setdefault(key, []).append(value)
    return found


def _print_principal(console: Console, entry: Mapping[str, Any], note: str) -> None:
    console.print(entry["principal"], style="bold")
    if entry["missing"]:
        table = Table("Missing", "Resource", "Times", "Why", box=None)
        for use in entry["missing"]:
            table.add_row(use["action"], use["resource"], str(use["missing"]), use["why"])
        console.print(table)
    else:
        console.print("Nothing was missing.")
    console.print(f"Least privilege. {note}")
    print(json.dumps(entry["policy"], indent=2))
