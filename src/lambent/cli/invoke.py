"""`lambent invoke`: run a function and print its answer."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from lambent.cli.clients import client
from lambent.cli.common import DataDir, Failure

app = typer.Typer(add_completion=False)


@app.command()
def invoke(
    name: Annotated[str, typer.Argument(help="Name or ARN of the function.")],
    payload: Annotated[str, typer.Option("--payload", "-p", help="JSON; @FILE reads a file, - standard input.")] = "{}",
    log: Annotated[bool, typer.Option("--log", help="Show the end of its log on standard error.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Run a function and print what it returns. Ends with 1 where the function fails."""
    with client("lambda", data_dir) as functions:
        answer = functions.invoke(FunctionName=name, Payload=_read(payload), LogType="Tail" if log else "None")
        output = answer["Payload"].read().decode()
    if log:
        sys.stderr.write(base64.b64decode(answer.get("LogResult", "")).decode("utf-8", "replace"))
    _print(answer, output)


def _print(answer: dict[str, Any], output: str) -> None:
    if "FunctionError" in answer:
        sys.stderr.write(f"{output}\n")
        raise typer.Exit(1)
    print(output)


def _read(payload: str) -> bytes:
    if payload == "-":
        return sys.stdin.buffer.read()
    if not payload.startswith("@"):
        return payload.encode()
    try:
        return Path(payload[1:]).read_bytes()
    except OSError as error:
        raise Failure(f"The payload {payload[1:]} cannot be read: {error.strerror}.") from None
