"""A template: an interpreter with a runtime's bootstrap imported, which forks a child for each environment.

Run as a script by the runtime's own interpreter, in the root that functions see. It never reads function code. Python
3.8 syntax.
"""

import sys

#: What sys.path must not keep: the folder of this file and the one that `lambent` is imported from.
_CODE_ROOT = sys.path.pop(0)[: -len("/lambent/sandbox")]
sys.path.append(_CODE_ROOT)

import gc  # noqa: E402
import importlib.util  # noqa: E402
import os  # noqa: E402
import select  # noqa: E402
import signal  # noqa: E402
import socket  # noqa: E402
from typing import Any, Dict  # noqa: E402

from lambent.sandbox import commands, contain, snapshot_process, spawn, syscalls  # noqa: E402, F401  children need all of it
from lambent.sandbox.spec import SandboxError  # noqa: E402

sys.path.remove(_CODE_ROOT)


def main() -> None:
    control_fd, pid_namespace_fd, supervisor = (int(argument) for argument in sys.argv[1:4])
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:
        return
    syscalls.set_name("lambent-template")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Collecting would write to every object, and so copy every page that children share with this process.
    gc.disable()
    control = socket.socket(fileno=control_fd)
    bootstrap = _load(sys.argv[4])
    bootstrap.preload()
    gc.freeze()

    def run(request: Dict[str, Any]) -> None:
        # The function sees the modules that a Python of its own would have.
        for name in [name for name in sys.modules if name.partition(".")[0] == "lambent"]:
            del sys.modules[name]
        if "forks" in request["fds"]:
            forks = socket.socket(fileno=spawn.FORKS_FD)
            snapshot = snapshot_process.Snapshot(forks, request["plan"], spawner.call_filters[True])
            bootstrap.main(spawn.CHANNEL_FD, spawn.LOG_FD, snapshot)
        else:
            bootstrap.main(spawn.CHANNEL_FD, spawn.LOG_FD)

    spawner = spawn.Spawner(control, pid_namespace_fd, run)
    commands.send(control, {"hello": True})
    _serve(control, spawner)


def _load(path: str) -> Any:
    spec = importlib.util.spec_from_file_location("bootstrap", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _serve(control: socket.socket, spawner: spawn.Spawner) -> None:
    wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(wake_read, select.POLLIN)
    while True:
        ready = [fd for fd, _ in poll.poll()]
        if wake_read in ready:
            os.read(wake_read, 4096)
            spawner.reap()
        if control.fileno() in ready:
            received = commands.receive(control)
            if received is None:
                return
            message, fds = received
            if "terminate" in message:
                spawner.terminate(message["terminate"], message["kill"])
                continue
            try:
                spawner.spawn(message, fds)
            except SandboxError as error:
                commands.send(control, {"failed": message["spawn"], "error": error.to_json()})


if __name__ == "__main__":
    main()
