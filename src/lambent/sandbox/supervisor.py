"""The supervisor: the privileged process that makes sandboxes on the server's word, and outlives none of it.

One thread, one selector. It accepts the commands of `_COMMANDS`, checks all that they name, and never waits for
anything: builders and templates do the slow parts. When the server's socket ends, everything ends.
"""

import heapq
import json
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from typing import Any, Callable, Dict, List, Optional, Tuple

from lambent.sandbox import cgroup, commands, levels, rlimits, rootless, syscalls
from lambent.sandbox.fleet import Fleet
from lambent.sandbox.spec import (
    SandboxError,
    SupervisorOptions,
    as_sandbox_error,
    launch_spec,
    supervisor_options,
    to_json,
)

_STOP_DEADLINE = 5.0


class Loop:
    """Readiness callbacks and timers."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: List[Tuple[float, int, Callable[[], None]]] = []
        self._sequence = 0
        self._links: List[commands.Link] = []

    def watch(self, source: Any, callback: Callable[[], None]) -> None:
        self._selector.register(source, selectors.EVENT_READ, callback)

    def watch_link(self, link: commands.Link, callback: Callable[[], None]) -> None:
        self._links.append(link)
        self.watch(link.sock, callback)

    def forget(self, source: Any) -> None:
        self._selector.unregister(source)

    def forget_if_watched(self, source: Any) -> None:
        if source.fileno() in self._selector.get_map():
            self.forget(source)

    def forget_link(self, link: commands.Link) -> None:
        self._links.remove(link)
        self.forget(link.sock)

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        self._sequence += 1
        heapq.heappush(self._timers, (time.monotonic() + seconds, self._sequence, callback))

    def turn(self) -> None:
        """Wait for whatever comes next and do it."""
        congested = [link for link in self._links if link.is_congested]
        for link in congested:
            self._selector.modify(link.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, self._data(link))
        wait = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None
        ready = self._selector.select(wait)
        for link in congested:
            link.flush()
            self._selector.modify(link.sock, selectors.EVENT_READ, self._data(link))
        for key, mask in ready:
            # A callback before it may have closed this one.
            if mask & selectors.EVENT_READ and self._selector.get_map().get(key.fd) == key:
                key.data()
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()

    def _data(self, link: commands.Link) -> Any:
        return self._selector.get_key(link.sock).data


class Supervisor:
    def __init__(self, server: commands.Link) -> None:
        self._server = server
        self._loop = Loop()
        self._fleet: Optional[Fleet] = None
        self._is_running = True

    def serve(self) -> None:
        self._loop.watch_link(self._server, self._on_command)
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._on_terminate)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)

        def on_signal() -> None:
            os.read(wake_read, 4096)
            if self._fleet is not None:
                self._fleet.reap()

        self._loop.watch(wake_read, on_signal)
        while self._is_running:
            self._loop.turn()
        self._clean_up()

    def _on_terminate(self, *_: object) -> None:
        self._is_running = False

    def _on_command(self) -> None:
        try:
            received = self._server.receive()
        except BlockingIOError:
            return
        if received is None:
            self._is_running = False
            return
        message, fds = received
        commands.close_all(fds)
        try:
            self._obey(message)
        except SandboxError as error:
            self._server.send({"re": message.get("seq"), "error": error.to_json()})
        except (KeyError, TypeError, ValueError, OSError) as error:
            self._server.send({"re": message.get("seq"), "error": as_sandbox_error(error).to_json()})

    def _obey(self, message: Dict[str, Any]) -> None:
        do = message["do"]
        if do == "configure":
            self._configure(message)
            return
        if self._fleet is None:
            raise SandboxError(do, "before configure")
        if do == "launch":
            self._fleet.launch(message["seq"], launch_spec(message["spec"]))
        elif do == "restart":
            self._fleet.restart(message["seq"], message["id"])
        elif do == "start_runtime":
            self._fleet.start_runtime(message["seq"], message["id"])
        elif do == "dial":
            self._fleet.dial(message["seq"], message["id"])
        elif do == "terminate":
            self._fleet.terminate(message["id"], bool(message["kill"]))
            self._server.send({"re": message["seq"]})
        elif do == "destroy":
            self._fleet.destroy(message["seq"], message["id"])
        elif do == "snapshot_taken":
            self._fleet.snapshot_taken(message["id"])
            self._server.send({"re": message["seq"]})
        elif do == "prepare":
            self._fleet.prepare(message["runtime"])
            self._server.send({"re": message["seq"]})
        elif do == "stats":
            self._server.send({"re": message["seq"], "stats": self._fleet.stats()})
        elif do == "stop":
            self._clean_up()
            self._server.send({"re": message["seq"]})
            self._is_running = False
        else:
            raise SandboxError(str(do), "unknown command")

    def _configure(self, message: Dict[str, Any]) -> None:
        if self._fleet is not None:
            raise SandboxError("configure", "twice")
        options = supervisor_options(message["options"])
        ground = levels.find_ground(options)
        if ground is None:
            groups = levels.find_cgroups(options, False)
            rootless.go_on_inside(self._server.sock.fileno(), message, groups.folders)
        self._begin(message, options, ground)

    def go_on(self, state: Dict[str, Any]) -> None:
        """Inside the user namespace: what was asked of the process outside."""
        message = state["configure"]
        options = supervisor_options(message["options"])
        try:
            groups = cgroup.Hierarchies({key: (version, folder) for key, (version, folder) in state["cgroups"].items()})
            ground = levels.ground_with_namespaces(options, groups, False, state["subordinate_ids"], state["name"])
            self._begin(message, options, ground)
        except SandboxError as error:
            self._server.send({"re": message["seq"], "error": error.to_json()})

    def _begin(self, message: Dict[str, Any], options: SupervisorOptions, ground: levels.Ground) -> None:
        self._fleet = Fleet(options, ground, message["endpoint_port"], self._loop, self._server)
        self._fleet.start()
        self._server.send({"re": message["seq"], "report": to_json(ground.report())})

    def _clean_up(self) -> None:
        fleet, self._fleet = self._fleet, None
        if fleet is None:
            return
        fleet.end()
        deadline = time.monotonic() + _STOP_DEADLINE
        while not fleet.is_gone() and time.monotonic() < deadline:
            self._loop.later(0.005, lambda: None)
            self._loop.turn()


def main(server_fd: str, state: str = "") -> None:
    """The life of the supervisor, on the socket that the server left open for it; `state`: see `rootless`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The terminal's Ctrl-C is for the server, which ends this process in its own time.
    if not state:
        os.setsid()
    syscalls.set_name("lambent-superv")
    # Orphans of functions come to this process, not to the host's init.
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    rlimits.raise_open_files()
    os.umask(0o022)
    server = commands.Link(socket.socket(fileno=int(server_fd)))
    try:
        supervisor = Supervisor(server)
        if state:
            supervisor.go_on(json.loads(state))
        supervisor.serve()
    except BaseException:
        # The top of this process: the server sees it end; its sandboxes end with it.
        traceback.print_exc()
        sys.exit(1)
