"""What the server asks of the supervisor: plain values that cross a socket as JSON. Standard library alone.

The privileged half acts on these and nothing else, so each field says what makes it safe to accept.
"""

from __future__ import annotations

import dataclasses
import enum
import os
from typing import Any, Dict, List, Optional, Tuple  # Python 3.8 reads this module inside templates


class Level(str, enum.Enum):
    """Isolation levels, strongest first (docs/sandbox.md)."""

    FULL = "full"
    REDUCED = "reduced"
    PROCESS = "process"


@dataclasses.dataclass(frozen=True)
class RuntimeSpec:
    """How a runtime's process starts; made by `runtimes/catalog`, held by the supervisor from its start.

    `command` names paths as the function sees them (/var/lang/bin/python3.12, /var/runtime/bootstrap.py). Where
    nothing can be mounted, a leading /var/lang or /var/runtime of a part means `lang_dir` or `runtime_dir`.
    `{memory_mb}` and `{heap_mb}` (nine tenths of it) in a part are replaced: by the function's MemorySize for a process
    started by exec, by 10240 for one started for the pool before its function is known.
    A template runs `command[0]` with the options after it, where /var/lang and /var/runtime are mounted as in a shell
    (what it imports keeps those paths after the fork) and with LD_LIBRARY_PATH naming /var/lang/lib (an interpreter's
    shared library lies there), loads `command[-1]` by path, calls its `preload()`, and in each child its
    `main(channel_fd, log_fd)`.
    """

    #: Catalog id, `python3.12`.
    name: str
    #: `fork` (from a template), `pool` (pre-started, waits for code) or `exec` (with the function's environment).
    start: str
    #: True: speaks frames over the channel; False: the HTTP Runtime API.
    framed: bool
    #: Program and arguments as seen inside the sandbox.
    command: Tuple[str, ...]
    #: Host folder mounted read-only at /var/runtime ("" = none).
    runtime_dir: str = ""
    #: Host folder mounted read-only at /var/lang ("" = none).
    lang_dir: str = ""
    #: Further host folders that the interpreter needs, mounted read-only at the same path (a pyenv prefix).
    host_paths: Tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class NetworkAccess:
    """What some functions reach outside; the supervisor is started with all that there are."""

    #: `egress` is the region's own.
    name: str
    #: The public internet: all but what `closed_networks` lists.
    internet: bool = True
    #: Networks to be reached beside it, as 10.1.0.0/16.
    allowed: Tuple[str, ...] = ()


#: Names of accesses: the region's own, and none at all.
EGRESS = "egress"
NO_NETWORK = "none"


@dataclasses.dataclass(frozen=True)
class LaunchSpec:
    """One environment to be made for one function."""

    #: Unique among live environments, [0-9a-f]+.
    id: str
    runtime: str
    #: Host folder mounted read-only at /var/task; must lie below the data dir.
    code_root: str
    #: Host folders merged read-only into /opt, later ones on top; must lie below the data dir.
    layers: Tuple[str, ...] = ()
    memory_mb: int = 128
    tmp_mb: int = 512
    #: Environment of the process. Framed runtimes started by fork or from the pool get it in their INIT frame
    #: instead; it is used here where `plain_exec` or the runtime's `start` says `exec`.
    environment: Dict[str, str] = dataclasses.field(default_factory=dict)
    #: Start by exec even where the runtime could be forked: the function sets variables read at process start.
    plain_exec: bool = False
    #: What is started initialises the function and is then forked into environments; framed runtimes that fork alone.
    snapshot: bool = False
    #: Id of the snapshot that it is restored from: its folders, limits and network are that one's.
    restores: str = ""
    #: (ARN of an access point that the supervisor was started with, `/mnt/<name>`), mounted to be written.
    file_systems: Tuple[Tuple[str, str], ...] = ()
    #: Files of /opt/extensions, started as programs beside the runtime, and their environment.
    extensions: Tuple[str, ...] = ()
    extension_environment: Dict[str, str] = dataclasses.field(default_factory=dict)
    #: True: no runtime is started yet; `start_runtime` does it, once the extensions are ready for that.
    runtime_waits: bool = False
    #: Name of a NetworkAccess that the supervisor was started with, or `none`; "" as the region's functions have it.
    network: str = ""


def to_json(value: object) -> Dict[str, object]:
    return dataclasses.asdict(value)  # type: ignore[call-overload,no-any-return]


def launch_spec(fields: Dict[str, object]) -> LaunchSpec:
    """The inverse of `to_json` for LaunchSpec."""
    fields = dict(fields)
    fields["layers"] = tuple(fields["layers"])  # type: ignore[arg-type]
    fields["file_systems"] = _pairs(fields["file_systems"])
    fields["extensions"] = tuple(fields["extensions"])  # type: ignore[arg-type]
    return LaunchSpec(**fields)  # type: ignore[arg-type]


def _pairs(value: Any) -> Tuple[Tuple[str, str], ...]:
    return tuple((first, second) for first, second in value)


def runtime_spec(fields: Dict[str, object]) -> RuntimeSpec:
    """The inverse of `to_json` for RuntimeSpec."""
    fields = dict(fields)
    fields["command"] = tuple(fields["command"])  # type: ignore[arg-type]
    fields["host_paths"] = tuple(fields["host_paths"])  # type: ignore[arg-type]
    return RuntimeSpec(**fields)  # type: ignore[arg-type]


@dataclasses.dataclass(frozen=True)
class IsolationReport:
    """The level reached, and for each stronger one what withholds it and what mends it."""

    level: Level
    #: `full: cgroup v1 hybrid, root`.
    summary: str
    #: (level withheld, reason, command that mends it or "").
    missing: List[Tuple[str, str, str]] = dataclasses.field(default_factory=list)
    #: `v1`, `hybrid`, `v2` or "".
    cgroup: str = ""
    root: bool = False
    #: Why functions cannot have file systems here, "" where they can.
    no_file_systems: str = ""
    #: What functions reach unless a VpcConfig says otherwise: none, egress or host.
    network: str = NO_NETWORK


@dataclasses.dataclass(frozen=True)
class ExitStatus:
    """How a runtime process ended: an exit code, or the signal that killed it."""

    code: Optional[int]
    signal: Optional[int]
    #: The kernel killed it for memory.
    out_of_memory: bool = False
    #: Why it never got as far as the runtime's own code, "" where it did.
    error: str = ""


def _network_access(fields: Dict[str, Any]) -> NetworkAccess:
    return NetworkAccess(fields["name"], fields["internet"], tuple(fields["allowed"]))


@dataclasses.dataclass(frozen=True)
class SupervisorOptions:
    """What the supervisor is started with. It is given while the server is still as privileged as the supervisor."""

    #: `auto`, or the one level to have.
    isolation: str
    #: Absolute; everything that is mounted for a function lies below it.
    data_dir: str
    #: `none`: a network namespace each. `egress`: with a way out. `host`: the host's. `auto`: egress if it can be had.
    network: str = NO_NETWORK
    #: What functions may reach: the first is the region's own.
    accesses: Tuple[NetworkAccess, ...] = (NetworkAccess(EGRESS),)
    #: `weight` (a share under contention) or `quota` (never more than MemorySize buys).
    cpu: str = "weight"
    #: Shells, and started processes for each runtime in use, that are kept ready.
    pool_size: int = 4
    #: Folder whose /usr, /bin and /lib functions see; "" = the host's.
    rootfs: str = ""
    runtimes: Tuple[RuntimeSpec, ...] = ()
    #: (ARN of an EFS access point, the operator's folder for it)
    file_systems: Tuple[Tuple[str, str], ...] = ()


def supervisor_options(fields: Dict[str, object]) -> SupervisorOptions:
    """The inverse of `to_json` for SupervisorOptions."""
    fields = dict(fields)
    fields["runtimes"] = tuple(runtime_spec(runtime) for runtime in fields["runtimes"])  # type: ignore[attr-defined]
    fields["file_systems"] = _pairs(fields["file_systems"])
    fields["accesses"] = tuple(_network_access(access) for access in fields["accesses"])  # type: ignore[attr-defined]
    return SupervisorOptions(**fields)  # type: ignore[arg-type]


#: What SandboxError calls a launch with a network that the region does not have.
UNKNOWN_NETWORK = "network"
#: What SandboxError calls a launch of a snapshot where none can be.
NO_SNAPSHOT = "snapshot"
#: What SandboxError calls a failure to mount a function's file system.
MOUNT_FILE_SYSTEM = "mount file system"


class SandboxError(Exception):
    """A system call on the way into a sandbox failed: which, on what, why, and what the operator can do."""

    def __init__(self, call: str, target: str, errno: int = 0, hint: str = "") -> None:
        self.call = call
        self.target = target
        self.errno = errno
        self.hint = hint
        reason = f": {os.strerror(errno)}" if errno else ""
        super().__init__(f"{call}({target}) failed{reason}." + (f" {hint}" if hint else ""))

    def to_json(self) -> Dict[str, object]:
        return {"call": self.call, "target": self.target, "errno": self.errno, "hint": self.hint}


def as_sandbox_error(error: Exception) -> SandboxError:
    """Any failure of a system call in the words of SandboxError."""
    if isinstance(error, SandboxError):
        return error
    number = getattr(error, "errno", None) or 0
    return SandboxError(type(error).__name__, str(getattr(error, "filename", None) or error), number)


def sandbox_error(fields: Dict[str, Any]) -> SandboxError:
    """The inverse of `SandboxError.to_json`."""
    return SandboxError(fields["call"], fields["target"], fields["errno"], fields["hint"])
