"""The command's entry. Each sub-command is imported when it is used, so that `lambent env` stays quick."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import lambent
from lambent.cli.common import Failure
from lambent.config import ConfigError

#: Sub-command → module, whose `app` is a Typer application.
COMMANDS: Mapping[str, str] = {
    "up": "lambent.cli.up",
    "env": "lambent.cli.env",
    "status": "lambent.cli.status",
    "invoke": "lambent.cli.invoke",
    "logs": "lambent.cli.logs",
    "traces": "lambent.cli.traces",
    "costs": "lambent.cli.costs",
    "accounts": "lambent.cli.accounts",
    "runtimes": "lambent.cli.runtimes",
    "iam": "lambent.cli.iam",
    "doctor": "lambent.cli.doctor",
}


class LazyCommands(TyperGroup):
    """Knows its commands by name, and turns what goes wrong into a sentence."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        command = typer.main.get_command(importlib.import_module(module).app)
        command.name = cmd_name
        return command

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (Failure, ConfigError) as failure:
            complain(str(failure))
        except OSError as error:
            where = f": {error.filename}" if error.filename is not None else ""
            complain(f"{error.strerror or error}{where}.")


def complain(sentence: str) -> None:
    sys.stderr.write(f"lambent: {sentence}\n")
    raise typer.Exit(1)


app = typer.Typer(
    cls=LazyCommands,
    help="Your own AWS Lambda region.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"lambent {lambent.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Your own AWS Lambda region: one command, no Docker, no account."""
