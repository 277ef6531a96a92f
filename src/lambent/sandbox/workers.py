"""The supervisor's own processes: builders, forked from it, and templates, one for each forked runtime.

A worker that ends is started again when it is next needed; those it started end with it (PDEATHSIG, pid namespaces).
"""

import contextlib
import os
import signal
import traceback
from typing import Any, Dict, List, Optional

from lambent.sandbox import builder, commands, mounts, syscalls
from lambent.sandbox.spec import RuntimeSpec, SandboxError

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
        #: Why it could not start, if it said so.
        self.error: Optional[SandboxError] = None

    def __repr__(self) -> str:
        return f"<Worker {self.name} pid {self.pid} building {len(self.building)}>"


def start_builder(host_fds: Dict[str, int], root: Dict[str, Any]) -> Worker:
    ours, theirs = commands.socket_pair()
    supervisor = os.getpid()
    pid = os.fork()
    if pid == 0:
        ours.detach()
        _keep_only([theirs.fileno(), *host_fds.values()])
        builder.main(theirs, host_fds, {**root, "supervisor": supervisor})
    theirs.close()
    return Worker("builder", pid, commands.Link(ours))


def start_template(runtime: RuntimeSpec, root_pidfd: Optional[int], pid_namespace_fd: int) -> Worker:
    """Run the runtime's interpreter in a mount namespace like a shell's, `root_pidfd` naming the builder to copy."""
    ours, theirs = commands.socket_pair()
    supervisor = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            ours.detach()
            _keep_only([theirs.fileno(), pid_namespace_fd, *([] if root_pidfd is None else [root_pidfd])])
            code = _enter_template_root(runtime, root_pidfd)
            _exec_template(runtime, code, [theirs.fileno(), pid_namespace_fd], supervisor)
        except BaseException:
            # The top of this process: the supervisor sees it end.
            traceback.print_exc()
        finally:
            os._exit(1)
    theirs.close()
    return Worker(f"template {runtime.name}", pid, commands.Link(ours))


def _enter_template_root(runtime: RuntimeSpec, root_pidfd: Optional[int]) -> str:
    """The folder that holds `lambent` as the template will see it."""
    if root_pidfd is None:
        return os.path.dirname(_PACKAGE)
    folders = runtime_folders(runtime)
    folders.add_path(_PACKAGE, f"{mounts.TEMPLATE_CODE}/lambent")
    syscalls.setns(root_pidfd, syscalls.CLONE_NEWNS)
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("code", mounts.TEMPLATE_CODE, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "mode=0755,size=64k")
    os.mkdir(f"{mounts.TEMPLATE_CODE}/lambent")
    folders.attach()
    folders.close()
    return mounts.TEMPLATE_CODE


def _exec_template(runtime: RuntimeSpec, code: str, fds: List[int], supervisor: int) -> None:
    for fd in fds:
        os.set_inheritable(fd, True)
    script = f"{code}/lambent/sandbox/template.py"
    arguments = [*runtime.command[:-1], script, *map(str, [*fds, supervisor]), runtime.command[-1]]
    environment = {
        "LD_LIBRARY_PATH": f"{mounts.LANGUAGE}/lib",
        "LANG": "C.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
    }
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


def _keep_only(fds: List[int]) -> None:
    """Close every descriptor from 3 on but these: a copy of the server's socket would outlive the server."""
    wanted = sorted({fd for fd in fds if fd > 2})
    first = 3
    for fd in wanted:
        if fd > first:
            os.closerange(first, fd)
        first = fd + 1
    syscalls.close_from(first)


def end(worker: Worker) -> None:
    """Kill it and wait until it is gone, which does not take long: it shares nothing that could hold it up."""
    worker.link.close()
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(worker.pid, signal.SIGKILL)
        os.waitpid(worker.pid, 0)
