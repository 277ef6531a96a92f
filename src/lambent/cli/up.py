"""`lambent up`: a region in the foreground."""

from __future__ import annotations

import gc
import importlib
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import lambent
from lambent.cli.common import DataDir, Failure
from lambent.cli.log_lines import LineFormatter
from lambent.config import AuthMode, Config, ConfigError, CpuPolicy, Isolation, Network
from lambent.process import DataDirInUse, drop_privileges, lock_data_dir, raise_descriptor_limit
from lambent.runtimes.catalog import Catalog
from lambent.sandbox.client import SupervisorClient
from lambent.sandbox.spec import EGRESS, NO_NETWORK, NetworkAccess, SupervisorOptions

if TYPE_CHECKING:
    from lambent.app import App

app = typer.Typer(add_completion=False)

PERMISSIONS = {
    AuthMode.STRICT: "enforced, of functions' roles too; the root key may do everything in its account.",
    AuthMode.AUDIT: "recorded and not enforced (--auth audit): see `lambent iam audit`.",
}
#: By the network that they have.
REACHED = {
    "none": "nothing outside (--network).",
    "egress": "the internet; neither this host nor private networks (--network-allow).",
    "host": "all that this host reaches, and the host.",
}


@app.command()
def up(
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 = any free one.", show_default="4566")] = None,
    data_dir: DataDir = None,
    region: Annotated[str | None, typer.Option(help="Default region.", show_default="us-east-1")] = None,
    auth: Annotated[AuthMode | None, typer.Option(help="How callers are checked.", show_default="strict")] = None,
    isolation: Annotated[
        Isolation | None, typer.Option(help="Least isolation of functions.", show_default="auto")
    ] = None,
    network: Annotated[
        Network | None, typer.Option(help="What functions reach outside.", show_default="egress, where it can be had")
    ] = None,
    network_allow: Annotated[
        list[str] | None, typer.Option(help="A private network that they reach too (10.1.0.0/16); any number.")
    ] = None,
    cpu: Annotated[CpuPolicy | None, typer.Option(help="How CPU time is divided.", show_default="weight")] = None,
    log_budget: Annotated[int | None, typer.Option(help="Bytes for stored logs.", show_default="2 GiB")] = None,
    event_budget: Annotated[
        int | None, typer.Option(help="Bytes for asynchronous events that wait.", show_default="2 GiB")
    ] = None,
    trace_budget: Annotated[int | None, typer.Option(help="Bytes for stored traces.", show_default="1 GiB")] = None,
    otlp_endpoint: Annotated[str | None, typer.Option(help="Collector that gets spans of invocations (OTLP).")] = None,
    user: Annotated[str | None, typer.Option(help="Account to become when started as root.")] = None,
    rootfs: Annotated[Path | None, typer.Option(help="Root folder for functions in place of the host's.")] = None,
    host_suffix: Annotated[str | None, typer.Option(help="A host suffix of your own, beside localhost.")] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option(help="PEM file for HTTPS.", show_default="one that signs itself")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file of its key, where it is another.")] = None,
    allow_remote: Annotated[
        bool | None, typer.Option("--allow-remote", help="Allow --auth off on an address that is not loopback.")
    ] = None,
    account_concurrency: Annotated[int | None, typer.Option(help="Concurrent executions.", show_default="1000")] = None,
    memory_budget: Annotated[
        int | None, typer.Option(help="MiB that environments may hold together.", show_default="3/4 of the machine's")
    ] = None,
    idle_timeout: Annotated[
        float | None, typer.Option(help="Seconds that an idle one lives.", show_default="600")
    ] = None,
    pool_size: Annotated[int | None, typer.Option(help="Shells kept ready.", show_default="4")] = None,
    async_retry_base_delay: Annotated[
        float | None,
        typer.Option(help="Seconds until a failed asynchronous invocation is tried again.", show_default="60"),
    ] = None,
    test_clock: Annotated[
        bool | None, typer.Option("--test-clock", help="Let POST /_lambent/clock move retries, ages and idle limits.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file.", show_default="<data-dir>/lambent.toml")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.", show_default="info")] = None,
) -> None:
    """Start a region here; Ctrl-C stops it. Each option is also a variable LAMBENT_<NAME>."""
    given = {name: value for name, value in locals().items() if name != "config"}
    settings = Config.load(given, file=config)
    run(settings)


def run(config: Config) -> None:
    # The order matters: nothing may touch a data dir in use, the supervisor forks from a small single-threaded
    # process that is still root, and only then come the imports and the loop.
    if config.log_level.upper() not in logging.getLevelNamesMapping():
        raise ConfigError(f"--log-level must be debug, info, warning or error, not {config.log_level!r}.")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=config.log_level.upper(), handlers=[handler])
    # A start makes what stays: collecting meanwhile costs a tenth of it. `App` turns the collector on again.
    gc.disable()
    # It tells at every stop that it stops.
    logging.getLogger("uvicorn").setLevel(max(logging.WARNING, logging.root.level))
    try:
        lock_data_dir(config.data_dir)
    except DataDirInUse as error:
        raise Failure(str(error)) from None
    raise_descriptor_limit()
    catalog = Catalog(config.data_dir)
    supervisor = SupervisorClient.fork(
        SupervisorOptions(
            isolation=config.isolation.value,
            data_dir=str(config.data_dir),
            network=config.network.value,
            accesses=_accesses(config),
            cpu=config.cpu.value,
            pool_size=config.pool_size,
            rootfs=str(config.rootfs or ""),
            runtimes=tuple(catalog.available()),
            file_systems=tuple((arn, str(folder)) for arn, folder in config.efs.items()),
        )
    )
    # Still as root, whose interpreter other users may not be able to read.
    module = importlib.import_module("lambent.app")
    warning = drop_privileges(config)
    try:
        module.App(config, supervisor, catalog, lambda region: announce(region, warning)).run()
    except module.RegionFailed as error:
        raise Failure(str(error)) from None


def _accesses(config: Config) -> tuple[NetworkAccess, ...]:
    """All that functions may reach, the region's own first."""
    mapped = {access.name: access for access in config.vpc.values() if access.name not in (EGRESS, NO_NETWORK)}
    others = (NetworkAccess(name, access.internet, access.allow) for name, access in sorted(mapped.items()))
    return (NetworkAccess(EGRESS, True, config.network_allow), *others)


def announce(region: App, warning: str | None) -> None:
    """The banner, and the line that scripts wait for."""
    config: Any = region.config
    report = region.isolation
    lines = [f"Lambent {lambent.__version__} in {config.region}: {region.url}", f"Isolation: {report.summary}"]
    lines.append(f"Functions reach: {REACHED[report.network]}")
    for level, reason, _ in report.missing:
        lines.append(f"  {level} is withheld: {reason} (see `lambent doctor`)")
    if warning:
        lines.append(f"Warning: {warning}")
    print("\n".join([*lines, *credentials_lines(config), "Ready."]), flush=True)


def credentials_lines(config: Config) -> list[str]:
    if config.auth is AuthMode.OFF:
        lines = ["Credentials: any (--auth off), such as test / test."]
        if not config.is_loopback:
            lines.append(f"Warning: --auth off on {config.host}: whoever reaches this address can run code here.")
        return lines
    default = config.data_dir == Path.home() / ".lambent"
    option = "" if default else f" --data-dir {config.data_dir}"
    return [f'Credentials: eval "$(lambent env{option})"', f"Permissions: {PERMISSIONS[config.auth]}"]
