"""`lambent costs`: what the region's invocations would have cost on AWS."""

from __future__ import annotations

import enum
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from lambent.cli.clients import operator_call
from lambent.cli.common import DataDir, Failure
from lambent.cli.logs import UNITS

app = typer.Typer(add_completion=False)

PLOT_WIDTH = 30
DAY = 86_400


class By(enum.StrEnum):
    FUNCTION = "function"
    DAY = "day"


@dataclass
class Sum:
    requests: int = 0
    billed_ms: int = 0
    gb_seconds: float = 0.0
    cost: float = 0.0

    def add(self, line: Mapping[str, Any]) -> None:
        self.requests += line["requests"]
        self.billed_ms += line["billed_ms"]
        self.gb_seconds += line["gb_seconds"]
        self.cost += line["cost"]["total"]


@app.command()
def costs(
    by: Annotated[By, typer.Option(help="What each row is.")] = By.FUNCTION,
    since: Annotated[str | None, typer.Option(help="A day, 2026-01-31, or how far back: 12h, 7d, 4w.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the ledger's lines as JSON.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Show what invocations would have cost on AWS, at the rates of the configuration file."""
    query = f"?since={first_day(since, time.time())}" if since else ""
    answer = operator_call("GET", f"/_lambent/costs{query}", data_dir)
    if as_json:
        print(json.dumps(answer, indent=2))
        return
    if not answer["lines"]:
        print("Nothing has been invoked yet." if since is None else f"Nothing was invoked since {since}.")
        return
    Console(highlight=False).print(table_of(answer["lines"], by))


def first_day(text: str, now: float) -> str:
    """Raises Failure."""
    number, unit = text[:-1], text[-1:]
    if number.isdigit() and len(number) < 7 and unit in UNITS:
        return time.strftime("%Y-%m-%d", time.gmtime(max(0.0, now - int(number) * UNITS[unit])))
    try:
        time.strptime(text, "%Y-%m-%d")
    except ValueError:
        raise Failure(f"--since takes a day such as 2026-01-31, or a number and a unit, not {text!r}.") from None
    return text


def table_of(lines: Sequence[Mapping[str, Any]], by: By) -> Table:
    """A row for each function or day, with a bar as long as its part of the largest."""
    rows: dict[str, Sum] = {}
    whole = Sum()
    several = len({(line["account"], line["region"]) for line in lines}) > 1
    for line in lines:
        rows.setdefault(_name(line, by, several), Sum()).add(line)
        whole.add(line)
    table = Table(box=None, pad_edge=False)
    table.add_column(by.value.capitalize())
    for title in ("Requests", "Billed", "GB-seconds", "Cost"):
        table.add_column(title, justify="right")
    table.add_column("")
    # Days as they came; functions by what they cost.
    ordered = sorted(rows.items()) if by is By.DAY else sorted(rows.items(), key=lambda row: -row[1].cost)
    largest = max(row.cost for row in rows.values())
    for name, row in ordered:
        table.add_row(name, *_figures(row), _bar(row.cost, largest))
    table.add_section()
    table.add_row("Total", *_figures(whole), "", style="bold")
    return table


def _name(line: Mapping[str, Any], by: By, several: bool) -> str:
    if by is By.DAY:
        return str(line["day"])
    name = f"{line['function']}:{line['version']}"
    return f"{line['account']} {line['region']} {name}" if several else name


def _figures(row: Sum) -> tuple[str, str, str, str]:
    return f"{row.requests:,}", f"{row.billed_ms / 1000:,.3f} s", f"{row.gb_seconds:,.3f}", f"${row.cost:,.8f}"


def _bar(value: float, largest: float) -> str:
    """In eighths of a letter."""
    eighths = round(value / largest * PLOT_WIDTH * 8) if largest else 0
    full, rest = divmod(eighths, 8)
    return "█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")
