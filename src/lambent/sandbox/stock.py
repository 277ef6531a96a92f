"""Which shells are made and kept ready, and who gets them: policy of the supervisor, no system calls."""

import collections
import time
from typing import Any, Callable, Deque, Dict, List, Optional

from lambent.sandbox import cgroup, levels, runs, scratch, user, workers
from lambent.sandbox.shells import Kind, Phases, Shell
from lambent.sandbox.spec import LaunchSpec, RuntimeSpec, SandboxError, SupervisorOptions, as_sandbox_error

#: EphemeralStorage of the shells that are kept ready: Lambda's default.
POOLED_TMP_MB = 512
#: Asked of one builder at a time, so that the order of requests can still change.
_QUEUE_DEPTH = 2
_RETRY_S = 1.0
_LEISURE_S = 0.03


class Request:
    """A launch that waits for a shell."""

    def __init__(self, seq: int, spec: LaunchSpec) -> None:
        self.seq = seq
        self.spec = spec
        self.received_at = time.perf_counter()


class Stock:
    def __init__(
        self,
        options: SupervisorOptions,
        ground: levels.Ground,
        loop: Any,
        crew: workers.Crew,
        processes: runs.Runs,
        blanks: Optional[scratch.Blanks],
    ) -> None:
        # For the region's life
        self._options = options
        self._ground = ground
        self._loop = loop
        self._crew = crew
        self._processes = processes
        self._blanks = blanks
        self._runtimes = {runtime.name: runtime for runtime in options.runtimes}
        self.endpoint_port = 0
        #: Number of each NetworkAccess by the name that a launch gives it; None: no way out.
        self.accesses: Dict[str, Optional[int]] = {"": None}
        self.phases = Phases()
        self.is_closed = False
        #: What to do with a shell that is ready for a launch, a launch that fails, a shell to throw away, trouble.
        self.on_match: Callable[[Shell, Request], None]
        self.on_failure: Callable[[Request, SandboxError], None]
        self.on_discard: Callable[[Shell], None]
        self.on_trouble: Callable[[SandboxError], None]
        self.on_control: Callable[[Shell], None]
        self.mount_runtime: Callable[[Shell, RuntimeSpec], None]
        #: The snapshot's shell within which one is missing most; what to do with such a one.
        self.wanted_within: Callable[[bool], Optional[Shell]]
        self.on_asked_within: Callable[[Shell], None]
        self.on_ready_within: Callable[[Shell], None]
        self.on_unmade_within: Callable[[Shell, SandboxError], None]
        #: Makes it ready where there are no namespaces.
        self.make_plain: Callable[[Shell], None]
        # Invariant: a shell of the stock is in exactly one of building, idle and started[…].
        self.building: Dict[int, Shell] = {}
        self.idle: Deque[Shell] = collections.deque()
        #: By runtime: a process waits in it for its function.
        self.started: Dict[str, Deque[Shell]] = {}
        self.waiting: Deque[Request] = collections.deque()
        self._used_slots: Dict[int, bool] = {}
        self._slot_cursor = 0
        self._numbers = 0
        self._is_filling = False
        self._is_fill_planned = False

    def shells(self) -> List[Shell]:
        return [*self.idle, *(shell for shells in self.started.values() for shell in shells)]

    # ---- out ----------------------------------------------------------------------------------------------------

    def request(self, request: Request) -> None:
        """Give it a shell now or as soon as there is one."""
        shell = self._take_ready(request.spec)
        if shell is None:
            self.waiting.append(request)
            self.fill()
            return
        self.on_match(shell, request)
        if self._is_half_full(request.spec.runtime):
            self._fill_soon()
        else:
            self.fill()

    def _is_half_full(self, runtime: str) -> bool:
        return 2 * len(self.started.get(runtime, self.idle)) >= self._target(runtime)

    def _fill_soon(self) -> None:
        """Leave the processors to the start that is under way; there is enough for the next ones."""
        if not self._is_fill_planned:
            self._is_fill_planned = True
            self._loop.later(_LEISURE_S, self._fill_as_planned)

    def _fill_as_planned(self) -> None:
        self._is_fill_planned = False
        self.fill()

    def cancel(self, environment_id: str) -> Optional[Request]:
        for request in self.waiting:
            if request.spec.id == environment_id:
                self.waiting.remove(request)
                return request
        return None

    def keep_started(self, runtime: RuntimeSpec) -> None:
        """Keep processes of that runtime waiting from now on."""
        if self._may_start_early(runtime):
            self.started.setdefault(runtime.name, collections.deque())

    def release(self, shell: Shell) -> None:
        """It is gone: its slot is free again."""
        self._used_slots.pop(shell.slot, None)

    def remove(self, shell: Shell) -> None:
        for shells in (self.idle, *self.started.values()):
            if shell in shells:
                shells.remove(shell)

    def _take_ready(self, spec: LaunchSpec) -> Optional[Shell]:
        if self._kind_of(spec) != self._pooled():
            return None
        runtime = self._runtimes[spec.runtime]
        if not spec.plain_exec and not spec.snapshot:
            self.keep_started(runtime)
            started = self.started.get(spec.runtime)
            if started:
                return started.popleft()
        # First come, first served: nobody overtakes those who wait.
        return self.idle.popleft() if self.idle and not self.waiting else None

    def _kind_of(self, spec: LaunchSpec) -> Kind:
        return Kind(spec.tmp_mb, self.accesses[spec.network])

    def _pooled(self) -> Kind:
        """The kind that is kept ready: what most functions need."""
        return Kind(POOLED_TMP_MB, self.accesses[""])

    def _may_start_early(self, runtime: RuntimeSpec) -> bool:
        # Without namespaces a process is confined to its function's files when it starts: it cannot come first.
        return runtime.start != "exec" and runtime.framed and self._ground.has_namespaces

    # ---- in -----------------------------------------------------------------------------------------------------

    def fill(self) -> None:
        """Ask for as many shells as are waited for and kept ready, and start processes in those kept for a runtime."""
        # Making a shell can end in a call of this; the loop that is under way sees what changed.
        if self._is_filling or self.is_closed:
            return
        if self._crew.broken is not None:
            self._fail_all(self._crew.broken)
            return
        self._is_filling = True
        try:
            while self._make_one():
                pass
        finally:
            self._is_filling = False

    def _make_one(self) -> bool:
        """Have one more shell made; False when there is none to be made now."""
        self._start_early()
        outer = self.wanted_within(not self.waiting)
        wanted = self._wanted() if outer is None else outer.kind
        if wanted is None or len(self.building) >= workers.BUILDERS * _QUEUE_DEPTH:
            return False
        self._numbers += 1
        shell = Shell(self._numbers, self._free_slot(), wanted)
        shell.outer = outer
        try:
            self._build(shell)
        except (SandboxError, OSError) as error:
            self.release(shell)
            if shell.cgroup is not None:
                shell.cgroup.remove()
            self._on_unmade(shell, as_sandbox_error(error))
            return False
        return True

    def _wanted(self) -> Optional[Kind]:
        """The kind of shell that is missing most; those who wait come first."""
        missing = [self._kind_of(request.spec) for request in self.waiting]
        keep = self._options.pool_size if self._ground.has_namespaces else 0
        keep += sum(max(0, self._target(name) - len(shells)) for name, shells in self.started.items())
        missing += [self._pooled()] * max(0, keep - len(self.idle))
        for shell in self.building.values():
            if shell.kind in missing and shell.outer is None:
                missing.remove(shell.kind)
        return missing[0] if missing else None

    def _fail_all(self, error: SandboxError) -> None:
        waiting, self.waiting = self.waiting, collections.deque()
        for request in waiting:
            self.on_failure(request, error)

    def _target(self, name: str) -> int:
        size = self._options.pool_size
        # A waiting Node holds tens of megabytes, a fork of a template hardly any.
        return size if self._runtimes[name].start == "fork" else (size + 1) // 2

    def _start_early(self) -> None:
        for name, shells in self.started.items():
            while self.idle and not self.waiting and len(shells) < self._target(name):
                shell = self.idle.popleft()
                runtime = self._runtimes[name]
                try:
                    self.mount_runtime(shell, runtime)
                    self._processes.start(shell, runtime, None)
                except (SandboxError, OSError) as error:
                    self.on_discard(shell)
                    self.on_trouble(as_sandbox_error(error))
                    self._loop.later(_RETRY_S, self.fill)
                    return
                shells.append(shell)

    def _build(self, shell: Shell) -> None:
        if self._ground.hierarchies.folders:
            began = time.perf_counter()
            shell.cgroup = cgroup.Cgroup(self._ground.hierarchies, f"{shell.number:x}")
            shell.cgroup.make()
            self.phases.add({"shell: cgroup": (time.perf_counter() - began) * 1000})
        if not self._ground.has_namespaces:
            self.make_plain(shell)
            self._on_ready(shell)
            return
        blanks = [self._blanks.image(shell.kind.tmp_mb)] if self._blanks is not None else []
        worker = self._crew.builder()
        self.building[shell.number] = shell
        worker.building.append(shell.number)
        request: Dict[str, Any] = {
            "build": shell.number,
            "tmp_mb": shell.kind.tmp_mb,
            "access": shell.kind.access,
            "slot": shell.slot,
            "own_network": self._options.network != "host",
            "endpoint_port": self.endpoint_port,
            "groups": self._ground.may_set_groups,
            "outside": user.outside_ids(shell.slot, self._ground.is_root, self._ground.subordinate_ids),
        }
        outer = []
        if shell.outer is not None:
            self.on_asked_within(shell)
            outer = [shell.outer.init_fd]
        request["fds"] = ["blank"] * len(blanks) + ["outer"] * len(outer)
        worker.link.send(request, [*blanks, *outer], keep=[*blanks, *outer])

    def _free_slot(self) -> int:
        while True:
            self._slot_cursor = (self._slot_cursor + 1) % user.SLOTS
            if self._slot_cursor not in self._used_slots:
                self._used_slots[self._slot_cursor] = True
                return self._slot_cursor

    def built(self, worker: workers.Worker, message: Dict[str, Any], fds: List[int]) -> None:
        """A builder hands over a shell."""
        worker.building.remove(message["built"])
        shell = self.building.pop(message["built"])
        shell.adopt(dict(zip(message["fds"], fds)), tuple(message["api"]), tuple(message["daemon"]))
        self.phases.add({f"shell: {name}": value for name, value in message["phases"].items()})
        self.phases.add({"shell: whole": sum(message["phases"].values())})
        self._on_ready(shell)

    def _on_ready(self, shell: Shell) -> None:
        self.on_control(shell)
        if self.is_closed:
            self.on_discard(shell)
            return
        if shell.outer is not None:
            self.on_ready_within(shell)
            self.fill()
            return
        for request in self.waiting:
            if self._kind_of(request.spec) == shell.kind:
                self.waiting.remove(request)
                self.on_match(shell, request)
                break
        else:
            self.idle.append(shell)
        self.fill()

    def unbuilt(self, worker: workers.Worker, number: int, error: SandboxError) -> Shell:
        """A builder failed; the launch that waits longest for such a shell hears of it."""
        worker.building.remove(number)
        shell = self.building.pop(number)
        self.release(shell)
        self._on_unmade(shell, error)
        return shell

    def _on_unmade(self, shell: Shell, error: SandboxError) -> None:
        if shell.outer is not None:
            self.on_unmade_within(shell, error)
            return
        for request in self.waiting:
            if self._kind_of(request.spec) == shell.kind:
                self.waiting.remove(request)
                self.on_failure(request, error)
                break
        else:
            self.on_trouble(error)
        self._loop.later(_RETRY_S, self.fill)
