"""What sub-commands share: the options that say which region is meant, and their failures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from lambent.config import Config
from lambent.endpoint import Endpoint


class Failure(Exception):
    """A sentence for the terminal; the command ends with exit status 1."""


DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Where the region keeps everything.", show_default="~/.lambent")
]


@dataclass(frozen=True, slots=True)
class RunningRegion:
    url: str
    pid: int
    region: str
    access_key_id: str
    secret_access_key: str


def data_dir_of(option: Path | None) -> Path:
    """The data dir by option, variable or default, without the rest of the configuration."""
    return Config.load({"data_dir": option}).data_dir


def running_region(option: Path | None) -> RunningRegion:
    """Raises Failure where no region runs."""
    data_dir = data_dir_of(option)
    endpoint = Endpoint.of(data_dir).read()
    if endpoint is None:
        raise Failure(f"No region runs with the data dir {data_dir}: start one with `lambent up`.")
    try:
        key = json.loads((data_dir / "credentials.json").read_text())
    except PermissionError:
        raise Failure(f"{data_dir / 'credentials.json'} belongs to another user: run this as that user.") from None
    return RunningRegion(
        endpoint["url"], endpoint["pid"], endpoint["region"], key["AccessKeyId"], key["SecretAccessKey"]
    )
