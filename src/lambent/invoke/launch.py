"""What an environment starts with: the LaunchSpec for the supervisor, and the INIT body for a framed runtime."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from lambent.invoke.extension_host import path_of
from lambent.invoke.extensions import MOST
from lambent.invoke.host import Runtimes, Sandbox
from lambent.ports import CredentialIssuer, Credentials, FunctionVersion
from lambent.runtimes.environment import (
    CredentialsEndpoint,
    extension_environment,
    needs_plain_exec,
    process_environment,
    relocated,
)
from lambent.sandbox.spec import LaunchSpec, RuntimeSpec

#: The longest that temporary credentials of a role may last. An environment is replaced before its own run out.
CREDENTIALS_S = 12 * 3600

#: What differs between two environments of one version; all else is as it was when a snapshot was taken.
_OWN_VARIABLES = frozenset(
    {
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_ENDPOINT_URL",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_XRAY_DAEMON_ADDRESS",
        "TMPDIR",
        "_AWS_XRAY_DAEMON_ADDRESS",
        "_AWS_XRAY_DAEMON_PORT",
    }
)


#: Libraries for numbers start a thread for each processor when they are imported; threads are not forked.
_ONE_THREAD = {
    f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "OMP", "MKL", "NUMEXPR", "BLIS", "VECLIB_MAXIMUM")
}


@dataclass(frozen=True, slots=True)
class LaunchFault:
    """Why an extension cannot be started: which, AWS's short type for it, and its words."""

    name: str
    kind: str
    words: str


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What all environments of one function version share, worked out once."""

    function: FunctionVersion
    runtime: RuntimeSpec
    plain_exec: bool
    #: Files of /opt/extensions, by name.
    extensions: tuple[str, ...] = ()
    #: What keeps them from being started, if anything does.
    extension_fault: LaunchFault | None = None

    @classmethod
    def of(cls, function: FunctionVersion, runtimes: Runtimes) -> Blueprint:
        plain = needs_plain_exec(function.environment, function.code_root, function.layers)
        extensions = find_extensions(function.layers)
        names = tuple(sorted(extensions))
        return cls(function, runtimes.find(function.runtime), plain, names, launch_fault(extensions))

    @property
    def by_exec(self) -> bool:
        return self.plain_exec or self.runtime.start == "exec"

    @property
    def is_wrapped(self) -> bool:
        """Whether a script of the customer's starts the runtime, or something else."""
        return self.runtime.framed and bool(self.function.environment.get("AWS_LAMBDA_EXEC_WRAPPER"))

    @property
    def runtime_waits(self) -> bool:
        """Whether the runtime's process is started after the extensions registered; another waits for its INIT."""
        return bool(self.extensions) and self.by_exec


def entrypoint_fault(function: FunctionVersion) -> str:
    """AWS's words where a custom runtime brings nothing that can be started, "" where it does."""
    names = [root / "bootstrap" for root in (function.code_root, *function.layers)]
    found = [path for path in names if path.exists()]
    if not found:
        return "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"
    if not os.access(found[0], os.X_OK):
        place = "/var/task" if found[0].parent == function.code_root else "/opt"
        return f"fork/exec {place}/bootstrap: permission denied"
    return ""


def find_extensions(layers: Sequence[Path]) -> dict[str, Path]:
    """By name, every file that merged layers show in /opt/extensions."""
    found: dict[str, Path] = {}
    for layer in layers:
        folder = layer / "extensions"
        if folder.is_symlink() or not folder.is_dir():
            if folder.is_symlink() or folder.exists():
                # What stands where the folder was hides it.
                found.clear()
            continue
        for path in folder.iterdir():
            found.pop(path.name, None)
            if path.is_symlink() or not path.is_dir():
                found[path.name] = path
    return found


def launch_fault(extensions: Mapping[str, Path]) -> LaunchFault | None:
    if len(extensions) > MOST:
        return LaunchFault(sorted(extensions)[MOST], "TooManyExtensions", f"Extension limit ({MOST}) reached")
    for name, path in sorted(extensions.items()):
        # A link leads somewhere in the sandbox; whether that can be started is seen there.
        if not path.is_symlink() and not path.stat().st_mode & 0o111:
            return LaunchFault(name, "PermissionDenied", f"fork/exec {path_of(name)}: permission denied")
    return None


def _daemon_of(sandbox: Sandbox) -> str:
    if sandbox.daemon is None:
        return ""
    host, port = sandbox.daemon.getsockname()
    return f"{host}:{port}"


class Starter:
    """Makes launch specs and INIT bodies."""

    def __init__(self, runtimes: Runtimes, credentials: CredentialIssuer, endpoint_url: str) -> None:
        self._runtimes = runtimes
        self._credentials = credentials
        self._endpoint_url = endpoint_url
        #: Where the region listens, inside of sandboxes too.
        self.endpoint_port = urlsplit(endpoint_url).port or 0

    async def blueprint(self, function: FunctionVersion) -> Blueprint:
        """In a thread: it looks at files, and a runtime's first use may wait for its SDK to be put in place.

        Raises LookupError for a runtime that is not installed.
        """
        return await asyncio.get_running_loop().run_in_executor(None, Blueprint.of, function, self._runtimes)

    def credentials(self, function: FunctionVersion) -> Credentials:
        """Of the function's role, the session named after the function as on AWS."""
        return self._credentials.role_credentials(function.role, function.name, CREDENTIALS_S, function.arn)

    def launch_spec(
        self,
        blueprint: Blueprint,
        environment_id: str,
        credentials: Credentials,
        log_stream: str,
        initialization_type: str,
    ) -> LaunchSpec:
        function = blueprint.function
        extensions = () if blueprint.extension_fault else blueprint.extensions
        variables = (
            process_environment(
                function,
                credentials,
                log_stream=log_stream,
                endpoint_url=self._endpoint_url,
                initialization_type=initialization_type,
            )
            if blueprint.by_exec or extensions
            else {}
        )
        return LaunchSpec(
            id=environment_id,
            runtime=function.runtime,
            code_root=str(function.code_root),
            layers=tuple(str(layer) for layer in function.layers),
            file_systems=function.file_systems,
            network=function.network,
            memory_mb=function.memory_mb,
            tmp_mb=function.tmp_mb,
            environment=variables if blueprint.by_exec else {},
            plain_exec=blueprint.plain_exec,
            extensions=extensions,
            extension_environment=extension_environment(variables) if extensions else {},
            runtime_waits=blueprint.runtime_waits,
        )

    def init_body(
        self,
        blueprint: Blueprint,
        sandbox: Sandbox,
        credentials: Credentials | CredentialsEndpoint,
        log_stream: str,
        initialization_type: str,
        *,
        snapshot: bool = False,
    ) -> bytes:
        """`snapshot`: of a process that becomes one."""
        function = blueprint.function
        environment = self._environment(blueprint, sandbox, credentials, log_stream, initialization_type)
        if snapshot:
            environment = {**_ONE_THREAD, **environment}
        return json.dumps(
            {
                "handler": function.handler,
                "environment": environment,
                "task_root": sandbox.task_root,
                "layer_root": sandbox.layer_root,
                "function_name": function.name,
                "function_version": function.version,
                "memory_mb": function.memory_mb,
                "log_format": function.log_format,
                "init_type": initialization_type,
                # A function that is written for snapshots runs its hooks where there is none, too.
                "runs_hooks": function.snapshot_hooks and not snapshot,
            }
        ).encode()

    def restore_body(
        self,
        blueprint: Blueprint,
        sandbox: Sandbox,
        credentials: Credentials | CredentialsEndpoint,
        log_stream: str,
        initialization_type: str,
    ) -> bytes:
        """For a runtime that comes out of a snapshot: the variables that are each environment's own."""
        environment = self._environment(blueprint, sandbox, credentials, log_stream, initialization_type)
        own = {name: value for name, value in environment.items() if name in _OWN_VARIABLES}
        return json.dumps({"environment": own}).encode()

    def _environment(
        self,
        blueprint: Blueprint,
        sandbox: Sandbox,
        credentials: Credentials | CredentialsEndpoint,
        log_stream: str,
        initialization_type: str,
    ) -> dict[str, str]:
        function = blueprint.function
        environment = process_environment(
            function,
            credentials,
            runtime_api=sandbox.runtime_api_address,
            xray_daemon=_daemon_of(sandbox),
            log_stream=log_stream,
            endpoint_url=self._endpoint_url,
            initialization_type=initialization_type,
            task_root=sandbox.task_root,
        )
        environment = relocated(environment, sandbox.layer_root)
        if sandbox.tmp != "/tmp":  # noqa: S108 - the path that functions see
            # Without a mount namespace /tmp is the host's, and closed to functions.
            environment["TMPDIR"] = sandbox.tmp
        return environment
