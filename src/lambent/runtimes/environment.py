"""The environment variables that a function's process sees, as recorded on AWS: one pure function.

`invoke` calls it for each environment it starts; the bootstraps set exactly what it returns. What the runtime itself
sets per invocation (`_X_AMZN_TRACE_ID`) is not here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lambent.ports import Credentials, FunctionVersion

TASK_ROOT = "/var/task"
LAYER_ROOT = "/opt"
RUNTIME_DIR = "/var/runtime"
RUNTIME_API = "169.254.100.1:9001"

#: Takes segments as datagrams; where the network is the host's it is another one.
XRAY_DAEMON = "169.254.100.1:2000"

_LIBRARIES = "/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"
_PROGRAMS = "/usr/local/bin:/usr/bin/:/bin:/opt/bin"
_LANG_LIB = "/var/lang/lib"

_SEARCH_PATHS = ("PATH", "LD_LIBRARY_PATH", "NODE_PATH", "PYTHONPATH")

#: What a customer may set of the names that start with an underscore.
_UNDERSCORED = ("_HANDLER", "_AWS_XRAY_DAEMON_ADDRESS", "_AWS_XRAY_DAEMON_PORT", "_LAMBDA_TELEMETRY_LOG_FD")

#: Read by the loader, the C library or the interpreter when a process starts: for a fork or a pooled process too late.
_START_PREFIXES = ("LD_", "PYTHON", "MALLOC_", "GLIBC_", "OPENSSL_", "LC_", "UV_")
_START_NAMES = frozenset(
    {
        "AWS_LAMBDA_EXEC_WRAPPER",
        "LANG",
        "LANGUAGE",
        "LOCPATH",
        "NODE_DEBUG",
        "NODE_DEBUG_NATIVE",
        "NODE_EXTRA_CA_CERTS",
        "NODE_ICU_DATA",
        "NODE_NO_WARNINGS",
        "NODE_OPTIONS",
        "NODE_PENDING_DEPRECATION",
        "NODE_V8_COVERAGE",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
    }
)
_NOT_FOR_EXTENSIONS = frozenset(
    {
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_XRAY_CONTEXT_MISSING",
        "AWS_XRAY_DAEMON_ADDRESS",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
    }
)
#: Of those names the ones that Lambent's bootstraps put into force themselves.
_SET_BY_BOOTSTRAP = frozenset({"PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"})


@dataclass(frozen=True, slots=True)
class CredentialsEndpoint:
    """Where SDKs ask for credentials, and what they ask with: what environments restored from a snapshot get."""

    url: str
    token: str


def process_environment(
    function: FunctionVersion,
    credentials: Credentials | CredentialsEndpoint,
    *,
    runtime_api: str = RUNTIME_API,
    xray_daemon: str = "",
    log_stream: str,
    endpoint_url: str,
    initialization_type: str = "on-demand",
    task_root: str = TASK_ROOT,
) -> dict[str, str]:
    """Everything that the function's process finds in its environment when its handler is loaded.

    `task_root` differs from /var/task only where nothing can be mounted (isolation level `process`).
    """
    endpoint = endpoint_url.rpartition("//")[2].rstrip("/")
    host, _, port = endpoint.rpartition(":")
    return {
        **_defaults(function.runtime, task_root, xray_daemon or XRAY_DAEMON),
        "AWS_ENDPOINT_URL": endpoint_url,
        "LOCALSTACK_HOSTNAME": host or endpoint,
        "EDGE_PORT": port if host else "4566",
        **_customer_variables(function.environment, function.runtime),
        **_log_variables(function),
        **_credential_variables(credentials),
        "AWS_REGION": function.region,
        "AWS_DEFAULT_REGION": function.region,
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": function.version,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_LOG_GROUP_NAME": function.log_group or f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": log_stream,
        "AWS_LAMBDA_INITIALIZATION_TYPE": initialization_type,
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
        "LAMBDA_TASK_ROOT": task_root,
        "LAMBDA_RUNTIME_DIR": RUNTIME_DIR,
        "_HANDLER": function.handler,
        **({} if _is_provided(function.runtime) else {"AWS_EXECUTION_ENV": f"AWS_Lambda_{function.runtime}"}),
    }


def extension_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Of a function's `process_environment`, what its extensions see: the customer's, the region's and credentials."""
    return {
        name: value for name, value in variables.items() if not name.startswith("_") and name not in _NOT_FOR_EXTENSIONS
    }


def relocated(environment: dict[str, str], layer_root: str) -> dict[str, str]:
    """`environment` with search paths that lead to the layers where nothing can be mounted at /opt."""
    if layer_root == LAYER_ROOT:
        return environment
    moved = {
        name: ":".join(
            layer_root + part.removeprefix(LAYER_ROOT) if f"{part}/".startswith(f"{LAYER_ROOT}/") else part
            for part in environment[name].split(":")
        )
        for name in _SEARCH_PATHS
        if name in environment
    }
    return {**environment, **moved}


def needs_plain_exec(
    environment: Mapping[str, str], code_root: Path | None = None, layers: Sequence[Path] = ()
) -> bool:
    """Whether a function must start by exec, not by fork or from the pool.

    `environment` is what the customer set: some variables are read only when a process starts. Shared libraries where
    LD_LIBRARY_PATH looks also ask for it: the loader of a template has already noted that those folders are empty.
    """
    for name in environment:
        if name in _SET_BY_BOOTSTRAP:
            continue
        if name in _START_NAMES or name.startswith(_START_PREFIXES):
            return True
    folders = [*([code_root, code_root / "lib"] if code_root else []), *(layer / "lib" for layer in layers)]
    return any(True for folder in folders for _ in folder.glob("lib*.so*"))


def _is_provided(runtime: str) -> bool:
    return runtime.startswith("provided")


def _defaults(runtime: str, task_root: str, xray_daemon: str) -> dict[str, str]:
    """What a customer may override."""
    daemon_host, _, daemon_port = xray_daemon.partition(":")
    variables = {
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "AWS_XRAY_DAEMON_ADDRESS": xray_daemon,
        "_AWS_XRAY_DAEMON_ADDRESS": daemon_host,
        "_AWS_XRAY_DAEMON_PORT": daemon_port,
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "PATH": _PROGRAMS,
        "LD_LIBRARY_PATH": _LIBRARIES,
    }
    if _is_provided(runtime):
        return variables
    variables.update(
        PATH=f"/var/lang/bin:{_PROGRAMS}", LD_LIBRARY_PATH=f"{_LANG_LIB}:{_LIBRARIES}", PWD=task_root, SHLVL="0"
    )
    if runtime.startswith("python"):
        variables["PYTHONPATH"] = RUNTIME_DIR
    elif runtime.startswith("nodejs"):
        major = runtime.removeprefix("nodejs").partition(".")[0]
        variables["NODE_PATH"] = (
            f"/opt/nodejs/node{major}/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:"
            "/var/runtime:/var/task"
        )
    return variables


def _customer_variables(environment: Mapping[str, str], runtime: str) -> dict[str, str]:
    variables = {name: value for name, value in environment.items() if not name.startswith("_") or name in _UNDERSCORED}
    libraries = variables.get("LD_LIBRARY_PATH")
    if libraries is not None and not _is_provided(runtime) and _LANG_LIB not in libraries.split(":"):
        # The interpreter may be linked to a library of its own there; without it nothing starts at all.
        variables["LD_LIBRARY_PATH"] = f"{libraries}:{_LANG_LIB}"
    return variables


def _credential_variables(credentials: Credentials | CredentialsEndpoint) -> dict[str, str]:
    if isinstance(credentials, CredentialsEndpoint):
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": credentials.url,
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": credentials.token,
        }
    return {
        "AWS_ACCESS_KEY_ID": credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
        "AWS_SESSION_TOKEN": credentials.session_token,
    }


def _log_variables(function: FunctionVersion) -> dict[str, str]:
    """Absent under the text format unless a level was asked for."""
    if function.log_format != "JSON":
        return {}
    return {
        "AWS_LAMBDA_LOG_FORMAT": "JSON",
        "AWS_LAMBDA_LOG_LEVEL": function.application_log_level or "INFO",
    }
