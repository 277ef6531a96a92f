"""The process of a Python function: reads its INIT frame, loads the handler and answers invocations.

Runs as `main(channel_fd, log_fd)` in a child forked from a template that called `preload()`, or as a script started by
exec with both descriptors named in its environment. Speaks Python 3.8; awslambdaric is behind `lambent_ric`.
"""

import atexit
import errno
import gc
import importlib
import json
import os
import signal
import site
import sys
import threading
import time
import traceback
import types
from typing import Any, Dict, List, NoReturn, Tuple

_RUNTIME_DIR = os.path.dirname(os.path.abspath(__file__))

#: What nearly every function imports: a template pays for it once, its forks share the memory.
PRELOAD = (
    "base64",
    "collections",
    "copy",
    "datetime",
    "decimal",
    "functools",
    "hashlib",
    "json",
    "logging",
    "os",
    "random",
    "re",
    "string",
    "tempfile",
    "time",
    "traceback",
    "typing",
    "urllib.parse",
    "uuid",
)

_READ_SIZE = 65536
#: In place of an error's type: the function is well, but its process cannot be a snapshot.
_NO_SNAPSHOT = b"Runtime.NoSnapshot"


def preload() -> None:
    """Called once in a template, before any function is known."""
    _prepare()
    for name in (*PRELOAD, "lambent_streams", "lambent_ric"):
        importlib.import_module(name)


def _prepare() -> None:
    """What needs no function to be known, by fork or by exec."""
    if _RUNTIME_DIR not in sys.path:
        sys.path.insert(0, _RUNTIME_DIR)
    # Without `site`, which would bring the host's own packages, these builtins are missing.
    site.setquit()
    site.setcopyright()
    site.sethelper()


class Channel:
    """Frames to and from the server: length, type, body."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, True)
        os.set_inheritable(fd, False)
        self._fd = fd
        self._rest = b""

    def read(self) -> bytes:
        """The next frame, its type and its body; exits the process when the server is gone."""
        data = self._rest or self._receive()
        while len(data) < 4:
            data += self._receive()
        end = 4 + int.from_bytes(data[:4], "big")
        if len(data) < end:
            parts = [data]
            missing = end - len(data)
            while missing > 0:
                parts.append(self._receive(missing))
                missing -= len(parts[-1])
            data = b"".join(parts)
        self._rest = data[end:]
        return data[4:end]

    def _receive(self, size: int = _READ_SIZE) -> bytes:
        data = os.read(self._fd, max(size, _READ_SIZE))
        if not data:
            os._exit(0)
        return data

    def send(self, kind: bytes, *parts: bytes) -> None:
        length = 1 + sum(map(len, parts))
        frame = b"".join((length.to_bytes(4, "big"), kind, *parts))
        sent = os.write(self._fd, frame)
        if sent < len(frame):
            rest = memoryview(frame)[sent:]
            while rest:
                rest = rest[os.write(self._fd, rest) :]


class ChannelReplies:
    """Answers to the server; whatever was printed goes out before each."""

    def __init__(self, channel: Channel, streams: Any) -> None:
        self._channel = channel
        self._streams = streams

    def response(self, payload: bytes) -> None:
        self._streams.finish()
        self._channel.send(b"S", payload)

    def error(self, error_type: str, payload: bytes) -> None:
        self._streams.finish()
        self._channel.send(b"E", error_type.encode(), b"\0", payload)

    def init_error(self, error_type: str, payload: bytes) -> None:
        self._streams.finish()
        self._channel.send(b"X", error_type.encode(), b"\0", payload)


def main(channel_fd: int, log_fd: int, snapshot: Any = None) -> NoReturn:
    """Serve one function until the server or the function ends this process.

    `snapshot` (`sandbox.snapshot_process`): initialise it only; environments with the same descriptors are forks.
    """
    from lambent_streams import StandardStreams, Telemetry  # type: ignore[import-not-found]

    gc.enable()
    _set_signals()
    os.set_inheritable(log_fd, False)
    channel = Channel(channel_fd)
    telemetry = Telemetry(log_fd)
    streams = StandardStreams(telemetry)
    streams.install()
    try:
        _serve(channel, telemetry, streams, snapshot)
    except SystemExit as exit_request:
        code = _exit_code(exit_request)
    except BaseException:
        # As at the top of any interpreter: the traceback is printed and the process fails.
        traceback.print_exc()
        code = 1
    _exit(code, streams)


def _set_signals() -> None:
    """As an interpreter does when it starts; the child of a template comes with others."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_IGN)


def _serve(channel: Channel, telemetry: Any, streams: Any, snapshot: Any) -> NoReturn:
    from lambent_ric import HandlerRunner, InitFailed  # type: ignore[import-not-found]

    init = json.loads(channel.read()[1:])
    handler = _enter_function(init)
    runner = HandlerRunner(ChannelReplies(channel, streams), telemetry)
    try:
        runner.load(handler)
    except InitFailed:
        sys.exit(1)
    if snapshot is not None:
        _be_snapshot(snapshot, runner, channel, streams)
    elif init.get("runs_hooks"):
        _run_hook(runner, "before_snapshot")
        _run_hook(runner, "after_restore")
    streams.finish()
    channel.send(b"R")
    while True:
        frame = channel.read()
        start = 3 + int.from_bytes(frame[1:3], "big")
        request_id, deadline, arn, trace_id, client, identity, tenant = frame[3:start].decode().split("\0")
        runner.invoke(request_id, int(deadline or 0), arn, trace_id, client, identity, tenant, frame[start:])


def _be_snapshot(snapshot: Any, runner: Any, channel: Channel, streams: Any) -> None:
    """Comes back in each environment that is made of this process, once its own hooks have run."""
    _run_hook(runner, "before_snapshot")
    streams.finish()
    obstacle = snapshot.obstacle()
    if obstacle:
        channel.send(b"X", _NO_SNAPSHOT, b"\0", obstacle.encode())
        sys.exit(0)
    channel.send(b"R")
    snapshot.wait(_renew)
    # From here on in another process, with other ends of channel and pipes.
    restore = json.loads(channel.read()[1:])
    os.environ.update(restore["environment"])
    _run_hook(runner, "after_restore")


def _renew() -> None:
    import lambent_snapshots  # type: ignore[import-not-found]

    lambent_snapshots.renew()


def _run_hook(runner: Any, moment: str) -> None:
    """`before_snapshot` or `after_restore`; ends the process where the function's code fails in it."""
    import lambent_snapshots

    try:
        getattr(lambent_snapshots, moment)()
    except Exception:  # the function's own
        error_type, code = lambent_snapshots.FAILURES[moment]
        runner.hook_failed(error_type)
        sys.exit(code)


def _enter_function(init: Dict[str, Any]) -> str:
    """Put environment, time zone, folder and search path into force; the handler's name."""
    handler: str = init["handler"]
    if "_HANDLER" in os.environ:
        # Started by exec with its environment, which a wrapper script may have changed since.
        handler = os.environ["_HANDLER"]
        for name in [name for name in os.environ if name.startswith("LAMBENT_")]:
            del os.environ[name]
    else:
        os.environ.clear()
        os.environ.update(init["environment"])
    os.environ.pop("_LAMBDA_TELEMETRY_LOG_FD", None)
    time.tzset()
    task_root = init["task_root"]
    os.chdir(task_root)
    _set_search_path(task_root, init.get("layer_root", "/opt") + "/python")
    if "PYTHONDONTWRITEBYTECODE" in os.environ:
        sys.dont_write_bytecode = True
    sys.argv = [os.path.join(_RUNTIME_DIR, "bootstrap.py")]
    main_module = types.ModuleType("__main__")
    main_module.__file__ = sys.argv[0]
    sys.modules["__main__"] = main_module
    return handler


def _set_search_path(task_root: str, layer_folder: str) -> None:
    """The package first, then layers, then what the runtime brings, then the standard library."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    site_folders = [task_root, f"{layer_folder}/lib/{version}/site-packages", layer_folder]
    given = [folder for folder in os.environ.get("PYTHONPATH", "").split(":") if folder]
    runtime = [folder for folder in given if folder != "/var/runtime"]
    _customize_site(runtime)
    front = [*site_folders, *runtime, _RUNTIME_DIR]
    library = [
        folder
        for folder in sys.path
        if folder and folder not in front and not folder.endswith(("site-packages", "dist-packages"))
    ]
    sys.path[:] = front + library
    for folder in front:
        sys.path_importer_cache.pop(folder, None)
    for folder in site_folders:
        if _has_path_files(folder):
            site.addsitedir(folder)


def _customize_site(folders: List[str]) -> None:
    """What an interpreter that starts with `site` imports from PYTHONPATH: tracing agents hook in there."""
    if any(os.path.isfile(os.path.join(folder, "sitecustomize.py")) for folder in folders):
        sys.path[:] = [*folders, *(folder for folder in sys.path if folder not in folders)]
        site.execsitecustomize()


def _has_path_files(folder: str) -> bool:
    try:
        return any(name.endswith(".pth") for name in os.listdir(folder))
    except OSError:
        return False


def _exit_code(exit_request: SystemExit) -> int:
    if exit_request.code is None:
        return 0
    if isinstance(exit_request.code, int):
        return exit_request.code & 0xFF
    print(exit_request.code, file=sys.stderr)
    return 1


def _exit(code: int, streams: Any) -> NoReturn:
    """End as an interpreter would, without running what a template would do after its loop."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    streams.finish()
    os._exit(code)


def _exec_wrapper(wrapper: str) -> NoReturn:
    """Start again below the script that AWS_LAMBDA_EXEC_WRAPPER names, which execs what it is given.

    What is said of one that cannot be started is said by AWS in these words.
    """
    os.environ["LAMBENT_WRAPPED"] = "1"
    options = [f"-{flag}" for flag, is_set in (("S", sys.flags.no_site), ("s", sys.flags.no_user_site)) if is_set]
    arguments = [wrapper, sys.executable, *options, os.path.abspath(__file__)]
    if not os.path.isfile(wrapper):
        _refuse_wrapper(f"{wrapper}: does not exist", 127)
    if not os.access(wrapper, os.X_OK):
        _refuse_wrapper(f"{wrapper}: is not an executable", 126)
    for name in ("LAMBENT_CHANNEL_FD", "_LAMBDA_TELEMETRY_LOG_FD"):
        os.set_inheritable(int(os.environ[name]), True)
    try:
        os.execv(wrapper, arguments)
    except OSError as error:
        if error.errno == errno.ENOEXEC:
            # Without `#!` it is the shell's, as it is for the shell script that starts AWS's runtimes.
            os.execv("/bin/sh", ["/bin/sh", *arguments])
        _refuse_wrapper(f"{wrapper}: {error.strerror}", 127 if isinstance(error, FileNotFoundError) else 126)


def _refuse_wrapper(words: str, code: int) -> NoReturn:
    print(words, file=sys.stderr, flush=True)
    os._exit(code)


def _descriptors() -> Tuple[int, int]:
    return int(os.environ.pop("LAMBENT_CHANNEL_FD")), int(os.environ.pop("_LAMBDA_TELEMETRY_LOG_FD"))


if __name__ == "__main__":
    if os.environ.get("AWS_LAMBDA_EXEC_WRAPPER") and "LAMBENT_WRAPPED" not in os.environ:
        _exec_wrapper(os.environ["AWS_LAMBDA_EXEC_WRAPPER"])
    _prepare()
    main(*_descriptors())
