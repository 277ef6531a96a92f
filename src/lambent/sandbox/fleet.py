"""All shells of a region: which are made, kept ready, given to a function, restarted and destroyed.

Lives in the supervisor and is driven by its loop; answers the server through its link.
"""

import collections
import fcntl
import os
import re
import time
from typing import Any, Deque, Dict, List, Optional, Tuple

from lambent.sandbox import cgroup, commands, levels, mounts, scratch, user, workers
from lambent.sandbox.shells import Phases, Run, Shell, open_pipes
from lambent.sandbox.spec import LaunchSpec, RuntimeSpec, SandboxError, SupervisorOptions

#: EphemeralStorage of the shells that are kept ready: Lambda's default.
POOLED_TMP_MB = 512
_BUILDERS = 2
#: Asked of one builder at a time, so that the order of requests can still change.
_QUEUE_DEPTH = 2
_BUILD_RETRY = 1.0
_LOCK_PATIENCE = 3.0
#: How often to look whether the kernel lets go of a cgroup, and how long.
_REMOVE_INTERVAL = 0.05
_ID = re.compile(r"[0-9a-f]{1,64}\Z")
_MAX_LAYERS = 5


class _Request:
    """A launch that waits for a shell."""

    def __init__(self, seq: int, spec: LaunchSpec) -> None:
        self.seq = seq
        self.spec = spec
        self.received_at = time.perf_counter()


class Fleet:
    def __init__(
        self, options: SupervisorOptions, ground: levels.Ground, endpoint_port: int, loop: Any, server: commands.Link
    ) -> None:
        # For the region's life
        self._options = options
        self._ground = ground
        self._endpoint_port = endpoint_port
        self._loop = loop
        self._server = server
        self._runtimes = {runtime.name: runtime for runtime in options.runtimes}
        self._own_network = options.network != "host"
        self._data_dir = os.path.realpath(options.data_dir)
        self._phases = Phases()
        # Descriptors, opened by start()
        self._data_fd = -1
        self._home_fd = -1
        self._lock_fd = -1
        self._pid_namespace_fd = -1
        self._host_fds: Dict[str, int] = {}
        self._blanks: Optional[scratch.Blanks] = None
        # Workers
        self._builders: List[workers.Worker] = []
        self._templates: Dict[str, workers.Worker] = {}
        self._broken: Optional[SandboxError] = None
        # Shells. Invariant: each is in exactly one of _building, _idle, _started[…], _assigned or _dying.
        self._building: Dict[int, Shell] = {}
        self._idle: Deque[Shell] = collections.deque()
        #: By runtime: a process waits in it for its function.
        self._started: Dict[str, Deque[Shell]] = {}
        self._assigned: Dict[str, Shell] = {}
        self._dying: Dict[int, Tuple[Shell, Optional[int]]] = {}
        self._waiting: Deque[_Request] = collections.deque()
        self._runs: Dict[int, Shell] = {}
        self._restarts: Dict[int, int] = {}
        self._used_slots: set = set()  # type: ignore[type-arg]
        self._unremoved: List[cgroup.Cgroup] = []
        self._shell_numbers = 0
        self._run_numbers = 0
        self._slot_cursor = 0
        self._is_ending = False

    # ---- start and end ------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._data_fd = os.open(self._data_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._home_fd = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        self._pid_namespace_fd = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        folder = f"{self._data_dir}/sandbox"
        os.makedirs(f"{folder}/root", mode=0o700, exist_ok=True)
        self._lock(folder)
        self._host_fds = {
            "proc": os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC),
            "dev": os.open("/dev", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC),
            "scratch": os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC),
        }
        if self._ground.images:
            self._blanks = scratch.Blanks(self._host_fds["scratch"])
        if self._ground.hierarchies.folders:
            self._unremoved = cgroup.sweep(self._ground.hierarchies)
            self._remove_cgroups()
        self._fill()

    def _lock(self, folder: str) -> None:
        """Two supervisors of one data dir would sweep away each other's sandboxes. Held until this process ends."""
        self._lock_fd = os.open(f"{folder}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + _LOCK_PATIENCE
        while True:
            try:
                fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError as error:
                # The supervisor of a server that was just killed is cleaning up.
                if time.monotonic() > deadline:
                    hint = "It serves another region; end that one or choose another data dir."
                    raise SandboxError("flock", folder, error.errno or 0, hint) from error
                time.sleep(0.01)

    def end(self) -> None:
        """Kill everything; `is_gone` says when it is."""
        self._is_ending = True
        self._waiting.clear()
        for shell in self._all_shells():
            self._bury(shell, None)

    def is_gone(self) -> bool:
        if self._dying or (self._building and any(worker.building for worker in self._builders)):
            return False
        self._unremoved = [group for group in self._unremoved if not group.remove()]
        if self._unremoved:
            return False
        for worker in [*self._builders, *self._templates.values()]:
            workers.end(worker)
        self._builders, self._templates = [], {}
        cgroup.remove_region(self._ground.hierarchies)
        return True

    def _all_shells(self) -> List[Shell]:
        started = [shell for shells in self._started.values() for shell in shells]
        return [*self._idle, *started, *self._assigned.values()]

    # ---- commands -----------------------------------------------------------------------------------------------

    def launch(self, seq: int, spec: LaunchSpec) -> None:
        self._check(spec)
        request = _Request(seq, spec)
        shell = self._take_ready(spec)
        if shell is None:
            self._waiting.append(request)
        else:
            self._assign(shell, request)
        self._fill()

    def restart(self, seq: int, environment_id: str) -> None:
        """Kill all but the init, then start a new process in what is left: the shell and its /tmp."""
        shell = self._find(environment_id)
        if shell.number in self._restarts:
            raise SandboxError("restart", environment_id, 0, "It is being restarted already.")
        self._restarts[shell.number] = seq
        if shell.cgroup is not None:
            shell.cgroup.thaw()
        assert shell.control is not None
        # The init answers when it has killed; only then may a new process come in.
        shell.control.send(b"r")

    def destroy(self, seq: int, environment_id: str) -> None:
        shell = self._assigned.get(environment_id)
        if shell is None:
            self._give_up(environment_id)
            self._server.send({"re": seq})
        else:
            self._bury(shell, seq)
            self._fill()

    def _give_up(self, environment_id: str) -> None:
        for request in [request for request in self._waiting if request.spec.id == environment_id]:
            self._waiting.remove(request)
            failure = SandboxError("launch", environment_id, 0, "It was destroyed before it was made.")
            self._server.send({"re": request.seq, "error": failure.to_json()})

    def prepare(self, name: str) -> None:
        """Keep started processes of that runtime ready from now on."""
        runtime = self._runtimes[name]
        if runtime.start != "exec":
            self._started.setdefault(name, collections.deque())
            if runtime.start == "fork":
                self._template(runtime)
            self._fill()

    def stats(self) -> Dict[str, Any]:
        return {
            "shells": {
                "building": len(self._building),
                "idle": len(self._idle),
                "started": {name: len(shells) for name, shells in self._started.items()},
                "assigned": len(self._assigned),
                "dying": len(self._dying),
            },
            "waiting": len(self._waiting),
            "cgroups_to_remove": len(self._unremoved),
            "phases_ms": self._phases.summary(),
        }

    def _check(self, spec: LaunchSpec) -> None:
        waiting = any(request.spec.id == spec.id for request in self._waiting)
        if not _ID.match(spec.id) or spec.id in self._assigned or waiting:
            raise SandboxError("launch", spec.id, 0, "An id is new and hexadecimal.")
        if spec.runtime not in self._runtimes:
            raise SandboxError("launch", spec.runtime, 0, "The supervisor was not started with this runtime.")
        if len(spec.layers) > _MAX_LAYERS:
            raise SandboxError("launch", f"{len(spec.layers)} layers")
        if not 32 <= spec.memory_mb <= 1 << 20 or not 1 <= spec.tmp_mb <= 1 << 20:
            raise SandboxError("launch", f"{spec.memory_mb} MB memory, {spec.tmp_mb} MB /tmp")
        for path in (spec.code_root, *spec.layers):
            self._beneath(path)

    def _beneath(self, path: str) -> str:
        """`path` relative to the data dir; that it really leads there is checked when it is opened."""
        for base in (self._data_dir, self._options.data_dir):
            if path.startswith(base.rstrip("/") + "/"):
                return path[len(base.rstrip("/")) + 1 :]
        raise SandboxError("launch", path, 0, "Function code lies below the data dir.")

    def _find(self, environment_id: str) -> Shell:
        shell = self._assigned.get(environment_id)
        if shell is None:
            raise SandboxError("find", environment_id, 0, "There is no such environment.")
        return shell

    # ---- from shell to environment ------------------------------------------------------------------------------

    def _take_ready(self, spec: LaunchSpec) -> Optional[Shell]:
        if spec.tmp_mb != POOLED_TMP_MB:
            return None
        if self._starts_early(spec):
            started = self._started.setdefault(spec.runtime, collections.deque())
            if started:
                return started.popleft()
        # First come, first served: nobody overtakes those who wait.
        return self._idle.popleft() if self._idle and not self._waiting else None

    def _starts_early(self, spec: LaunchSpec) -> bool:
        return self._runtimes[spec.runtime].start != "exec" and not spec.plain_exec

    def _assign(self, shell: Shell, request: _Request) -> None:
        """Make a shell a function's environment and tell the server."""
        spec, runtime = request.spec, self._runtimes[request.spec.runtime]
        began = time.perf_counter()
        try:
            self._mount_function(shell, runtime, spec)
            mounted = time.perf_counter()
            if shell.cgroup is not None:
                shell.cgroup.limit(spec.memory_mb + (0 if self._ground.images else spec.tmp_mb))
            limited = time.perf_counter()
            shell.environment_id = spec.id
            shell.spec = spec
            self._assigned[spec.id] = shell
            early = shell.run is not None
            if not early:
                self._start_run(shell, runtime, spec)
            self._reply_with(shell, request.seq)
        except SandboxError as error:
            self._server.send({"re": request.seq, "error": error.to_json()})
            self._bury(shell, None)
            return
        done = time.perf_counter()
        self._phases.add(
            {
                "wait for a shell": (began - request.received_at) * 1000,
                "mount function": (mounted - began) * 1000,
                "set limits": (limited - mounted) * 1000,
                "hand over" if early else "start process": (done - limited) * 1000,
                "launch, whole": (done - request.received_at) * 1000,
            }
        )

    def _mount_function(self, shell: Shell, runtime: RuntimeSpec, spec: LaunchSpec) -> None:
        folders = mounts.Folders() if shell.runtime else workers.runtime_folders(runtime)
        try:
            folders.add_beneath(self._data_fd, self._beneath(spec.code_root), mounts.TASK)
            layers = [self._beneath(path) for path in spec.layers]
            if len(layers) == 1:
                folders.add_beneath(self._data_fd, layers[0], mounts.LAYERS)
            elif layers:
                folders.add_merged(self._data_fd, layers, mounts.LAYERS)
            with mounts.inside(shell.init_fd, self._home_fd):
                folders.attach()
        finally:
            folders.close()
        shell.runtime = runtime.name

    def _start_run(self, shell: Shell, runtime: RuntimeSpec, spec: Optional[LaunchSpec]) -> None:
        """Have a process of `runtime` started in the shell; without `spec` it waits for its function."""
        forked = runtime.start == "fork" and not (spec and spec.plain_exec)
        worker = self._template(runtime) if forked else self._builder()
        server, inside = open_pipes(runtime.framed)
        names, fds = list(inside), list(inside.values())
        names.append("init")
        joins = shell.cgroup.open_joins() if shell.cgroup is not None else []
        self._run_numbers += 1
        shell.run = Run(self._run_numbers, shell.cgroup.oom_kills() if shell.cgroup is not None else 0)
        self._runs[self._run_numbers] = shell
        request: Dict[str, Any] = {"spawn": shell.run.number, "plan": self._entry_plan(spec)}
        if not forked:
            request["framed"] = runtime.framed
            request["command"] = _command(runtime, spec)
            request["environment"] = dict(spec.environment) if spec is not None else {}
        request["fds"] = names + ["join"] * len(joins)
        worker.link.send(request, [*fds, shell.init_fd, *joins])
        commands.close_all([*fds, *joins])
        shell.server_ends = server

    def _entry_plan(self, spec: Optional[LaunchSpec]) -> Dict[str, Any]:
        limited = "memory" in self._ground.hierarchies.folders
        return {
            "own_network": self._own_network,
            "uid": user.UID,
            "gid": user.GID,
            "groups": self._ground.is_root,
            "data_limit_mb": 0 if limited or spec is None else spec.memory_mb,
            "cwd": mounts.TASK if spec is not None else "/",
        }

    def _reply_with(self, shell: Shell, seq: int) -> None:
        fds = shell.take()
        if shell.cgroup is not None:
            fds.update(shell.cgroup.open_control(self._options.cpu))
        assert shell.control is not None
        if "kill" not in fds:
            fds["kill"] = os.dup(shell.control.fileno())
        assert shell.run is not None
        reply: Dict[str, Any] = {
            "re": seq,
            "id": shell.environment_id,
            "run": shell.run.number,
            "api": shell.api_address,
            "fds": list(fds),
        }
        if shell.cgroup is not None:
            assert shell.spec is not None
            reply["freeze_words"] = shell.cgroup.freeze_words()
            reply["cpu_quota"] = shell.cgroup.quota(shell.spec.memory_mb)
        self._server.send(reply, list(fds.values()), close=True)

    # ---- ends ---------------------------------------------------------------------------------------------------

    def _on_run_ended(self, number: int, status: Optional[int], error: str) -> None:
        shell = self._runs.pop(number, None)
        if shell is None or shell.run is None:
            return
        shell.run.ended = True
        if shell.is_dying:
            return
        if not shell.environment_id:
            # It died while waiting for a function: nobody has seen it yet.
            self._started[shell.runtime].remove(shell)
            self._bury(shell, None)
            self._loop.later(_BUILD_RETRY, self._fill)
            return
        oom = shell.cgroup is not None and shell.cgroup.oom_kills() > shell.run.oom_kills
        self._server.send(
            {
                "event": "exited",
                "id": shell.environment_id,
                "run": number,
                "code": os.WEXITSTATUS(status) if status is not None and os.WIFEXITED(status) else None,
                "signal": os.WTERMSIG(status) if status is not None and os.WIFSIGNALED(status) else None,
                "oom": oom,
                "error": error,
            }
        )

    def _on_control(self, shell: Shell) -> None:
        """The init answers: everything but itself is killed."""
        assert shell.control is not None
        try:
            answer = shell.control.recv(64)
        except BlockingIOError:
            return
        if not answer:
            self._loop.forget(shell.control)
            return
        if b"r" in answer:
            self._finish_restart(shell)

    def _finish_restart(self, shell: Shell) -> None:
        """Killed is not yet gone: start again once nothing is left in the cgroup."""
        seq = self._restarts.get(shell.number)
        if seq is None or shell.is_dying:
            return
        if (shell.run and not shell.run.ended) or (shell.cgroup is not None and not shell.cgroup.is_empty()):
            self._loop.later(0.001, lambda: self._finish_restart(shell))
            return
        del self._restarts[shell.number]
        try:
            self._start_run(shell, self._runtimes[shell.runtime], shell.spec)
            self._reply_with(shell, seq)
        except SandboxError as error:
            self._server.send({"re": seq, "error": error.to_json()})

    def _bury(self, shell: Shell, seq: Optional[int]) -> None:
        """Kill a shell and all in it; the server is answered when it is gone."""
        if shell.environment_id:
            self._assigned.pop(shell.environment_id, None)
        for shells in (self._idle, *self._started.values()):
            if shell in shells:
                shells.remove(shell)
        restart = self._restarts.pop(shell.number, None)
        if restart is not None:
            self._server.send({"re": restart, "error": SandboxError("restart", shell.environment_id).to_json()})
        shell.is_dying = True
        self._dying[shell.number] = (shell, seq)
        if shell.cgroup is not None and self._ground.hierarchies.kills_only_thawed:
            shell.cgroup.thaw()
        shell.kill_init()
        self._loop.watch(shell.init_fd, lambda: self._on_init_ended(shell))

    def _on_init_ended(self, shell: Shell) -> None:
        self._loop.forget(shell.init_fd)
        if shell.control is not None and shell.control.fileno() >= 0:
            self._loop.forget_if_watched(shell.control)
        if shell.run is not None:
            self._runs.pop(shell.run.number, None)
        shell.close()
        self._used_slots.discard(shell.slot)
        _, seq = self._dying.pop(shell.number)
        if shell.cgroup is not None:
            self._unremoved.append(shell.cgroup)
            self._remove_cgroups()
        if seq is not None:
            self._server.send({"re": seq})

    def _remove_cgroups(self) -> None:
        self._unremoved = [group for group in self._unremoved if not group.remove()]
        if self._unremoved and not self._is_ending:
            self._loop.later(_REMOVE_INTERVAL, self._remove_cgroups)

    # ---- pools --------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Ask for as many shells as are waited for and kept ready, and start processes in those kept for a runtime."""
        if self._is_ending or self._broken:
            return
        self._start_early()
        wanted = [request.spec.tmp_mb for request in self._waiting]
        keep = self._options.pool_size + sum(self._shortage(name) for name in self._started)
        wanted += [POOLED_TMP_MB] * max(0, keep - len(self._idle))
        for shell in self._building.values():
            if shell.tmp_mb in wanted:
                wanted.remove(shell.tmp_mb)
        for tmp_mb in wanted:
            if sum(len(worker.building) for worker in self._builders) >= _BUILDERS * _QUEUE_DEPTH:
                return
            self._build(tmp_mb)

    def _shortage(self, name: str) -> int:
        return max(0, self._early_target(name) - len(self._started[name]))

    def _early_target(self, name: str) -> int:
        size = self._options.pool_size
        # A waiting Node holds tens of megabytes, a fork of a template hardly any.
        return size if self._runtimes[name].start == "fork" else (size + 1) // 2

    def _start_early(self) -> None:
        for name, shells in self._started.items():
            while self._idle and not self._waiting and len(shells) < self._early_target(name):
                shell = self._idle.popleft()
                runtime = self._runtimes[name]
                try:
                    self._mount_runtime(shell, runtime)
                    self._start_run(shell, runtime, None)
                except SandboxError as error:
                    self._bury(shell, None)
                    self._complain(error)
                    return
                shells.append(shell)

    def _mount_runtime(self, shell: Shell, runtime: RuntimeSpec) -> None:
        folders = workers.runtime_folders(runtime)
        try:
            with mounts.inside(shell.init_fd, self._home_fd):
                folders.attach()
        finally:
            folders.close()
        shell.runtime = runtime.name

    def _build(self, tmp_mb: int) -> None:
        worker = self._builder()
        self._shell_numbers += 1
        slot = self._free_slot()
        group = None
        if self._ground.hierarchies.folders:
            began = time.perf_counter()
            group = cgroup.Cgroup(self._ground.hierarchies, f"{self._shell_numbers:x}")
            group.make()
            self._phases.add({"shell: cgroup": (time.perf_counter() - began) * 1000})
        shell = Shell(self._shell_numbers, slot, tmp_mb, group)
        self._building[shell.number] = shell
        worker.building.append(shell.number)
        request = {
            "build": shell.number,
            "tmp_mb": tmp_mb,
            "own_network": self._own_network,
            "endpoint_port": self._endpoint_port,
            "groups": self._ground.is_root,
            "outside": user.outside_ids(slot, self._ground.is_root, self._ground.subordinate_ids),
            "fds": ["blank"] if self._blanks is not None else [],
        }
        worker.link.send(request, [self._blanks.image(tmp_mb)] if self._blanks is not None else [])

    def _free_slot(self) -> int:
        while True:
            self._slot_cursor = (self._slot_cursor + 1) % user.SLOTS
            if self._slot_cursor not in self._used_slots:
                self._used_slots.add(self._slot_cursor)
                return self._slot_cursor

    def _on_built(self, worker: workers.Worker, message: Dict[str, Any], fds: List[int]) -> None:
        worker.building.remove(message["built"])
        shell = self._building.pop(message["built"])
        shell.adopt(dict(zip(message["fds"], fds)), tuple(message["api"]))
        control = shell.control
        self._loop.watch(control, lambda: self._on_control(shell))
        self._phases.add({f"shell: {name}": value for name, value in message["phases"].items()})
        self._phases.add({"shell: whole": sum(message["phases"].values())})
        if self._is_ending:
            self._bury(shell, None)
            return
        for request in self._waiting:
            if request.spec.tmp_mb == shell.tmp_mb:
                self._waiting.remove(request)
                self._assign(shell, request)
                break
        else:
            self._idle.append(shell)
        self._fill()

    def _on_unbuilt(self, worker: workers.Worker, number: int, error: SandboxError) -> None:
        if number in worker.building:
            worker.building.remove(number)
        shell = self._building.pop(number)
        self._used_slots.discard(shell.slot)
        if shell.cgroup is not None:
            self._unremoved.append(shell.cgroup)
            self._remove_cgroups()
        for request in self._waiting:
            if request.spec.tmp_mb == shell.tmp_mb:
                self._waiting.remove(request)
                self._server.send({"re": request.seq, "error": error.to_json()})
                break
        else:
            self._complain(error)
        self._loop.later(_BUILD_RETRY, self._fill)

    def _complain(self, error: SandboxError) -> None:
        self._server.send({"event": "trouble", "error": error.to_json()})

    # ---- workers ------------------------------------------------------------------------------------------------

    def _builder(self) -> workers.Worker:
        """The builder with the least to do."""
        while len(self._builders) < _BUILDERS:
            root = {
                "mount_point": f"{self._data_dir}/sandbox/root",
                "rootfs": self._options.rootfs,
                "mount_points": sorted({path for runtime in self._runtimes.values() for path in runtime.host_paths}),
                "keep_proc": not self._ground.is_root,
            }
            worker = workers.start_builder(self._host_fds, root)
            self._builders.append(worker)
            self._listen(worker)
        return min(self._builders, key=lambda worker: len(worker.building))

    def _template(self, runtime: RuntimeSpec) -> workers.Worker:
        worker = self._templates.get(runtime.name)
        if worker is None:
            root_pidfd = os.pidfd_open(self._ready_builder().pid)
            try:
                worker = workers.start_template(runtime, root_pidfd, self._pid_namespace_fd)
            finally:
                os.close(root_pidfd)
            self._templates[runtime.name] = worker
            self._listen(worker)
        return worker

    def _ready_builder(self) -> workers.Worker:
        """A builder whose root is in place; waits for the first one, which takes milliseconds, once a region."""
        worker = self._builder()
        while not worker.is_ready and worker in self._builders:
            self._on_worker(worker, wait=True)
        if self._broken is not None:
            raise self._broken
        return worker

    def _listen(self, worker: workers.Worker) -> None:
        self._loop.watch_link(worker.link, lambda: self._on_worker(worker))

    def _on_worker(self, worker: workers.Worker, wait: bool = False) -> None:
        worker.link.sock.setblocking(wait)
        try:
            received = worker.link.receive()
        except BlockingIOError:
            return
        finally:
            worker.link.sock.setblocking(False)
        if received is None:
            self._on_worker_gone(worker)
            return
        message, fds = received
        if "built" in message:
            self._on_built(worker, message, fds)
        elif "unbuilt" in message:
            self._on_unbuilt(worker, message["unbuilt"], _error(message))
        elif "exited" in message:
            self._on_run_ended(message["exited"], message["status"], "")
        elif "failed" in message:
            self._on_run_ended(message["failed"], None, str(_error(message)))
        elif "hello" in message:
            worker.is_ready = True
        elif "broken" in message:
            worker.error = _error(message)

    def _on_worker_gone(self, worker: workers.Worker) -> None:
        """Its shells' inits die with a builder; what a template forked lives on, but its end is no longer seen."""
        self._loop.forget_link(worker.link)
        workers.end(worker)
        error = worker.error or SandboxError("start", worker.name, 0, "It ended; see the server's standard error.")
        if worker in self._builders:
            self._builders.remove(worker)
            if not worker.is_ready:
                self._broken = error
            for number in list(worker.building):
                self._on_unbuilt(worker, number, error)
        else:
            self._templates = {name: other for name, other in self._templates.items() if other is not worker}
        if not self._is_ending:
            self._complain(error)

    def reap(self) -> None:
        """Take the exit status of workers, whose end is seen on their links, and of orphans."""
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return


def _error(message: Dict[str, Any]) -> SandboxError:
    fields = message["error"]
    return SandboxError(fields["call"], fields["target"], fields["errno"], fields["hint"])


def _command(runtime: RuntimeSpec, spec: Optional[LaunchSpec]) -> List[str]:
    memory_mb = spec.memory_mb if spec is not None else 10240
    values = {"{memory_mb}": str(memory_mb), "{heap_mb}": str(memory_mb * 9 // 10)}
    command = []
    for part in runtime.command:
        for placeholder, value in values.items():
            part = part.replace(placeholder, value)
        command.append(part)
    return command
