"""The sandboxes of a region: launched, restarted and destroyed on the server's word.

Lives in the supervisor and is driven by its loop; answers the server through its link. Which shells there are to launch
from is `stock`'s business, the processes in them `runs`'.
"""

import dataclasses
import fcntl
import os
import re
import time
from typing import Any, Dict, List, Optional, Tuple

from lambent.sandbox import (
    cgroup,
    commands,
    file_systems,
    gateways,
    levels,
    mounts,
    plain,
    runs,
    scratch,
    snapshots,
    user,
    workers,
)
from lambent.sandbox.shells import Run, Shell
from lambent.sandbox.spec import (
    NO_SNAPSHOT,
    UNKNOWN_NETWORK,
    LaunchSpec,
    RuntimeSpec,
    SandboxError,
    SupervisorOptions,
    as_sandbox_error,
    sandbox_error,
)
from lambent.sandbox.stock import Request, Stock

_LOCK_PATIENCE = 3.0
#: How often to look whether the kernel lets go of what was killed.
_REMOVE_INTERVAL = 0.05
_RESTART_INTERVAL = 0.001
_ID = re.compile(r"[0-9a-f]{1,64}\Z")
#: A name in a folder, which leads nowhere else.
_FILE_NAME = re.compile(r"(?!\.{1,2}\Z)[^/\0]{1,255}\Z")
_MAX_LAYERS = 5
_MAX_EXTENSIONS = 10
_LOST = "Its init is dead, and everything in it; destroy it."


class Fleet:
    def __init__(
        self, options: SupervisorOptions, ground: levels.Ground, endpoint_port: int, loop: Any, server: commands.Link
    ) -> None:
        # For the region's life
        self._options = options
        self._ground = ground
        self._loop = loop
        self._server = server
        self._runtimes = {runtime.name: runtime for runtime in options.runtimes}
        self._data_dir = os.path.realpath(options.data_dir)
        self._folder = f"{self._data_dir}/sandbox"
        self._folder_fd = levels.open_own_folder(self._data_dir)
        self._lock_fd = _lock(self._folder, self._folder_fd)
        self._data_fd = os.open(self._data_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._home_fd = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        host_fds = {
            "proc": os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC),
            "dev": os.open("/dev", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC),
            "scratch": self._folder_fd,
        }
        self._file_systems = file_systems.FileSystems(
            () if ground.no_file_systems() else options.file_systems, self._data_dir, host_fds["proc"], ground.is_root
        )
        self._gateway = gateways.open_gateway(options, ground, levels.region_tag(self._data_dir), loop)
        if self._gateway is not None:
            host_fds["gateway"] = self._gateway.namespace_fd
            self._gateway.on_trouble = self._complain
        pid_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        self._crew = workers.Crew(loop, host_fds, self._root(), pid_namespace)
        self._crew.on_message = self._on_worker_message
        self._crew.on_gone = self._on_worker_gone
        self._processes = runs.Runs(ground, options.network != "host", self._crew)
        self._snapshots = self._make_snapshots()
        blanks = scratch.Blanks(host_fds["scratch"]) if ground.images else None
        self._stock = self._make_stock(blanks, endpoint_port)
        # Changing. Invariant: a shell is in the stock, assigned or dying.
        self._assigned: Dict[str, Shell] = {}
        #: With the command to answer once it is gone.
        self._dying: Dict[int, Tuple[Shell, Optional[int]]] = {}
        #: By number of the shell, the command to answer.
        self._restarts: Dict[int, int] = {}
        #: Commands that a builder makes a socket for, and which one.
        self._dials: Dict[int, workers.Worker] = {}
        self._unremoved: List[cgroup.Cgroup] = []
        self._is_ending = False
        self._sign_of_life: Optional[cgroup.SignOfLife] = None

    def _root(self) -> Optional[Dict[str, Any]]:
        if not self._ground.has_namespaces:
            return None
        return {
            "mount_point": f"{self._folder}/root",
            "rootfs": self._options.rootfs,
            "mount_points": sorted({path for runtime in self._runtimes.values() for path in runtime.host_paths}),
            "keep_proc": not self._ground.is_root,
            "own_network": self._options.network != "host",
            "mtu": 0 if self._gateway is None else self._gateway.mtu,
            "resolv_conf": gateways.resolv_conf(self._options, self._gateway),
        }

    def _make_stock(self, blanks: Optional[scratch.Blanks], endpoint_port: int) -> Stock:
        stock = Stock(self._options, self._ground, self._loop, self._crew, self._processes, blanks)
        stock.endpoint_port = endpoint_port
        stock.accesses = gateways.numbers(self._options, self._ground, self._gateway)
        stock.make_plain = lambda shell: runs.make_plain_shell(
            shell, self._data_dir, self._folder_fd, self._ground.is_root
        )
        stock.on_match = self._assign
        stock.on_failure = lambda request, error: self._refuse(request.seq, error)
        stock.on_discard = lambda shell: self._bury(shell, None)
        stock.on_trouble = self._complain
        stock.on_control = lambda shell: self._loop.watch(shell.control, lambda: self._on_control(shell))
        stock.mount_runtime = self._mount_runtime
        stock.wanted_within = self._snapshots.wanted
        stock.on_asked_within = self._snapshots.building
        stock.on_ready_within = self._snapshots.built
        stock.on_unmade_within = self._snapshots.unbuilt
        return stock

    def _make_snapshots(self) -> snapshots.Snapshots:
        found = snapshots.Snapshots(self._loop, self._processes, self._options.pool_size)
        found.seal = self._seal_tmp
        found.furnish = self._furnish_within
        found.on_match = self._assign_within
        found.on_failure = lambda request, error: self._refuse(request.seq, error)
        found.on_discard = lambda shell: self._bury(shell, None)
        found.on_trouble = self._complain
        found.on_ended = self._on_run_ended
        found.fill = lambda: self._stock.fill()
        return found

    # ---- start and end ------------------------------------------------------------------------------------------

    def start(self) -> None:
        if self._ground.hierarchies.folders:
            self._sign_of_life = cgroup.settle(self._ground.hierarchies, levels.region_tag(self._data_dir))
            cgroup.sweep_strangers(self._ground.hierarchies)
            self._unremoved = cgroup.sweep(self._ground.hierarchies)
            self._remove_cgroups()
        plain.sweep(self._folder_fd)
        self._stock.fill()

    def end(self) -> None:
        """Kill everything; `is_gone` says when it is."""
        self._is_ending = True
        self._stock.is_closed = True
        for shell in [*self._stock.shells(), *self._snapshots.shells(), *self._assigned.values()]:
            self._bury(shell, None)

    def is_gone(self) -> bool:
        if self._dying or any(worker.building for worker in self._crew.builders):
            return False
        self._unremoved = [group for group in self._unremoved if not group.remove()]
        if self._unremoved:
            return False
        self._crew.end()
        if self._gateway is not None:
            self._gateway.close()
        cgroup.remove_region(self._ground.hierarchies)
        return True

    # ---- commands -----------------------------------------------------------------------------------------------

    def launch(self, seq: int, spec: LaunchSpec) -> None:
        self._check(spec)
        if spec.restores:
            self._snapshots.request(self._assigned.get(spec.restores), Request(seq, spec))
            self._stock.fill()
        else:
            self._stock.request(Request(seq, spec))

    def snapshot_taken(self, environment_id: str) -> None:
        """What was launched as a snapshot has initialised."""
        shell = self._assigned.get(environment_id)
        if shell is not None:
            self._snapshots.taken(shell)

    def restart(self, seq: int, environment_id: str) -> None:
        """Kill all but the init, then start a new process in what is left: the shell and its /tmp."""
        shell = self._assigned.get(environment_id)
        if shell is None:
            raise SandboxError("restart", environment_id, 0, "There is no such environment.")
        if shell.is_lost:
            raise SandboxError("restart", environment_id, 0, _LOST)
        if shell.outer is not None or shell.forks is not None:
            raise SandboxError("restart", environment_id, 0, "What came of a snapshot is restored, not restarted.")
        if shell.number in self._restarts:
            raise SandboxError("restart", environment_id, 0, "It is being restarted already.")
        self._restarts[shell.number] = seq
        if shell.paths is not None:
            self._processes.kill_plain(shell)
            self._finish_restart(shell)
            return
        if shell.cgroup is not None:
            shell.cgroup.thaw()
        # The init answers when it has killed; only then may a new process come in.
        shell.kill_all_but_init(b"r")

    def start_runtime(self, seq: int, environment_id: str) -> None:
        """Where it was to wait for the extensions."""
        shell = self._assigned.get(environment_id)
        if shell is None or shell.spec is None or shell.run is not None or shell.is_lost:
            raise SandboxError("start_runtime", environment_id, 0, "There is no such environment that waits for one.")
        self._processes.start(shell, self._runtimes[shell.spec.runtime], shell.spec)
        self._tell_started(shell, seq)

    def dial(self, seq: int, environment_id: str) -> None:
        """Have a TCP socket made inside the sandbox's network, for the server to connect to what listens there."""
        shell = self._assigned.get(environment_id)
        if shell is None or shell.is_lost:
            raise SandboxError("dial", environment_id, 0, "There is no such environment.")
        if not self._has_own_network(shell):
            raise SandboxError("dial", environment_id, 0, "It has no network of its own.")
        builder = self._crew.builder()
        self._dials[seq] = builder
        builder.link.send({"dial": seq}, [shell.init_fd], keep=[shell.init_fd])

    def _has_own_network(self, shell: Shell) -> bool:
        return shell.init_fd >= 0 and self._options.network != "host"

    def terminate(self, environment_id: str, kill: bool) -> None:
        """SIGTERM to its runtime, or SIGKILL."""
        shell = self._assigned.get(environment_id)
        if shell is not None:
            self._processes.terminate(shell, kill)

    def destroy(self, seq: int, environment_id: str) -> None:
        shell = self._assigned.get(environment_id)
        if shell is not None and self._snapshots.linger(shell):
            self._assigned.pop(environment_id)
            self._server.send({"re": seq})
            return
        if shell is not None:
            self._bury(shell, seq)
            self._stock.fill()
            return
        request = self._stock.cancel(environment_id) or self._snapshots.cancel(environment_id)
        if request is not None:
            failure = SandboxError("launch", environment_id, 0, "It was destroyed before it was made.")
            self._refuse(request.seq, failure)
        self._server.send({"re": seq})

    def prepare(self, name: str) -> None:
        """Keep started processes of that runtime ready from now on."""
        runtime = self._runtimes[name]
        self._stock.keep_started(runtime)
        if runtime.start == "fork" and self._ground.has_namespaces:
            self._crew.template(runtime)
        self._stock.fill()

    def stats(self) -> Dict[str, Any]:
        return {
            "shells": {
                "building": len(self._stock.building),
                "idle": len(self._stock.idle),
                "started": {name: len(shells) for name, shells in self._stock.started.items()},
                "assigned": len(self._assigned),
                "dying": len(self._dying),
            },
            "waiting": len(self._stock.waiting),
            "snapshots": self._snapshots.statistics(),
            "cgroups_to_remove": len(self._unremoved),
            "phases_ms": self._stock.phases.summary(),
        }

    def _check(self, spec: LaunchSpec) -> None:
        waiting = any(request.spec.id == spec.id for request in self._stock.waiting)
        if not _ID.match(spec.id) or spec.id in self._assigned or waiting:
            raise SandboxError("launch", spec.id, 0, "An id is new and hexadecimal.")
        if spec.runtime not in self._runtimes:
            raise SandboxError("launch", spec.runtime, 0, "The supervisor was not started with this runtime.")
        if len(spec.layers) > _MAX_LAYERS:
            raise SandboxError("launch", f"{len(spec.layers)} layers")
        if not 32 <= spec.memory_mb <= 1 << 20 or not 1 <= spec.tmp_mb <= 1 << 20:
            raise SandboxError("launch", f"{spec.memory_mb} MB memory, {spec.tmp_mb} MB /tmp")
        if spec.snapshot and (
            spec.plain_exec or not self._ground.has_namespaces or self._runtimes[spec.runtime].start != "fork"
        ):
            raise SandboxError(NO_SNAPSHOT, spec.runtime, 0, "Only what is forked into namespaces can be a snapshot.")
        if len(spec.extensions) > _MAX_EXTENSIONS or not all(map(_FILE_NAME.match, spec.extensions)):
            raise SandboxError("launch", f"{len(spec.extensions)} extensions")
        for path in (spec.code_root, *spec.layers):
            self._beneath(path)
        self._file_systems.check(spec.file_systems)
        if spec.network not in self._stock.accesses:
            raise SandboxError(UNKNOWN_NETWORK, spec.network, 0, "Functions of this region cannot have this network.")

    def _beneath(self, path: str) -> str:
        """`path` relative to the data dir; that it really leads there is checked when it is opened."""
        for base in (self._data_dir, self._options.data_dir):
            if path.startswith(base.rstrip("/") + "/"):
                return path[len(base.rstrip("/")) + 1 :]
        raise SandboxError("launch", path, 0, "Function code lies below the data dir.")

    # ---- from shell to environment ------------------------------------------------------------------------------

    def _assign(self, shell: Shell, request: Request) -> None:
        """Make a shell a function's environment and tell the server."""
        spec, runtime = request.spec, self._runtimes[request.spec.runtime]
        began = time.perf_counter()
        try:
            self._furnish(shell, runtime, spec)
            mounted = time.perf_counter()
            if shell.cgroup is not None:
                shell.cgroup.limit(self._memory_limit(spec))
            limited = time.perf_counter()
            shell.environment_id = spec.id
            shell.spec = spec
            self._assigned[spec.id] = shell
            early = shell.run is not None
            if early:
                self._processes.limit(shell)
            self._start_all(shell, spec)
            self._reply_with(shell, request.seq)
        except (SandboxError, OSError) as error:
            self._refuse(request.seq, as_sandbox_error(error))
            self._bury(shell, None)
            return
        done = time.perf_counter()
        self._stock.phases.add(
            {
                "wait for a shell": (began - request.received_at) * 1000,
                "mount function": (mounted - began) * 1000,
                "set limits": (limited - mounted) * 1000,
                "hand over" if early else "start process": (done - limited) * 1000,
                "launch, whole": (done - request.received_at) * 1000,
            }
        )

    def _start_all(self, shell: Shell, spec: LaunchSpec) -> None:
        """The extensions first, as on AWS; a runtime that was started before its function was known waits anyway."""
        if spec.extensions:
            self._processes.start_extensions(shell, spec)
        if shell.run is None and not spec.runtime_waits:
            self._processes.start(shell, self._runtimes[spec.runtime], spec)
        if spec.snapshot:
            self._snapshots.begin(shell)

    def _furnish_within(self, shell: Shell, outer: Shell) -> None:
        """The same folders and limits as the snapshot has that it is for."""
        assert outer.spec is not None
        if outer.keeps_tmp:
            self._lay_over_tmp(shell, outer)
        self._furnish(shell, self._runtimes[outer.spec.runtime], outer.spec)
        if shell.cgroup is not None:
            shell.cgroup.limit(self._memory_limit(outer.spec))

    def _seal_tmp(self, outer: Shell) -> None:
        """What its init left in /tmp is in each environment's, too."""
        if self._ground.images:
            with mounts.inside(outer.init_fd, self._home_fd):
                outer.keeps_tmp = mounts.seal_tmp()

    def _lay_over_tmp(self, shell: Shell, outer: Shell) -> None:
        with mounts.inside(outer.init_fd, self._home_fd):
            below = mounts.clone_tmp()
        try:
            with mounts.inside(shell.init_fd, self._home_fd):
                mounts.lay_over_tmp(below)
        finally:
            os.close(below)

    def _memory_limit(self, spec: LaunchSpec) -> int:
        return spec.memory_mb + (0 if self._ground.images else spec.tmp_mb)

    def _assign_within(self, shell: Shell, request: Request) -> None:
        """The function's process waits in it already."""
        assert shell.outer is not None
        assert shell.outer.spec is not None
        spec = request.spec
        shell.environment_id = spec.id
        shell.spec = dataclasses.replace(shell.outer.spec, id=spec.id, snapshot=False, restores=spec.restores)
        self._assigned[spec.id] = shell
        try:
            self._reply_with(shell, request.seq)
        except (SandboxError, OSError) as error:
            self._refuse(request.seq, as_sandbox_error(error))
            self._bury(shell, None)
            return
        self._stock.phases.add({"restore, whole": (time.perf_counter() - request.received_at) * 1000})

    def _furnish(self, shell: Shell, runtime: RuntimeSpec, spec: LaunchSpec) -> None:
        """Put the function's folders, and the runtime's unless they are there, where code looks for them."""
        layers = [self._beneath(path) for path in spec.layers]
        if not self._ground.has_namespaces:
            for path in (self._beneath(spec.code_root), *layers):
                os.close(mounts.open_folder(self._data_fd, path))
            layer_root = plain.merge_layers(self._data_dir, self._folder_fd, shell.number, spec)
            shell.paths = plain.Paths(runtime, spec.code_root, layer_root, shell.tmp)
            return
        folders = mounts.Folders() if shell.runtime else workers.runtime_folders(runtime)
        try:
            folders.add_beneath(self._data_fd, self._beneath(spec.code_root), mounts.TASK)
            if len(layers) == 1:
                folders.add_beneath(self._data_fd, layers[0], mounts.LAYERS)
            elif layers:
                folders.add_merged(self._data_fd, layers, mounts.LAYERS)
            if spec.file_systems:
                # What is restored runs as the snapshot's user.
                slot = (shell.outer or shell).slot
                ids = user.outside_ids(slot, self._ground.is_root, self._ground.subordinate_ids)
                folders.add_shared(self._file_systems.mount(spec.file_systems, ids))
            with mounts.inside(shell.init_fd, self._home_fd):
                folders.attach()
        finally:
            folders.close()
        shell.runtime = runtime.name

    def _mount_runtime(self, shell: Shell, runtime: RuntimeSpec) -> None:
        folders = workers.runtime_folders(runtime)
        try:
            with mounts.inside(shell.init_fd, self._home_fd):
                folders.attach()
        finally:
            folders.close()
        shell.runtime = runtime.name

    def _reply_with(self, shell: Shell, seq: int) -> None:
        assert shell.spec is not None
        assert shell.control is not None
        fds = shell.take()
        reply: Dict[str, Any] = {
            "re": seq,
            "id": shell.environment_id,
            "run": -1 if shell.run is None else shell.run.number,
            "extensions": [run.number for run in shell.extensions],
            "api": shell.api_address,
            "own_network": self._has_own_network(shell),
            "frozen": shell.is_frozen,
        }
        if shell.cgroup is not None:
            fds.update(shell.cgroup.open_control(self._options.cpu))
            reply["freeze_words"] = shell.cgroup.freeze_words()
            reply["cpu_quota"] = shell.cgroup.quota(shell.spec.memory_mb)
        if "kill" not in fds:
            # Whatever is written to it, the init (or, without one, this process) kills on reading it.
            fds["kill"] = os.dup(shell.kill_fd if shell.paths is not None else shell.control.fileno())
        if shell.paths is not None:
            reply["task_root"], reply["tmp"] = shell.spec.code_root, shell.paths.tmp
            reply["layer_root"] = shell.paths.real(mounts.LAYERS)
        if shell.run is not None and shell.run.pid and not self._processes.limits_memory:
            fds["status"] = runs.open_status(shell.run.pid)
        reply["fds"] = list(fds)
        self._server.send(reply, list(fds.values()))

    def _tell_started(self, shell: Shell, seq: int) -> None:
        """Its runtime, after everything else."""
        assert shell.run is not None
        fds = shell.take()
        self._server.send({"re": seq, "run": shell.run.number, "fds": list(fds)}, list(fds.values()))

    # ---- ends ---------------------------------------------------------------------------------------------------

    def _on_run_ended(self, number: int, status: Optional[int], error: str) -> None:
        ended = self._processes.ended(number)
        if not self._ground.has_namespaces:
            self._kill_orphans()
        if ended is None:
            return
        shell, run = ended
        if shell.is_dying:
            if shell.paths is not None and all(other.ended for other in shell.runs()):
                self._on_gone(shell)
        elif not shell.environment_id:
            # It died while waiting for a function: nobody has seen it yet.
            if error:
                self._complain(SandboxError("start", shell.runtime, 0, error))
            self._bury(shell, None)
            self._loop.later(1.0, self._stock.fill)
        else:
            self._tell_exit(shell, run, status, error)

    def _tell_exit(self, shell: Shell, run: Run, status: Optional[int], error: str) -> None:
        self._server.send(
            {
                "event": "exited",
                "id": shell.environment_id,
                "run": run.number,
                "code": os.WEXITSTATUS(status) if status is not None and os.WIFEXITED(status) else None,
                "signal": os.WTERMSIG(status) if status is not None and os.WIFSIGNALED(status) else None,
                "oom": shell.cgroup is not None and shell.cgroup.oom_kills() > run.oom_kills,
                "error": error,
            }
        )

    def _on_spawned(self, number: int, pid: int) -> None:
        try:
            shell = self._processes.spawned(number, pid)
        except SandboxError as error:
            # Its launch was answered already: better no process than one without a limit.
            self._complain(error)
            plain.kill_tree(pid)
            return
        if shell is not None and shell.environment_id and not self._processes.limits_memory:
            event = {"event": "started", "id": shell.environment_id, "run": number, "fds": ["status"]}
            self._server.send(event, [runs.open_status(pid)])

    def _kill_orphans(self) -> None:
        """Level `process`: what a dead runtime leaves becomes this process's child, and its children in turn."""
        if plain.kill_orphans(self._crew.pids()):
            self._loop.later(_RESTART_INTERVAL, self._kill_orphans)

    def _on_control(self, shell: Shell) -> None:
        """An init says that everything but itself is killed; without one, the server asks this process to kill."""
        assert shell.control is not None
        try:
            words = shell.control.recv(64)
        except BlockingIOError:
            return
        except ConnectionResetError:
            words = b""
        if not words:
            self._loop.forget(shell.control)
            self._on_init_lost(shell)
        elif shell.init_fd < 0:
            self._processes.kill_plain(shell)
        elif b"r" in words:
            self._finish_restart(shell)

    def _on_init_lost(self, shell: Shell) -> None:
        """Nobody asked it to end: its builder died, and it with that, or the host's operator killed it."""
        if shell.is_dying or shell.init_fd < 0:
            return
        shell.is_lost = True
        if shell.number in self._restarts:
            self._refuse(self._restarts.pop(shell.number), SandboxError("restart", shell.environment_id, 0, _LOST))
        if not shell.environment_id:
            self._bury(shell, None)
            self._loop.later(1.0, self._stock.fill)

    def _finish_restart(self, shell: Shell) -> None:
        """Killed is not yet gone: start again once nothing is left."""
        if shell.number not in self._restarts or shell.is_dying:
            return
        if not all(run.ended for run in shell.runs()) or (shell.cgroup is not None and not shell.cgroup.is_empty()):
            self._loop.later(_RESTART_INTERVAL, lambda: self._finish_restart(shell))
            return
        seq = self._restarts.pop(shell.number)
        assert shell.spec is not None
        shell.run = None
        try:
            self._start_all(shell, shell.spec)
            self._reply_with(shell, seq)
        except (SandboxError, OSError) as error:
            self._refuse(seq, as_sandbox_error(error))

    def _bury(self, shell: Shell, seq: Optional[int]) -> None:
        """Kill a shell and all in it; the server is answered when it is gone."""
        self._assigned.pop(shell.environment_id, None)
        self._stock.remove(shell)
        self._snapshots.remove(shell)
        restart = self._restarts.pop(shell.number, None)
        if restart is not None:
            self._refuse(restart, SandboxError("restart", shell.environment_id, 0, "It was destroyed meanwhile."))
        shell.is_dying = True
        self._dying[shell.number] = (shell, seq)
        if shell.init_fd >= 0:
            if shell.cgroup is not None and self._ground.hierarchies.kills_only_thawed:
                shell.cgroup.thaw()
            shell.kill_init()
            if shell.outer is not None and shell.cgroup is not None:
                # One process of it lives outside of its pid namespace.
                shell.cgroup.kill()
            self._loop.watch(shell.init_fd, lambda: self._on_init_ended(shell))
        elif not all(run.ended for run in shell.runs()):
            self._processes.kill_plain(shell)
        else:
            self._loop.later(0, lambda: self._on_gone(shell))

    def _on_init_ended(self, shell: Shell) -> None:
        self._loop.forget(shell.init_fd)
        self._on_gone(shell)

    def _on_gone(self, shell: Shell) -> None:
        if shell.number not in self._dying:
            return
        _, seq = self._dying.pop(shell.number)
        assert shell.control is not None
        self._loop.forget_if_watched(shell.control)
        self._processes.forget(shell)
        if shell.init_fd < 0:
            runs.give_up_plain_shell(shell, self._folder_fd)
        shell.close()
        self._stock.release(shell)
        outer = self._snapshots.gone(shell)
        if outer is not None:
            self._bury(outer, None)
        if shell.cgroup is not None:
            self._unremoved.append(shell.cgroup)
            self._remove_cgroups()
        if seq is not None:
            self._server.send({"re": seq})

    def _remove_cgroups(self) -> None:
        self._unremoved = [group for group in self._unremoved if not group.remove()]
        for group in self._unremoved:
            group.keep_out()
        if self._unremoved and not self._is_ending:
            self._loop.later(_REMOVE_INTERVAL, self._remove_cgroups)

    # ---- what workers say ---------------------------------------------------------------------------------------

    def _on_worker_message(self, worker: workers.Worker, message: Dict[str, Any], fds: List[int]) -> None:
        if "built" in message:
            self._stock.built(worker, message, fds)
        elif "unbuilt" in message:
            self._drop(worker, message["unbuilt"], sandbox_error(message["error"]))
        elif "spawned" in message:
            self._stock.phases.add({"fork runtime": message["fork_ms"]})
            self._on_spawned(message["spawned"], message["pid"])
        elif "dialled" in message:
            self._dials.pop(message["dialled"], None)
            self._server.send({"re": message["dialled"], "fds": ["socket"]}, fds)
        elif "undialled" in message:
            self._dials.pop(message["undialled"], None)
            self._refuse(message["undialled"], sandbox_error(message["error"]))
        elif "exited" in message:
            self._on_run_ended(message["exited"], message["status"], "")
        elif "failed" in message:
            self._on_run_ended(message["failed"], None, str(sandbox_error(message["error"])))

    def _on_worker_gone(self, worker: workers.Worker, error: SandboxError) -> None:
        for number in list(worker.building):
            self._drop(worker, number, error)
        for seq in [seq for seq, asked in self._dials.items() if asked is worker]:
            del self._dials[seq]
            self._refuse(seq, error)
        for shell, run in self._processes.unconfirmed(worker):
            # Started or not, nobody would tell of its end.
            if shell.init_fd >= 0:
                shell.kill_all_but_init(b"x")
            self._on_run_ended(run.number, None, str(error))
        if not self._is_ending:
            self._complain(error)
            self._stock.fill()

    def _drop(self, worker: workers.Worker, number: int, error: SandboxError) -> None:
        shell = self._stock.unbuilt(worker, number, error)
        if shell.cgroup is not None:
            self._unremoved.append(shell.cgroup)
            self._remove_cgroups()

    def _refuse(self, seq: int, error: SandboxError) -> None:
        self._server.send({"re": seq, "error": error.to_json()})

    def _complain(self, error: SandboxError) -> None:
        self._server.send({"event": "trouble", "error": error.to_json()})

    def reap(self) -> None:
        """Take the exit status of workers, whose end is seen on their links, and of what a dead worker had started."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            number = self._processes.number_of(pid)
            if number is not None:
                self._on_run_ended(number, status, "")


def _lock(folder: str, folder_fd: int) -> int:
    """Two supervisors of one data dir would sweep away each other's sandboxes. Held until this process ends."""
    fd = os.open("lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder_fd)
    deadline = time.monotonic() + _LOCK_PATIENCE
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        except BlockingIOError as error:
            # The supervisor of a server that was just killed is cleaning up.
            if time.monotonic() > deadline:
                hint = "It serves another region; end that one or choose another data dir."
                raise SandboxError("flock", folder, error.errno or 0, hint) from error
            time.sleep(0.01)
