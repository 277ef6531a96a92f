"""`lambent env`: what a shell needs to talk to the running region."""

from __future__ import annotations

import shlex

import typer

from lambent.cli.common import DataDir, running_region

app = typer.Typer(add_completion=False)


@app.command()
def env(data_dir: DataDir = None) -> None:
    """Print `export` lines for the running region: eval "$(lambent env)"."""
    region = running_region(data_dir)
    variables = {
        "AWS_ENDPOINT_URL": region.url,
        "AWS_ACCESS_KEY_ID": region.access_key_id,
        "AWS_SECRET_ACCESS_KEY": region.secret_access_key,
        "AWS_DEFAULT_REGION": region.region,
    }
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")
