"""The supervisor's own processes: builders, forked from it, and templates, one for each forked runtime.

A worker that ends is started again when it is next needed; those it started end with it (PDEATHSIG, pid namespaces).
"""

import contextlib
import os
import signal
import traceback
from typing import Any, Callable, Dict, List, Optional, Tuple

from lambent.sandbox import builder, commands, mounts, syscalls
from lambent.sandbox.spec import RuntimeSpec, SandboxError, sandbox_error

BUILDERS = 2
#: /usr/lib/…/lambent: what a template imports `lambent.sandbox` from.
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Worker:
    """A builder or a template, and what was asked of it that it has not answered."""

    def __init__(self, name: str, pid: int, link: commands.Link) -> None:
        self.name = name
        self.pid = pid
        self.link = link
        #: Numbers of the shells being built.
        self.building: List[int] = []
        #: It said hello.
        self.is_ready = False
        #: A builder's: the mount namespace that it lives in.
        self.root_fd = -1
        #: Why it could not start, if it said so.
        self.error: Optional[SandboxError] = None

    def __repr__(self) -> str:
        return f"<Worker {self.name} pid {self.pid} building {len(self.building)}>"


def start_builder(host_fds: Dict[str, int], root: Optional[Dict[str, Any]]) -> Worker:
    """`root`: what the root of sandboxes is made of; None where there are no namespaces and it only starts programs."""
    ours, theirs = commands.socket_pair()
    supervisor = os.getpid()
    pid = os.fork()
    if pid == 0:
        ours.detach()
        syscalls.keep_only([theirs.fileno(), *host_fds.values()])
        builder.main(theirs, host_fds, root, supervisor)
    theirs.close()
    return Worker("builder", pid, commands.Link(ours))


def start_template(runtime: RuntimeSpec, root_fd: Optional[int], pid_namespace_fd: int) -> Worker:
    """Run the runtime's interpreter in a mount namespace like a shell's: a copy of `root_fd`, where builders live.

    Without namespaces (None) the paths of `runtime` are the host's already.
    """
    ours, theirs = commands.socket_pair()
    supervisor = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            ours.detach()
            syscalls.keep_only([theirs.fileno(), pid_namespace_fd, *([] if root_fd is None else [root_fd])])
            code, library = _enter_template_root(runtime, root_fd)
            _exec_template(runtime, code, library, [theirs.fileno(), pid_namespace_fd], supervisor)
        except BaseException:
            # The top of this process: the supervisor sees it end.
            traceback.print_exc()
        finally:
            os._exit(1)
    theirs.close()
    return Worker(f"template {runtime.name}", pid, commands.Link(ours))


def _enter_template_root(runtime: RuntimeSpec, root_fd: Optional[int]) -> Tuple[str, str]:
    """The folders that hold `lambent` and the interpreter's libraries as the template will see them."""
    if root_fd is None:
        return os.path.dirname(_PACKAGE), f"{runtime.lang_dir}/lib"
    folders = runtime_folders(runtime)
    folders.add_path(_PACKAGE, f"{mounts.TEMPLATE_CODE}/lambent")
    syscalls.setns(root_fd, syscalls.CLONE_NEWNS)
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("code", mounts.TEMPLATE_CODE, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "mode=0755,size=64k")
    os.mkdir(f"{mounts.TEMPLATE_CODE}/lambent")
    folders.attach()
    folders.close()
    return mounts.TEMPLATE_CODE, f"{mounts.LANGUAGE}/lib"


def _exec_template(runtime: RuntimeSpec, code: str, library: str, fds: List[int], supervisor: int) -> None:
    for fd in fds:
        os.set_inheritable(fd, True)
    script = f"{code}/lambent/sandbox/template.py"
    arguments = [*runtime.command[:-1], script, *map(str, [*fds, supervisor]), runtime.command[-1]]
    environment = {"LD_LIBRARY_PATH": library, "LANG": "C.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin"}
    os.chdir("/")
    os.execve(arguments[0], arguments, environment)


def runtime_folders(runtime: RuntimeSpec) -> mounts.Folders:
    """What a runtime needs mounted, in templates and shells alike."""
    folders = mounts.Folders()
    if runtime.runtime_dir:
        folders.add_path(runtime.runtime_dir, mounts.RUNTIME)
    if runtime.lang_dir:
        folders.add_path(runtime.lang_dir, mounts.LANGUAGE)
    for path in runtime.host_paths:
        folders.add_path(path, path)
    return folders


def end(worker: Worker) -> None:
    """Kill it and wait until it is gone, which does not take long: it shares nothing that could hold it up."""
    worker.link.close()
    if worker.root_fd >= 0:
        os.close(worker.root_fd)
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(worker.pid, signal.SIGKILL)
        os.waitpid(worker.pid, 0)


class Crew:
    """All workers: started when first needed, listened to, replaced when they end."""

    def __init__(
        self, loop: Any, host_fds: Dict[str, int], root: Optional[Dict[str, Any]], pid_namespace_fd: int
    ) -> None:
        self._loop = loop
        self._host_fds = host_fds
        self._root = root
        self._pid_namespace_fd = pid_namespace_fd
        self.builders: List[Worker] = []
        self._templates: Dict[str, Worker] = {}
        #: Why builders cannot start: nothing can then.
        self.broken: Optional[SandboxError] = None
        #: What to do with a message of a worker's, and when one ends with the shells it was building.
        self.on_message: Callable[[Worker, Dict[str, Any], List[int]], None]
        self.on_gone: Callable[[Worker, SandboxError], None]

    def pids(self) -> List[int]:
        return [worker.pid for worker in (*self.builders, *self._templates.values())]

    def builder(self) -> Worker:
        """The builder with the least to do."""
        while len(self.builders) < BUILDERS:
            worker = start_builder(self._host_fds, self._root)
            self.builders.append(worker)
            self._listen(worker)
        return min(self.builders, key=lambda worker: len(worker.building))

    def template(self, runtime: RuntimeSpec) -> Worker:
        worker = self._templates.get(runtime.name)
        if worker is None:
            root_fd = None if self._root is None else self._ready_builder().root_fd
            worker = start_template(runtime, root_fd, self._pid_namespace_fd)
            self._templates[runtime.name] = worker
            self._listen(worker)
        return worker

    def find(self, pid: int) -> Optional[Worker]:
        workers = (*self.builders, *self._templates.values())
        return next((worker for worker in workers if worker.pid == pid), None)

    def end(self) -> None:
        for worker in (*self.builders, *self._templates.values()):
            self._loop.forget_link(worker.link)
            end(worker)
        self.builders, self._templates = [], {}

    def _ready_builder(self) -> Worker:
        """A builder whose root is in place; waits for the first one, which takes milliseconds, once a region."""
        worker = next((worker for worker in self.builders if worker.is_ready), None) or self.builder()
        while not worker.is_ready and worker in self.builders:
            self._hear(worker, wait=True)
        if self.broken is not None:
            raise self.broken
        return worker

    def _listen(self, worker: Worker) -> None:
        self._loop.watch_link(worker.link, lambda: self._hear(worker))

    def _hear(self, worker: Worker, wait: bool = False) -> None:
        worker.link.sock.setblocking(wait)
        try:
            received = worker.link.receive()
        except BlockingIOError:
            return
        finally:
            worker.link.sock.setblocking(False)
        if received is None:
            self._bid_farewell(worker)
            return
        message, fds = received
        if "hello" in message:
            worker.is_ready = True
            worker.root_fd = fds[0] if fds else -1
        elif "broken" in message:
            worker.error = sandbox_error(message["broken"])
        else:
            self.on_message(worker, message, fds)

    def _bid_farewell(self, worker: Worker) -> None:
        """The inits of its shells die with a builder; a template's children live on."""
        self._loop.forget_link(worker.link)
        end(worker)
        error = worker.error or SandboxError("start", worker.name, 0, "It ended; see the server's standard error.")
        if worker in self.builders:
            self.builders.remove(worker)
            if not worker.is_ready:
                self.broken = error
        else:
            self._templates = {name: other for name, other in self._templates.items() if other is not worker}
        self.on_gone(worker, error)
