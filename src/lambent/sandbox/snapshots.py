"""Snapshots as the supervisor holds them: initialised functions that are forked into shells made within their own.

A snapshot's process is as hostile as any function. What comes from it is looked at only as far as to see whether a fork
got into its shell and how it ended, a few bytes each; one that does not do as it is told makes no more environments.
"""

import collections
import contextlib
import errno
import signal
import time
from typing import Any, Callable, Deque, Dict, List, Optional

from lambent.sandbox import commands, runs, snapshot_process
from lambent.sandbox.shells import Shell, open_pipes
from lambent.sandbox.spec import SandboxError, as_sandbox_error
from lambent.sandbox.stock import Request

#: How long a fork may take to enter its shell once those before it have. A large process takes a while to fork.
_ENTER_LIMIT_S = 6.0
#: So many forks in a row that do not get into their shells, and the snapshot is of no use.
_MAX_FAILURES = 3
#: Nothing restored for so long, and one environment that waits is enough.
_IN_USE_S = 60.0
_MAX_WORDS = 4096
_STATUS_BYTES = 4


class Snapshot:
    """One of them, and what was made of it."""

    def __init__(self, shell: Shell, forks: commands.Link) -> None:
        self.shell = shell
        self.forks = forks
        #: How many environments to keep waiting; none before the server says that it initialised.
        self.target = 0
        #: Their processes wait in them, frozen.
        self.ready: Deque[Shell] = collections.deque()
        #: Being made: by a builder, then entered by a fork.
        self.building: Dict[int, Shell] = {}
        self.entering: Dict[int, Shell] = {}
        #: All shells within its own that are not gone, those given to functions too.
        self.members: Dict[int, Shell] = {}
        self.waiting: Deque[Request] = collections.deque()
        self.failures = 0
        #: When a fork of it entered its shell last.
        self.entered_at = 0.0
        #: When something was restored from it last.
        self.used_at = 0.0
        #: It makes no more: its process is gone or not to be trusted with it.
        self.is_over = False
        #: It goes as soon as the last of its members has.
        self.is_retired = False

    @property
    def missing(self) -> int:
        if self.is_over:
            return 0
        coming = len(self.building) + len(self.entering)
        return len(self.waiting) + max(0, self.target - len(self.ready)) - coming


class Snapshots:
    def __init__(self, loop: Any, processes: runs.Runs, pool_size: int) -> None:
        self._loop = loop
        self._processes = processes
        self._pool_size = pool_size
        #: By number of the shell that its process lives in.
        self._snapshots: Dict[int, Snapshot] = {}
        #: Keep what is in the snapshot's /tmp as it is.
        self.seal: Callable[[Shell], None]
        #: Mount the function's folders and set its limits; give a shell to a launch, or fail that; throw it away.
        self.furnish: Callable[[Shell, Shell], None]
        self.on_match: Callable[[Shell, Request], None]
        self.on_failure: Callable[[Request, SandboxError], None]
        self.on_discard: Callable[[Shell], None]
        self.on_trouble: Callable[[SandboxError], None]
        self.on_ended: Callable[[int, Optional[int], str], None]
        self.fill: Callable[[], None]

    def statistics(self) -> Dict[str, int]:
        snapshots = self._snapshots.values()
        return {
            "snapshots": len(snapshots),
            "ready": sum(len(snapshot.ready) for snapshot in snapshots),
            "entering": sum(len(snapshot.entering) for snapshot in snapshots),
            "members": sum(len(snapshot.members) for snapshot in snapshots),
            "waiting": sum(len(snapshot.waiting) for snapshot in snapshots),
        }

    def shells(self) -> List[Shell]:
        """Those that were made and no function has, and those of snapshots that are to go."""
        found: List[Shell] = []
        for snapshot in self._snapshots.values():
            found += [*snapshot.ready, *snapshot.entering.values(), *([snapshot.shell] if snapshot.is_retired else [])]
        return found

    # ---- a snapshot ---------------------------------------------------------------------------------------------

    def begin(self, shell: Shell) -> None:
        """The function's process that becomes one has been asked for."""
        assert shell.forks is not None
        snapshot = self._snapshots[shell.number] = Snapshot(shell, shell.forks)
        self._loop.watch_link(shell.forks, lambda: self._on_words(snapshot))

    def taken(self, shell: Shell) -> None:
        """It has initialised: environments can be made of it from now on."""
        snapshot = self._of(shell)
        try:
            self.seal(shell)
        except (SandboxError, OSError) as error:
            # It holds a file open to write, which an honest one would have told.
            self.on_trouble(as_sandbox_error(error))
            self.over(shell)
            return
        snapshot.target = max(snapshot.target, min(1, self._pool_size))
        self.fill()

    def _of(self, shell: Optional[Shell]) -> Snapshot:
        snapshot = self._snapshots.get(shell.number) if shell is not None else None
        if snapshot is None or snapshot.is_retired:
            raise SandboxError("restore", "snapshot", 0, "There is no such snapshot.")
        return snapshot

    def _on_words(self, snapshot: Snapshot) -> None:
        """A snapshot has nothing to say: it ended, or does not keep to what was agreed."""
        with contextlib.suppress(BlockingIOError, OSError):
            if snapshot.forks.sock.recv(1):
                self.on_trouble(SandboxError("fork", snapshot.shell.environment_id, 0, "The snapshot misbehaved."))
        self.over(snapshot.shell)

    def over(self, shell: Shell) -> None:
        """No more environments of it; those that there are go on."""
        snapshot = self._snapshots.get(shell.number)
        if snapshot is None or snapshot.is_over:
            return
        snapshot.is_over = True
        self._loop.forget_link(snapshot.forks)
        snapshot.forks.close()
        if shell.cgroup is not None:
            shell.cgroup.thaw()
            # The cgroup is the snapshot's own: what was made of it has left.
            shell.cgroup.kill()
        for request in snapshot.waiting:
            self.on_failure(request, SandboxError("restore", snapshot.shell.environment_id, 0, "The snapshot is gone."))
        snapshot.waiting.clear()
        for member in [*snapshot.ready, *snapshot.entering.values()]:
            self.on_discard(member)

    def linger(self, shell: Shell) -> bool:
        """It is to go. True: not yet, since environments made of it live in its pid namespace and would go with it."""
        snapshot = self._snapshots.get(shell.number)
        if snapshot is None:
            return False
        self.over(shell)
        snapshot.is_retired = any(member.environment_id for member in snapshot.members.values())
        return snapshot.is_retired

    # ---- environments -------------------------------------------------------------------------------------------

    def request(self, outer: Optional[Shell], request: Request) -> None:
        snapshot = self._of(outer)
        if snapshot.is_over:
            raise SandboxError("restore", request.spec.restores, 0, "The snapshot is gone.")
        self._is_used(snapshot)
        if snapshot.ready and not snapshot.waiting:
            self.on_match(snapshot.ready.popleft(), request)
        else:
            snapshot.waiting.append(request)

    def _is_used(self, snapshot: Snapshot) -> None:
        """Keep more waiting while it is."""
        snapshot.used_at = time.monotonic()
        if snapshot.target < self._pool_size:
            snapshot.target = self._pool_size
            self._loop.later(_IN_USE_S, lambda: self._look_after(snapshot))

    def _look_after(self, snapshot: Snapshot) -> None:
        idle = time.monotonic() - snapshot.used_at
        if snapshot.is_over:
            return
        if idle < _IN_USE_S:
            self._loop.later(_IN_USE_S - idle, lambda: self._look_after(snapshot))
            return
        snapshot.target = min(1, self._pool_size)
        while len(snapshot.ready) > snapshot.target:
            self.on_discard(snapshot.ready[-1])

    def cancel(self, environment_id: str) -> Optional[Request]:
        for snapshot in self._snapshots.values():
            for request in snapshot.waiting:
                if request.spec.id == environment_id:
                    snapshot.waiting.remove(request)
                    return request
        return None

    def wanted(self, at_leisure: bool) -> Optional[Shell]:
        """The snapshot's shell within which one more is missing most."""
        able = [snapshot for snapshot in self._snapshots.values() if snapshot.waiting or at_leisure]
        missing = [snapshot for snapshot in able if snapshot.missing > 0]
        return max(missing, key=lambda snapshot: len(snapshot.waiting)).shell if missing else None

    def building(self, shell: Shell) -> None:
        """A builder has been asked for it."""
        assert shell.outer is not None
        snapshot = self._snapshots[shell.outer.number]
        snapshot.building[shell.number] = snapshot.members[shell.number] = shell

    def unbuilt(self, shell: Shell, error: SandboxError) -> None:
        snapshot = self._forget(shell)
        if snapshot is None:
            return
        if error.errno == errno.ETIMEDOUT:
            # Builders are the region's: who holds one up is given no other.
            snapshot.failures = _MAX_FAILURES
        self._fail(snapshot, error)

    def built(self, shell: Shell) -> None:
        """Have a fork enter it."""
        assert shell.outer is not None
        snapshot = self._snapshots.get(shell.outer.number)
        if snapshot is None or snapshot.is_over:
            self.on_discard(shell)
            return
        snapshot.building.pop(shell.number, None)
        try:
            self.furnish(shell, shell.outer)
            self._send_fork(snapshot, shell)
        except (SandboxError, OSError) as error:
            self.on_discard(shell)
            self._fail(snapshot, as_sandbox_error(error))

    def _send_fork(self, snapshot: Snapshot, shell: Shell) -> None:
        run = self._processes.adopt(shell)
        shell.server_ends, inside = open_pipes(framed=True)
        ours, theirs = commands.socket_pair()
        ours.setblocking(False)
        shell.status = ours
        inside["status"] = theirs.detach()
        joins = shell.cgroup.open_joins() if shell.cgroup is not None else []
        given = {**inside, **shell.namespaces}
        shell.namespaces = {}
        snapshot.entering[shell.number] = shell
        if snapshot.shell.cgroup is not None:
            snapshot.shell.cgroup.thaw()
        message = {"fork": run.number, "fds": [*given, *(["join"] * len(joins))]}
        snapshot.forks.send(message, [*given.values(), *joins])
        self._loop.watch(ours, lambda: self._on_status(snapshot, shell))
        self._loop.later(_ENTER_LIMIT_S, lambda: self._on_limit(snapshot, shell))

    def _on_limit(self, snapshot: Snapshot, shell: Shell) -> None:
        if shell.number not in snapshot.entering:
            return
        left = snapshot.entered_at + _ENTER_LIMIT_S - time.monotonic()
        if left > 0:
            self._loop.later(left, lambda: self._on_limit(snapshot, shell))
        else:
            self._failed_to_enter(snapshot, shell, "It did not enter its shell in time.")

    def _on_status(self, snapshot: Snapshot, shell: Shell) -> None:
        """What a fork tells of itself."""
        assert shell.status is not None
        try:
            words = shell.status.recv(_MAX_WORDS)
        except BlockingIOError:
            return
        except OSError:
            words = b""
        if shell.number in snapshot.entering:
            if words == snapshot_process.ENTERED:
                self._on_entered(snapshot, shell)
            else:
                self._failed_to_enter(snapshot, shell, words.decode("utf-8", "replace") or "It ended.")
            return
        self.hang_up(shell)
        assert shell.run is not None
        # Without a word it was killed with the other.
        # What is more than a status of waitpid(2) is not looked at: whoever kept the socket can send any four bytes.
        status = int.from_bytes(words[:2], "little") if len(words) == _STATUS_BYTES else signal.SIGKILL
        self.on_ended(shell.run.number, status, "")

    def _on_entered(self, snapshot: Snapshot, shell: Shell) -> None:
        snapshot.entering.pop(shell.number)
        snapshot.entered_at = time.monotonic()
        snapshot.failures = 0
        if snapshot.waiting:
            self.on_match(shell, snapshot.waiting.popleft())
        else:
            # It has nothing to do yet, and its code is not to be trusted to do nothing.
            if shell.cgroup is not None:
                shell.is_frozen = shell.cgroup.freeze()
            snapshot.ready.append(shell)
        if not snapshot.entering and snapshot.shell.cgroup is not None:
            snapshot.shell.cgroup.freeze()
        self.fill()

    def _failed_to_enter(self, snapshot: Snapshot, shell: Shell, reason: str) -> None:
        snapshot.entering.pop(shell.number, None)
        self.on_discard(shell)
        self._fail(snapshot, SandboxError("restore", snapshot.shell.environment_id, 0, reason))

    def _fail(self, snapshot: Snapshot, error: SandboxError) -> None:
        """Who waits is given the next one, as long as there is hope."""
        snapshot.failures += 1
        self.on_trouble(error)
        if snapshot.failures >= _MAX_FAILURES:
            self.over(snapshot.shell)
        self.fill()

    # ---- ends ---------------------------------------------------------------------------------------------------

    def hang_up(self, shell: Shell) -> None:
        if shell.status is not None:
            self._loop.forget_if_watched(shell.status)
            shell.status.close()
            shell.status = None

    def remove(self, shell: Shell) -> None:
        """It is being thrown away: nobody is given it any more."""
        if shell.outer is None:
            self.over(shell)
            return
        self.hang_up(shell)
        snapshot = self._snapshots.get(shell.outer.number)
        if snapshot is not None:
            snapshot.building.pop(shell.number, None)
            snapshot.entering.pop(shell.number, None)
            if shell in snapshot.ready:
                snapshot.ready.remove(shell)

    def gone(self, shell: Shell) -> Optional[Shell]:
        """Nothing is left of it. The shell that was kept for it alone, if it was the last."""
        if shell.outer is None:
            self._snapshots.pop(shell.number, None)
            return None
        snapshot = self._forget(shell)
        if snapshot is not None and snapshot.is_retired and not snapshot.members:
            return snapshot.shell
        return None

    def _forget(self, shell: Shell) -> Optional[Snapshot]:
        self.remove(shell)
        assert shell.outer is not None
        snapshot = self._snapshots.get(shell.outer.number)
        if snapshot is not None:
            snapshot.members.pop(shell.number, None)
        return snapshot
