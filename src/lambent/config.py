"""The frozen Config, from options, environment and the configuration file; the only reader of `os.environ`.

Each option `--data-dir` is also the variable `LAMBENT_DATA_DIR` and the key `data-dir` of the configuration file;
the option wins over the variable, the variable over the file.
"""

from __future__ import annotations

import enum
import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

GIB = 1024**3


class ConfigError(ValueError):
    """A sentence for the operator: which option is wrong and what it may be."""


class AuthMode(enum.StrEnum):
    STRICT = "strict"
    AUDIT = "audit"
    OFF = "off"


class Isolation(enum.StrEnum):
    AUTO = "auto"
    FULL = "full"
    REDUCED = "reduced"
    PROCESS = "process"


class Network(enum.StrEnum):
    #: EGRESS where the host allows it, else NONE.
    AUTO = "auto"
    NONE = "none"
    EGRESS = "egress"
    HOST = "host"


class CpuPolicy(enum.StrEnum):
    WEIGHT = "weight"
    QUOTA = "quota"


@dataclass(frozen=True, slots=True)
class SubnetAccess:
    """What functions reach whose VpcConfig names a subnet: a value of the table [vpc.subnets]."""

    #: `none`, `egress` (as the region has it), or a name made of the fields below.
    name: str
    #: The public internet, beside `allow`.
    internet: bool = False
    allow: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OidcIssuer:
    """Whose web identity tokens roles may trust."""

    #: Audiences that its tokens may be for.
    client_ids: tuple[str, ...]
    #: Absolute path or URL of its keys (JWKS); "" where OpenID discovery finds them.
    jwks: str = ""


@dataclass(frozen=True, slots=True)
class Rates:
    """The table [rates] of the configuration file: dollars, as AWS charges in us-east-1."""

    #: Each request.
    request: float = 0.20 / 1_000_000
    #: A second of a GB of memory, by architecture.
    gb_second: float = 0.0000166667
    gb_second_arm64: float = 0.0000133334
    #: The same under provisioned concurrency, and for keeping that ready.
    provisioned_gb_second: float = 0.0000097222
    kept_gb_second: float = 0.0000041667
    #: A second of a GB of /tmp above 512 MB.
    tmp_gb_second: float = 0.0000000309
    #: A GB of memory of a SnapStart snapshot: each second that it is kept (three hours at least), and each restore.
    cached_gb_second: float = 0.0000015046
    restored_gb: float = 0.0001397998
    #: A GB of streamed responses, of each what it has beyond 6 MB.
    streamed_gb: float = 0.008


@dataclass(frozen=True, slots=True)
class SnapStart:
    """The table [snap_start] of the configuration file."""

    #: For every Python that runs here, not only those that have it on AWS (3.12 and later).
    every_python: bool = False


@dataclass(frozen=True, slots=True)
class Otlp:
    """The table [otlp] of the configuration file: the OpenTelemetry collector that gets spans of invocations."""

    #: URL, "" without.
    endpoint: str = ""
    #: Sent with each request: keys of the collector.
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Invocations of sampled traces alone, not every one.
    sampled_only: bool = False


@dataclass(frozen=True, slots=True)
class Config:
    host: str = "127.0.0.1"
    #: 0 = any free port.
    port: int = 4566
    data_dir: Path = field(default_factory=lambda: Path.home() / ".lambent")
    #: The default region; every region name works.
    region: str = "us-east-1"
    auth: AuthMode = AuthMode.STRICT
    isolation: Isolation = Isolation.AUTO
    network: Network = Network.AUTO
    #: Networks that functions and HTTP integrations reach though they are not of the public internet.
    network_allow: tuple[str, ...] = ()
    #: The table [vpc.subnets] of the configuration file, by id of the subnet; `*` stands for all others.
    vpc: Mapping[str, SubnetAccess] = field(default_factory=dict)
    cpu: CpuPolicy = CpuPolicy.WEIGHT
    #: Bytes that all stored log events may take.
    log_budget: int = 2 * GIB
    #: Bytes that asynchronous events may take while they wait.
    event_budget: int = 2 * GIB
    #: Bytes that the segments of traces may take; the oldest go first.
    trace_budget: int = GIB
    #: Account to become after the supervisor is forked, when started as root; "" = owner of the data dir.
    user: str = ""
    log_level: str = "info"
    #: Allow `--auth off` on an address that is not loopback.
    allow_remote: bool = False
    #: A further host suffix that routes to URLs, buckets and APIs, beside localhost and localhost.localstack.cloud.
    host_suffix: str = ""
    #: PEM files for HTTPS on the same port; None: a certificate that signs itself, made at the first need.
    tls_certificate: Path | None = None
    #: None: the key stands in the file of the certificate.
    tls_key: Path | None = None
    #: MiB of function memory that environments may hold together; 0 = three quarters of the machine's.
    memory_budget: int = 0
    #: Seconds that an idle environment lives.
    idle_timeout: float = 600.0
    #: Concurrent executions of an account.
    account_concurrency: int = 1000
    #: A root folder to use instead of the host's; its /usr, /bin and /lib are what functions see.
    rootfs: Path | None = None
    #: The table [efs] of the configuration file: what folder stands for which access point, by ARN.
    efs: Mapping[str, Path] = field(default_factory=dict)
    #: The table [oidc] of the configuration file: token issuers by their URL.
    oidc: Mapping[str, OidcIssuer] = field(default_factory=dict)
    #: Where spans of invocations go; the option stands before the table's.
    otlp_endpoint: str = ""
    otlp: Otlp = field(default_factory=Otlp)
    #: What invocations would cost.
    rates: Rates = field(default_factory=Rates)
    #: Which functions may have SnapStart.
    snap_start: SnapStart = field(default_factory=SnapStart)
    #: Pre-started shells kept per kind; 0 turns the pool off.
    pool_size: int = 4
    #: Seconds until an asynchronous invocation whose function failed is tried again; twice as many the second time.
    async_retry_base_delay: float = 60.0
    #: Let `POST /_lambent/clock` move the clock that retries, ages and idle limits go by.
    test_clock: bool = False

    @classmethod
    def load(
        cls, options: Mapping[str, Any], environ: Mapping[str, str] | None = None, file: Path | None = None
    ) -> Config:
        """A Config from `options` (None = not given), LAMBENT_* variables and the TOML file, in falling priority.

        Raises ConfigError.
        """
        environ = os.environ if environ is None else environ
        given = {name: value for name, value in options.items() if value is not None}
        from_env = {
            spec.name: environ[variable]
            for spec in fields(cls)
            if (variable := f"LAMBENT_{spec.name.upper()}") in environ
        }
        if localstacks := environ.get("LAMBDA_RETRY_BASE_DELAY_SECONDS"):
            from_env.setdefault("async_retry_base_delay", localstacks)
        data_dir = Path(given.get("data_dir") or from_env.get("data_dir") or Path.home() / ".lambent").expanduser()
        path = file or Path(environ.get("LAMBENT_CONFIG", data_dir / "lambent.toml"))
        merged: dict[str, Any] = {**_read_file(path, required=file is not None), **from_env, **given}
        merged["data_dir"] = data_dir
        config = cls(**{name: _convert(name, value) for name, value in merged.items()})
        config._check()
        return config

    @property
    def is_loopback(self) -> bool:
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    def _check(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"--port must be 0 to 65535, not {self.port}.")
        if not _REGION.fullmatch(self.region):
            raise ConfigError(f"--region must be a name such as us-east-1, not {self.region!r}.")
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if not value >= least:
                raise ConfigError(f"--{name.replace('_', '-')} must be {least} or more, not {value}.")
        if self.tls_key is not None and self.tls_certificate is None:
            raise ConfigError("--tls-key needs --tls-certificate: the certificate that the key belongs to.")
        if self.auth is AuthMode.OFF and not self.is_loopback and not self.allow_remote:
            raise ConfigError(
                f"--auth off on {self.host} would let anybody on the network run code here; "
                "add --allow-remote if that is what you want."
            )


_ACCESS_POINT = re.compile(r"arn:aws[a-zA-Z-]*:elasticfilesystem:[a-z0-9-]+:\d{12}:access-point/fsap-[a-f0-9]{17}")
_REGION = re.compile(r"[a-z]{2,}(-[a-z0-9]+)+")
_COLLECTOR = re.compile(r"https?://[^\s/?#]+(/[!-~]*)?")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_LEAST = {
    "log_budget": 1,
    "event_budget": 1,
    "trace_budget": 1,
    "memory_budget": 0,
    "idle_timeout": 0,
    "account_concurrency": 1,
    "pool_size": 0,
    "async_retry_base_delay": 0,
}


def _folders(value: Any) -> dict[str, Path]:
    if not isinstance(value, dict):
        raise ConfigError(
            'efs is a table of the configuration file: [efs], then "<ARN of an access point>" = "/folder".'
        )
    for arn, folder in value.items():
        if not _ACCESS_POINT.fullmatch(arn):
            raise ConfigError(f"In [efs], {arn!r} is not the ARN of an access point.")
        if not isinstance(folder, str) or not Path(folder).expanduser().is_absolute():
            raise ConfigError(f"In [efs], the folder of {arn} must be an absolute path, not {folder!r}.")
    return {arn: Path(folder).expanduser() for arn, folder in value.items()}


def _networks(value: Any) -> tuple[str, ...]:
    """10.1.0.0/16,10.2.0.0/16 of a variable, or a list of such."""
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, (list, tuple)) or not all(isinstance(each, str) for each in given):
        raise ConfigError(f"--network-allow must be networks such as 10.1.0.0/16, not {value!r}.")
    networks = [part.strip() for each in given for part in each.split(",") if part.strip()]
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise ConfigError(f"{network!r} is not a network such as 10.1.0.0/16: {error}.") from None
    return tuple(dict.fromkeys(networks))


def _subnets(value: Any) -> dict[str, SubnetAccess]:
    if not isinstance(value, dict) or value.keys() - {"subnets"} or not isinstance(value.get("subnets", {}), dict):
        raise ConfigError('vpc is a table of the configuration file: [vpc.subnets], then "subnet-0123" = "egress".')
    return {subnet: _subnet_access(subnet, access) for subnet, access in value.get("subnets", {}).items()}


def _subnet_access(subnet: str, value: Any) -> SubnetAccess:
    if value in ("none", "egress"):
        return SubnetAccess(value, value == "egress")
    if not isinstance(value, dict) or value.keys() - {"allow", "internet"} or "allow" not in value:
        raise ConfigError(
            f'In [vpc.subnets], {subnet} must be "none", "egress" or {{ allow = ["10.1.0.0/16"] }}, not {value!r}.'
        )
    if not isinstance(internet := value.get("internet", False), bool):
        raise ConfigError(f"In [vpc.subnets], internet of {subnet} must be true or false, not {internet!r}.")
    allow = tuple(sorted(_networks(value["allow"])))
    return SubnetAccess(f"{'internet and ' if internet else ''}{', '.join(allow)}", internet, allow)


def _issuers(value: Any) -> dict[str, OidcIssuer]:
    if not isinstance(value, dict):
        raise ConfigError(
            'oidc is a table of the configuration file: [oidc."https://issuer"], then client-ids = [...].'
        )
    return {url: _issuer(url, fields) for url, fields in value.items()}


def _issuer(url: str, fields: Any) -> OidcIssuer:
    if not url.startswith(("https://", "http://")):
        raise ConfigError(f"In [oidc], {url!r} is not the URL of an issuer, as the iss of its tokens has it.")
    if not isinstance(fields, dict) or fields.keys() - {"client-ids", "jwks"}:
        raise ConfigError(f"In [oidc], {url} takes client-ids and jwks.")
    client_ids, jwks = fields.get("client-ids"), fields.get("jwks", "")
    if not isinstance(client_ids, list) or not client_ids or not all(isinstance(each, str) for each in client_ids):
        raise ConfigError(f"In [oidc], client-ids of {url} must list the audiences that its tokens are for.")
    if not isinstance(jwks, str) or not (not jwks or jwks.startswith(("https://", "http://")) or jwks[0] in "/~"):
        raise ConfigError(f"In [oidc], jwks of {url} must be an absolute path or a URL, not {jwks!r}.")
    if jwks.startswith("~"):
        jwks = str(Path(jwks).expanduser())
    return OidcIssuer(tuple(client_ids), jwks)


def _rates(value: Any) -> Rates:
    known = {spec.name.replace("_", "-"): spec.name for spec in fields(Rates)}
    if not isinstance(value, dict) or value.keys() - known.keys():
        raise ConfigError(f"rates is a table of the configuration file: [rates], then any of {', '.join(known)}.")
    for name, rate in value.items():
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate < 1e6:
            raise ConfigError(f"In [rates], {name} must be dollars, 0 or more, not {rate!r}.")
    return Rates(**{known[name]: float(rate) for name, rate in value.items()})


def _snap_start(value: Any) -> SnapStart:
    given = {name.replace("-", "_"): setting for name, setting in value.items()} if isinstance(value, dict) else {"": 0}
    every_python = given.pop("every_python", False)
    if given or not isinstance(every_python, bool):
        raise ConfigError("snap_start is a table of the configuration file: [snap_start], then every_python = true.")
    return SnapStart(every_python)


def _endpoint(value: Any) -> str:
    if not isinstance(value, str) or (value and not _COLLECTOR.fullmatch(value)):
        raise ConfigError(f"--otlp-endpoint must be the URL of a collector (http://localhost:4318), not {value!r}.")
    return value


def _otlp(value: Any) -> Otlp:
    given: dict[str, Any] = {"": 0}
    if isinstance(value, dict):
        given = {name.replace("-", "_"): setting for name, setting in value.items()}
    if given.keys() - {"endpoint", "headers", "sampled_only"}:
        raise ConfigError("otlp is a table of the configuration file: [otlp], then endpoint, headers, sampled-only.")
    headers = given.get("headers", {})
    if not isinstance(headers, dict) or not all(
        isinstance(text, str) and _HEADER_NAME.fullmatch(name) and text.isprintable() and text.isascii()
        for name, text in headers.items()
    ):
        raise ConfigError('In [otlp], headers are a table of names and texts: headers = { "api-key" = "..." }.')
    if not isinstance(given.get("sampled_only", False), bool):
        raise ConfigError("In [otlp], sampled-only is true or false.")
    _endpoint(given.get("endpoint", ""))
    return Otlp(**given)


def _flag(value: Any) -> bool:
    return value if isinstance(value, bool) else str(value).lower() in ("1", "true", "yes")


_CONVERTERS: dict[str, Any] = {
    "port": int,
    "data_dir": lambda value: Path(value).expanduser().absolute(),
    "auth": AuthMode,
    "isolation": Isolation,
    "network": Network,
    "network_allow": _networks,
    "vpc": _subnets,
    "cpu": CpuPolicy,
    "log_budget": int,
    "event_budget": int,
    "trace_budget": int,
    "allow_remote": _flag,
    "test_clock": _flag,
    "async_retry_base_delay": float,
    "memory_budget": int,
    "idle_timeout": float,
    "account_concurrency": int,
    "rootfs": lambda value: Path(value) if value else None,
    "tls_certificate": lambda value: Path(value).expanduser().absolute() if value else None,
    "tls_key": lambda value: Path(value).expanduser().absolute() if value else None,
    "pool_size": int,
    "efs": _folders,
    "rates": _rates,
    "otlp_endpoint": _endpoint,
    "otlp": _otlp,
    "snap_start": _snap_start,
    "oidc": _issuers,
}


def _convert(name: str, value: Any) -> Any:
    converter = _CONVERTERS.get(name, str)
    try:
        return converter(value)
    except ConfigError:
        raise
    except ValueError as error:
        choices = f" (one of {', '.join(converter)})" if isinstance(converter, enum.EnumType) else ""
        raise ConfigError(f"--{name.replace('_', '-')} cannot be {value!r}{choices}.") from error


def _read_file(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        text = path.read_text()
    except FileNotFoundError:
        if required:
            raise ConfigError(f"The configuration file {path} does not exist.") from None
        return {}
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"The configuration file {path} is not TOML: {error}.") from error
    known = {spec.name for spec in fields(Config)}
    result = {key.replace("-", "_"): value for key, value in table.items()}
    for key in result:
        if key not in known:
            raise ConfigError(f"The configuration file {path} has an unknown key: {key.replace('_', '-')}.")
    return result
