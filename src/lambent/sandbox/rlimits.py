"""Resource limits of a function's processes: what Lambda sets, stand-ins where no cgroup limits memory, scheduling."""

import os
import resource

from lambent.sandbox.spec import SandboxError

#: As Lambda.
OPEN_FILES = 1024
PROCESSES = 1024
#: Where a cgroup limits them.
MANY_PROCESSES = 1 << 20
#: A process maps more than it uses (thread stacks, V8's and malloc's reserves); Node 50 MB of it.
_DATA_RESERVE_MB = 128


def apply(memory_mb: int, processes: int) -> None:
    """Lower this process's limits; `memory_mb` 0 where a cgroup limits memory."""
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_MEMLOCK, 65536),
    ):
        lower(limit, value)
    if hasattr(resource, "RLIMIT_NPROC"):
        lower(resource.RLIMIT_NPROC, processes)
    for name in ("RLIMIT_RTPRIO", "RLIMIT_NICE"):
        if hasattr(resource, name):
            lower(getattr(resource, name), 0)
    if memory_mb:
        lower(resource.RLIMIT_DATA, _data_limit(memory_mb))


def yield_to_server() -> None:
    """Let a woken function wait for the running process's slice to end: it must not take the processor from the server
    in the middle of a request that the server is about to finish (sched(7), SCHED_BATCH)."""
    if hasattr(os, "SCHED_BATCH"):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def limit_data_of(pid: int, memory_mb: int) -> None:
    """The limit in place of a cgroup's for a process that was started before its function was known."""
    limit = _data_limit(memory_mb)
    try:
        resource.prlimit(pid, resource.RLIMIT_DATA, (limit, limit))
    except ProcessLookupError:
        return
    except PermissionError as error:
        hint = "Limiting a waiting process takes CAP_SYS_RESOURCE, or a memory cgroup; --pool-size 0 does without."
        raise SandboxError("prlimit", str(pid), error.errno or 0, hint) from error


def _data_limit(memory_mb: int) -> int:
    return (memory_mb + _DATA_RESERVE_MB) << 20


def lower(limit: int, value: int) -> None:
    """Set both limits to `value`, or to the hard limit where that is lower already."""
    hard = resource.getrlimit(limit)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(limit, (value, value))


def raise_open_files() -> None:
    """As many descriptors as the hard limit allows: the server and the supervisor hold several for each sandbox."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
