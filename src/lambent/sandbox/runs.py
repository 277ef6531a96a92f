"""Starts, tells apart and kills the processes of runtimes and extensions in shells; the supervisor's."""

import contextlib
import dataclasses
import os
from typing import Any, Dict, List, Optional, Tuple

from lambent.sandbox import commands, levels, mounts, network, plain, rlimits, snapshot_process, user, workers
from lambent.sandbox.shells import Run, Shell, open_pipes
from lambent.sandbox.spec import LaunchSpec, RuntimeSpec

#: {memory_mb} of a process that is started before its function is known: Lambda's largest.
_LARGEST_MB = 10240


class Runs:
    def __init__(self, ground: levels.Ground, own_network: bool, crew: workers.Crew) -> None:
        self._ground = ground
        self._own_network = own_network
        self._crew = crew
        #: A cgroup does, and tells the peak.
        self.limits_memory = "memory" in ground.hierarchies.folders
        self._counts_processes = "pids" in ground.hierarchies.folders
        self._numbers = 0
        self._shells: Dict[int, Shell] = {}

    def start(self, shell: Shell, runtime: RuntimeSpec, spec: Optional[LaunchSpec]) -> None:
        """Have a process of `runtime` started in the shell; without `spec` it waits for its function."""
        if shell.paths is not None:
            runtime = really(runtime, shell.paths)
        forked = runtime.start == "fork" and not (spec and spec.plain_exec)
        worker = self._crew.template(runtime) if forked else self._crew.builder()
        server_ends, inside = open_pipes(runtime.framed)
        if spec is not None and spec.snapshot:
            ours, theirs = commands.socket_pair()
            shell.forks, inside["forks"] = commands.Link(ours), theirs.detach()
        request: Dict[str, Any] = {}
        if not forked:
            request["framed"] = runtime.framed
            request["command"] = _command(runtime, spec)
            request["environment"] = _environment(shell, spec.environment if spec is not None else {})
        shell.run = self._spawn(shell, worker, spec, request, inside)
        shell.server_ends.update(server_ends)

    def adopt(self, shell: Shell) -> Run:
        """The process that the fork of a snapshot becomes in the shell."""
        self._numbers += 1
        oom_kills = shell.cgroup.oom_kills() if shell.cgroup is not None else 0
        shell.run = Run(self._numbers, 0, oom_kills, True)
        self._shells[self._numbers] = shell
        return shell.run

    def start_extensions(self, shell: Shell, spec: LaunchSpec) -> None:
        """Have the programs of the function's extensions started in the shell."""
        shell.extensions = []
        environment = _environment(shell, spec.extension_environment)
        for index, name in enumerate(spec.extensions):
            path = f"{mounts.LAYERS}/extensions/{name}"
            server_ends, inside = open_pipes(framed=False)
            command = [path if shell.paths is None else shell.paths.real(path)]
            request = {"framed": False, "command": command, "environment": environment}
            shell.extensions.append(self._spawn(shell, self._crew.builder(), spec, request, inside))
            shell.server_ends[f"extension {index}"] = server_ends["output"]

    def _spawn(
        self,
        shell: Shell,
        worker: workers.Worker,
        spec: Optional[LaunchSpec],
        request: Dict[str, Any],
        inside: Dict[str, int],
    ) -> Run:
        """Have a process started in the shell. `inside`: its ends of pipes and channel, given away with this."""
        joins = shell.cgroup.open_joins() if shell.cgroup is not None else []
        oom_kills = shell.cgroup.oom_kills() if shell.cgroup is not None else 0
        self._numbers += 1
        run = Run(self._numbers, worker.pid, oom_kills, spec is None)
        self._shells[self._numbers] = shell
        entrance = [] if shell.paths is not None else [shell.init_fd]
        request["spawn"], request["plan"] = self._numbers, self._plan(shell, spec)
        request["fds"] = [*inside, *(["init"] * len(entrance)), *(["join"] * len(joins))]
        worker.link.send(request, [*inside.values(), *entrance, *joins], keep=[*entrance])
        return run

    def _plan(self, shell: Shell, spec: Optional[LaunchSpec]) -> Dict[str, Any]:
        """How the process is confined: what `contain.enter` goes by."""
        plan: Dict[str, Any] = {
            "own_network": self._own_network,
            "uid": user.UID,
            "gid": user.GID,
            "groups": self._ground.may_set_groups,
            "data_limit_mb": 0 if self.limits_memory or spec is None else spec.memory_mb,
            "processes": self._processes(spec),
            "keeps_tmp": self._ground.images,
            "cwd": mounts.TASK if spec is not None else "/",
        }
        if shell.paths is not None:
            outside = user.outside_ids(shell.slot, True, 0) if self._ground.is_root else (None, None)
            plan["uid"], plan["gid"] = outside
            plan["cwd"] = shell.paths.real(mounts.TASK)
            plan["read_only"] = shell.paths.read_only
            plan["writable"] = [shell.paths.tmp]
            plan["variables"] = {"TMPDIR": shell.paths.tmp}
        return plan

    def _processes(self, spec: Optional[LaunchSpec]) -> int:
        # The kernel counts those of all that is restored of a snapshot as its own too.
        counts_all = spec is not None and spec.snapshot and self._counts_processes
        return rlimits.MANY_PROCESSES if counts_all else rlimits.PROCESSES

    def spawned(self, number: int, pid: int) -> Optional[Shell]:
        """Its pid on the host is known from now on."""
        shell = self._shells.get(number)
        run = _numbered(shell, number)
        if run is None:
            return None
        run.pid = pid
        if shell is not None and run is shell.run:
            self.limit(shell)
        if run.is_condemned:
            plain.kill_tree(pid)
        return shell

    def limit(self, shell: Shell) -> None:
        """Once its function and its pid are known: what a process gets that was started before and has no cgroup."""
        if self.limits_memory or shell.run is None or not shell.run.is_early:
            return
        if shell.run.pid and shell.spec is not None:
            rlimits.limit_data_of(shell.run.pid, shell.spec.memory_mb)

    def ended(self, number: int) -> Optional[Tuple[Shell, Run]]:
        shell = self._shells.pop(number, None)
        run = _numbered(shell, number)
        if shell is None or run is None:
            return None
        run.ended = True
        return shell, run

    def unconfirmed(self, worker: workers.Worker) -> List[Tuple[Shell, Run]]:
        """The processes that worker was asked for and has not told of."""
        runs = [(shell, _numbered(shell, number)) for number, shell in self._shells.items()]
        return [(shell, run) for shell, run in runs if run is not None and not run.pid and run.worker == worker.pid]

    def number_of(self, pid: int) -> Optional[int]:
        """Which process that was; its worker must have told."""
        for number, shell in self._shells.items():
            run = _numbered(shell, number)
            if run is not None and run.pid == pid:
                return number
        return None

    def forget(self, shell: Shell) -> None:
        for run in shell.runs():
            self._shells.pop(run.number, None)

    def terminate(self, shell: Shell, kill: bool) -> None:
        """SIGTERM to the runtime, or SIGKILL. Its worker sends it: only a parent knows that a pid is its child's."""
        if shell.status is not None:
            with contextlib.suppress(OSError):
                shell.status.send(snapshot_process.KILL if kill else snapshot_process.TERMINATE)
        elif shell.run is not None and not shell.run.ended:
            worker = self._crew.find(shell.run.worker)
            if worker is not None:
                worker.link.send({"terminate": shell.run.number, "kill": kill})

    def kill_plain(self, shell: Shell) -> None:
        """Level `process`: kill every process and all below it."""
        for run in shell.runs():
            if not run.ended:
                run.is_condemned = True
                if run.pid:
                    plain.kill_tree(run.pid)


def _numbered(shell: Optional[Shell], number: int) -> Optional[Run]:
    if shell is None:
        return None
    return next((run for run in shell.runs() if run.number == number), None)


def really(runtime: RuntimeSpec, paths: plain.Paths) -> RuntimeSpec:
    """The runtime with the host's paths in its command."""
    return dataclasses.replace(runtime, command=tuple(paths.real(part) for part in runtime.command))


def _command(runtime: RuntimeSpec, spec: Optional[LaunchSpec]) -> List[str]:
    memory_mb = spec.memory_mb if spec is not None else _LARGEST_MB
    values = {"{memory_mb}": str(memory_mb), "{heap_mb}": str(memory_mb * 9 // 10)}
    command = []
    for part in runtime.command:
        for placeholder, value in values.items():
            part = part.replace(placeholder, value)
        command.append(part)
    return command


def _environment(shell: Shell, given: Dict[str, str]) -> Dict[str, str]:
    """The variables, with those that name places true for this sandbox."""
    variables = dict(given)
    if "AWS_LAMBDA_RUNTIME_API" in variables:
        variables["AWS_LAMBDA_RUNTIME_API"] = shell.api_address
    if variables.get("AWS_XRAY_DAEMON_ADDRESS") == network.XRAY_DAEMON:
        # Unless the function has a daemon of its own.
        host, port = shell.daemon_address
        variables["AWS_XRAY_DAEMON_ADDRESS"] = f"{host}:{port}"
        variables["_AWS_XRAY_DAEMON_ADDRESS"], variables["_AWS_XRAY_DAEMON_PORT"] = host, str(port)
    return variables if shell.paths is None else shell.paths.environment(variables)


def open_status(pid: int) -> int:
    """What tells how much memory a process used where no cgroup does; empty once it is gone."""
    try:
        return os.open(f"/proc/{pid}/status", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)


def make_plain_shell(shell: Shell, data_dir: str, folder_fd: int, is_root: bool) -> None:
    """Level `process`: what a shell is without namespaces."""
    owner = user.outside_ids(shell.slot, True, 0) if is_root else None
    shell.tmp = plain.make_tmp(data_dir, folder_fd, shell.number, owner)
    ours, theirs = commands.stream_pair()
    listener = network.listen(network.LOOPBACK, 0)
    daemon = network.take_datagrams(network.LOOPBACK, 0)
    addresses = listener.getsockname(), daemon.getsockname()
    fds = {"control": ours.detach(), "runtime_api": listener.detach(), "daemon": daemon.detach()}
    shell.adopt(fds, *addresses)
    shell.kill_fd = theirs.detach()


def give_up_plain_shell(shell: Shell, folder_fd: int) -> None:
    os.close(shell.kill_fd)
    plain.remove(folder_fd, shell.number)
