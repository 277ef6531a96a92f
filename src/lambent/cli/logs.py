"""`lambent logs`: what a function wrote."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from lambent.cli.clients import client
from lambent.cli.common import DataDir, Failure

app = typer.Typer(add_completion=False)

POLL_SECONDS = 0.5
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
#: Events with the same time as the last one shown may still come; nothing arrives later than this.
OVERLAP_MS = 5000


@app.command()
def logs(
    name: Annotated[str, typer.Argument(help="Name of the function, or of a log group with its slashes.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    since: Annotated[str, typer.Option(help="How far back: 30s, 10m, 2h, 1d.")] = "10m",
    data_dir: DataDir = None,
) -> None:
    """Print the log of a function, oldest event first."""
    group = name if name.startswith("/") else f"/aws/lambda/{name}"
    start = max(0, int((time.time() - seconds_of(since)) * 1000))
    with client("logs", data_dir) as service:
        try:
            for event in _events(service, group, start, follow):
                print(f"{_local_time(event['timestamp'])}  {event['message'].rstrip()}", flush=follow)
        except KeyboardInterrupt:
            raise typer.Exit from None


def seconds_of(text: str) -> int:
    """Raises Failure for anything but a number and a unit."""
    found = re.fullmatch(r"(\d{1,9})([smhdw])", text)
    if found is None:
        raise Failure(f"--since takes a number and a unit, such as 30s, 10m, 2h or 1d, not {text!r}.")
    return int(found[1]) * UNITS[found[2]]


def _events(service: Any, group: str, start: int, follow: bool) -> Iterator[dict[str, Any]]:
    """Each event once. Followed, a group that is not there yet is waited for."""
    seen: dict[str, int] = {}
    while True:
        try:
            for page in service.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=start):
                for event in page["events"]:
                    if event["eventId"] not in seen:
                        seen[event["eventId"]] = event["timestamp"]
                        yield event
        except service.exceptions.ResourceNotFoundException:
            if not follow:
                raise Failure(f"There is no log group {group}: has the function run?") from None
        if not follow:
            return
        if seen:
            start = max(start, max(seen.values()) - OVERLAP_MS)
            seen = {event_id: timestamp for event_id, timestamp in seen.items() if timestamp >= start}
        time.sleep(POLL_SECONDS)


def _local_time(timestamp_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(timestamp_ms / 1000)) + f".{timestamp_ms % 1000:03d}"
