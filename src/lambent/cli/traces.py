"""`lambent traces`: the recent traces of the region, and one of them as a tree."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from lambent.cli.clients import client
from lambent.cli.common import DataDir, Failure
from lambent.cli.logs import seconds_of

app = typer.Typer(add_completion=False)

#: Hours that one request of X-Ray may ask for.
_LONGEST_S = 86_400
_TRACE_ID = re.compile(r"1-[0-9a-fA-F]{8}-[0-9a-fA-F]{24}")
#: What a segment says of itself, and how that is shown; the first that is true.
_FLAGS = (("fault", "fault", "red"), ("throttle", "throttled", "yellow"), ("error", "error", "yellow"))

Document = Mapping[str, Any]


@app.command()
def traces(
    trace_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="Show this one as a tree.")] = None,
    since: Annotated[str, typer.Option(help="How far back: 30s, 10m, 2h, at most 1d.")] = "1h",
    filter: Annotated[str, typer.Option(help="A filter expression of X-Ray: 'fault', 'duration > 1' …")] = "",
    limit: Annotated[int, typer.Option(help="Traces to list at most.", min=1)] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print what X-Ray answers as JSON.")] = False,
    data_dir: DataDir = None,
) -> None:
    """List recent traces, the newest first, or show one with the durations of its parts."""
    with client("xray", data_dir) as service:
        if trace_id is None:
            found = _summaries(service, since, filter, limit)
            _show(found, as_json, "There are no traces yet: see docs/tracing.md.", table_of)
            return
        if not _TRACE_ID.fullmatch(trace_id):
            raise Failure(f"A trace is named as 1-684ee180-0123456789abcdef01234567, not {trace_id!r}.")
        whole = service.batch_get_traces(TraceIds=[trace_id])["Traces"]
        documents = [json.loads(segment["Document"]) for trace in whole for segment in trace["Segments"]]
        if not documents:
            raise Failure(f"There is no trace {trace_id}: it may be older than 30 days, or not sampled.")
        _show(documents, as_json, "", lambda segments: tree_of(trace_id, segments))


def _show(found: Sequence[Document], as_json: bool, nothing: str, drawn: Any) -> None:
    if as_json:
        print(json.dumps(found, indent=2, default=str))
    elif not found:
        print(nothing)
    else:
        Console(highlight=False).print(drawn(found))


def _summaries(service: Any, since: str, expression: str, limit: int) -> list[Document]:
    now = time.time()
    start = now - min(seconds_of(since), _LONGEST_S)
    given = {"FilterExpression": expression} if expression else {}
    found: list[Document] = []
    # A little ahead: segments may name times that are not over yet.
    for page in service.get_paginator("get_trace_summaries").paginate(StartTime=start, EndTime=now, **given):
        found += page["TraceSummaries"]
        if len(found) >= limit:
            break
    return found[:limit]


# ---- the table ------------------------------------------------------------------------------------------------------


def table_of(found: Sequence[Document]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("Trace", no_wrap=True)
    table.add_column("Began", no_wrap=True)
    table.add_column("Took", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("Services")
    for summary in found:
        began = summary["StartTime"].astimezone().strftime("%Y-%m-%d %H:%M:%S")
        names = dict.fromkeys(service["Name"] for service in summary["ServiceIds"])
        table.add_row(summary["Id"], began, duration(summary["Duration"]), _status(summary), _plain(" → ".join(names)))
    return table


def _status(summary: Document) -> Text:
    flags = {name: summary.get(f"Has{name.capitalize()}") for name, _, _ in _FLAGS}
    shown = _flag(flags)
    return Text("in progress") if not shown.plain and summary.get("IsPartial") else shown


def _flag(fields: Mapping[str, Any]) -> Text:
    for name, word, colour in _FLAGS:
        if fields.get(name) is True:
            return Text(word, style=colour)
    return Text()


# ---- the tree -------------------------------------------------------------------------------------------------------


def tree_of(trace_id: str, documents: Sequence[Document]) -> Tree:
    began = min(_time(document, "start_time") for document in documents)
    ended = max(_time(document, "end_time") for document in documents)
    tree = Tree(Text(f"{trace_id}  {duration(ended - began)}", style="bold"))
    ids = {node.get("id") for document in documents for node in _walk(document)}
    caused: dict[Any, list[Document]] = {}
    for document in documents:
        parent = document.get("parent_id")
        caused.setdefault(parent if parent in ids and parent != document["id"] else None, []).append(document)
    _grow(tree, caused.pop(None, []), caused, began)
    # Of segments that lead in a circle none is the first.
    while caused:
        _grow(tree, caused.pop(next(iter(caused))), caused, began)
    return tree


def _grow(tree: Tree, documents: Sequence[Document], caused: dict[Any, list[Document]], began: float) -> None:
    """Not by recursion: who reports segments decides how deep they go."""
    pending = [(tree, document) for document in reversed(documents)]
    while pending:
        above, document = pending.pop()
        branch = above.add(_line(document, began))
        inside = [*document.get("subsegments", ()), *caused.pop(document.get("id"), ())]
        inside.sort(key=lambda node: _time(node, "start_time"), reverse=True)
        pending.extend((branch, node) for node in inside)


def _walk(document: Document) -> list[Document]:
    return [document, *(node for inside in document.get("subsegments", ()) for node in _walk(inside))]


def _line(document: Document, began: float) -> Text:
    start = _time(document, "start_time")
    line = _plain(str(document.get("name", "?")))
    if "origin" in document:
        line.append(f" {_plain(str(document['origin']))}", style="dim")
    in_progress = document.get("end_time") is None
    line.append(f"  {'in progress' if in_progress else duration(_time(document, 'end_time') - start)}", style="bold")
    line.append(f"  +{duration(max(0.0, start - began))}", style="dim")
    flag = _flag(document)
    return line.append("  ").append(flag) if flag.plain else line


def _time(document: Document, member: str) -> float:
    """Of a subsegment it may be anything."""
    value = document.get(member)
    if value is None and member == "end_time":
        value = document.get("start_time")
    return float(value) if isinstance(value, (int, float)) and abs(value) < 1e15 else 0.0


def _plain(text: str) -> Text:
    """Whoever reports segments names them: control characters would be the terminal's to obey."""
    return Text("".join(letter if letter.isprintable() else "?" for letter in text))


def duration(seconds: float) -> str:
    """`1.234 s`, `12.3 ms`."""
    return f"{seconds:.3f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"
