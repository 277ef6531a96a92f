"""Isolation level `process`: no namespaces, so paths are the host's and a tree of processes is killed by walking it.

Each runtime process is the subreaper of what it starts, so that nothing leaves its tree while it lives; what outlives
it falls to the supervisor, which kills every child that is not its own.
"""

import contextlib
import os
import shutil
import signal
from typing import Dict, Iterable, List, Optional, Set, Tuple

from lambent.sandbox import mounts
from lambent.sandbox.spec import LaunchSpec, RuntimeSpec

#: Variables that name Lambda's folders by convention, and so ours where nothing is mounted there.
_PATH_VARIABLES = (
    "PATH",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
    "NODE_PATH",
    "GEM_PATH",
    "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
    "AWS_LAMBDA_EXEC_WRAPPER",
)


class Paths:
    """Where Lambda's folders of one environment really are."""

    def __init__(self, runtime: RuntimeSpec, code_root: str, layer_root: str, tmp: str) -> None:
        self.tmp = tmp
        self._folders = {
            mounts.TASK: code_root,
            mounts.LAYERS: layer_root,
            mounts.RUNTIME: runtime.runtime_dir,
            mounts.LANGUAGE: runtime.lang_dir,
        }

    @property
    def read_only(self) -> List[str]:
        return [path for path in self._folders.values() if path]

    def real(self, path: str) -> str:
        """`path` with a leading folder of Lambda's replaced."""
        for folder, real in self._folders.items():
            if real and (path == folder or path.startswith(folder + "/")):
                return real + path[len(folder) :]
        return path

    def environment(self, variables: Dict[str, str]) -> Dict[str, str]:
        changed = {name: self._real_list(variables[name]) for name in _PATH_VARIABLES if name in variables}
        return {**variables, **changed, "TMPDIR": self.tmp}

    def _real_list(self, value: str) -> str:
        return ":".join(self.real(part) for part in value.split(":"))


def make_tmp(data_dir: str, folder_fd: int, number: int, owner: Optional[Tuple[int, int]]) -> str:
    """An environment's folder for temporary files, its own user's; `folder_fd` is the supervisor's folder."""
    name = f"tmp/{number:x}"
    with contextlib.suppress(FileExistsError):
        os.mkdir("tmp", 0o755, dir_fd=folder_fd)
    os.mkdir(name, 0o700, dir_fd=folder_fd)
    if owner is not None:
        os.chown(name, *owner, dir_fd=folder_fd, follow_symlinks=False)
    return f"{data_dir}/sandbox/{name}"


def merge_layers(data_dir: str, folder_fd: int, number: int, spec: LaunchSpec) -> str:
    """The folder that stands for /opt: the layer, or a merged copy of several, or none."""
    if not spec.layers:
        return ""
    if len(spec.layers) == 1:
        return spec.layers[0]
    with contextlib.suppress(FileExistsError):
        os.mkdir("opt", 0o755, dir_fd=folder_fd)
    folder = f"{data_dir}/sandbox/opt/{number:x}"
    for layer in spec.layers:
        shutil.copytree(layer, folder, symlinks=True, dirs_exist_ok=True, copy_function=_link_over)
    return folder


def _link_over(source: str, target: str, **_: object) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(target)
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(source, target, follow_symlinks=False)


def remove(folder_fd: int, number: int) -> None:
    """Remove what `make_tmp` and `merge_layers` made. Every process that could race with it is dead."""
    for kind in ("tmp", "opt"):
        shutil.rmtree(f"{kind}/{number:x}", ignore_errors=True, dir_fd=folder_fd)


def sweep(folder_fd: int) -> None:
    """Remove what an earlier supervisor left."""
    for kind in ("tmp", "opt"):
        shutil.rmtree(kind, ignore_errors=True, dir_fd=folder_fd)


# ---- trees of processes ---------------------------------------------------------------------------------------------


def kill_tree(root: int) -> None:
    """Kill a process and all its descendants. Each is stopped before its children are counted, so none gets away."""
    stopped: Set[int] = set()
    found = [root]
    while found:
        for pid in found:
            _signal(pid, signal.SIGSTOP)
        stopped.update(found)
        found = [pid for parent in stopped for pid in children(parent) if pid not in stopped]
    # The root last: until then its descendants stay its own.
    for pid in [*sorted(stopped - {root}), root]:
        _signal(pid, signal.SIGKILL)
    with contextlib.suppress(OSError):
        os.killpg(root, signal.SIGKILL)


def kill_orphans(own: Iterable[int]) -> bool:
    """Kill every child of this process that is not one of `own`; whether there were any."""
    orphans = [pid for pid in children(os.getpid()) if pid not in set(own)]
    for pid in orphans:
        kill_tree(pid)
    return bool(orphans)


def children(pid: int) -> List[int]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except OSError:  # it is gone, or there is no /proc here
        return []


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, number)
